"""What SageMaker would refuse is named here, in the service's words where they are known, next to what it accepts."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

REMOVED = object()
TRAINING: dict[str, Any] = {
    "TrainingJobName": "iris-1",
    "HyperParameters": {"epochs": "2", "sagemaker_submit_directory": '"s3://mine/source.tar.gz"'},
    "AlgorithmSpecification": {
        "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.21-cpu-py312",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "loss", "Regex": r"\sloss=([0-9.]+)"}],
    },
    "RoleArn": "arn:aws:iam::111122223333:role/trainer",
    "InputDataConfig": [
        {
            "ChannelName": name,
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://mine/{name}"} },
        }
        for name in ("train", "eval")
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://mine/jobs", "KmsKeyId": "alias/mine"},
    "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 200},
    "EnableManagedSpotTraining": True,
    "CheckpointConfig": {"S3Uri": "s3://mine/checkpoints/iris"},
    "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
    "Tags": [{"Key": "team", "Value": "Größe 1"}],
    "Environment": {"LEVEL": "1"},
}  # fmt: skip
TUNING: dict[str, Any] = {
    "HyperParameterTuningJobName": "tune-1",
    "HyperParameterTuningJobConfig": {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": {
            "ContinuousParameterRanges": [
                {"Name": "rate", "MinValue": "0.1", "MaxValue": "1", "ScalingType": "Logarithmic"}
            ],
            "CategoricalParameterRanges": [{"Name": "size", "Values": ["8", "16"]}],
        },
    },
    "TrainingJobDefinition": {
        "StaticHyperParameters": {"epochs": "2"},
        **{
            name: TRAINING[name]
            for name in ("AlgorithmSpecification", "RoleArn", "OutputDataConfig", "ResourceConfig", "InputDataConfig")
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 100},
    },
}
MODEL: dict[str, Any] = {
    "ModelName": "iris",
    "PrimaryContainer": {
        "Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20-cpu-py312",
        "ModelDataUrl": "s3://mine/model.tar.gz",
    },
    "ExecutionRoleArn": "arn:aws:iam::111122223333:role/trainer",
}
INSTANCES: dict[str, Any] = {
    "EndpointConfigName": "iris",
    "ProductionVariants": [
        {"VariantName": "all", "ModelName": "iris", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    ],
}
SERVERLESS: dict[str, Any] = {
    "EndpointConfigName": "iris",
    "ProductionVariants": [
        {
            "VariantName": "all",
            "ModelName": "iris",
            "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
        }
    ],
}
TRANSFORM: dict[str, Any] = {
    "TransformJobName": "iris",
    "ModelName": "iris",
    "BatchStrategy": "MultiRecord",
    "TransformInput": {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://mine/in"} },
        "SplitType": "Line",
    },
    "TransformOutput": {"S3OutputPath": "s3://mine/out"},
    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
}  # fmt: skip
SOUND = {
    "CreateTrainingJob": TRAINING,
    "CreateHyperParameterTuningJob": TUNING,
    "CreateModel": MODEL,
    "CreateEndpointConfig": INSTANCES,
    "CreateTransformJob": TRANSFORM,
    "CreateEndpoint": {"EndpointName": "iris", "EndpointConfigName": "iris"},
}


@pytest.fixture(scope="module")
def cloud(project: Path) -> Any:
    from onstage.errors import UserError
    from onstage.sagemaker.requests import rules, validate

    return SimpleNamespace(validate=validate, rules=rules, UserError=UserError)


def changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `body` with the member at `path` set, or removed."""
    body = copy.deepcopy(body)
    *parents, last = [
        int(number) if number else key or name
        for name, number, key in re.findall(r'([A-Za-z]\w*)|\[(\d+)\]|\["(.+?)"\]', path)
    ]
    target: Any = body
    for part in parents:
        target = target[part]
    if value is REMOVED:
        del target[last]
    else:
        target[last] = value
    return body


@pytest.mark.parametrize("operation", SOUND)
def test_a_sound_body_has_no_problems(cloud: Any, operation: str) -> None:
    assert cloud.validate.problems(operation, SOUND[operation], "us-east-1") == []


def test_a_serverless_configuration_has_no_problems(cloud: Any) -> None:
    assert cloud.validate.problems("CreateEndpointConfig", SERVERLESS, "us-east-1") == []
    assert cloud.rules.endpoint_problems(MODEL, SERVERLESS) == []


ALGORITHM = "AlgorithmSpecification"
REGEX = f"{ALGORITHM}.MetricDefinitions[0].Regex"
CHANNEL = "InputDataConfig[0].ChannelName"
IMAGE = f"{ALGORITHM}.TrainingImage"
INSTANCE = "ResourceConfig.InstanceType"
WAIT = "StoppingCondition.MaxWaitTimeInSeconds"
KEY = 'HyperParameters["note"]'
ARN = "arn:aws:kms:eu-west-1:111122223333:key/1"
CPU, GPU = TRAINING[ALGORITHM]["TrainingImage"], TRAINING[ALGORITHM]["TrainingImage"].replace("cpu", "gpu")

# Path and value of the change; where the problem is, if elsewhere; words of message and fix; words of SageMaker.
TRAINING_MISTAKES: dict[str, tuple[str, Any, str | None, str, str]] = {
    "underscore in the name": (
        "TrainingJobName", "iris_1", None, "does not have the form .*: '_' not allowed",
        "ValidationException: 1 validation error detected: Value 'iris_1' at 'trainingJobName' failed to satisfy "
        + "constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
    ),
    "long name": (
        "TrainingJobName", "i" * 64, None, "has 64 characters; 63 characters or fewer are allowed",
        "Member must have length less than or equal to 63",
    ),
    "no role": ("RoleArn", REMOVED, None, "is missing.*add RoleArn", ""),
    "role by its name": ("RoleArn", "a-role-of-twenty-letters", None, "does not have the form arn:aws", "at 'roleArn'"),
    "misspelt member": ("TrainingJobname", "x", None, "not known; did you mean TrainingJobName", ""),
    "unknown member": ("VpcConfig.Elsewhere", 1, None, "known here: SecurityGroupIds, Subnets.*remove it", ""),
    "number as a value": ('HyperParameters["epochs"]', 2, None, 'must be a text, not 2.*write "2"', ""),
    "text as a number": ("ResourceConfig.VolumeSizeInGB", "30", None, "must be a whole number, not '30'", ""),
    "boolean as a number": ("ResourceConfig.InstanceCount", True, None, "must be a whole number, not True", ""),
    "object as a list": ("InputDataConfig", {}, None, "must be a list, not {}", ""),
    "list as an object": ("VpcConfig", [], None, r"must be an object, not \[\]", ""),
    "misspelt instance type": (
        INSTANCE, "ml.m5.xlrge", None, "does not exist; did you mean ml.m5.xlarge",
        "at 'resourceConfig.instanceType' failed to satisfy constraint: Member must satisfy enum value set: [ml.m4",
    ),
    "input mode": (f"{ALGORITHM}.TrainingInputMode", "fastfile", None, "did you mean FastFile", "[Pipe, File, Fast"),
    "local data": (
        "InputDataConfig[1].DataSource.S3DataSource.S3Uri", "data/eval", None, "'data/eval' does not have the form",
        "at 'inputDataConfig.2.member.dataSource.s3DataSource.s3Uri'",
    ),
    "too many channels": (
        "InputDataConfig",
        [{**TRAINING["InputDataConfig"][0], "ChannelName": f"c{number}"} for number in range(21)],
        None, "has 21 items; 20 items or fewer", "Member must have length less than or equal to 20",
    ),
    "too many hyperparameters": (
        "HyperParameters", {str(number): "1" for number in range(101)}, None, "has 101 entries; 100 entries or fewer",
        "at 'hyperParameters' failed to satisfy constraint: Member must have length less than or equal to 100",
    ),
    "long value": (
        KEY, "x" * 2501, None, "has 2501 characters; 2500 characters or fewer are allowed",
        "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy constraint: "
        + "[Member must have length less than or equal to 2500]",
    ),
    "value of two lines": (KEY, "a\nb", None, "does not have the form", "pattern: .*]"),
    "value with Java's line separator": (KEY, "a\u2028b", None, "does not have the form", "pattern: .*]"),
    "long key": (f'HyperParameters["{"k" * 257}"]', "1", None, "has 257 characters; 256 characters or fewer", ""),
    "environment variable": ('Environment["MY-LEVEL"]', "1", None, "'MY-LEVEL' does not have the form", ""),
    "subnet": ("VpcConfig.Subnets[0]", "subnet_1", None, "does not have the form", "at 'vpcConfig.subnets'"),
    "tag": ("Tags[0].Value", "a\tb", None, "does not have the form", "at 'tags.1.member.value'"),
    "tag of AWS": ("Tags[0].Key", "aws:mine", None, "names that start with aws: belong to AWS", ""),
    "same tag twice": ("Tags", TRAINING["Tags"] * 2, None, "the tag 'team' is there 2 times", ""),
    "no time": ("StoppingCondition.MaxRuntimeInSeconds", 0, None, "is 0; it must be 1 or more", "than or equal to 1"),
    "no algorithm": (ALGORITHM, REMOVED, None, "is missing", ""),
    "no resources": ("ResourceConfig", REMOVED, None, "is missing", ""),
    "no image": (IMAGE, REMOVED, ALGORITHM, "needs either TrainingImage or AlgorithmName", ""),
    "no instance": ("ResourceConfig.InstanceCount", 0, None, "is 0; a job needs 1 or more", ""),
    "broken regex": (REGEX, "loss=([0-9", None, "is no regular expression", ""),
    "regex of no group": (REGEX, "loss=.*", None, "has 0 groups; the service reads the value from exactly one", ""),
    "regex of two groups": (REGEX, "(val_)?loss=(.*)", None, r"has 2 groups.*\(\?:", ""),
    "same metric twice": (
        f"{ALGORITHM}.MetricDefinitions", TRAINING[ALGORITHM]["MetricDefinitions"] * 2, None, "'loss' is there 2", "",
    ),
    "same channel twice": (CHANNEL, "eval", "InputDataConfig", "the channel 'eval' is there 2 times", ""),
    "dash in a channel": (CHANNEL, "my-train", None, "cannot be in SM_CHANNEL_MY-TRAIN.*write my_train", ""),
    "blank in a channel": (CHANNEL, "my train", None, "does not have the form", "at 'inputDataConfig.1.member"),
    "spot waits too briefly": (WAIT, 99, None, r"is 99, less than MaxRuntimeInSeconds \(100\).*write 100 or more", ""),
    "spot without waiting": (WAIT, REMOVED, None, "is missing, and EnableManagedSpotTraining needs it", ""),
    "waiting without spot": (
        "EnableManagedSpotTraining", False, WAIT, "only a job on spot capacity waits",
        "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true",
    ),
    "checkpoints of one job only": (
        "CheckpointConfig.S3Uri", "s3://mine/iris-1/checkpoints", None, "no checkpoint.*leave iris-1 out", "",
    ),
    "GPU without its image": (INSTANCE, "ml.g5.xlarge", None, "ml.g5.xlarge has a GPU.*is the CPU image", ""),
    "GPU image without a GPU": (IMAGE, GPU, INSTANCE, "ml.m5.xlarge has no GPU.*is the GPU image", ""),
    "no such processor": (INSTANCE, "ml.trn1.2xlarge", None, "has AWS Trainium, on which", ""),
    "bucket elsewhere": (
        "OutputDataConfig.S3OutputPath", "s3://sagemaker-eu-west-1-111122223333/jobs", None,
        "is in eu-west-1 by its name, the job in us-east-1", "the bucket exists in the selected region (us-east-1)",
    ),
    "source elsewhere": (KEY, '"s3://eu-west-1.mine/source.tar.gz"', None, "use a bucket in us-east-1", ""),
    "key elsewhere": ("OutputDataConfig.KmsKeyId", ARN, None, "is in eu-west-1, the job is in us-east-1", ""),
    "image elsewhere": (IMAGE, CPU.replace("us-east-1", "us-east-2"), None, "the image is in us-east-2", ""),
    "role of another partition": (
        "RoleArn", "arn:aws-cn:iam::111122223333:role/me", None, "partition aws-cn, the region us-east-1 to aws", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", TRAINING_MISTAKES)
def test_a_mistake_in_a_training_job_is_named(cloud: Any, mistake: str) -> None:
    path, value, where, message, said = TRAINING_MISTAKES[mistake]
    found = cloud.validate.problems("CreateTrainingJob", changed(TRAINING, path, value), "us-east-1")
    assert len(found) == 1, found
    assert found[0].path == (where or path)
    assert re.search(message, f"{found[0].message} -> {found[0].fix}")
    assert said in found[0].cloud


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
        "CreateHyperParameterTuningJob", TUNING, f"{RATE}.MaxValue", "0.05", None, "0.05 is not more than MinValue",
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
def test_a_mistake_in_another_request_is_named(cloud: Any, mistake: str) -> None:
    operation, body, path, value, where, message = OTHER_MISTAKES[mistake]
    found = cloud.validate.problems(operation, changed(body, path, value), "us-east-1")
    assert len(found) == 1, found
    assert found[0].path == (where or path)
    assert re.search(message, f"{found[0].message} -> {found[0].fix}")


@pytest.mark.parametrize("instance_type", ["ml.g5.xlarge", "ml.p4d.24xlarge", "ml.r5d.large"])
def test_a_key_for_storage_that_takes_none_is_refused(cloud: Any, instance_type: str) -> None:
    body = changed(TRAINING, "ResourceConfig.VolumeKmsKeyId", "alias/mine")
    assert cloud.validate.problems("CreateTrainingJob", body) == []
    body = changed(changed(body, IMAGE, "mine/train:1"), INSTANCE, instance_type)
    (problem,) = cloud.validate.problems("CreateTrainingJob", body)
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
    cloud: Any, model: dict[str, Any], config: dict[str, Any], path: str, message: str
) -> None:
    assert cloud.rules.endpoint_problems(MODEL, config) == []
    (problem,) = cloud.rules.endpoint_problems(model, config)
    assert problem.path == path
    assert message in problem.message


def test_the_region_is_that_of_the_image_unless_it_is_given(cloud: Any) -> None:
    body = changed(TRAINING, "OutputDataConfig.S3OutputPath", "s3://sagemaker-eu-west-1-1/jobs")
    assert [one.path for one in cloud.validate.problems("CreateTrainingJob", body)] == ["OutputDataConfig.S3OutputPath"]
    own = changed(body, IMAGE, "mine/train:1")
    assert cloud.validate.problems("CreateTrainingJob", own) == []
    assert cloud.validate.problems("CreateTrainingJob", own, "eu-west-1") == []
    assert len(cloud.validate.problems("CreateTrainingJob", own, "eu-west-2")) == 1


def test_a_bucket_that_names_the_region_among_others_is_accepted(cloud: Any) -> None:
    body = changed(TRAINING, "OutputDataConfig.S3OutputPath", "s3://copy-eu-west-1-to-us-east-1/jobs")
    assert cloud.validate.problems("CreateTrainingJob", body, "us-east-1") == []


def test_several_mistakes_are_named_at_once(cloud: Any) -> None:
    body = changed(changed(TRAINING, "TrainingJobName", "_"), WAIT, 99)
    assert [one.path for one in cloud.validate.problems("CreateTrainingJob", body)] == ["TrainingJobName", WAIT]


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
def test_the_oddest_body_is_judged_without_an_error(cloud: Any, operation: str, odd: Any) -> None:
    for path in every_path(SOUND[operation]):
        for problem in cloud.validate.problems(operation, changed(SOUND[operation], path, odd), "us-east-1"):
            assert problem.path and problem.message


def test_an_unknown_operation_is_refused(cloud: Any) -> None:
    with pytest.raises(cloud.UserError, match="no operation 'CreateTrainingjob'; did you mean CreateTrainingJob"):
        cloud.validate.problems("CreateTrainingjob", {})


def test_every_pattern_that_a_request_can_meet_is_understood(cloud: Any) -> None:
    operations, shapes = cloud.validate._model()

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
    assert {shapes[name]["type"] for name in seen} <= set(cloud.validate._TYPES)
    patterns = {shapes[name]["pattern"] for name in seen if "pattern" in shapes[name]}
    assert len(patterns) > 30
    for pattern in patterns:
        assert r"\p" not in cloud.validate._compiled(pattern).pattern


def test_nothing_of_a_problem_is_lost_in_json(cloud: Any) -> None:
    (problem,) = cloud.validate.problems("CreateTrainingJob", changed(TRAINING, "TrainingJobName", "a b"))
    assert json.loads(json.dumps(vars(problem)))["path"] == "TrainingJobName"
    assert str(problem).startswith("TrainingJobName: 'a b' does not have the form")
