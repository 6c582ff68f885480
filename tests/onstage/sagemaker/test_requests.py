"""The bodies for SageMaker are pure data: right for every region and option, and accepted by botocore and by moto."""

import dataclasses
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

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


@pytest.fixture(scope="module")
def cloud(project: Path) -> Any:
    from onstage.sagemaker.requests import images, locations, rules, trials, validate
    from onstage.settings import SageMaker
    from trainer import run

    return SimpleNamespace(
        images=images, locations=locations, requests=requests, rules=rules, trials=trials, validate=validate,
        settings=SageMaker, run=run, UserError=run.UserError,
    )  # fmt: skip


@pytest.fixture(scope="module")
def hyperparameters(cloud: Any) -> Any:
    tunable = cloud.run.tunable

    @dataclass(frozen=True)
    class Hyperparameters:
        epochs: int = 40
        batch_size: int = tunable(16, values=[8, 16, 32])
        learning_rate: float = tunable(0.01, low=1e-4, high=1, scale="log")
        units: int | None = tunable(16, low=4.0, high=64)
        activation: str = tunable("relu", values=["relu", "8", "it's"])
        shuffle: bool = tunable(True, values=[True, False])
        clip_norm: float | None = None
        note: str = "8"

    return Hyperparameters()


def settings(cloud: Any, **changes: Any) -> Any:
    region = changes.get("region", "us-east-1")
    role = f"arn:{cloud.images.partition(region)}:iam::{ACCOUNT}:role/service-role/trainer"
    given = {"region": region, "bucket": "data-of-mine", "role": role, "instance_type": "ml.m5.xlarge"}
    return cloud.settings(**{**given, "endpoint_instance_type": "ml.m5.large", **changes})


def training(cloud: Any, hyperparameters: Any, **changes: Any) -> dict[str, Any]:
    return cloud.requests.training_job(
        settings(cloud, **changes), "iris", "iris-1", dataclasses.asdict(hyperparameters), ["val_accuracy", "loss"]
    )


def tuning(cloud: Any, hyperparameters: Any, **changes: Any) -> dict[str, Any]:
    objective = cloud.run.Objective("val_accuracy", "maximize")
    return cloud.requests.tuning_job(settings(cloud, **changes), "iris", "tune-1", hyperparameters, objective, ["loss"])


def bodies(cloud: Any, hyperparameters: Any, **changes: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    chosen = settings(cloud, **changes)
    yield "CreateTrainingJob", training(cloud, hyperparameters, **changes)
    tuned = tuning(cloud, hyperparameters, **changes)
    yield "CreateHyperParameterTuningJob", tuned
    for at in (0, 0.5, 1):
        yield "CreateTrainingJob", cloud.trials.trials(tuned, at)[0]
    yield "CreateEndpointConfig", cloud.requests.endpoint_config(chosen, "config-1", "model-1")
    yield "CreateEndpoint", cloud.requests.endpoint(chosen, "endpoint-1", "config-1")
    yield (
        "CreateTransformJob",
        cloud.requests.transform_job(chosen, "batch-1", "model-1", "s3://data-of-mine/in", "s3://data-of-mine/out"),
    )
    if chosen.inference_image or chosen.region in cloud.images.regions("inference"):
        yield "CreateModel", cloud.requests.model(chosen, "model-1", "s3://data-of-mine/jobs/model.tar.gz")


@pytest.mark.parametrize("option", OPTIONS)
def test_sagemaker_would_refuse_nothing_in_any_region(cloud: Any, hyperparameters: Any, option: str) -> None:
    for region in cloud.images.regions("training"):
        for operation, body in bodies(cloud, hyperparameters, region=region, **OPTIONS[option]):
            assert cloud.validate.problems(operation, body, region) == [], (region, operation)


def test_two_options_at_a_time_are_not_refused_either(cloud: Any, hyperparameters: Any) -> None:
    # Hardware with storage of its own takes no key; serverless endpoints have no GPU and no VPC.
    apart = [{"GPU", "keys"}, {"serverless", "VPC"}]
    for one, other in itertools.combinations(OPTIONS, 2):
        if {one, other} in apart:
            continue
        made = list(bodies(cloud, hyperparameters, **{**OPTIONS[one], **OPTIONS[other]}))
        for operation, body in made:
            assert cloud.validate.problems(operation, body, "us-east-1") == [], (one, other, operation)
        model, config = dict(made)["CreateModel"], dict(made)["CreateEndpointConfig"]
        assert cloud.rules.endpoint_problems(model, config) == [], (one, other)


@pytest.mark.parametrize("option", OPTIONS)
def test_botocore_accepts_every_body(cloud: Any, hyperparameters: Any, option: str) -> None:
    client = boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    for operation, body in bodies(cloud, hyperparameters, **OPTIONS[option]):
        shape = client.meta.service_model.operation_model(operation).input_shape
        assert not ParamValidator().validate(body, shape).has_errors(), operation


@pytest.mark.parametrize("option", ["plain", "spot", "serverless", "tags"])
def test_an_emulated_sagemaker_takes_the_bodies_one_after_the_other(
    cloud: Any, hyperparameters: Any, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    made = list(bodies(cloud, hyperparameters, **OPTIONS[option]))
    # What another body names must be there.
    first = ["CreateModel", "CreateEndpointConfig"]
    made.sort(key=lambda item: first.index(item[0]) if item[0] in first else len(first))
    with mock_aws():
        client = boto3.client("sagemaker", region_name="us-east-1")
        for operation, body in made:
            if not body.get("TrainingJobName", "").startswith("tune"):
                getattr(client, xform_name(operation))(**body)
        described = client.describe_training_job(TrainingJobName="iris-1")
    assert described["HyperParameters"] == training(cloud, hyperparameters)["HyperParameters"]


def test_empty_settings_are_left_out(cloud: Any, hyperparameters: Any) -> None:
    assert set(training(cloud, hyperparameters)) == {
        "TrainingJobName", "HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig",
        "OutputDataConfig", "ResourceConfig", "StoppingCondition",
    }  # fmt: skip
    assert training(cloud, hyperparameters)["OutputDataConfig"] == {"S3OutputPath": "s3://data-of-mine/iris/jobs"}


def test_the_toolkit_is_told_what_to_run(cloud: Any, hyperparameters: Any) -> None:
    decoded = {name: json.loads(value) for name, value in training(cloud, hyperparameters)["HyperParameters"].items()}
    assert decoded == {
        **dataclasses.asdict(hyperparameters),
        "sagemaker_program": "sagemaker_entry.py",
        "sagemaker_submit_directory": "s3://data-of-mine/iris/jobs/iris-1/source/sourcedir.tar.gz",
        "model_dir": "/opt/ml/model",
    }


@given(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text())
def test_every_value_survives_the_encoding(project: Path, value: Any) -> None:
    from onstage.sagemaker.requests.bodies import encoded

    back = json.loads(encoded({"name": value})["name"])
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_a_value_that_json_does_not_have_is_refused(cloud: Any, value: Any) -> None:
    with pytest.raises(cloud.UserError, match="the hyperparameter rate cannot be"):
        cloud.requests.encoded({"rate": value})


def test_each_metric_is_read_from_its_own_word_of_the_epoch_line(cloud: Any) -> None:
    line = "epoch=3 loss=0.41 val_loss=3.8e-05 val_top-loss=-1 val_accuracy=0.97"
    definitions = cloud.requests.metric_definitions(["val_loss", "loss", "val_top-loss", "loss"])
    read = {one["Name"]: re.findall(one["Regex"], line) for one in definitions}
    assert read == {"val_loss": ["3.8e-05"], "loss": ["0.41"], "val_top-loss": ["-1"]}


def test_a_spot_job_that_is_sent_again_finds_its_checkpoints(cloud: Any, hyperparameters: Any) -> None:
    spot = settings(cloud, spot_max_wait=7200)

    def checkpoints(name: str, **changes: Any) -> str:
        values = {**dataclasses.asdict(hyperparameters), **changes}
        return cloud.requests.training_job(spot, "iris", name, values, [])["CheckpointConfig"]["S3Uri"]

    first = checkpoints("iris-1")
    assert first.startswith("s3://data-of-mine/iris/checkpoints/")
    assert checkpoints("iris-2") == checkpoints("iris-2", epochs=80) == first
    assert checkpoints("iris-1", learning_rate=0.5) != first


def test_search_spaces_become_ranges(cloud: Any, hyperparameters: Any) -> None:
    body = tuning(cloud, hyperparameters)
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
def test_a_trial_is_a_training_job_that_the_entry_point_understands(
    cloud: Any, hyperparameters: Any, at: float, expected: tuple[Any, ...]
) -> None:
    (body,) = cloud.trials.trials(tuning(cloud, hyperparameters), at)
    flags = {key: value for key, value in body["HyperParameters"].items() if not key.startswith("sagemaker_")}
    assert flags.pop("_tuning_objective_metric") == "val_accuracy"
    # As the toolkit does: decoded, then as text, None as an empty one.
    decoded = {key: json.loads(value) for key, value in flags.items()}
    argv = [word for key, value in decoded.items() for word in (f"--{key}", "" if value is None else str(value))]
    parsed, _ = cloud.run.parse_flags(type(hyperparameters), argv)
    assert (parsed.batch_size, pytest.approx(parsed.learning_rate), parsed.units) == expected[:3]
    assert (parsed.activation, parsed.shuffle) == expected[3:]
    assert (parsed.epochs, parsed.clip_norm, parsed.note) == (40, None, "8")


def test_nothing_to_tune_is_refused(cloud: Any) -> None:
    @dataclass(frozen=True)
    class Hyperparameters:
        epochs: int = 1

    with pytest.raises(cloud.UserError, match=r"no hyperparameter is tunable\(\)"):
        tuning(cloud, Hyperparameters())


@pytest.mark.parametrize("name", ["bucket", "role"])
def test_a_job_needs_a_bucket_and_a_role(cloud: Any, hyperparameters: Any, name: str) -> None:
    with pytest.raises(cloud.UserError, match=rf"\[sagemaker\] {name} is empty"):
        training(cloud, hyperparameters, **{name: ""})


@given(st.text(max_size=80), st.integers(0, 999))
def test_names_of_jobs_are_names_to_sagemaker(project: Path, slug: str, millisecond: int) -> None:
    from onstage.sagemaker.requests.locations import LONGEST_TUNING_NAME, job_name

    when = datetime(2026, 2, 3, 4, 5, 6, millisecond * 1000)
    for name, longest in ((job_name(slug, when), 63), (job_name(slug, when, LONGEST_TUNING_NAME), 32)):
        assert len(name) <= longest
        assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", name)
        assert name.endswith(f"20260203-040506-{millisecond:03d}")
    assert job_name(slug, when) != job_name(slug, when + timedelta(milliseconds=1))


def test_a_name_begins_with_the_slug(cloud: Any) -> None:
    when = datetime(2026, 2, 3, 4, 5, 6, 7000)
    assert cloud.locations.job_name("iris_classifier", when) == "iris-classifier-20260203-040506-007"
    assert cloud.locations.job_name("iris_classifier", when, 32) == "iris-classif-20260203-040506-007"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eu-west-9", "training", "cpu"), "no TensorFlow images in the region 'eu-west-9'.*eu-west-"),
        (("me-west-1", "inference", "cpu"), r"2\.20 inference image is not in the region me-west-1.*me-"),
        (("us-east-1", "inference", "cpu", "2.21"), r"no inference image of TensorFlow 2\.21; there are 2\.20, 2\.19"),
        (("me-west-1", "training", "gpu", "2.19"), r"2\.19 training image is not in the region me-west-1"),
    ],
)
def test_an_image_that_does_not_exist_is_refused(cloud: Any, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(cloud.UserError, match=message):
        cloud.images.image_uri(*arguments)
    assert cloud.images.image_uri("me-west-1", "training", "cpu").startswith("124382933778.dkr.ecr.me-west-1.")


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [("ml.m5.xlarge", "cpu"), ("ml.c5n.large", "cpu"), ("ml.m7i-flex.large", "cpu"), ("ml.r5d.large", "cpu"),
     ("ml.g5.xlarge", "gpu"), ("ml.g4dn.xlarge", "gpu"), ("ml.p4d.24xlarge", "gpu"), ("ml.p6-b200.48xlarge", "gpu")],
)  # fmt: skip
def test_the_instance_type_says_which_image(cloud: Any, instance_type: str, expected: str) -> None:
    assert cloud.images.accelerator_of(instance_type) == expected


@pytest.mark.parametrize("family", ["c6g", "m8g", "r7gd", "g5g", "inf2", "trn1", "dl1", "p6e-gb200"])
def test_processors_without_an_image_are_refused(cloud: Any, family: str) -> None:
    with pytest.raises(
        cloud.UserError, match=f"ml.{family}.xlarge has .*, on which AWS's TensorFlow images do not run"
    ):
        cloud.images.accelerator_of(f"ml.{family}.xlarge")


@pytest.mark.parametrize(
    "tag",
    ["2.21-cpu-py312", "2.21.0-cpu-py312", "2.21-cpu-py312-amzn2023-sagemaker-v1",
     "2.21.0-cpu-py312-amzn2023-sagemaker-v1.0-2026-07-10-17-30-00"],
)  # fmt: skip
def test_an_image_is_known_by_any_of_its_tags(cloud: Any, tag: str) -> None:
    for registry in ("763104351884.dkr.ecr.eu-west-1.amazonaws.com", "public.ecr.aws/deep-learning-containers"):
        image = cloud.images.known_image(f"{registry}/tensorflow-training:{tag}")
        assert (image.role, image.tensorflow, image.python, image.accelerator) == ("training", "2.21", "3.12", "cpu")
        listed = image.packages.read_text(encoding="utf-8").splitlines()
        assert "tensorflow-cpu==2.21.0" in listed
        assert all(re.fullmatch(r"#.*|[A-Za-z0-9._-]+==\S+", line) for line in listed)


@pytest.mark.parametrize(
    "uri",
    ["111122223333.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:2.21-cpu-py312", "mine/serve:1",
     "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-training:2.8-cpu",
     "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:1.15-cpu-py37"],
)  # fmt: skip
def test_nothing_is_claimed_about_other_images(cloud: Any, uri: str) -> None:
    assert cloud.images.known_image(uri) is None
    assert cloud.images.patch_problem(uri, date(2100, 1, 1)) is None


def test_an_image_past_its_patches_is_named_with_what_to_choose(cloud: Any) -> None:
    old = cloud.images.image_uri("us-east-1", "training", "cpu", "2.19")
    assert cloud.images.patch_problem(old, date(2026, 3, 11)) is None
    said = cloud.images.patch_problem(old, date(2026, 3, 12))
    assert "no security patches since 2026-03-11; remove training_image" in said
    assert "2.21 is the newest" in said
    newest = cloud.images.image_uri("us-east-1", "inference", "gpu")
    assert cloud.images.patch_problem(newest, date(2027, 8, 20)) is None
    assert "update the template" in cloud.images.patch_problem(newest, date(2027, 8, 21))
