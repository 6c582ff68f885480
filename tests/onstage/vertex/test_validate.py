"""What Vertex AI would refuse in a body is refused here, by name, and its accepted neighbour is not."""

import copy
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from onstage.errors import UserError
from onstage.vertex.requests import rules, validate
from tests.onstage.vertex.bodies import FULL, MODEL, of_each_kind

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"replica_count": 4}, {"boot_disk_type": "pd-standard"}, {"package": "executor"}, {"serving": "prebuilt"},
        {"machine_type": "n1-standard-8", "accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 2},
        {"machine_type": "c4-standard-8"}, {"dedicated_endpoint": False}, FULL, {"region": "europe-west4"},
        {"endpoint_machine_type": "g2-standard-8", "endpoint_accelerator_type": "NVIDIA_L4",
         "endpoint_accelerator_count": 1},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_gives_bodies_in_which_nothing_is_wrong(changes: dict[str, Any]) -> None:
    region = changes.get("region", "us-central1")
    model = MODEL.replace("us-central1", region)
    for kind, body in of_each_kind(**changes).items():
        body = json.loads(json.dumps(body).replace(MODEL, model))
        # A day on which the prebuilt images were there.
        assert validate.problems(kind, body, region, today=date(2026, 7, 1)) == [], kind


def at(body: Any, path: str) -> tuple[Any, Any]:
    """The object or list that holds what `path`, such as a.0.b, names, and its key."""
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        body = body[step]
    return body, last


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        place, last = at(body, path)
        place[last] = value

    return change


def drop(path: str) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        place, last = at(body, path)
        del place[last]

    return change


POOL = "jobSpec.workerPoolSpecs.0"
CONTAINER = f"{POOL}.containerSpec"
PREBUILT = "us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest"
EXECUTOR = {"executorImageUri": PREBUILT, "packageUris": ["gs://bkt/x.tar.gz"], "pythonModule": "trainer.task"}
REFUSED: list[tuple[str, Callable[[dict[str, Any]], None], str, str]] = [
    # Schema.
    ("CustomJob", put("displayNam", "x"), "displayNam: is not known; did you mean displayName?", "write displayName"),
    ("CustomJob", drop("displayName"), "displayName: is missing", "add displayName"),
    ("CustomJob", put("displayName", ""), "displayName: is missing", "add displayName"),
    ("CustomJob", put("displayName", 7), "displayName: must be a text, not 7", 'write "7"'),
    ("CustomJob", drop("jobSpec.workerPoolSpecs"), "jobSpec.workerPoolSpecs: is missing", "add"),
    ("CustomJob", put("jobSpec.workerPoolSpecs", {}), "workerPoolSpecs: must be a list", "put it in [ ]"),
    ("CustomJob", put(f"{POOL}.replicaCount", "one"), "replicaCount: must be a whole number, not 'one'", ""),
    ("CustomJob", put(f"{POOL}.diskSpec.bootDiskSizeGb", 1.5), "bootDiskSizeGb: must be a whole number", ""),
    ("CustomJob", put("jobSpec.enableWebAccess", 1), "enableWebAccess: must be true or false", ""),
    ("CustomJob", put("jobSpec.scheduling.timeout", 3600), "timeout: must be a text, not 3600", 'write "3600s"'),
    ("CustomJob", put("jobSpec.scheduling.timeout", "1h"), "'1h' is no duration in seconds", 'write it as "3600s"'),
    ("CustomJob", put("jobSpec.scheduling.timeout", "0s"), "timeout: is 0", "3600s"),
    ("CustomJob", put("jobSpec.scheduling.strategy", "SPOTT"), "did you mean SPOT?", "choose SPOT"),
    ("CustomJob", put(f"{POOL}.machineSpec.acceleratorType", "NVIDIA_TESLA_T5"), "did you mean NVIDIA_TESLA_T4?", ""),
    ("CustomJob", put(f"{POOL}.pythonPackageSpec", EXECUTOR), "only one of containerSpec and pythonPackageSpec", ""),
    # Jobs.
    ("CustomJob", drop(CONTAINER), "needs either containerSpec or pythonPackageSpec", "give one of them"),
    ("CustomJob", put("displayName", "x" * 129), "has 129 characters; 128 are allowed", "shorten it"),
    ("CustomJob", put(f"{POOL}.replicaCount", 2), "is 2; the first pool is the chief", "in a second pool"),
    ("CustomJob", put("jobSpec.workerPoolSpecs", [{}]), "needs either containerSpec", ""),
    ("CustomJob", put(f"{POOL}.machineSpec.machineType", "n1-standrad-4"),
     "no machine type 'n1-standrad-4'", "n1-standard-4"),
    ("CustomJob", put(f"{POOL}.machineSpec.machineType", "n1-standard-5"),
     "no machine type 'n1-standard-5'", "n1-standard-"),
    ("CustomJob", put(f"{POOL}.machineSpec.machineType", "t2a-standard-4"), "has an Arm processor", ""),
    ("CustomJob", put(f"{POOL}.machineSpec.machineType", "a2-highgpu-1g"),
     "comes with NVIDIA_TESLA_A100", "give it 1 of"),
    ("CustomJob", put(f"{POOL}.machineSpec", {"machineType": "e2-standard-4", "acceleratorType": "NVIDIA_L4",
     "acceleratorCount": 1}),
     "e2-standard-4 cannot have NVIDIA_L4", "choose g2-standard-4"),
    ("CustomJob", put(f"{POOL}.machineSpec", {"machineType": "n1-standard-4", "acceleratorType": "NVIDIA_TESLA_T4",
     "acceleratorCount": 3}),
     "has 1 or 2 or 4 of NVIDIA_TESLA_T4, not 3", "write 1 or 2 or 4"),
    ("CustomJob", put(f"{POOL}.machineSpec.acceleratorCount", 1), "acceleratorType: is missing", "add acceleratorType"),
    ("CustomJob", put(f"{CONTAINER}.imageUri", "tensorflow/tensorflow:2.21.0-gpu"),
     "this is TensorFlow's image for GPU", "choose the CPU image"),
    ("CustomJob", put(f"{CONTAINER}.imageUri", "tensorflow/serving:2.20.0"),
     "is a serving image", "choose a training image"),
    ("CustomJob", put(f"{CONTAINER}.imageUri", PREBUILT),
     "has not been available since 2026-07-11", 'package = "container"'),
    ("CustomJob", put(f"{CONTAINER}.args.0", "python -m my-trainer.task"),
     "'my-trainer.task' is no module", "my_trainer.task"),
    ("CustomJob", put(f"{CONTAINER}.args.2", "x" * 100_001), "100000 are allowed", ""),
    ("CustomJob", put(f"{CONTAINER}.env", [{"name": f"A{number}", "value": ""} for number in range(101)]),
     "has 101 variables", ""),
    ("CustomJob", put(f"{CONTAINER}.env", [{"name": "A-B", "value": "1"}]), "'A-B' cannot be the name", ""),
    ("CustomJob", put(f"{CONTAINER}.env", [{"name": "A", "value": "1"}] * 2), "the variable 'A' is there 2 times", ""),
    ("CustomJob", put("jobSpec.serviceAccount", "me@example.com"), "does not have the form NAME@PROJECT.iam", ""),
    ("CustomJob", put("jobSpec.network", "projects/proj/global/networks/x"),
     "projects/PROJECT_NUMBER/global/networks", ""),
    ("CustomJob", put("encryptionSpec", {"kmsKeyName": "key"}), "cryptoKeys/KEY", ""),
    ("CustomJob", put("encryptionSpec", {"kmsKeyName": "projects/p/locations/us-east1/keyRings/r/cryptoKeys/k"}),
     "is in us-east1, the request goes to us-central1", "use one in us-central1"),
    ("CustomJob", put("labels", {"Team": "x"}), "'Team' must begin with a small letter", "rename the label"),
    ("CustomJob", put("labels", {"team": "A b"}), "'A b', of 'team', must be small letters", "change the label"),
    ("CustomJob", put("labels", {"team": 1}), 'labels["team"]: must be a text, not 1', 'write "1"'),
    ("CustomJob", put("jobSpec.baseOutputDirectory.outputUriPrefix", "/tmp/x"),
     "is no place in Cloud Storage", "gs://"),
    ("CustomJob", put("jobSpec.baseOutputDirectory.outputUriPrefix", "gs://My_Bucket/x"),
     "cannot be the name of a bucket", ""),
    ("CustomJob", put("jobSpec.baseOutputDirectory.outputUriPrefix", "gs://data-europe-west4/x"),
     "the bucket data-europe-west4 is in europe-west4 by its name", "region = 'europe-west4'"),
    ("CustomJob", put(f"{CONTAINER}.args.0", "pip install /gcs/x-us-east1/y"),
     "the bucket x-us-east1 is in us-east1", ""),
    # Tuning.
    ("HyperparameterTuningJob", put("parallelTrialCount", 11), "is 11, more than maxTrialCount (10)", "10 or less"),
    ("HyperparameterTuningJob", put("maxTrialCount", 0), "maxTrialCount: is 0; it must be 1 or more", ""),
    ("HyperparameterTuningJob", put("studySpec.metrics.0.goal", "MINIMISE"), "did you mean MINIMIZE?", ""),
    ("HyperparameterTuningJob", put("studySpec.algorithm", 99), "99 is the number of nothing that is", "the name"),
    ("HyperparameterTuningJob", put("studySpec.algorithm", "GRID_SEARCH"),
     "GRID_SEARCH takes no real numbers", "RANDOM_SEARCH"),
    ("HyperparameterTuningJob", put("studySpec.parameters.0.doubleValueSpec.minValue", 0),
     "a logarithmic scale needs", ""),
    ("HyperparameterTuningJob", put("studySpec.parameters.1.integerValueSpec.maxValue", "4"),
     "4 is not more than minValue, 4", "one value is no range: leave the range out and give 4 alone, or a higher max"),
    ("HyperparameterTuningJob", put("studySpec.parameters.1.integerValueSpec.maxValue", "3"),
     "3 is not more than minValue, 4", "swap them"),
    ("HyperparameterTuningJob", put("studySpec.parameters.2.discreteValueSpec.values", [2, 1]),
     "must increase", "sort"),
    ("HyperparameterTuningJob", drop("studySpec.parameters.3.categoricalValueSpec"), "has no values", "give one"),
    ("HyperparameterTuningJob", put("studySpec.parameters.1.parameterId", "learning_rate"), "is there 2 times", ""),
    ("HyperparameterTuningJob", put("trialJobSpec.workerPoolSpecs.0.replicaCount", 3),
     "trialJobSpec.workerPoolSpecs[0]", ""),
    # Serving.
    ("UploadModelRequest", drop("model.containerSpec"), "model.containerSpec: is missing", ""),
    ("UploadModelRequest", put("model.containerSpec.imageUri", "tensorflow/serving:2.20.0"),
     "is not in Artifact Registry", "us-central1-docker"),
    ("UploadModelRequest", put("model.containerSpec.imageUri", "us-docker.pkg.dev/p/r/serve:1"),
     "the image is in us, the endpoint", ""),
    ("UploadModelRequest", put("model.containerSpec.imageUri",
     "us-central1-docker.pkg.dev/p/r/tensorflow/tensorflow:2.21.0"), "is a training image", ""),
    ("UploadModelRequest", put("model.containerSpec.predictRoute", "v1"), "'v1' must begin with /", "write /v1"),
    ("UploadModelRequest", put("model.containerSpec.ports", [{"containerPort": 0}]), "must be from 1 to 65535", ""),
    ("UploadModelRequest", put("model.artifactUri", "s3://bkt/x"), "is no place in Cloud Storage", ""),
    ("Endpoint", put("network", "projects/1/global/networks/x"), "cannot be a dedicated one", ""),
    ("DeployModelRequest", put("trafficSplit", {"0": 90}), "adds up to 90; it must be 100", ""),
    ("DeployModelRequest", put("deployedModel.dedicatedResources.maxReplicaCount", 0),
     "less than minReplicaCount (1)", ""),
    ("DeployModelRequest", put("deployedModel.model", "models/7"), "projects/PROJECT/locations/REGION/models", ""),
    ("DeployModelRequest", put("deployedModel.model", MODEL.replace("us-c", "eu-c")), "is in eu-central1", ""),
    ("DeployModelRequest", put("deployedModel.automaticResources", {}),
     "only one of dedicatedResources and automatic", ""),
    ("BatchPredictionJob", put("inputConfig.instancesFormat", "json"), "'json' does not exist", "jsonl"),
    ("BatchPredictionJob", put("inputConfig.gcsSource.uris", ["/data/x"]), "uris[0]: '/data/x' is no place", ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "change", "said", "fix"), REFUSED, ids=[f"{one[0]} {one[2]}"[:70] for one in REFUSED])
def test_what_the_service_refuses_is_named_and_its_neighbour_is_not(
    kind: str, change: Callable[[dict[str, Any]], None], said: str, fix: str
) -> None:
    body = of_each_kind()[kind]
    assert validate.problems(kind, body, "us-central1", today=TODAY) == []
    body = copy.deepcopy(body)
    change(body)
    found = validate.problems(kind, body, "us-central1", today=TODAY)
    assert [one for one in found if said in str(one) and fix in one.fix], found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"executorImageUri": "docker.io/tensorflow/tensorflow:2.21.0"}, "none of Google's prebuilt training images"),
        ({"pythonModule": "my-trainer.task"}, "rename the folder, and write my_trainer.task"),
        ({"packageUris": ["/gcs/bkt/x.tar.gz"]}, "is no source distribution in Cloud Storage"),
        ({"packageUris": ["gs://bkt/x.tar.gz"] * 101}, "has 101 items; 100 are allowed"),
    ],
)
def test_a_package_that_the_executor_cannot_run_is_named(change: dict[str, Any], said: str) -> None:
    body = of_each_kind(package="executor")["CustomJob"]
    then = date(2026, 7, 11)
    assert validate.problems("CustomJob", body, "us-central1", today=then) == []
    body["jobSpec"]["workerPoolSpecs"][0]["pythonPackageSpec"].update(change)
    found = validate.problems("CustomJob", body, "us-central1", today=then)
    assert any(said in f"{one} {one.fix}" for one in found), found


def test_an_endpoint_whose_machine_does_not_fit_its_image_is_named() -> None:
    def said(**changes: Any) -> list[str]:
        made = of_each_kind(**changes)
        found = rules.endpoint_problems(made["UploadModelRequest"], made["DeployModelRequest"])
        return [str(one) for one in found]

    accelerator = {"endpoint_accelerator_type": "NVIDIA_TESLA_T4", "endpoint_accelerator_count": 1}
    serving = "us-central1-docker.pkg.dev/proj/docker-hub/tensorflow/serving:2.20.0"
    assert (
        said() == said(**accelerator) == said(serving_image=serving) == said(serving_image="mine", **accelerator) == []
    )
    misfit = "model.containerSpec.imageUri: the machine has a GPU, and this is TensorFlow's image for CPU"
    assert said(serving_image=serving, **accelerator) == [misfit]


def test_an_unknown_kind_and_an_unknown_region_are_named() -> None:
    body = of_each_kind()["Endpoint"]
    with pytest.raises(UserError, match="'Endpiont' is not one of CustomJob"):
        validate.problems("Endpiont", body, "us-central1")
    found = validate.problems("Endpoint", body, "us-cental1")
    assert [one.path for one in found] == ["region"] and "such as us-central1" in found[0].message
