"""`python -m cloud sagemaker` against AWS on loopback: what is sent is done, what fails is explained and cleaned up."""

import ast
import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import cfnlint.api
import cfnlint.decode
import pytest

from tests.emulators.aws import ACCOUNT, KEYS, REGION, FakeAws

ROLE = f"arn:aws:iam::{ACCOUNT}:role/trainer"
BUCKET = "iris-of-mine"
PART = 8 * 1024 * 1024


@dataclasses.dataclass
class Desk:
    """A project folder and the AWS that its commands talk to."""

    folder: Path
    aws: FakeAws

    def run(self, *words: str, code: int = 0, text: str | None = None, **environment: str) -> str:
        """What a command prints; it has to end with `code`, and neither secret nor traceback may be in it."""
        done = subprocess.run(
            [sys.executable, "-m", "cloud", "sagemaker", *words], cwd=self.folder, env=self.environment(**environment),
            input=text, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert not any(secret in said for secret in KEYS.values()), said
        assert (done.returncode, said) == (code, said)
        return said

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command that runs while the test goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "cloud", "sagemaker", *words], cwd=self.folder, env=self.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def stop_when(self, seen: Callable[[], bool], *words: str, how: int = signal.SIGINT) -> str:
        """What a command prints that gets a signal as soon as `seen` says so; Ctrl-C has to end it with 130."""
        process = self.start(*words)
        until(seen)
        process.send_signal(how)
        said = process.communicate(timeout=60)[0]
        if how == signal.SIGINT:
            assert "Traceback" not in said, said
            assert (process.returncode, said) == (130, said)
        return said

    def environment(self, **more: str) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYT", "COV", "AWS_"))}
        # Compiled once for all commands, outside of the project.
        bytecode = {"PYTHONPYCACHEPREFIX": str(self.aws.folder / "bytecode")}
        return {**clean, **bytecode, "COLUMNS": "200", **self.aws.environment, **more}

    def change(self, old: str, new: str) -> None:
        """Replace a text in settings.toml."""
        file = self.folder / "settings.toml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    def left(self) -> list[str]:
        """The models, configurations and endpoints that exist."""
        client = self.aws.client("sagemaker")
        models = [one["ModelName"] for one in client.list_models()["Models"]]
        configs = [one["EndpointConfigName"] for one in client.list_endpoint_configs()["EndpointConfigs"]]
        return [*models, *configs, *(name for kind, name in self.aws.jobs if kind == "Endpoint")]


def until(seen: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until `seen` says so."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def aws(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeAws]:
    with FakeAws(tmp_path_factory.mktemp("aws")) as fake:
        yield fake


def make_desk(project: Path, folder: Path, aws: FakeAws, bucket: str = BUCKET) -> Desk:
    desk = Desk(Path(shutil.copytree(project, folder)), aws)
    desk.change('bucket = ""\nrole = ""', f'bucket = "{bucket}"\nrole = "{ROLE}"')
    return desk


@pytest.fixture(scope="module")
def trained(project: Path, aws: FakeAws, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, str]:
    """A desk with a bucket and a model that was really trained, and what was printed then."""
    desk = make_desk(project, tmp_path_factory.mktemp("trained") / "project", aws)
    desk.run("upload", "--create-bucket")
    return desk, desk.run("train", "--epochs", "2")


@pytest.fixture
def desk(trained: tuple[Desk, str], tmp_path: Path) -> Iterator[Desk]:
    """A copy of the desk, in front of an AWS that works again afterwards."""
    used, _ = trained
    yield Desk(Path(shutil.copytree(used.folder, tmp_path / "desk")), used.aws)
    aws = used.aws
    for job in aws.jobs.values():
        job.stopped.set()
    aws.faults.clear()
    aws.slow, aws.jobs_end, aws.endpoints_end, aws.answer = ("", 0.0), ("run", ""), ("InService", ""), None
    for name in {name for kind, name in aws.jobs if kind == "Endpoint"}:
        # What a failed test left must not fail the next one.
        del aws.jobs["Endpoint", name]
    client = aws.client("sagemaker")
    for one in client.list_models()["Models"]:
        client.delete_model(ModelName=one["ModelName"])
    for one in client.list_endpoint_configs()["EndpointConfigs"]:
        client.delete_endpoint_config(EndpointConfigName=one["EndpointConfigName"])


@pytest.fixture
def new_desk(project: Path, tmp_path: Path, desk: Desk) -> Desk:
    """A desk whose bucket does not exist yet."""
    return make_desk(project, tmp_path / "new", desk.aws, f"new-{hashlib.md5(str(tmp_path).encode()).hexdigest()[:12]}")


def bucket_of(desk: Desk) -> str:
    return re.search(r'bucket = "(.+)"', (desk.folder / "settings.toml").read_text(encoding="utf-8"))[1]


def objects(desk: Desk, region: str = REGION) -> dict[str, int]:
    found = desk.aws.client("s3", region).list_objects_v2(Bucket=bucket_of(desk)).get("Contents", ())
    return {one["Key"]: one["Size"] for one in found}


def test_a_job_that_is_sent_leaves_a_trained_model_and_shows_its_log(trained: tuple[Desk, str]) -> None:
    desk, said = trained
    name = re.search(r"training job (\S+) is sent", said)[1]
    assert re.search(r"epoch=2 loss=\S+ val_loss=\S+ val_accuracy=\S+", said)
    assert "it costs 1 x ml.m5.xlarge by the second" in said
    assert f"model: s3://{BUCKET}/iris_classifier/jobs/{name}/output/model.tar.gz" in said
    assert f"iris_classifier/jobs/{name}/output/model.tar.gz" in objects(desk)
    assert name in desk.run("status")
    assert "epoch=1 loss=" in desk.run("logs", name)
    assert "nothing runs that costs money" in desk.run("status")


def test_a_dry_run_prints_the_very_body_that_would_be_sent(desk: Desk) -> None:
    count = len(desk.aws.seen)
    done = subprocess.run(
        [sys.executable, "-m", "cloud", "sagemaker", "train", "--epochs", "3", "--dry-run"], cwd=desk.folder,
        env=desk.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(desk.aws.seen) == count
    body = json.loads(done.stdout)
    sent = next(body for operation, body in desk.aws.bodies if operation == "CreateTrainingJob")
    name, sent_name = body["TrainingJobName"], sent["TrainingJobName"]
    assert name != sent_name
    expected = json.loads(json.dumps(sent).replace(sent_name, name))
    expected["HyperParameters"]["epochs"] = "3"
    assert body == expected


def test_a_second_upload_sends_what_has_changed_only(new_desk: Desk) -> None:
    new_desk.run("upload", "--create-bucket")
    assert "2 of 2 files are there already" in new_desk.run("upload")
    file = new_desk.folder / "data" / "eval" / "iris.csv"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[::-1], encoding="utf-8")
    assert f"would send {file}" in new_desk.run("upload", "--dry-run")
    said = new_desk.run("upload")
    assert "1 of 2 files are there already" in said
    assert "1 files to" in said
    assert list(objects(new_desk)) == ["iris_classifier/data/eval/iris.csv", "iris_classifier/data/train/iris.csv"]


def test_a_bucket_is_made_in_the_jobs_region_and_private(new_desk: Desk) -> None:
    new_desk.change('region = "us-east-1"', 'region = "eu-west-1"')
    assert "there is no bucket" in new_desk.run("upload", code=1)
    assert "made the bucket" in new_desk.run("upload", "--create-bucket")
    assert "there is already the bucket" in new_desk.run("upload", "--create-bucket")
    s3 = new_desk.aws.client("s3", "eu-west-1")
    assert s3.get_bucket_location(Bucket=bucket_of(new_desk))["LocationConstraint"] == "eu-west-1"
    assert all(s3.get_public_access_block(Bucket=bucket_of(new_desk))["PublicAccessBlockConfiguration"].values())
    new_desk.change('region = "eu-west-1"', 'region = "us-east-1"')
    said = new_desk.run("train", code=1)
    assert f"the bucket {bucket_of(new_desk)} is in eu-west-1, the jobs are in us-east-1" in said


def large_file(desk: Desk, parts: int) -> Path:
    """A file of a few parts in the training data; the bucket is there."""
    file = desk.folder / "data" / "train" / "large.csv"
    file.write_bytes(os.urandom(1024) * (PART // 1024) * parts + b"end")
    desk.aws.client("s3").create_bucket(Bucket=bucket_of(desk))
    return file


def content(desk: Desk, name: str = "large.csv") -> bytes:
    key = f"iris_classifier/data/train/{name}"
    return desk.aws.client("s3").get_object(Bucket=bucket_of(desk), Key=key)["Body"].read()


def parts_sent(desk: Desk, since: int) -> set[int]:
    """The numbers of the parts that were sent since so many requests."""
    return {int(found[1]) for label in desk.aws.seen[since:] if (found := re.search(r"partNumber=(\d+)", label))}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_upload_that_was_cut_off_goes_on_with_the_parts_that_arrived(new_desk: Desk, how: int) -> None:
    file = large_file(new_desk, 4)
    # The last part does not arrive, however often it is sent; that takes longer than the signal does.
    new_desk.aws.slow = ("partNumber=5", 5)
    new_desk.aws.fail("partNumber=5", "SlowDown", status=503)
    first = len(new_desk.aws.seen)
    s3 = new_desk.aws.client("s3")

    def four_arrived() -> bool:
        begun = s3.list_multipart_uploads(Bucket=bucket_of(new_desk)).get("Uploads", ())
        return any(
            len(s3.list_parts(Bucket=bucket_of(new_desk), Key=one["Key"], UploadId=one["UploadId"]).get("Parts", ()))
            == 4
            for one in begun
        )

    said = new_desk.stop_when(four_arrived, "upload", how=how)
    assert how == signal.SIGKILL or "to go on: python -m cloud sagemaker upload" in said.lower()
    assert parts_sent(new_desk, first) >= {1, 2, 3, 4}
    new_desk.aws.faults.clear()
    new_desk.aws.slow = ("", 0)
    second = len(new_desk.aws.seen)
    new_desk.run("upload")
    # What the first run had begun to send may still come in.
    assert parts_sent(new_desk, second) == {5}
    assert content(new_desk) == file.read_bytes()
    assert not s3.list_multipart_uploads(Bucket=bucket_of(new_desk)).get("Uploads")
    assert "3 of 3 files are there already" in new_desk.run("upload")


def test_parts_of_a_file_that_has_changed_are_sent_again(new_desk: Desk) -> None:
    file = large_file(new_desk, 2)
    new_desk.aws.fail("partNumber=3", "AccessDenied", status=403)
    new_desk.run("upload", code=1)
    new_desk.aws.faults.clear()
    file.write_bytes(b"x" * PART + file.read_bytes()[PART:])
    new_desk.run("upload")
    assert content(new_desk) == file.read_bytes()


def test_files_in_folders_and_empty_ones_are_sent_too(new_desk: Desk) -> None:
    deep = new_desk.folder / "data" / "train" / "deep" / "er"
    deep.mkdir(parents=True)
    (deep / "empty.txt").touch()
    new_desk.run("upload", "--create-bucket")
    assert content(new_desk, "deep/er/empty.txt") == b""
    assert "3 of 3 files are there already" in new_desk.run("upload")


@dataclasses.dataclass
class Refusal:
    """A request of a command that AWS answers with an error, and what is printed then."""

    command: str
    fault: tuple[str, str, str, int]
    said: list[str]


REFUSALS = {
    "expired token": Refusal(
        "status a-job", ("SageMaker.Describe", "ExpiredTokenException", "The security token is expired", 400),
        ["the session has ended: log in again, for example with: aws sso login"]),
    "expired token at the bucket": Refusal(
        "upload", (f"(HEAD|GET) /{BUCKET}", "ExpiredToken", "The provided token has expired.", 400),
        ["ExpiredToken: The provided token has expired.", "log in again"]),
    "unknown key": Refusal(
        "status a-job", ("SageMaker.Describe", "UnrecognizedClientException", f"AKIA{'B' * 16} is invalid", 400),
        ["(access key) is invalid", "AWS does not know these credentials"]),
    "wrong clock": Refusal(
        "upload", (f"GET /{BUCKET}", "RequestTimeTooSkewed", "The difference is too large", 403),
        ["set this machine's clock"]),
    "access denied": Refusal(
        "train", ("SageMaker.CreateTrainingJob", "AccessDeniedException",
                  "User ada is not authorized to perform: sagemaker:CreateTrainingJob", 400),
        ["not authorized to perform: sagemaker:CreateTrainingJob",
         "the permissions to ask for: python -m cloud sagemaker setup"]),
    "somebody else's bucket": Refusal(
        "upload", (f"(HEAD|GET) /{BUCKET}", "AccessDenied", "Access Denied", 403),
        ["it belongs to somebody else: bucket in settings.toml", "python -m cloud sagemaker setup"]),
    "a bucket's name that is taken": Refusal(
        "upload --create-bucket", (f"PUT /{BUCKET}", "BucketAlreadyExists", "The name is not available.", 409),
        ["the name belongs to somebody else", "choose another bucket in settings.toml"]),
    "quota": Refusal(
        "train", ("SageMaker.CreateTrainingJob", "ResourceLimitExceeded",
                  "The account-level service limit 'ml.m5.xlarge for training job usage' is 0 Instances", 400),
        ["the account may use no more of ml.m5.xlarge in us-east-1", "Service Quotas"]),
    "throttling": Refusal(
        "status a-job", ("SageMaker.DescribeTrainingJob", "ThrottlingException", "Rate exceeded", 400),
        ["AWS is asked too often", "try again in a minute"]),
    "a role that SageMaker may not use": Refusal(
        "train", ("SageMaker.CreateTrainingJob", "ValidationException", "Could not assume role arn:x", 400),
        ["look at role in settings.toml"]),
    "a fault of AWS": Refusal(
        "train", ("SageMaker.CreateTrainingJob", "InternalFailure", "try later", 500),
        ["AWS has a fault; try again later", "the job may have been sent: python -m cloud sagemaker status iris-"]),
    "no connection at the bucket": Refusal(
        "train", (f"HEAD /{BUCKET}", "", "", 0), ["is there a connection to the internet"]),
    "no connection for the source": Refusal(
        "train", (f"PUT /{BUCKET}/iris_classifier/jobs", "", "", 0),
        ["is there a connection to the internet", "nothing was sent"]),
    "no connection for the job": Refusal(
        "train", ("SageMaker.CreateTrainingJob", "", "", 0),
        ["the job may have been sent: python -m cloud sagemaker status iris-"]),
    "no such job": Refusal("status no-such-job", ("never", "", "", 0), ["no job 'no-such-job' in us-east-1",]),
    "no such endpoint": Refusal(
        "predict request.json --endpoint none", ("never", "", "", 0), ["Endpoint none of account"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_aws_refuses_is_explained_on_one_screen(desk: Desk, name: str) -> None:
    refusal = REFUSALS[name]
    pattern, code, message, status = refusal.fault
    desk.aws.fail(pattern, code, message, status)
    (desk.folder / "request.json").write_text('{"instances": [[1, 2, 3, 4]]}', encoding="utf-8")
    before = len(desk.aws.jobs)
    said = desk.run(*refusal.command.split(), code=1)
    assert [text for text in refusal.said if text not in re.sub(r"\s+", " ", said)] == [], said
    assert len(said.splitlines()) < 40
    assert len(desk.aws.jobs) == before


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Unable to locate credentials"),
        ({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": ""}, "Partial credentials"),
        ({"AWS_PROFILE": "no-such"}, "look at AWS_PROFILE"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "is there a connection to the internet"),
    ],
)
def test_without_an_account_a_command_says_how_to_get_in(desk: Desk, environment: dict[str, str], said: str) -> None:
    assert said in desk.run("upload", code=1, **environment)
    assert "CreateTrainingJob" in desk.run("train", "--dry-run", **environment)


def test_throttling_and_a_lost_answer_are_overcome(desk: Desk) -> None:
    desk.aws.jobs_end = ("Completed", "")
    # The job is made, and the answer lost: the second request finds it there.
    desk.aws.fail("SageMaker.CreateTrainingJob", "ServiceUnavailable", "later", 503, times=1, after=True)
    desk.aws.fail("SageMaker.DescribeTrainingJob", "ThrottlingException", "Rate exceeded", times=1)
    before = len(desk.aws.jobs)
    assert "Completed" in desk.run("train")
    assert len(desk.aws.jobs) == before + 1


def test_a_lost_connection_does_not_end_the_watching(desk: Desk) -> None:
    desk.aws.jobs_end = ("hold", "")
    desk.aws.fail("SageMaker.DescribeTrainingJob", status=0, times=3)
    process = desk.start("train")
    until(lambda: not desk.aws.faults or desk.aws.faults[0].times == 0)
    for job in desk.aws.jobs.values():
        job.stopped.set()
    said = process.communicate(timeout=60)[0]
    assert "no answer, but it goes on; asking again" in said
    assert re.search(r"the training job iris-\S+ stopped", said)
    assert process.returncode == 1


def test_a_job_that_fails_ends_with_the_reason_and_the_likely_cause(desk: Desk) -> None:
    reason = "CapacityError: Unable to provision requested ML compute capacity"
    desk.aws.jobs_end = ("Failed", reason)
    printed = desk.run("train", code=1)
    assert f"failed: {reason}\n-> AWS has none of these machines free now" in printed
    name = re.search(r"training job (\S+) failed", printed)[1]
    assert f"failed: {reason}\n-> AWS has none of these machines free now" in desk.run("status", name)
    assert f"the job {name} has no model to serve" in desk.run("deploy", name, code=1)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("AlgorithmError: ModuleNotFoundError: No module named 'polars'", "add polars to src/requirements.txt"),
        ("ClientError: Data download failed: No S3 objects found", "send the data: python -m cloud sagemaker upload"),
        ("AlgorithmError: , exit code: 137", "the machine's memory is full"),
        ("Stopped, MaxRuntimeExceeded", "raise max_runtime"),
        ("InternalServerError: We encountered an internal error. Please try again.", "send the job again"),
        ("The primary container for production variant AllTraffic did not pass the ping health check.", "rehearse"),
        ("AlgorithmError: a mistake", "python -m rehearse sagemaker"),
        ("something else", ""),
    ],
)
def test_a_reason_has_a_likely_cause(project: Path, reason: str, said: str) -> None:
    from onstage.sagemaker.client.errors import advice

    assert said in advice(reason)
    assert bool(said) == bool(advice(reason))


def test_a_job_that_fails_for_a_mistake_in_the_code_shows_it(desk: Desk) -> None:
    file = desk.folder / "src" / "sagemaker_entry.py"
    text = file.read_text(encoding="utf-8").replace(
        "    job = make_run(", "    raise UserError('a mistake')\n    job = make_run("
    )
    file.write_text(text, encoding="utf-8")
    said = desk.run("train", code=1)
    assert re.search(r"the training job \S+ failed: AlgorithmError: a mistake\n-> run the same job here", said)
    assert "the log ends:\n  error: a mistake" in said


def test_ctrl_c_leaves_the_job_running_and_says_how_to_come_back(desk: Desk) -> None:
    desk.aws.jobs_end = ("hold", "")
    asked = len(desk.aws.seen)
    said = desk.stop_when(lambda: "SageMaker.DescribeTrainingJob" in desk.aws.seen[asked:], "train")
    name = re.search(r"The training job (\S+) goes on in the cloud, and costs", said)[1]
    assert f"watch it: python -m cloud sagemaker logs {name} --follow" in said
    status = desk.run("status")
    assert re.search(rf"costs money now:\n  {name} .*to end it: python -m cloud sagemaker stop {name}", status)
    assert f"would stop the training job {name}" in desk.run("stop", "--dry-run")
    assert f"{name} is being stopped" in desk.run("stop")
    until(lambda: desk.aws.jobs["TrainingJob", name].facts["TrainingJobStatus"] == "Stopped")
    assert f"{name} has ended already: Stopped" in desk.run("stop")


def test_ctrl_c_while_a_job_is_sent_says_whether_it_may_run(desk: Desk) -> None:
    desk.aws.jobs_end, desk.aws.slow = ("Completed", ""), (f"PUT /{BUCKET}|CreateTrainingJob", 2)
    asked = len(desk.aws.seen)
    said = desk.stop_when(lambda: f"PUT /{BUCKET}" in " ".join(desk.aws.seen[asked:]), "train")
    assert "stopped; nothing was sent" in said
    asked = len(desk.aws.seen)
    said = desk.stop_when(lambda: "SageMaker.CreateTrainingJob" in desk.aws.seen[asked:], "train")
    assert "stopped; the job may have been sent: python -m cloud sagemaker status iris-" in said


def test_an_endpoint_answers_as_the_model_that_was_trained(desk: Desk) -> None:
    said = desk.run("deploy", "--endpoint", "iris")
    assert "asked it for 3 predictions: as the trainer has them" in said
    assert "it costs 1 x ml.m5.large by the second, until you remove it" in said
    assert "remove it: python -m cloud sagemaker delete iris" in said
    request = '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
    answer = json.loads(desk.run("predict", "-", text=request))
    assert set(answer["predictions"][0]) == {"class_id", "class_label", "probabilities"}
    assert "the model refuses the request" in desk.run(
        "predict", "-", "--endpoint", "iris", text='{"instances": [[1]]}', code=1
    )
    assert re.search(r"costs money now:\n(.*\n)*  iris  endpoint .*delete iris", desk.run("status"))
    assert "there is already: endpoint iris" in desk.run("deploy", "--endpoint", "iris", code=1)
    parts = ["endpoint iris", "endpoint config iris", "model iris"]
    assert desk.run("delete", "--dry-run").splitlines() == [f"would remove {part}" for part in parts]
    assert desk.run("delete").splitlines() == [f"removed {part}" for part in parts]
    assert desk.run("delete", "iris").splitlines() == ["nothing is left of iris"]
    assert desk.left() == []


def trainers_answer(desk: Desk) -> bytes:
    """What the trainer's own model answered to the request that it left with the model."""
    key = next(key for key in objects(desk) if key.endswith("model.tar.gz"))
    archive = desk.aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        name = next(name for name in tar.getnames() if name.endswith("example.json"))
        return json.dumps(json.load(tar.extractfile(name))["response"]).encode()


def test_an_endpoint_gets_the_bounds_of_its_scaling_once_it_serves(desk: Desk) -> None:
    desk.change("max_runtime = 3600", "max_runtime = 3600\nendpoint_max_instance_count = 3")
    answer = trainers_answer(desk)
    desk.aws.answer = lambda _: answer
    assert '"MaxCapacity": 3' in desk.run("deploy", "--dry-run")
    assert desk.left() == []
    count = len(desk.aws.bodies)
    assert "made the bounds of its scaling" in desk.run("deploy", "--endpoint", "wide")
    made = [operation for operation, _ in desk.aws.bodies[count:]]
    assert made == [
        "CreateModel", "CreateEndpointConfig", "CreateEndpoint", "RegisterScalableTarget", "PutScalingPolicy",
    ]  # fmt: skip
    target = desk.aws.bodies[-2][1]
    assert (target["ResourceId"], target["MinCapacity"]) == ("endpoint/wide/variant/AllTraffic", 1)
    desk.run("delete")


def test_a_serverless_endpoint_is_asked_for(desk: Desk) -> None:
    desk.change("max_runtime = 3600", "max_runtime = 3600\n[sagemaker.serverless]\nmemory_mb = 1024")
    said = desk.run("deploy", "--dry-run")
    assert '"MemorySizeInMB": 1024' in said
    assert "InstanceType" not in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("endpoint_instance_count = 3\nendpoint_max_instance_count = 2", "must be endpoint_instance_count (3) or more"),
        ("endpoint_max_instance_count = 2\n[sagemaker.serverless]", "a serverless endpoint scales by itself"),
    ],
)
def test_bounds_that_fit_nothing_are_refused(desk: Desk, settings: str, said: str) -> None:
    desk.change("max_runtime = 3600", f"max_runtime = 3600\n{settings}")
    assert said in desk.run("status", code=1)


ENDPOINT_FAULTS: dict[str, tuple[Callable[[FakeAws], object], str]] = {
    "a container that does not start": (
        lambda aws: setattr(aws, "endpoints_end", ("Failed", "The container did not pass the ping health check.")),
        "rehearse the endpoint of this model"),
    "a quota": (
        lambda aws: aws.fail("SageMaker.CreateEndpoint$", "ResourceLimitExceeded", "'ml.m5.large for endpoint' is 0"),
        "the account may use no more of ml.m5.large"),
    "a permission that is missing": (
        lambda aws: aws.fail("SageMaker.CreateEndpointConfig", "AccessDeniedException", "not authorized"),
        "the permissions to ask for"),
    "other answers than the trainer's": (
        lambda aws: setattr(aws, "answer", lambda _: b'{"predictions": [1, 2, 3]}'),
        "the endpoint answers otherwise than the model that was trained"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDPOINT_FAULTS)
def test_an_endpoint_that_fails_is_removed_again(desk: Desk, name: str) -> None:
    break_it, said = ENDPOINT_FAULTS[name]
    desk.aws.answer = lambda _: b"{}"
    break_it(desk.aws)
    printed = desk.run("deploy", code=1)
    assert said in printed
    assert "removed again: " in printed
    assert desk.left() == []


def test_what_cannot_be_removed_is_named(desk: Desk) -> None:
    desk.aws.fail("SageMaker.CreateEndpoint$", "InternalFailure", "down", 500)
    desk.aws.fail("SageMaker.Delete", "AccessDeniedException", "not authorized")
    said = desk.run("deploy", "--endpoint", "stays", code=1)
    assert "what is left may cost 1 x ml.m5.large by the second" in said
    assert "remove it: python -m cloud sagemaker delete stays" in said
    desk.aws.faults.clear()
    assert "removed model stays" in desk.run("delete")
    assert desk.left() == []


def test_ctrl_c_while_an_endpoint_is_made_names_it_and_delete_waits_for_it(desk: Desk) -> None:
    desk.aws.endpoints_end, desk.aws.answer = ("hold", ""), lambda _: b"{}"
    asked = len(desk.aws.seen)
    said = desk.stop_when(
        lambda: ("Endpoint", "slow") in desk.aws.jobs and desk.aws.seen[asked:].count("SageMaker.DescribeEndpoint") > 2,
        "deploy", "--endpoint", "slow",
    )  # fmt: skip
    assert "what was begun goes on, and costs 1 x ml.m5.large by the second" in said
    assert "remove it: python -m cloud sagemaker delete slow" in said
    process = desk.start("delete")
    time.sleep(2)
    desk.aws.jobs["Endpoint", "slow"].stopped.set()
    assert "removed endpoint slow" in process.communicate(timeout=60)[0]
    assert desk.left() == []


def test_ctrl_c_before_the_endpoint_removes_what_came_first(desk: Desk) -> None:
    desk.aws.slow = ("CreateEndpointConfig", 2)
    asked = len(desk.aws.seen)
    said = desk.stop_when(
        lambda: "SageMaker.CreateEndpointConfig" in desk.aws.seen[asked:], "deploy", "--endpoint", "early"
    )
    assert "stopped; removed again: model early" in said
    time.sleep(2)
    # The request that was cut off may still be carried out: what it made costs nothing, and delete finds it.
    desk.run("delete", "early")
    assert desk.left() == []


def test_rows_are_predicted_without_an_endpoint(desk: Desk) -> None:
    rows = desk.folder / "rows.jsonl"
    rows.write_text("[5.1, 3.5, 1.4, 0.2]\n[6.1, 3.5, 4.4, 1.2]\n", encoding="utf-8")
    said = desk.run("batch", "rows.jsonl")
    fetched = desk.folder / re.search(r"fetched to (\S+)", said)[1]
    answers = json.loads(fetched.read_text(encoding="utf-8"))
    assert len(answers["predictions"]) == 2
    assert "removed model" in said
    assert desk.left() == []
    rows.write_text("[1]\n[2\n", encoding="utf-8")
    assert "rows.jsonl, line 2 is not JSON" in desk.run("batch", "rows.jsonl", code=1)
    rows.write_text("", encoding="utf-8")
    assert "rows.jsonl is empty" in desk.run("batch", "rows.jsonl", code=1)
    assert "no rows in none.jsonl" in desk.run("batch", "none.jsonl", code=1)


def test_hyperparameters_are_searched(desk: Desk) -> None:
    said = desk.run("tune", "--trials", "3", "--epochs", "1")
    name = re.search(r"tuning job (\S+) is sent; it costs 3 trainings", said)[1]
    assert len(name) <= 32
    assert "Completed, 3 of 3 trials done, best: " in said
    assert f"jobs/{name}-001/output/model.tar.gz" in said
    assert "val_accuracy=0.75" in desk.run("status", name)
    body = next(body for operation, body in desk.aws.bodies if operation == "CreateHyperParameterTuningJob")
    assert body["TrainingJobDefinition"]["StaticHyperParameters"]["epochs"] == "1"


def test_without_hyperparameters_that_are_known_nothing_is_sent(desk: Desk) -> None:
    count = len(desk.aws.seen)
    assert "unknown flag --learning-rat" in desk.run("train", "--learning-rat", "1", code=1)
    assert len(desk.aws.seen) == count


def test_data_that_is_not_in_the_bucket_is_missed(new_desk: Desk) -> None:
    new_desk.aws.client("s3").create_bucket(Bucket=bucket_of(new_desk))
    said = new_desk.run("train", code=1)
    assert f"no data at s3://{bucket_of(new_desk)}/iris_classifier/data/train" in said
    assert "-> python -m cloud sagemaker upload" in said
    new_desk.run("upload")
    with (new_desk.folder / "data" / "train" / "iris.csv").open("a", encoding="utf-8") as file:
        file.write("5.1,3.5,1.4,0.2,setosa\n")
    new_desk.aws.jobs_end = ("Completed", "")
    assert "other data than here" in new_desk.run("train")


def test_setup_says_what_is_missing_and_makes_it_when_asked(new_desk: Desk) -> None:
    from onstage.sagemaker.requests.policies import role_policy
    from onstage.settings import load

    bucket = bucket_of(new_desk)
    said = new_desk.run("setup", code=1)
    assert f"there is no bucket {bucket}" in said
    assert f"there is no role {ROLE}" in said
    assert '"iam:PassedToService": "sagemaker.amazonaws.com"' in said
    body = new_desk.run("setup", "--create", "--dry-run")
    assert '"CAPABILITY_IAM"' in body
    assert not new_desk.aws.client("cloudformation").list_stacks()["StackSummaries"]
    said = new_desk.run("setup", "--create")
    made = re.search(r'bucket = "(.+)"\nrole = "(.+)"', said)
    assert made[1] == bucket
    assert new_desk.run("setup", "--create").endswith(said[said.index("it costs") :])
    new_desk.change(ROLE, made[2])
    assert f"SageMaker may use {made[2]}" in new_desk.run("setup")

    iam, name = new_desk.aws.client("iam"), made[2].rpartition("/")[2]
    policy = iam.get_role_policy(RoleName=name, PolicyName="jobs")["PolicyDocument"]
    # moto keeps what a stack's role may do as a text of Python's.
    policy = ast.literal_eval(policy) if isinstance(policy, str) else policy
    assert policy == role_policy(load(new_desk.folder / "settings.toml"), ACCOUNT)
    encryption = new_desk.aws.client("s3").get_bucket_encryption(Bucket=bucket)
    assert "AES256" in json.dumps(encryption)


def test_the_stack_is_what_cloudformation_accepts_with_and_without_a_notebook(project: Path, aws: FakeAws) -> None:
    template = project / "infra" / "sagemaker.yaml"
    text = template.read_text(encoding="utf-8")
    assert cfnlint.api.lint(text, regions=[REGION, "eu-west-1", "cn-north-1"]) == []
    given = {"ProjectName": "iris-notes", "CreateBucket": "no", "Notebook": "yes", "InVpc": "yes",
             "NotebookSubnetId": "subnet-12345678", "NotebookSecurityGroupId": "sg-12345678"}  # fmt: skip
    before = len(aws.client("sagemaker").list_notebook_instances()["NotebookInstances"])
    aws.client("cloudformation").create_stack(
        StackName="notes", TemplateBody=text, Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )  # fmt: skip
    assert len(aws.client("sagemaker").list_notebook_instances()["NotebookInstances"]) == before + 1


def test_what_moto_does_not_look_at_is_in_the_stack(project: Path) -> None:
    decoded, _ = cfnlint.decode.decode(str(project / "infra" / "sagemaker.yaml"))
    properties = {name: one["Properties"] for name, one in decoded["Resources"].items()}
    bucket, notebook = properties["Bucket"], properties["NotebookInstance"]
    assert all(value is True for value in bucket["PublicAccessBlockConfiguration"].values())
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (only_tls,) = properties["BucketPolicy"]["PolicyDocument"]["Statement"]
    assert (only_tls["Effect"], only_tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert (notebook["DirectInternetAccess"], notebook["RootAccess"]) == ("Disabled", "Disabled")


@pytest.mark.parametrize(
    ("minutes", "state", "stops"), [(59, "idle", False), (61, "idle", True), (61, "busy", False), (None, "", True)]
)
def test_a_notebook_instance_stops_when_no_kernel_has_worked(
    project: Path, tmp_path: Path, minutes: int | None, state: str, stops: bool
) -> None:
    decoded, _ = cfnlint.decode.decode(str(project / "infra" / "sagemaker.yaml"))
    script = decoded["Resources"]["StopWhenIdle"]["Properties"]["OnStart"][0]["Content"]["Fn::Base64"]["Fn::Sub"]
    script = script.replace("${NotebookIdleMinutes}", "60").replace("${AWS::Region}", REGION)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    program = script.partition("<<'SCRIPT'\n")[2].partition("\nSCRIPT\n")[0]
    now = datetime(2026, 3, 4, 12, tzinfo=timezone.utc)
    sessions = []
    if minutes is not None:
        active = (now - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
        sessions = [{"kernel": {"execution_state": state, "last_activity": active}}]
    # What the instance has: Jupyter's answers, its metadata, the AWS command line. It was started two hours ago.
    (tmp_path / "resource-metadata.json").write_text('{"ResourceName": "iris"}', encoding="utf-8")
    started = tmp_path / "started"
    started.touch()
    os.utime(started, (now.timestamp() - 7200,) * 2)
    program = program.replace("/opt/ml/metadata", str(tmp_path)).replace("/usr/local/bin/stop-when-idle", str(started))
    program = program.removesuffix("main()\n").removesuffix("main()")
    names: dict[str, object] = {}
    exec(compile(program, "stop-when-idle", "exec"), names)  # noqa: S102 - the subject of this test
    called: list[list[str]] = []
    answers = {"sessions": sessions, "terminals": []}
    names["ask"] = answers.__getitem__
    names["subprocess"] = SimpleNamespace(run=lambda command, check: called.append(command))
    clock = SimpleNamespace(now=lambda zone: now, fromisoformat=datetime.fromisoformat)
    names["datetime"] = SimpleNamespace(datetime=clock, timezone=timezone)
    names["main"]()
    stop = ["aws", "sagemaker", "stop-notebook-instance", "--notebook-instance-name", "iris", "--region", REGION]
    assert called == ([stop] if stops else [])


def test_nothing_that_a_command_leaves_holds_a_secret(trained: tuple[Desk, str]) -> None:
    desk, _ = trained
    kept = [file for file in (desk.folder / "runs").rglob("*") if file.is_file()]
    assert kept
    for file in kept:
        assert not any(secret.encode() in file.read_bytes() for secret in KEYS.values()), file
