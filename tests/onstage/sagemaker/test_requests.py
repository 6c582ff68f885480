"""The bodies for SageMaker are pure data: right for every region and option, and accepted by botocore and by moto."""

import dataclasses
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from onstage.errors import UserError
from onstage.sagemaker.requests import bodies, images, locations, rules, trials, validate
from onstage.settings import SageMaker
from tests.onstage.trainer import run

ACCOUNT = "111122223333"
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "spot": {"max_runtime": 100, "spot_max_wait": 100},
    "several hosts": {"instance_count": 3, "encrypt_between_hosts": True},
    "FastFile": {"input_mode": "FastFile"},
    "GPU": {"instance_type": "ml.g5.xlarge", "endpoint_instance_type": "ml.g4dn.xlarge"},
    "tags": {"tags": {"team": "Größe: 1", "cost center": ""}},
    "VPC": {"subnets": ["subnet-1", "subnet-2"], "security_groups": ["sg-1"]},
    "keys": {"volume_kms_key": KEY, "output_kms_key": f"alias/{KEY}"},
    "serverless": {"serverless": {"memory_mb": 3072, "max_concurrency": 7} },
    "own images": {"training_image": "mine/train:1", "inference_image": "mine/serve:1"},
}  # fmt: skip


@dataclass(frozen=True)
class Hyperparameters:
    epochs: int = 40
    batch_size: int = run.tunable(16, values=[8, 16, 32])
    learning_rate: float = run.tunable(0.01, low=1e-4, high=1, scale="log")
    units: int | None = run.tunable(16, low=4.0, high=64)
    activation: str = run.tunable("relu", values=["relu", "8", "it's"])
    shuffle: bool = run.tunable(True, values=[True, False])
    clip_norm: float | None = None
    note: str = "8"


HYPERPARAMETERS = Hyperparameters()


def settings(**changes: Any) -> Any:
    region = changes.get("region", "us-east-1")
    role = f"arn:{images.partition(region)}:iam::{ACCOUNT}:role/service-role/trainer"
    given = {"region": region, "bucket": "data-of-mine", "role": role, "instance_type": "ml.m5.xlarge"}
    return SageMaker(**{**given, "endpoint_instance_type": "ml.m5.large", **changes})


def training(**changes: Any) -> dict[str, Any]:
    return bodies.training_job(
        settings(**changes), "iris", "iris-1", dataclasses.asdict(HYPERPARAMETERS), ["val_accuracy", "loss"]
    )


def tuning(**changes: Any) -> dict[str, Any]:
    objective = run.Objective("val_accuracy", "maximize")
    return bodies.tuning_job(settings(**changes), "iris", "tune-1", HYPERPARAMETERS, objective, ["loss"])


def each_body(**changes: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    chosen = settings(**changes)
    yield "CreateTrainingJob", training(**changes)
    tuned = tuning(**changes)
    yield "CreateHyperParameterTuningJob", tuned
    for at in (0, 0.5, 1):
        yield "CreateTrainingJob", trials.trials(tuned, at)[0]
    yield "CreateEndpointConfig", bodies.endpoint_config(chosen, "config-1", "model-1")
    yield "CreateEndpoint", bodies.endpoint(chosen, "endpoint-1", "config-1")
    yield (
        "CreateTransformJob",
        bodies.transform_job(chosen, "batch-1", "model-1", "s3://data-of-mine/in", "s3://data-of-mine/out"),
    )
    yield (
        "CreateTransformJob",
        bodies.transform_job(chosen, "batch-2", "model-1", "s3://data-of-mine/in", "s3://data-of-mine/out", "k" * 40),
    )
    if chosen.inference_image or chosen.region in images.regions("inference"):
        yield "CreateModel", bodies.model(chosen, "model-1", "s3://data-of-mine/jobs/model.tar.gz")


@pytest.mark.parametrize("option", OPTIONS)
def test_sagemaker_would_refuse_nothing_in_any_region(option: str) -> None:
    for region in images.regions("training"):
        for operation, body in each_body(region=region, **OPTIONS[option]):
            assert validate.problems(operation, body, region) == [], (region, operation)


def test_two_options_at_a_time_are_not_refused_either() -> None:
    # Hardware with storage of its own takes no key; serverless endpoints have no GPU and no VPC.
    apart = [{"GPU", "keys"}, {"serverless", "VPC"}]
    for one, other in itertools.combinations(OPTIONS, 2):
        if {one, other} in apart:
            continue
        made = list(each_body(**{**OPTIONS[one], **OPTIONS[other]}))
        for operation, body in made:
            assert validate.problems(operation, body, "us-east-1") == [], (one, other, operation)
        model, config = dict(made)["CreateModel"], dict(made)["CreateEndpointConfig"]
        assert rules.endpoint_problems(model, config) == [], (one, other)


@pytest.mark.parametrize("option", OPTIONS)
def test_botocore_accepts_every_body(option: str) -> None:
    client = boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    for operation, body in each_body(**OPTIONS[option]):
        shape = client.meta.service_model.operation_model(operation).input_shape
        assert not ParamValidator().validate(body, shape).has_errors(), operation


@pytest.mark.parametrize("option", ["plain", "spot", "serverless", "tags"])
def test_an_emulated_sagemaker_takes_the_bodies_one_after_the_other(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    made = list(each_body(**OPTIONS[option]))
    # What another body names must be there.
    first = ["CreateModel", "CreateEndpointConfig"]
    made.sort(key=lambda item: first.index(item[0]) if item[0] in first else len(first))
    with mock_aws():
        client = boto3.client("sagemaker", region_name="us-east-1")
        for operation, body in made:
            if not body.get("TrainingJobName", "").startswith("tune"):
                getattr(client, xform_name(operation))(**body)
        described = client.describe_training_job(TrainingJobName="iris-1")
    assert described["HyperParameters"] == training()["HyperParameters"]


def test_a_job_is_told_how_often_to_save_where_that_is_not_what_it_does_by_itself() -> None:
    assert "Environment" not in training()
    assert training(checkpoint_seconds=0)["Environment"] == {"CHECKPOINT_SECONDS": "0"}
    assert tuning(checkpoint_seconds=9)["TrainingJobDefinition"]["Environment"] == {"CHECKPOINT_SECONDS": "9"}
    assert validate.problems("CreateTrainingJob", training(checkpoint_seconds=9), "us-east-1") == []
    assert validate.problems("CreateHyperParameterTuningJob", tuning(checkpoint_seconds=9), "us-east-1") == []


def test_empty_settings_are_left_out() -> None:
    assert set(training()) == {
        "TrainingJobName", "HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig",
        "OutputDataConfig", "ResourceConfig", "StoppingCondition", "CheckpointConfig",
    }  # fmt: skip
    assert training()["OutputDataConfig"] == {"S3OutputPath": "s3://data-of-mine/iris/jobs"}


def test_the_toolkit_is_told_what_to_run() -> None:
    decoded = {name: json.loads(value) for name, value in training()["HyperParameters"].items()}
    assert decoded == {
        **dataclasses.asdict(HYPERPARAMETERS),
        "sagemaker_program": "sagemaker_entry.py",
        "sagemaker_submit_directory": "s3://data-of-mine/iris/jobs/iris-1/source/sourcedir.tar.gz",
        "model_dir": "/opt/ml/model",
    }


@given(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text())
def test_every_value_survives_the_encoding(value: Any) -> None:
    back = json.loads(bodies.encoded({"name": value})["name"])
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_a_value_that_json_does_not_have_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match="the hyperparameter rate cannot be"):
        bodies.encoded({"rate": value})


def test_each_metric_is_read_from_its_own_word_of_the_epoch_line() -> None:
    line = "epoch=3 loss=0.41 val_loss=3.8e-05 val_top-loss=-1 val_accuracy=0.97"
    definitions = bodies.metric_definitions(["val_loss", "loss", "val_top-loss", "loss"])
    read = {one["Name"]: re.findall(one["Regex"], line) for one in definitions}
    assert read == {"val_loss": ["3.8e-05"], "loss": ["0.41"], "val_top-loss": ["-1"]}


def test_a_spot_job_that_is_sent_again_finds_its_checkpoints() -> None:
    spot = settings(spot_max_wait=7200)

    def checkpoints(name: str, **changes: Any) -> str:
        values = {**dataclasses.asdict(HYPERPARAMETERS), **changes}
        return bodies.training_job(spot, "iris", name, values, [])["CheckpointConfig"]["S3Uri"]

    first = checkpoints("iris-1")
    assert first.startswith("s3://data-of-mine/iris/checkpoints/")
    assert checkpoints("iris-2") == checkpoints("iris-2", epochs=80) == first
    assert checkpoints("iris-1", learning_rate=0.5) != first


def test_a_job_on_demand_starts_anew_and_keeps_its_own_checkpoints() -> None:
    body = bodies.training_job(settings(), "iris", "iris-1", dataclasses.asdict(HYPERPARAMETERS), [])
    kept = {"S3Uri": "s3://data-of-mine/iris/jobs/iris-1/checkpoints", "LocalPath": "/opt/ml/checkpoints"}
    assert body["CheckpointConfig"] == kept
    assert not validate.problems("CreateTrainingJob", body)


def test_search_spaces_become_ranges() -> None:
    body = tuning()
    assert body["HyperParameterTuningJobConfig"]["ParameterRanges"] == {
        "CategoricalParameterRanges": [
            {"Name": "batch_size", "Values": ["8", "16", "32"]},
            {"Name": "activation", "Values": ['"relu"', '"8"', '"it\'s"']},
            {"Name": "shuffle", "Values": ["true", "false"]},
        ],
        "ContinuousParameterRanges": [
            {"Name": "learning_rate", "MinValue": "0.0001", "MaxValue": "1.0", "ScalingType": "Logarithmic"}
        ],
        "IntegerParameterRanges": [{"Name": "units", "MinValue": "4", "MaxValue": "64", "ScalingType": "Linear"}],
    }
    static = body["TrainingJobDefinition"]["StaticHyperParameters"]
    assert (static["epochs"], static["clip_norm"], static["note"]) == ("40", "null", '"8"')
    assert body["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"] == {
        "Type": "Maximize",
        "MetricName": "val_accuracy",
    }


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0, (8, 1e-4, 4, "relu", True)),
        (0.5, (16, 1e-2, 34, "8", False)),
        (1, (32, 1.0, 64, "it's", False)),
    ],
)
def test_a_trial_is_a_training_job_that_the_entry_point_understands(at: float, expected: tuple[Any, ...]) -> None:
    (body,) = trials.trials(tuning(), at)
    flags = {key: value for key, value in body["HyperParameters"].items() if not key.startswith("sagemaker_")}
    assert flags.pop("_tuning_objective_metric") == "val_accuracy"
    # As the toolkit does: decoded, then as text, None as an empty one.
    decoded = {key: json.loads(value) for key, value in flags.items()}
    argv = [word for key, value in decoded.items() for word in (f"--{key}", "" if value is None else str(value))]
    parsed, _ = run.parse_flags(Hyperparameters, argv)
    assert (parsed.batch_size, pytest.approx(parsed.learning_rate), parsed.units) == expected[:3]
    assert (parsed.activation, parsed.shuffle) == expected[3:]
    assert (parsed.epochs, parsed.clip_norm, parsed.note) == (40, None, "8")


def test_nothing_to_tune_is_refused() -> None:
    @dataclass(frozen=True)
    class Fixed:
        epochs: int = 1

    with pytest.raises(UserError, match=r"no hyperparameter is tunable\(\)"):
        bodies.tuning_job(settings(), "iris", "tune-1", Fixed(), run.Objective("loss", "minimize"), ["loss"])


@pytest.mark.parametrize("name", ["bucket", "role"])
def test_a_job_needs_a_bucket_and_a_role(name: str) -> None:
    with pytest.raises(UserError, match=rf"\[sagemaker\] {name} is empty"):
        training(**{name: ""})


@given(st.text(max_size=80), st.integers(0, 999))
def test_names_of_jobs_are_names_to_sagemaker(slug: str, millisecond: int) -> None:
    job_name, longest_of_tuning = locations.job_name, locations.LONGEST_TUNING_NAME
    when = datetime(2026, 2, 3, 4, 5, 6, millisecond * 1000)
    for name, longest in ((job_name(slug, when), 63), (job_name(slug, when, longest_of_tuning), 32)):
        assert len(name) <= longest
        assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", name)
        assert name.endswith(f"20260203-040506-{millisecond:03d}")
    assert job_name(slug, when) != job_name(slug, when + timedelta(milliseconds=1))


def test_a_name_begins_with_the_slug() -> None:
    when = datetime(2026, 2, 3, 4, 5, 6, 7000)
    assert locations.job_name("iris_classifier", when) == "iris-classifier-20260203-040506-007"
    assert locations.job_name("iris_classifier", when, 32) == "iris-classif-20260203-040506-007"
