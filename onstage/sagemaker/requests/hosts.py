"""The same training job on another number of hosts, or for longer, so that it can be compared with what is sent."""

import copy
from collections.abc import Mapping
from typing import Any

from onstage.sagemaker.requests.bodies import encoded

Body = dict[str, Any]


def count_of(body: Mapping[str, Any]) -> int:
    """How many hosts a CreateTrainingJob body asks for."""
    return int(body["ResourceConfig"].get("InstanceCount", 1))


def changed(body: Mapping[str, Any], name: str, *, count: int | None = None, epochs: int | None = None) -> Body:
    """A CreateTrainingJob body with places of its own, which end in `name`; `count` hosts, `epochs` as told."""
    other = copy.deepcopy(dict(body))
    other["TrainingJobName"] = f"{body['TrainingJobName']}-{name}"
    if "CheckpointConfig" in other:
        other["CheckpointConfig"]["S3Uri"] += f"-{name}"
    if count is not None:
        other["ResourceConfig"]["InstanceCount"] = count
    if epochs is not None:
        other["HyperParameters"] |= encoded({"epochs": epochs})
    return other
