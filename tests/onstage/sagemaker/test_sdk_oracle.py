"""The real SageMaker SDK is the oracle: same image URIs, and what it would send is recorded, valid and rehearsable."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from onstage.errors import UserError
from onstage.rehearsal.store import LocalStore
from onstage.sagemaker.agent.agent import run_training_job
from onstage.sagemaker.requests import bodies, images, validate
from tests.conftest import ROOT, Command
from tests.onstage import pages
from tests.onstage.commands import onstage
from tests.onstage.sagemaker import test_requests
from tests.oracles import environment

# The SDK takes a minute to install.
pytestmark = pytest.mark.long

# A bare s3fs, which the SDK asks for, sends resolvers back to the year 2020.
REQUIREMENTS = ["sagemaker==3.27.0", "s3fs>=2024"]
# Refuses every connection to another machine, and leaves a note of the attempt.
GUARD = """
import os, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["ATTEMPTS"], "a") as attempts:
            print(event, arguments, file=attempts)
        raise OSError("the tests have no network")

sys.addaudithook(refuse)
"""
URIS = """
import functools, json, sys
import botocore.loaders
# The SDK makes one for every question, which reads the same large file again.
botocore.loaders.create_loader = functools.cache(botocore.loaders.create_loader)
from sagemaker.core import image_uris

def uri(region, role, version, instance_type):
    try:
        return image_uris.retrieve(
            "tensorflow", region, version=version, instance_type=instance_type, image_scope=role
        )
    except ValueError as error:
        return str(error).split(":")[0]

print(json.dumps([uri(*asked) for asked in json.load(sys.stdin)]))
"""
SCRIPT = """
import os, sys, pathlib
print("arguments", sys.argv[1:])
rows = len(list(pathlib.Path(os.environ["SM_CHANNEL_TRAIN"]).iterdir()))
print(f"epoch=1 loss=0.5 val_loss={rows}.25", flush=True)
model = pathlib.Path(os.environ["SM_MODEL_DIR"], "model", "1")
model.mkdir(parents=True)
(model / "saved_model.pb").write_text("a model")
"""
CALLS = r"""
import os, sys
from pathlib import Path
import boto3
from onstage.sagemaker.client.recorder import record

REGEX = r"\sval_loss=([0-9.eE+-]+)"
image = sys.argv[1]
with record("recorded", "eu-west-1") as recorder:
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter
    from sagemaker.core.shapes import MetricDefinition
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData, SourceCode
    from sagemaker.train.tuner import HyperparameterTuner

    session = Session(boto_session=recorder.session)
    trainer = ModelTrainer(
        sagemaker_session=session,
        role="arn:aws:iam::111122223333:role/trainer",
        training_image=image,
        source_code=SourceCode(source_dir="code", entry_script="fit.py"),
        compute=Compute(instance_type="ml.m5.xlarge", instance_count=1),
        base_job_name="fit",
        hyperparameters={"epochs": 2, "note": "a b", "flag": True},
    )
    trainer.with_metric_definitions([MetricDefinition(name="val_loss", regex=REGEX)])
    # Waits, reads the logs, and asks what became of the job.
    trainer.train([InputData(channel_name="train", data_source="data")], wait=True, logs=True)
    job = trainer._latest_training_job
    print(job.training_job_status, job.model_artifacts.s3_model_artifacts)
    uploaded = session.upload_data("data", bucket="mine", key_prefix="data")
    tuner = HyperparameterTuner(
        trainer,
        objective_metric_name="val_loss",
        objective_type="Minimize",
        metric_definitions=[{"Name": "val_loss", "Regex": REGEX}],
        hyperparameter_ranges={
            "rate": ContinuousParameter(1e-4, 1e-2, scaling_type="Logarithmic"),
            "units": IntegerParameter(4, 64),
            "size": CategoricalParameter([8, 16, 32]),
        },
        max_jobs=4,
    )
    tuner.tune([InputData(channel_name="train", data_source=uploaded)], wait=True)
    # The SDK's own default session, and boto3's, are recorded as well.
    print(Session().default_bucket(), boto3.client("sts").get_caller_identity()["Account"])
print([file.name for file in recorder.files])
print(os.environ.get("AWS_PROFILE"), os.environ.get("AWS_ACCESS_KEY_ID"))
"""
# Prints what would be sent, of the strategy and the filters of each job.
TRANSFORM = """
import json, sys
import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.transformer import Transformer

class Sent(Exception):
    pass

def keep(params, **_):
    print(json.dumps(params))
    raise Sent

boto = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name="us-east-1")
client = boto.client("sagemaker")
client.meta.events.register("provide-client-params.sagemaker.CreateTransformJob", keep)
session = Session(boto_session=boto, sagemaker_client=client)
for strategy, filters in json.loads(sys.argv[1]):
    transformer = Transformer(
        model_name="model-1", instance_count=1, instance_type="ml.m5.large", strategy=strategy, assemble_with="Line",
        accept="application/jsonlines", output_path="s3://data-of-mine/out", sagemaker_session=session,
    )
    try:
        transformer.transform(
            "s3://data-of-mine/in", content_type="application/jsonlines", split_type="Line", job_name="batch-1",
            wait=False, logs=False, **filters,
        )
    except Sent:
        pass
"""


@pytest.fixture(scope="session")
def sdk() -> Path:
    """The interpreter of an environment that has the SDK; made once, in build/."""
    return environment("sdk", REQUIREMENTS, "--compile-bytecode")


@pytest.fixture(scope="module")
def recorded(sdk: Path, command: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder that CALLS recorded into, and what it printed."""
    folder = tmp_path_factory.mktemp("sdk")
    (folder / "code").mkdir()
    (folder / "code" / "fit.py").write_text(SCRIPT)
    (folder / "data").mkdir()
    for name in ("a.csv", "b.csv"):
        (folder / "data" / name).write_text("x,y\n1,2\n")
    (folder / "calls.py").write_text(CALLS)
    done = command(
        sdk, "calls.py", images.image_uri("eu-west-1", "training", "cpu"), cwd=folder, environment=guarded(folder)
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def guarded(folder: Path) -> dict[str, str]:
    """Environment for a process that can import onstage, and reach nobody."""
    (folder / "guard").mkdir()
    (folder / "guard" / "sitecustomize.py").write_text(GUARD)
    return {
        "PYTHONPATH": os.pathsep.join([str(folder / "guard"), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ATTEMPTS": str(folder / "attempts"),
        "HOME": str(folder),
        "AWS_PROFILE": "of-the-user",
        "AWS_ACCESS_KEY_ID": "of-the-user",
    }


def body(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / "recorded" / name).read_text(encoding="utf-8"))


def test_image_uris_are_those_of_the_sdk(sdk: Path) -> None:
    instances = {"cpu": "ml.m5.xlarge", "gpu": "ml.g5.xlarge"}
    asked = [
        (region, role, version, accelerator)
        for version in ("2.21", "2.20", "2.19", "2.18")
        for region in [*images.regions("training"), "us-east-9"]
        for role in ("training", "inference")
        for accelerator in instances
    ]

    def ours(region: str, role: str, version: str, accelerator: str) -> str | None:
        try:
            return images.image_uri(region, role, accelerator, version)
        except UserError:
            return None

    request = json.dumps([(*rest, instances[accelerator]) for *rest, accelerator in asked])
    answered = subprocess.run([sdk, "-c", URIS], input=request, capture_output=True, text=True, check=True).stdout
    for question, answer in zip(asked, json.loads(answered), strict=True):
        assert ours(*question) == (None if answer.startswith("Unsupported") else answer), question


def test_sdk_calls_are_recorded_without_account_and_network(recorded: tuple[Path, list[str]]) -> None:
    folder, printed = recorded
    first = body(folder, "1-CreateTrainingJob.json")
    assert printed == [
        f"Completed s3://sagemaker-eu-west-1-111122223333/fit/{first['TrainingJobName']}/output/model.tar.gz",
        "sagemaker-eu-west-1-111122223333 111122223333",
        "['1-CreateTrainingJob.json', '2-CreateHyperParameterTuningJob.json', '3-CreateTrainingJob.json']",
        "of-the-user of-the-user",
    ]
    assert not (folder / "attempts").exists()
    store = folder / "recorded" / "store"
    assert (store / "mine" / "data" / "b.csv").read_text() == "x,y\n1,2\n"


@pytest.mark.parametrize(
    "name", ["1-CreateTrainingJob.json", "2-CreateHyperParameterTuningJob.json", "3-CreateTrainingJob.json"]
)
def test_what_the_sdk_sends_has_no_problems(recorded: tuple[Path, list[str]], name: str) -> None:
    assert validate.problems(name.partition("-")[2].removesuffix(".json"), body(recorded[0], name), "eu-west-1") == []


def test_a_tuning_job_is_also_recorded_as_its_middle_trial(recorded: tuple[Path, list[str]]) -> None:
    values = body(recorded[0], "3-CreateTrainingJob.json")["HyperParameters"]
    assert float(values.pop("rate")) == pytest.approx(1e-3)
    source = values.pop("sagemaker_submit_directory")
    assert source.startswith("s3://sagemaker-eu-west-1-111122223333/fit/") and source.endswith("/sourcedir.tar.gz")
    # The tuner writes booleans as Python does, the trainer as JSON.
    assert values == {
        "epochs": "2", "flag": "True", "note": "a b", "size": "16", "units": "34",
        "sagemaker_program": "fit.py", "_tuning_objective_metric": "val_loss",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["1-CreateTrainingJob.json", "3-CreateTrainingJob.json"])
def test_what_the_sdk_sends_runs_here_unchanged(recorded: tuple[Path, list[str]], name: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(recorded[0] / "recorded" / "store", store)
    result = run_training_job(body(recorded[0], name), LocalStore(store), tmp_path / "run")
    assert result.status == "Completed", result.log
    assert result.metrics == {"val_loss": [2.25]}
    assert result.model_files == ("model/1/saved_model.pb",)
    assert result.model_archive.is_file()


def test_the_page_of_the_sdk_records_a_project_which_can_be_rehearsed(
    sdk: Path, project: Path, command: Command, tmp_path: Path
) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    assert pages.write_files("sagemaker-sdk.md", copy) == ["sdk_training.py"]
    done = command(sdk, "sdk_training.py", cwd=copy, environment=guarded(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{copy / 'recorded' / '1-CreateTrainingJob.json'}\n"
    (words,) = pages.commands("sagemaker-sdk.md", "onstage body")
    ended = onstage(*words, cwd=copy)
    assert ended.code == 0, ended.said
    recorded = body(copy, "1-CreateTrainingJob.json")
    assert validate.problems("CreateTrainingJob", recorded) == []
    assert [channel["ChannelName"] for channel in recorded["InputDataConfig"]] == [
        "train",
        "eval",
        "code",
        "sm_drivers",
    ]
    sent = copy / "recorded" / "store" / recorded["InputDataConfig"][2]["DataSource"]["S3DataSource"]["S3Uri"][5:]
    assert (sent / "trainer" / "model.py").read_bytes() == (project / "src" / "trainer" / "model.py").read_bytes()
    assert not (tmp_path / "attempts").exists()


def test_the_sdk_sends_the_same_transform_jobs_for_the_same_intent(sdk: Path, tmp_path: Path, command: Command) -> None:
    filters = {"input_filter": "$.features", "output_filter": "$['id','SageMakerOutput']", "join_source": "Input"}
    asked = json.dumps([["MultiRecord", {}], ["SingleRecord", filters]])
    done = command(sdk, "-c", TRANSFORM, asked, cwd=tmp_path, environment={"AWS_EC2_METADATA_DISABLED": "true"})
    assert done.returncode == 0, done.stderr
    sent = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    given = test_requests.settings(region="us-east-1")
    places = ("s3://data-of-mine/in", "s3://data-of-mine/out")
    assert sent == [bodies.transform_job(given, "batch-1", "model-1", *places, key) for key in ("", "id")]
