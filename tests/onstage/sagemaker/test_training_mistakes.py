"""What SageMaker would refuse in a training job is named here, in the service's words where they are known."""

import re
from typing import Any

import pytest

from onstage.sagemaker.requests import validate
from tests.onstage.sagemaker.sound import ALGORITHM, IMAGE, INSTANCE, REGEX, REMOVED, TRAINING, WAIT, changed

CHANNEL = "InputDataConfig[0].ChannelName"
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
def test_a_mistake_in_a_training_job_is_named(mistake: str) -> None:
    path, value, where, message, said = TRAINING_MISTAKES[mistake]
    found = validate.problems("CreateTrainingJob", changed(TRAINING, path, value), "us-east-1")
    assert len(found) == 1, found
    assert found[0].path == (where or path)
    assert re.search(message, f"{found[0].message} -> {found[0].fix}")
    assert said in found[0].cloud
