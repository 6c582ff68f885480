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
from tests.oracles import aiplatform

# As VertexServer names the model that `SDK` uploads.
MODEL = "projects/proj/locations/us-central1/models/1006"
# Calls the SDK as its users do, with the words of a job's settings and nothing of our bodies.
SDK = r"""
import json, sys, time
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

# It looks after a job every five seconds.
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.05))
from google.cloud.aiplatform import hyperparameter_tuning as search

url, said = sys.argv[1], json.load(sys.stdin)
key, labels = said.get("kms_key"), said.get("labels")
aiplatform.init(
    project=said["project"], location=said["region"], staging_bucket=f"gs://{said['bucket']}",
    credentials=AnonymousCredentials(), api_endpoint=url, api_transport="rest", encryption_spec_key_name=key,
)
account = {"service_account": said["service_account"]} if "service_account" in said else {}
network = {"network": said["network"]} if "network" in said else {}
machine = {"machine_type": said["machine_type"]}
if "accelerator_type" in said:
    machine.update(accelerator_type=said["accelerator_type"], accelerator_count=said["accelerator_count"])
base = f"gs://{said['bucket']}/iris"
source = f"/gcs/{said['bucket']}/iris/jobs/job-1/source/trainer.tar.gz"
flags = [f"--train-data={base}/data/train", f"--eval-data={base}/data/eval", "--epochs=2", "--rate=0.5"]
if said.get("serving") == "prebuilt":
    flags.insert(2, "--model-layout=flat")
task = {"container_spec": {
    "image_uri": "docker.io/tensorflow/tensorflow:2.21.0" + ("-gpu" if "accelerator_type" in said else ""),
    "command": ["bash", "-c"],
    "args": ['pip install %s && exec python -m trainer.task "$@"' % source, "trainer", *flags],
} }
if said.get("package") == "executor":
    task = {"python_package_spec": {
        "executor_image_uri": said["training_image"],
        "package_uris": [f"{base}/jobs/job-1/source/trainer.tar.gz"],
        "python_module": "trainer.task",
        "args": flags,
    } }
pools = [{
    "machine_spec": machine, "replica_count": replicas, **task,
    "disk_spec": {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": said.get("boot_disk_gb", 100)},
} for replicas in (1, said.get("replica_count", 1) - 1) if replicas]

def job():
    return aiplatform.CustomJob(
        display_name="job-1", worker_pool_specs=pools, base_output_dir=f"{base}/jobs/job-1", labels=labels
    )

job().submit(timeout=said["timeout"], **account, **network)
tuning = aiplatform.HyperparameterTuningJob(
    display_name="job-1",
    custom_job=job(),
    metric_spec={"val_loss": "minimize"},
    parameter_spec={
        "learning_rate": search.DoubleParameterSpec(min=1e-4, max=1, scale="log"),
        "units": search.IntegerParameterSpec(
            min=4, max=64, scale="linear",
            conditional_parameter_spec={
                "depth": search.DiscreteParameterSpec(values=[8, 16, 24], scale="log", parent_values=[4, 5])
            },
        ),
        "batch_size": search.DiscreteParameterSpec(
            values=[8, 16, 32], scale=None,
            conditional_parameter_spec={
                "shuffled": search.CategoricalParameterSpec(values=["false", "true"], parent_values=[8, 16])
            },
        ),
        "activation": search.CategoricalParameterSpec(
            values=["relu", "it's"],
            conditional_parameter_spec={
                "slope": search.DoubleParameterSpec(min=0.5, max=0.9, scale="reverse_log", parent_values=["relu"])
            },
        ),
    },
    max_trial_count=6,
    parallel_trial_count=3,
    search_algorithm="random",
    labels=labels,
)
tuning.run(sync=True, timeout=said["timeout"], **account, **network)
repository = f"{said['region']}-docker.pkg.dev/{said['project']}/docker-hub"
served = {
    "serving_container_image_uri": f"{repository}/tensorflow/serving:2.20.0",
    "serving_container_args": [
        "--rest_api_port=8080", "--port=8500", "--model_name=model", "--model_base_path=$(AIP_STORAGE_URI)",
    ],
    "serving_container_ports": [8080],
    "serving_container_predict_route": "/v1/models/model:predict",
    "serving_container_health_route": "/v1/models/model",
}
if said.get("serving") == "prebuilt":
    served = {"serving_container_image_uri": "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"}
model = aiplatform.Model.upload(
    display_name="model-1", artifact_uri=f"{base}/jobs/job-1/model", labels=labels, **served
)
endpoint = aiplatform.Endpoint.create(
    display_name="endpoint-1", labels=labels, dedicated_endpoint_enabled=said.get("dedicated_endpoint", True)
)
endpoint.deploy(
    model, deployed_model_display_name="model-1", machine_type=said.get("endpoint_machine_type", "n1-standard-2"),
    min_replica_count=said.get("min_replica_count", 1), max_replica_count=said.get("max_replica_count", 1),
    traffic_percentage=100, **account,
)
model.batch_predict(
    job_display_name="batch-1", gcs_source=[f"{base}/rows.jsonl"], gcs_destination_prefix=f"{base}/predictions",
    instances_format="jsonl", predictions_format="jsonl", labels=labels,
    machine_type=said.get("endpoint_machine_type", "n1-standard-2"),
    starting_replica_count=said.get("min_replica_count", 1), max_replica_count=said.get("max_replica_count", 1),
    **account,
)
print(int(tuning.state), model.resource_name, len(endpoint.list_models()))
"""
# Reads bodies strictly, and writes them with the same spelling of numbers and defaults.
READ = r"""
import json, sys
from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format

def read(kind, body):
    message = getattr(types, kind)
    try:
        parsed = json_format.ParseDict(body, message.pb(message()), ignore_unknown_fields=False)
        return json_format.MessageToDict(parsed)
    except json_format.ParseError as error:
        return str(error)

print(json.dumps([read(*asked) for asked in json.load(sys.stdin)]))
"""
# Runs a job that succeeds, and one that does not.
RUN = r"""
import re, sys, time
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.05))
aiplatform.init(
    project="proj", location="us-central1", staging_bucket="gs://bkt", credentials=AnonymousCredentials(),
    api_endpoint=sys.argv[1], api_transport="rest",
)
for name in ("good", "bad"):
    machine, container = {"machine_type": "n1-standard-4"}, {"image_uri": "x"}
    pool = {"machine_spec": machine, "replica_count": 1, "container_spec": container}
    job = aiplatform.CustomJob(display_name=name, worker_pool_specs=[pool])
    try:
        job.run()
        print("END", job.state.name)
    except RuntimeError as error:
        print("END", re.search(r"the replica \S+ exited", str(error))[0])
"""
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


TO_DICT = """
import json, sys
from google.cloud.aiplatform_v1 import types
bodies = {}
for kind, body in json.load(sys.stdin):
    message = getattr(types, kind).from_json(json.dumps(body))
    # As gcloud has it, a pool that is left out stands there.
    spec = message.job_spec if kind == "CustomJob" else message.trial_job_spec
    spec.worker_pool_specs.append(types.WorkerPoolSpec())
    for numbers in (True, False):
        bodies[f"{kind} {numbers}"] = type(message).to_dict(message, use_integers_for_enums=numbers)
    bodies[f"{kind} JSON"] = json.loads(type(message).to_json(message))
print(json.dumps(bodies, default=str))
"""


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
