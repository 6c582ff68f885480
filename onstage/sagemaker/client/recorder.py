"""Records what the SageMaker SDK, or boto3, would send, so that it can be rehearsed: no account, no network.

    with record("recorded") as recorder:
        from sagemaker.train import ModelTrainer
        ...
        trainer = ModelTrainer(..., sagemaker_session=Session(boto_session=recorder.session))
        trainer.train(wait=False)
    print(recorder.files)

Afterwards `recorded/1-CreateTrainingJob.json` is the body, `recorded/store/<bucket>/<key>` what was uploaded, and
`onstage body recorded/1-CreateTrainingJob.json` runs it. A tuning job is recorded as itself and as one
trial, in the middle of its ranges. Jobs and endpoints that were created answer at once that they are completed.

Only sessions that are created inside the `with` are recorded, so import the SDK there, too. Their credentials are worth
nothing, and neither your AWS configuration nor the SDK's configuration files are read.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onstage.errors import UserError
from onstage.sagemaker.client.recorded_s3 import FolderS3
from onstage.sagemaker.requests.images import partition
from onstage.sagemaker.requests.trials import trials

if TYPE_CHECKING:
    import boto3
    from botocore.awsrequest import AWSResponse
    from botocore.model import OperationModel, Shape

# AWS's own example account.
ACCOUNT = "111122223333"
_PARAMETERS = "onstage.recorder"
# The SDK reports every call to AWS unless its configuration says this.
_SDK_CONFIGURATION = "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"


class Recorder:
    """What `record` yields: `session` is the boto3.Session to use, `files` are the recorded bodies."""

    def __init__(self, folder: Path, region: str) -> None:
        self.folder, self.region = folder, region
        self.files: list[Path] = []
        self.session: boto3.Session
        self._created: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._s3 = FolderS3(folder / "store")

    def keep_parameters(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Botocore's event before-parameter-build: later events see the request only as bytes."""
        context[_PARAMETERS] = params

    def answer(
        self, model: "OperationModel", context: dict[str, Any], **_: Any
    ) -> "tuple[AWSResponse, dict[str, Any]]":
        """Botocore's event before-call: an answer given here is the response, and nothing is sent.

        Raises UserError for an operation that has no answer.
        """
        from botocore.awsrequest import AWSResponse

        params = context[_PARAMETERS]
        service, operation = str(model.service_model.service_name), model.name
        found = self._s3.answer(operation, params) if service == "s3" else self._answer(service, model, params)
        if found is None:
            raise UserError(
                f"the recorder cannot answer {service}'s {operation}: it records uploads to S3 and what SageMaker is "
                "asked to create. Leave the call out while recording"
            )
        status, parsed = found
        parsed["ResponseMetadata"] = {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0}
        return AWSResponse("", status, {}, None), parsed

    def _answer(
        self, service: str, model: "OperationModel", params: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]] | None:
        fixed = self._fixed(service, model.name, params)
        if fixed is not None:
            return 200, fixed
        if service != "sagemaker":
            return None
        named = re.match(r"([A-Z][a-z]+)(.*)", model.name)
        verb, thing = named.groups() if named else ("", "")
        if verb == "Create":
            return 200, self._create(thing, model, params)
        if verb == "Describe":
            return self._describe(thing, model, params)
        if verb in ("List", "Stop", "Delete", "Add"):
            return 200, _required(model.output_shape)
        return None

    def _fixed(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Answers that do not depend on what was recorded: who calls, whether a role may, empty logs."""
        arn = f"arn:{partition(self.region)}"
        if service == "sts" and operation == "GetCallerIdentity":
            return {"UserId": "rehearsal", "Account": ACCOUNT, "Arn": f"{arn}:iam::{ACCOUNT}:user/rehearsal"}
        if service == "iam" and operation == "GetRole":
            name = params["RoleName"]
            role = {"RoleName": name, "Arn": f"{arn}:iam::{ACCOUNT}:role/{name}"}
            return {"Role": role}
        if service == "iam" and operation == "SimulatePrincipalPolicy":
            return {"EvaluationResults": [], "IsTruncated": False}
        if service == "logs" and operation in ("DescribeLogStreams", "GetLogEvents", "FilterLogEvents"):
            return {"logStreams": [], "events": []}
        return None

    def _create(self, thing: str, model: "OperationModel", params: Mapping[str, Any]) -> dict[str, Any]:
        self._write(model.name, params)
        if thing == "HyperParameterTuningJob":
            for trial in trials(params):
                self._write("CreateTrainingJob", trial)
        name = str(params.get(f"{thing}Name", ""))
        self._created[thing, name] = params
        members = model.output_shape.members if model.output_shape else {}
        return {member: self._arn(thing, name) for member in members if member.endswith("Arn")}

    def _describe(self, thing: str, model: "OperationModel", params: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        name = str(params.get(f"{thing}Name", ""))
        body = self._created.get((thing, name))
        if body is None:
            said = f"Could not find {thing} {name!r}: it was not created while recording"
            error = {"Code": "ValidationException", "Message": said}
            return 400, {"Error": error}
        members = model.output_shape.members
        now = datetime.now(timezone.utc)
        known = {
            **body,
            f"{thing}Arn": self._arn(thing, name),
            f"{thing}Status": _finished(members.get(f"{thing}Status")),
            "SecondaryStatus": "Completed",
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        if thing == "TrainingJob":
            output = body["OutputDataConfig"]["S3OutputPath"].rstrip("/")
            known["ModelArtifacts"] = {"S3ModelArtifacts": f"{output}/{name}/output/model.tar.gz"}
        given = {member: value for member, value in known.items() if member in members and value is not None}
        return 200, {**_required(model.output_shape), **given}

    def _arn(self, thing: str, name: str) -> str:
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", thing).lower()
        return f"arn:{partition(self.region)}:sagemaker:{self.region}:{ACCOUNT}:{kind}/{name}"

    def _write(self, operation: str, body: Mapping[str, Any]) -> None:
        numbers = [int(file.name.partition("-")[0]) for file in self.folder.glob("[0-9]*-*.json")]
        file = self.folder / f"{max(numbers, default=0) + 1}-{operation}.json"
        file.write_text(json.dumps(body, indent=2, default=str), encoding="utf-8")
        self.files.append(file)


@contextlib.contextmanager
def record(folder: str | Path, region: str = "us-east-1") -> Iterator[Recorder]:
    """Record into `folder` what sessions that are created inside the `with` would send to `region`."""
    import boto3
    import botocore.handlers

    recorder = Recorder(Path(folder).resolve(), region)
    recorder.folder.mkdir(parents=True, exist_ok=True)
    hooks: list[tuple[str, Callable[..., Any]]] = [
        ("before-parameter-build", recorder.keep_parameters),
        ("before-call", recorder.answer),
    ]
    before = boto3.DEFAULT_SESSION
    with _environment(recorder):
        # The list that every new session of botocore starts from; what a session got from it stays with it.
        botocore.handlers.BUILTIN_HANDLERS.extend(hooks)
        boto3.DEFAULT_SESSION = None
        try:
            recorder.session = boto3.Session(region_name=region)
            yield recorder
        finally:
            boto3.DEFAULT_SESSION = before
            for hook in hooks:
                botocore.handlers.BUILTIN_HANDLERS.remove(hook)


@contextlib.contextmanager
def _environment(recorder: Recorder) -> Iterator[None]:
    """Without anything of the user's AWS configuration, and with credentials that are none."""
    configuration = recorder.folder / "sagemaker-sdk.yaml"
    configuration.write_text(_SDK_CONFIGURATION, encoding="utf-8")
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="rehearsal",
        AWS_SECRET_ACCESS_KEY="rehearsal",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_DEFAULT_REGION=recorder.region,
        SAGEMAKER_ADMIN_CONFIG_OVERRIDE=str(configuration),
        SAGEMAKER_USER_CONFIG_OVERRIDE=str(configuration),
        # The SDK asks IAM whether the role suffices; here nobody knows.
        SAGEMAKER_VALIDATE_ROLE="false",
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _finished(shape: "Shape | None") -> str | None:
    return next((one for one in ("Completed", "InService", "Created") if shape and one in shape.enum), None)


def _required(shape: "Shape | None") -> dict[str, Any]:
    """The least that a response of this shape must have."""
    if shape is None:
        return {}
    empty: dict[str, Any] = {
        "list": [],
        "map": {},
        "string": "",
        "boolean": False,
        "timestamp": datetime.fromtimestamp(0, timezone.utc),
    }
    return {
        name: _required(shape.members[name])
        if shape.members[name].type_name == "structure"
        else empty.get(shape.members[name].type_name, 0)
        for name in shape.required_members
    }
