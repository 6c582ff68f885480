"""The bodies that let an endpoint's instances come and go with the requests. Pure functions."""

from onstage.sagemaker.requests.bodies import VARIANT, Body
from onstage.sagemaker_section import SageMaker


def bodies(settings: SageMaker, endpoint_name: str) -> tuple[Body, Body] | None:
    """The bodies of RegisterScalableTarget and PutScalingPolicy of Application Auto Scaling; None without bounds."""
    if settings.endpoint_max_instance_count <= settings.endpoint_instance_count:
        return None
    target: Body = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint_name}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    bounds = {"MinCapacity": settings.endpoint_instance_count, "MaxCapacity": settings.endpoint_max_instance_count}
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    policy = {
        **target,
        "PolicyName": "requests-per-instance",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(settings.endpoint_requests_per_minute),
            "PredefinedMetricSpecification": metric,
        },
    }
    return {**target, **bounds}, policy
