"""What a rehearsal of SageMaker's jobs cannot know of just this request."""

from collections.abc import Mapping
from typing import Any

from onstage.errors import UserError
from onstage.rehearsal import cluster, unseen
from onstage.rehearsal.operation_checks import Server
from onstage.sagemaker.requests import images

_PLATFORM = "sagemaker"


def not_seen(body: Mapping[str, Any], server: Server | None, asked: str = "") -> list[str]:
    """Short lines about a CreateTrainingJob or CreateHyperParameterTuningJob body, and what will serve its model.

    `asked` is a version of TensorFlow that serves it here, too.
    """
    definitions = body.get("TrainingJobDefinitions") or [body.get("TrainingJobDefinition") or body]
    job: Mapping[str, Any] = definitions[0]
    image = job.get("AlgorithmSpecification", {}).get("TrainingImage", "")
    lines = [unseen.account(_PLATFORM, _things(job))]
    if image:
        lines.append(unseen.libraries(_PLATFORM, image, images.known_image(image)))
    lines += unseen.kernels(_PLATFORM, server, asked)
    resources = job.get("ResourceConfig", {})
    groups = resources.get("InstanceGroups") or [resources]
    kinds = sorted({group["InstanceType"] for group in groups if "InstanceType" in group})
    count = sum(group.get("InstanceCount", 1) for group in groups)
    gpu = "its GPU" if any(map(_has_gpu, kinds)) else ""
    lines += unseen.machines(_PLATFORM, " and ".join(kinds), gpu, count) + cluster.not_seen(_PLATFORM, count)
    if job.get("EnableManagedSpotTraining"):
        lines.append(f"{_PLATFORM}: how often spot capacity is taken away: here the job runs once, to its end")
    if job is not body:
        lines.append(f"{_PLATFORM}: the search: here one trial runs, with the middle of every range")
    return lines


def _things(job: Mapping[str, Any]) -> list[str]:
    things = ["buckets", "the role"]
    if job.get("VpcConfig"):
        things.append("the subnets")
    if "KmsKeyId" in job.get("OutputDataConfig", {}) or "VolumeKmsKeyId" in job.get("ResourceConfig", {}):
        things.append("the keys")
    return things


def _has_gpu(instance_type: str) -> bool:
    try:
        return images.accelerator_of(instance_type) == "gpu"
    except UserError:
        # A processor on which the images do not run at all: the check of the request says so.
        return False
