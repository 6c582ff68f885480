"""google-cloud-aiplatform is the oracle: what it sends for the same intent equals our bodies, and its protos read them
strictly."""

import json
import subprocess
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from onstage.settings import Vertex
from onstage.vertex.agent import recorded
from onstage.vertex.requests import bodies, validate
from tests.emulators.vertex import VertexServer
from tests.onstage.trainer import run
from tests.onstage.vertex.bodies import FULL, PLAIN, Hyperparameters
from tests.onstage.vertex.sdk_scripts import READ, RUN, SDK, TO_DICT
from tests.oracles import aiplatform

# The SDK takes a minute to install.
pytestmark = pytest.mark.long

# As VertexServer names the model that `SDK` uploads.
MODEL = "projects/proj/locations/us-central1/models/1006"
# All that differs: ours, and what the SDK sends.
DIFFERENCES = {
    # Without it the last measurement counts, which is that of the model that a trial leaves.
    "HyperparameterTuningJob.studySpec.measurementSelectionType": (None, "BEST_MEASUREMENT"),
    # A model's first version has the alias anyway.
    "UploadModelRequest.model.versionAliases[0]": (None, "default"),
    # Nothing is in it.
    "BatchPredictionJob.manualBatchTuningParameters": (None, {}),
    # We name a model, the SDK the version that it was uploaded as.
    "DeployModelRequest.deployedModel.model": (MODEL, f"{MODEL}@1"),
    "BatchPredictionJob.model": (MODEL, f"{MODEL}@1"),
}


@dataclass(frozen=True)
class Conditional(Hyperparameters):
    """What counts only where a parent of each kind has a value."""

    slope: float = run.tunable(0.5, low=0.5, high=0.9, scale="reverse_log", when={"activation": "relu"})
    depth: int = run.tunable(8, low=8, high=24, step=8, scale="log", when={"units": [5, 4]})
    shuffled: bool = run.tunable(False, when={"batch_size": [8, 16]})


@pytest.fixture(scope="module")
def python() -> Path:
    return aiplatform()


def ours(settings: dict[str, Any]) -> list[tuple[str, Any]]:
    """Our bodies for what `SDK` asks, each with its kind."""
    vertex = Vertex(**settings)
    base = f"gs://{vertex.bucket}/iris"
    hyperparameters, objective = Conditional(), run.Objective("val_loss", "minimize")
    return [
        ("CustomJob", bodies.custom_job(vertex, "iris", "job-1", {"epochs": 2, "rate": 0.5})),
        (
            "HyperparameterTuningJob",
            bodies.tuning_job(
                vertex, "iris", "job-1", hyperparameters, objective, max_trials=6, parallel=3, algorithm="RANDOM_SEARCH"
            ),
        ),
        ("UploadModelRequest", bodies.model(vertex, "model-1", f"{base}/jobs/job-1/model")),
        ("Endpoint", bodies.endpoint(vertex, "endpoint-1")),
        ("DeployModelRequest", bodies.deploy_model(vertex, "model-1", MODEL)),
        (
            "BatchPredictionJob",
            bodies.batch_prediction_job(vertex, "batch-1", MODEL, [f"{base}/rows.jsonl"], f"{base}/predictions"),
        ),
    ]


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every value of a body by its path."""
    if isinstance(value, dict) and value:
        return {name: one for key in value for name, one in flat(value[key], f"{path}.{key}" if path else key).items()}
    if isinstance(value, list) and value:
        return {name: one for number, item in enumerate(value) for name, one in flat(item, f"{path}[{number}]").items()}
    return {path: value}


def asked(python: Path, script: str, content: Any, *arguments: str, **options: Any) -> str:
    """What a script prints that is given `content` as JSON."""
    done = subprocess.run(
        [python, "-c", script, *arguments],
        input=json.dumps(content), capture_output=True, text=True, timeout=300, check=False, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("settings", [PLAIN, FULL], ids=["plain", "everything"])
def test_the_sdk_sends_the_same_bodies_for_the_same_intent(settings: dict[str, Any], python: Path) -> None:
    with VertexServer() as server:
        said = asked(python, SDK, settings, server.url)
    succeeded, model, models = said.split()[-3:]
    assert (succeeded, model, models) == ("4", MODEL, "1")
    mine = ours(settings)
    collections = (
        "customJobs",
        "hyperparameterTuningJobs",
        "upload",
        "endpoints",
        "deployModel",
        "batchPredictionJobs",
    )
    sent = [(kind, server.created(name)) for (kind, _), name in zip(mine, collections, strict=True)]
    assert all(len(found) == 1 for _, found in sent)
    theirs = [(kind, found[0]) for kind, found in sent]
    read = json.loads(asked(python, READ, [*mine, *theirs]))
    differences = {}
    for (kind, _), own, other in zip(mine, read[: len(mine)], read[len(mine) :], strict=True):
        own, other = flat(own), flat(other)
        changed = {
            name: (own.get(name), other.get(name)) for name in {*own, *other} if own.get(name) != other.get(name)
        }
        differences |= {f"{kind}.{name}": values for name, values in changed.items()}
    assert differences == DIFFERENCES


def test_the_messages_take_a_key_of_the_rows(python: Path) -> None:
    vertex = Vertex(**PLAIN)
    body = bodies.batch_prediction_job(vertex, "batch-1", MODEL, ["gs://bkt/x.jsonl"], "gs://bkt/y", "id")
    assert validate.problems("BatchPredictionJob", body, vertex.region) == []
    (read,) = json.loads(asked(python, READ, [("BatchPredictionJob", body)]))
    assert read["instanceConfig"] == {"instanceType": "object", "keyField": "id"}
    plain = bodies.batch_prediction_job(vertex, "batch-1", MODEL, ["gs://bkt/x.jsonl"], "gs://bkt/y")
    assert {key: value for key, value in body.items() if key != "instanceConfig"} == plain


def test_the_stored_schema_is_what_the_installed_protos_say(python: Path) -> None:
    done = subprocess.run(
        [python, Path(__file__).with_name("schema.py")], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout == Path(validate.__file__).with_name("schema.json").read_text(encoding="utf-8")


def test_a_job_as_the_sdk_shows_it_with_numbers_of_enumerations_and_empty_pools_is_a_request(python: Path) -> None:
    cloud = Vertex(**FULL)
    options = {
        "max_trials": 4,
        "parallel": 2,
        "algorithm": "RANDOM_SEARCH",
        "early_stopping": "medianAutomatedStoppingSpec",
    }
    tuning = bodies.tuning_job(cloud, "iris", "t", Conditional(), run.Objective("val_loss", "minimize"), **options)
    sent = [
        ("CustomJob", bodies.custom_job(cloud, "iris", "job-1", {"epochs": 2})),
        ("HyperparameterTuningJob", tuning),
    ]
    shown = json.loads(asked(python, TO_DICT, sent))
    assert isinstance(
        shown["CustomJob True"]["job_spec"]["worker_pool_specs"][0]["machine_spec"]["accelerator_type"], int
    )
    for name, body in shown.items():
        request = recorded.recognise(body, "job")
        assert request and request.kind == name.split()[0]
        found = validate.problems(request.kind, request.body, cloud.region, today=date.min)
        assert [str(one) for one in found] == [], name


def test_a_body_that_we_refuse_for_a_name_or_a_type_is_refused_by_the_protos(python: Path) -> None:
    good = bodies.custom_job(Vertex(**PLAIN), "iris", "job-1", {})
    judged = [good]
    for change in (
        {"displayNam": "x"},
        {"displayName": 1},
        {"labels": ["a"]},
        {"jobSpec": {"scheduling": {"timeout": "1h"}}},
    ):
        judged.append({**good, **change})
    read = json.loads(asked(python, READ, [("CustomJob", body) for body in judged]))
    for body, said in zip(judged, read, strict=True):
        assert bool(validate.problems("CustomJob", body, "us-central1")) == isinstance(said, str), said


def test_a_message_that_the_schema_does_not_follow_is_left_to_the_protos(python: Path) -> None:
    good = bodies.custom_job(Vertex(**PLAIN), "iris", "job-1", {})
    judged = [good, {**good, "jobSpec": {**good["jobSpec"], "pscInterfaceConfig": {"networkAttachmnt": "x"}}}]
    assert [validate.problems("CustomJob", body, "us-central1") for body in judged] == [[], []]
    read, refused = json.loads(asked(python, READ, [("CustomJob", body) for body in judged]))
    assert read["displayName"] == "job-1"
    assert "networkAttachmnt" in refused


def test_a_job_that_the_fake_executes_ends_as_the_execution_does(python: Path) -> None:
    received = []

    def execute(body: dict[str, Any]) -> str:
        received.append(body)
        return "" if body["displayName"] == "good" else "the replica workerpool0-0 exited with a non-zero status of 1"

    with VertexServer(execute) as server:
        said = asked(python, RUN, None, server.url)
    assert [body["displayName"] for body in received] == ["good", "bad"]
    ends = [line for line in said.splitlines() if line.startswith("END ")]
    assert ends == ["END JOB_STATE_SUCCEEDED", "END the replica workerpool0-0 exited"]
