"""Sound requests to SageMaker, one of each operation, and how to change one."""

import copy
import re
from typing import Any

REMOVED = object()
# Paths of members that several tests change.
ALGORITHM = "AlgorithmSpecification"
REGEX = f"{ALGORITHM}.MetricDefinitions[0].Regex"
IMAGE = f"{ALGORITHM}.TrainingImage"
INSTANCE = "ResourceConfig.InstanceType"
WAIT = "StoppingCondition.MaxWaitTimeInSeconds"
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
