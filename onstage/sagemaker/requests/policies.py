"""The least that jobs, and the people who send them, have to be allowed. Pure functions.

The role's policy is also in account.yaml of client/, which makes the role.
"""

import re
from typing import Any

from onstage.sagemaker.requests import images
from onstage.sagemaker.requests.locations import name_prefix
from onstage.sagemaker_section import SageMaker
from onstage.settings import Settings

Policy = dict[str, Any]
VERSION = "2012-10-17"


def role_policy(settings: Settings, account: str) -> Policy:
    """What jobs and endpoints may do: the bucket, logs, metrics, and AWS's TensorFlow images."""
    cloud = settings.cloud(SageMaker)
    arn, region = f"arn:{images.partition(cloud.region)}", cloud.region
    bucket = f"{arn}:s3:::{cloud.bucket or 'BUCKET'}"
    namespaces = {"cloudwatch:namespace": ["/aws/sagemaker/*", "aws/sagemaker/*"]}
    logs = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return _policy(
        _allow("Bucket", ["s3:ListBucket", "s3:GetBucketLocation"], bucket),
        _allow("Objects", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], f"{bucket}/*"),
        _allow("Logs", logs, f"{arn}:logs:{region}:{account}:log-group:/aws/sagemaker/*"),
        _allow("Metrics", ["cloudwatch:PutMetricData"], "*", {"StringLike": namespaces}),
        _allow("Registry", ["ecr:GetAuthorizationToken"], "*"),
        _allow("Images", pull, f"{arn}:ecr:{region}:*:repository/tensorflow-*"),
    )


def person_policy(settings: Settings, account: str) -> Policy:
    """What whoever types `onstage sagemaker ...` may do, with the project's jobs, bucket and role only."""
    cloud = settings.cloud(SageMaker)
    arn = f"arn:{images.partition(cloud.region)}"
    bucket = f"{arn}:s3:::{cloud.bucket or 'BUCKET'}"
    service = f"{arn}:sagemaker:{cloud.region}:{account}"
    names = f"{_whole_words(name_prefix(settings.name), settings.name)}*"
    kinds = {"TrainingJob": "training-job", "HyperParameterTuningJob": "hyper-parameter-tuning-job",
             "TransformJob": "transform-job", "Model": "model", "EndpointConfig": "endpoint-config",
             "Endpoint": "endpoint"}  # fmt: skip
    jobs = [f"sagemaker:{verb}{kind}" for kind in list(kinds)[:3] for verb in ("Create", "Describe", "Stop")]
    parts = [f"sagemaker:{verb}{kind}" for kind in list(kinds)[3:] for verb in ("Create", "Describe", "Delete")]
    lists = [f"sagemaker:List{kind}s" for kind in (*list(kinds)[:3], "Endpoint")]
    objects = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    passed = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    statements = [
        _allow("Bucket", ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"], bucket),
        _allow("Objects", objects, f"{bucket}/*"),
        _allow("Jobs", [*jobs, *parts, "sagemaker:InvokeEndpoint", "sagemaker:AddTags"],
               [f"{service}:{kind}/{names}" for kind in kinds.values()]),
        _allow("Lists", [*lists, "sagemaker:ListTrainingJobsForHyperParameterTuningJob"], "*"),
        _allow("Role", ["iam:PassRole"], cloud.role or "ROLE", {"StringEquals": passed}),
        _allow("Logs", ["logs:DescribeLogStreams", "logs:GetLogEvents"],
               f"{arn}:logs:{cloud.region}:{account}:log-group:/aws/sagemaker/*"),
        _allow("Looks", ["iam:GetRole"], cloud.role or "ROLE"),
        _allow("Quotas", ["servicequotas:ListServiceQuotas"], "*"),
    ]  # fmt: skip
    if cloud.endpoint_max_instance_count:
        scaling = ["application-autoscaling:RegisterScalableTarget", "application-autoscaling:PutScalingPolicy"]
        statements.append(
            _allow("Scaling", [*scaling, "cloudwatch:PutMetricAlarm", "iam:CreateServiceLinkedRole"], "*")
        )
    return _policy(*statements)


def _whole_words(prefix: str, slug: str) -> str:
    """A prefix of names without the word that it cuts, if it has another: half of one would be a riddle."""
    rest = re.sub(r"[^a-zA-Z0-9]+", "-", slug).strip("-")[len(prefix) :]
    return prefix.rpartition("-")[0] or prefix if rest and not rest.startswith("-") else prefix


def _policy(*statements: dict[str, Any]) -> Policy:
    return {"Version": VERSION, "Statement": list(statements)}


def _allow(
    name: str, actions: list[str], resource: str | list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    condition = {"Condition": condition} if condition else {}
    return {"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resource, **condition}
