"""The bodies for Vertex AI are pure data, and right for every option."""

import copy
import os
import subprocess
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.errors import UserError
from onstage.settings import Vertex
from onstage.vertex.requests import bodies, images, locations, trials, validate
from tests.onstage.trainer import run
from tests.onstage.vertex.bodies import PLAIN, Hyperparameters, of_each_kind

TODAY = date(2026, 11, 22)
PREBUILT = "us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest"
ZONES = {"africa-south1": "europe", "asia-east1": "asia", "australia-southeast1": "asia", "southamerica-east1": "us"}


def test_a_plain_job_says_what_is_needed_and_nothing_else() -> None:
    body = of_each_kind()["CustomJob"]
    script = 'pip install /gcs/bkt/iris/jobs/iris-1/source/trainer.tar.gz && exec python -m trainer.task "$@"'
    flags = ["--train-data=gs://bkt/iris/data/train", "--eval-data=gs://bkt/iris/data/eval", "--epochs=2"]
    container = {"imageUri": "docker.io/tensorflow/tensorflow:2.21.0", "command": ["bash", "-c"]}
    pool = {
        "machineSpec": {"machineType": "n1-standard-4"},
        "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100},
        "containerSpec": {**container, "args": [script, "trainer", *flags]},
        "replicaCount": 1,
    }
    assert body == {
        "displayName": "iris-1",
        "jobSpec": {
            "workerPoolSpecs": [pool],
            "scheduling": {"timeout": "3600s"},
            "baseOutputDirectory": {"outputUriPrefix": "gs://bkt/iris/jobs/iris-1"},
        },
    }


@pytest.mark.skipif(os.name == "nt", reason="the container's shell is bash")
def test_the_container_command_hands_on_flags_that_tuning_appends(tmp_path: Path) -> None:
    (tmp_path / "pip").write_text('#!/bin/sh\necho pip "$@"\n')
    (tmp_path / "python").write_text('#!/bin/sh\nfor one in "$@"; do echo "<$one>"; done\n')
    for stub in tmp_path.iterdir():
        stub.chmod(0o755)
    body = bodies.custom_job(Vertex(**PLAIN), "iris", "iris-1", {"note": "a \"b\" $HOME *\n'c'"})
    container = body["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    command = [*container["command"], *container["args"], "--learning_rate=0.5", "--activation", "it's  so"]
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": path})
    words = [
        "-m", "trainer.task", "--train-data=gs://bkt/iris/data/train", "--eval-data=gs://bkt/iris/data/eval",
        '--note=a "b" $HOME *\n\'c\'', "--learning_rate=0.5", "--activation", "it's  so",
    ]  # fmt: skip
    installed = "pip install /gcs/bkt/iris/jobs/iris-1/source/trainer.tar.gz\n"
    assert done.stdout == installed + "".join(f"<{word}>\n" for word in words)


def test_the_executor_runs_the_same_module_with_the_same_flags() -> None:
    container = of_each_kind()["CustomJob"]["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    package = of_each_kind(package="executor")["CustomJob"]["jobSpec"]["workerPoolSpecs"][0]["pythonPackageSpec"]
    assert package == {
        "executorImageUri": "us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest",
        "packageUris": ["gs://bkt/iris/jobs/iris-1/source/trainer.tar.gz"],
        "pythonModule": "trainer.task",
        "args": container["args"][2:],
    }


@pytest.mark.parametrize("package", ["container", "executor"])
def test_a_job_is_told_how_often_to_save_where_that_is_not_what_it_does_by_itself(package: str) -> None:
    kind = "containerSpec" if package == "container" else "pythonPackageSpec"
    for seconds, env in ((60, None), (0, [{"name": "CHECKPOINT_SECONDS", "value": "0"}])):
        each = of_each_kind(package=package, checkpoint_seconds=seconds, replica_count=2)
        for spec in (each["CustomJob"]["jobSpec"], each["HyperparameterTuningJob"]["trialJobSpec"]):
            assert [pool[kind].get("env") for pool in spec["workerPoolSpecs"]] == [env, env]
        problems = validate.problems("CustomJob", each["CustomJob"], "us-central1")
        # The executor's image is of the past.
        assert [one for one in problems if "executorImageUri" not in one.path] == []


@pytest.mark.parametrize(("replicas", "pools"), [(1, [1]), (2, [1, 1]), (5, [1, 4])])
def test_the_first_pool_is_one_chief_and_the_second_the_workers(replicas: int, pools: list[int]) -> None:
    found = of_each_kind(replica_count=replicas)["CustomJob"]["jobSpec"]["workerPoolSpecs"]
    assert [pool["replicaCount"] for pool in found] == pools
    assert all({**pool, "replicaCount": 1} == found[0] for pool in found)


def test_the_model_lies_as_its_serving_container_wants_it() -> None:
    def job_and_model(**changes: Any) -> tuple[list[str], dict[str, Any]]:
        made = of_each_kind(**changes)
        args = made["CustomJob"]["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]
        return args, made["UploadModelRequest"]["model"]["containerSpec"]

    args, container = job_and_model()
    assert "--model-layout=flat" not in args
    assert container["imageUri"] == "us-central1-docker.pkg.dev/proj/docker-hub/tensorflow/serving:2.20.0"
    assert (container["predictRoute"], container["healthRoute"]) == ("/v1/models/model:predict", "/v1/models/model")
    assert "--model_base_path=$(AIP_STORAGE_URI)" in container["args"]
    args, container = job_and_model(serving="prebuilt")
    assert "--model-layout=flat" in args
    assert container == {"imageUri": "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"}


def test_an_image_of_the_settings_is_used_and_a_missing_bucket_or_project_named() -> None:
    made = of_each_kind(training_image="mine:1", serving_image="us-central1-docker.pkg.dev/p/r/mine:2", project="")
    assert made["CustomJob"]["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["imageUri"] == "mine:1"
    assert made["UploadModelRequest"]["model"]["containerSpec"]["imageUri"].endswith("mine:2")
    with pytest.raises(UserError, match=r"\[vertex\] bucket is empty"):
        of_each_kind(bucket="")
    with pytest.raises(UserError, match=r"\[vertex\] project is empty"):
        of_each_kind(project="")
    with pytest.raises(UserError, match="'us-cental1'; choose another, such as us-central1"):
        of_each_kind(region="us-cental1")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).filter(
    lambda text: text not in ("", "null", "None")
)


@given(
    st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), TEXTS,
    st.none() | st.integers(-(2**53), 2**53), st.none() | TEXTS,
)  # fmt: skip
def test_every_hyperparameter_is_read_back_exactly(
    flag: bool, whole: int, real: float, text: str, maybe: int | None, words: str | None
) -> None:
    @dataclass(frozen=True)
    class Hyperparameters:
        some_flag: bool = False
        whole: int = 0
        real: float = 0.0
        text: str = ""
        maybe: int | None = 3
        words: str | None = "some"

    values = {"some_flag": flag, "whole": whole, "real": real, "text": text, "maybe": maybe, "words": words}
    assert run.parse_flags(Hyperparameters, bodies.flags(values))[0] == Hyperparameters(**values)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1], {"a": 1}])
def test_what_is_no_hyperparameter_is_named(value: Any) -> None:
    with pytest.raises(UserError, match="the hyperparameter rate cannot be"):
        bodies.flags({"epochs": 1, "rate": value})
    assert bodies.flags({"rate": 1e-7, "batch_size": 8}) == ["--rate=1e-07", "--batch-size=8"]


def test_tuning_searches_what_is_tunable_and_fixes_the_rest() -> None:
    body = of_each_kind()["HyperparameterTuningJob"]
    assert body["studySpec"] == {
        "metrics": [{"metricId": "val_loss", "goal": "MINIMIZE"}],
        "parameters": [
            {
                "parameterId": "learning_rate",
                "doubleValueSpec": {"minValue": 1e-4, "maxValue": 1.0},
                "scaleType": "UNIT_LOG_SCALE",
            },
            {
                "parameterId": "units",
                "integerValueSpec": {"minValue": 4, "maxValue": 64},
                "scaleType": "UNIT_LINEAR_SCALE",
            },
            {"parameterId": "batch_size", "discreteValueSpec": {"values": [8.0, 16.0, 32.0]}},
            {"parameterId": "activation", "categoricalValueSpec": {"values": ["relu", "it's"]}},
        ],
    }
    assert (body["maxTrialCount"], body["parallelTrialCount"]) == (10, 2)
    args = body["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]
    assert args[4:] == ["--epochs=2", "--rate=0.5"]

    @dataclass(frozen=True)
    class Fixed:
        epochs: int = 1

    objective = run.Objective("val_loss", "minimize")
    with pytest.raises(UserError, match="no hyperparameter is tunable"):
        bodies.tuning_job(Vertex(**PLAIN), "iris", "iris-1", Fixed(), objective)


@pytest.mark.parametrize(
    ("at", "values"),
    [(0, (0.0001, 4, 8, "relu")), (0.5, (0.01, 34, 16, "it's")), (1, (1.0, 64, 32, "it's"))],
)
def test_a_trial_is_a_job_that_the_trainer_understands(at: float, values: tuple[Any, ...]) -> None:
    body = of_each_kind(replica_count=2, labels={"a": "b"})["HyperparameterTuningJob"]
    before = copy.deepcopy(body)
    trial = trials.trial(body, at, 3)
    assert body == before
    assert validate.problems("CustomJob", trial, "us-central1") == []
    assert trial["jobSpec"]["baseOutputDirectory"] == {"outputUriPrefix": "gs://bkt/iris/jobs/iris-1/3"}
    assert trial["labels"] == {"a": "b"}
    for pool in trial["jobSpec"]["workerPoolSpecs"]:
        args = pool["containerSpec"]["args"][2:]
        kinds = {"train_data": "", "eval_data": ""}
        found, _ = run.parse_flags(Hyperparameters, args, kinds)
        rate, units, batch_size, activation = values
        assert found.learning_rate == pytest.approx(rate)
        assert (found.units, found.batch_size, found.activation, found.epochs) == (units, batch_size, activation, 2)


def test_an_image_is_first_fine_then_unpatched_then_gone() -> None:
    said = [
        (images.patch_problem(PREBUILT, day), images.availability_problem(PREBUILT, day))
        for day in (date(2025, 7, 11), date(2025, 7, 12), date(2026, 7, 11), date(2026, 7, 12))
    ]
    assert said[0] == (None, None)
    assert "no security patches since 2025-07-11, and will be gone after 2026-07-11" in said[1][0]
    assert said[1][1] is None and said[2] == said[1]
    assert said[3][0] is None and "has not been available since 2026-07-11" in said[3][1]
    assert images.patch_problem("docker.io/tensorflow/tensorflow:2.21.0", TODAY) is None
    serving = images.image_uri("us-central1", "serving", "prebuilt", "cpu")
    assert images.patch_problem(serving, date(2026, 1, 14)) is None
    unpatched = images.patch_problem(serving, date(2026, 1, 15))
    assert "no security patches since 2026-01-14, and will be gone after 2027-01-14" in unpatched
    assert images.availability_problem(serving, TODAY) is None


def test_images_are_known_by_any_registry_and_spelling() -> None:
    def known(uri: str) -> tuple[str, str, str] | None:
        image = images.known_image(uri)
        return image and (image.role, image.kind, image.accelerator)

    training = "us-central1-docker.pkg.dev/proj/hub/tensorflow/tensorflow"
    assert known("tensorflow/tensorflow:2.21.0") == ("training", "container", "cpu")
    assert known(f"{training}:2.21.0-gpu-jupyter") == ("training", "container", "gpu")
    assert known(f"{training}:2.20.0") is None
    assert known("mine/tensorflow-tensorflow:2.21.0") is None
    assert known("europe-docker.pkg.dev/vertex-ai/prediction/tf2-gpu.2-15") == ("serving", "prebuilt", "gpu")
    image = images.known_image("tensorflow/tensorflow:2.21.0")
    lines = image.packages.read_text(encoding="utf-8").splitlines()
    assert image.python == "3.11" and "keras==3.15.1" in lines and "tensorflow==2.21.0" in lines
    for region, host in ZONES.items():
        uri = images.image_uri(region, "serving", "prebuilt", "cpu")
        assert uri.startswith(f"{host}-docker.pkg.dev/") and known(uri)
    for region in images.regions():
        assert known(images.image_uri(region, "training", "prebuilt", "gpu"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"accelerator_type": "NVIDIA_L4"}, "given together, or neither"),
        ({"endpoint_accelerator_count": 1}, "given together, or neither"),
        ({"min_replica_count": 3, "max_replica_count": 2}, "must be min_replica_count"),
        ({"boot_disk_gb": 10}, "greater than or equal to 100"),
        ({"package": "wheel"}, "'container' or 'executor'"),
        ({"timeout": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change: dict[str, Any], said: str) -> None:
    Vertex(**PLAIN)
    with pytest.raises(ValueError, match=said):
        Vertex(**{**PLAIN, **change})


def test_names_and_places_belong_together() -> None:
    when = datetime(2026, 11, 22, 9, 5, 7, 45000, timezone.utc)
    assert locations.job_name("my_iris", when) == "my-iris-20261122-090507-045"
    assert len(locations.job_name("x" * 300, when)) == 128
    places = locations.Locations("bkt", "iris")
    assert places.model("job") == f"{places.output('job')}/model" == "gs://bkt/iris/jobs/job/model"
    assert locations.mounted(places.source("job")) == "/gcs/bkt/iris/jobs/job/source/trainer.tar.gz"
    assert bodies.parent(Vertex(**PLAIN)) == "projects/proj/locations/us-central1"
