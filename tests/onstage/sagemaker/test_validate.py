"""What SageMaker accepts has no problems; what it would refuse is named, and nothing makes the check itself fail."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from onstage.errors import UserError
from onstage.sagemaker.requests import rules, validate
from tests.onstage.sagemaker.sound import (
    IMAGE,
    INSTANCE,
    INSTANCES,
    MODEL,
    REGEX,
    REMOVED,
    SERVERLESS,
    SOUND,
    TRAINING,
    TRANSFORM,
    TUNING,
    WAIT,
    changed,
)  # fmt: skip


@pytest.mark.parametrize("operation", SOUND)
def test_a_sound_body_has_no_problems(operation: str) -> None:
    assert validate.problems(operation, SOUND[operation], "us-east-1") == []


def test_a_serverless_configuration_has_no_problems() -> None:
    assert validate.problems("CreateEndpointConfig", SERVERLESS, "us-east-1") == []
    assert rules.endpoint_problems(MODEL, SERVERLESS) == []


RANGES = "HyperParameterTuningJobConfig.ParameterRanges"
RATE = f"{RANGES}.ContinuousParameterRanges[0]"
LIMIT = "HyperParameterTuningJobConfig.ResourceLimits.MaxParallelTrainingJobs"
VARIANT = "ProductionVariants[0]"
OTHER_MISTAKES: dict[str, tuple[str, dict[str, Any], str, Any, str | None, str]] = {
    "long name of tuning": (
        "CreateHyperParameterTuningJob", TUNING, "HyperParameterTuningJobName", "t" * 33, None, "32 characters",
    ),
    "no definition": (
        "CreateHyperParameterTuningJob", TUNING, "TrainingJobDefinition.RoleArn", REMOVED, None, "is missing",
    ),
    "unknown objective": (
        "CreateHyperParameterTuningJob", TUNING,
        "HyperParameterTuningJobConfig.HyperParameterTuningJobObjective.MetricName", "auc",
        "TrainingJobDefinition.AlgorithmSpecification.MetricDefinitions", "'auc' is not among the metrics: loss",
    ),
    "mistake of the trials": (
        "CreateHyperParameterTuningJob", TUNING, f"TrainingJobDefinition.{REGEX}", "loss", None, "has 0 groups",
    ),
    "more at a time than at all": ("CreateHyperParameterTuningJob", TUNING, LIMIT, 5, None, "more than MaxNumber"),
    "range and value": (
        "CreateHyperParameterTuningJob", TUNING, 'TrainingJobDefinition.StaticHyperParameters["rate"]', "1", RANGES,
        "'rate' is also in StaticHyperParameters",
    ),
    "range that ends before it begins": (
        "CreateHyperParameterTuningJob", TUNING, f"{RATE}.MaxValue", "0.05", None, "not more than MinValue.*swap them",
    ),
    "range of one value": (
        "CreateHyperParameterTuningJob", TUNING, f"{RATE}.MaxValue", "0.1", None,
        "one value is no range: leave the range out and give 0.1 alone, or a higher MaxValue",
    ),
    "logarithm of zero": (
        "CreateHyperParameterTuningJob", TUNING, f"{RATE}.MinValue", "0", None, "0 is not above 0, which a logarithmic",
    ),
    "range without numbers": (
        "CreateHyperParameterTuningJob", TUNING, f"{RATE}.MinValue", "small", RATE, "must be numbers",
    ),
    "grid over numbers": (
        "CreateHyperParameterTuningJob", TUNING, "HyperParameterTuningJobConfig.Strategy", "Grid",
        f"{RANGES}.ContinuousParameterRanges", "Grid searches categorical values only",
    ),
    "same range twice": (
        "CreateHyperParameterTuningJob", TUNING, f"{RATE}.Name", "size", RANGES, "the range 'size' is there 2 times",
    ),
    "model that is a folder": (
        "CreateModel", MODEL, "PrimaryContainer.ModelDataUrl", "s3://mine/model/", None, "must be one .tar.gz",
    ),
    "no container": ("CreateModel", MODEL, "PrimaryContainer", REMOVED, None, "either it or Containers must be given"),
    "serverless with instances": (
        "CreateEndpointConfig", SERVERLESS, f"{VARIANT}.InstanceType", "ml.m5.large", VARIANT,
        "a serverless variant has no instances, but InstanceType.*remove InstanceType",
    ),
    "odd memory": (
        "CreateEndpointConfig", SERVERLESS, f"{VARIANT}.ServerlessConfig.MemorySizeInMB", 2000, None,
        "must be a multiple of 1024.*write 2048",
    ),
    "much memory": (
        "CreateEndpointConfig", SERVERLESS, f"{VARIANT}.ServerlessConfig.MemorySizeInMB", 7168, None, "6144 or less",
    ),
    "variant on nothing": (
        "CreateEndpointConfig", SERVERLESS, f"{VARIANT}.ServerlessConfig", REMOVED, VARIANT, "needs InstanceType, or",
    ),
    "same variant twice": (
        "CreateEndpointConfig", INSTANCES, "ProductionVariants", INSTANCES["ProductionVariants"] * 2, None, "'all' is",
    ),
    "records that nobody splits": (
        "CreateTransformJob", TRANSFORM, "TransformInput.SplitType", "None", None, "MultiRecord needs it",
    ),
    "payloads over 100 MB": ("CreateTransformJob", TRANSFORM, "MaxPayloadInMB", 101, None, "is 101; 100 are allowed"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", OTHER_MISTAKES)
def test_a_mistake_in_another_request_is_named(mistake: str) -> None:
    operation, body, path, value, where, message = OTHER_MISTAKES[mistake]
    found = validate.problems(operation, changed(body, path, value), "us-east-1")
    assert len(found) == 1, found
    assert found[0].path == (where or path)
    assert re.search(message, f"{found[0].message} -> {found[0].fix}")


@pytest.mark.parametrize("instance_type", ["ml.g5.xlarge", "ml.p4d.24xlarge", "ml.r5d.large"])
def test_a_key_for_storage_that_takes_none_is_refused(instance_type: str) -> None:
    body = changed(TRAINING, "ResourceConfig.VolumeKmsKeyId", "alias/mine")
    assert validate.problems("CreateTrainingJob", body) == []
    body = changed(changed(body, IMAGE, "mine/train:1"), INSTANCE, instance_type)
    (problem,) = validate.problems("CreateTrainingJob", body)
    assert problem.path == "ResourceConfig.VolumeKmsKeyId"
    assert "has storage of its own" in problem.message


@pytest.mark.parametrize(
    ("model", "config", "path", "message"),
    [
        (changed(MODEL, "PrimaryContainer.Image", MODEL["PrimaryContainer"]["Image"].replace("cpu", "gpu")), SERVERLESS,
         "Image", "serverless endpoints have no GPU"),
        (changed(MODEL, "PrimaryContainer.Image", MODEL["PrimaryContainer"]["Image"].replace("cpu", "gpu")), INSTANCES,
         "ProductionVariants[0].InstanceType", "ml.m5.large has no GPU"),
        (changed(MODEL, "VpcConfig", {"Subnets": [], "SecurityGroupIds": []}), SERVERLESS, "VpcConfig", "in a VPC"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_fit_its_endpoint_is_named(
    model: dict[str, Any], config: dict[str, Any], path: str, message: str
) -> None:
    assert rules.endpoint_problems(MODEL, config) == []
    (problem,) = rules.endpoint_problems(model, config)
    assert problem.path == path
    assert message in problem.message


def test_the_region_is_that_of_the_image_unless_it_is_given() -> None:
    body = changed(TRAINING, "OutputDataConfig.S3OutputPath", "s3://sagemaker-eu-west-1-1/jobs")
    assert [one.path for one in validate.problems("CreateTrainingJob", body)] == ["OutputDataConfig.S3OutputPath"]
    own = changed(body, IMAGE, "mine/train:1")
    assert validate.problems("CreateTrainingJob", own) == []
    assert validate.problems("CreateTrainingJob", own, "eu-west-1") == []
    assert len(validate.problems("CreateTrainingJob", own, "eu-west-2")) == 1


def test_a_bucket_that_names_the_region_among_others_is_accepted() -> None:
    body = changed(TRAINING, "OutputDataConfig.S3OutputPath", "s3://copy-eu-west-1-to-us-east-1/jobs")
    assert validate.problems("CreateTrainingJob", body, "us-east-1") == []


def test_several_mistakes_are_named_at_once() -> None:
    body = changed(changed(TRAINING, "TrainingJobName", "_"), WAIT, 99)
    assert [one.path for one in validate.problems("CreateTrainingJob", body)] == ["TrainingJobName", WAIT]


def every_path(value: Any, path: str = "") -> Iterator[str]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        below = f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}".removeprefix(".")
        yield below
        yield from every_path(item, below)


@pytest.mark.parametrize(
    "odd",
    [REMOVED, None, 0, "", "é", [], {}, [{}], {"x": 1}],
    ids=lambda odd: "removed" if odd is REMOVED else repr(odd),
)
@pytest.mark.parametrize("operation", SOUND)
def test_the_oddest_body_is_judged_without_an_error(operation: str, odd: Any) -> None:
    for path in every_path(SOUND[operation]):
        for problem in validate.problems(operation, changed(SOUND[operation], path, odd), "us-east-1"):
            assert problem.path and problem.message


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(UserError, match="no operation 'CreateTrainingjob'; did you mean CreateTrainingJob"):
        validate.problems("CreateTrainingjob", {})


def test_every_pattern_that_a_request_can_meet_is_understood() -> None:
    operations, shapes = validate._model()

    def reachable(name: str, seen: set[str]) -> None:
        if name not in seen:
            seen.add(name)
            shape = shapes[name]
            inner = [
                *shape.get("members", {}).values(),
                *(shape[key] for key in ("member", "key", "value") if key in shape),
            ]
            for one in inner:
                reachable(one["shape"], seen)

    seen: set[str] = set()
    for operation in SOUND:
        reachable(operations[operation]["input"]["shape"], seen)
    assert {shapes[name]["type"] for name in seen} <= set(validate._TYPES)
    patterns = {shapes[name]["pattern"] for name in seen if "pattern" in shapes[name]}
    assert len(patterns) > 30
    for pattern in patterns:
        assert r"\p" not in validate._compiled(pattern).pattern


def test_nothing_of_a_problem_is_lost_in_json() -> None:
    (problem,) = validate.problems("CreateTrainingJob", changed(TRAINING, "TrainingJobName", "a b"))
    assert json.loads(json.dumps(vars(problem)))["path"] == "TrainingJobName"
    assert str(problem).startswith("TrainingJobName: 'a b' does not have the form")


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"EnableManagedSpotTraining": True}, 1),
        ({"EnableManagedSpotTraining": True, "CheckpointConfig": {"S3Uri": "s3://b/c"}}, 0),
        ({"EnableManagedSpotTraining": False}, 0),
        ({"TrainingJobDefinition": {"EnableManagedSpotTraining": True}}, 1),
        ({"TrainingJobDefinitions": [{"EnableManagedSpotTraining": True, "CheckpointConfig": {"S3Uri": "s3://b"}}]}, 0),
    ],
)
def test_a_spot_job_without_checkpoints_is_doubted(body: dict[str, Any], count: int) -> None:
    assert [one.path for one in rules.doubts(body)] == ["CheckpointConfig"] * count
