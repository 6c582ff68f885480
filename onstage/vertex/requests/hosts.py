"""The same custom job on another number of hosts, or for longer, so that it can be compared with what is sent."""

import copy
from collections.abc import Mapping
from typing import Any

from onstage.vertex.requests.bodies import flags

Body = dict[str, Any]


def count_of(body: Mapping[str, Any]) -> int:
    """How many replicas a CustomJob asks for."""
    return sum(int(pool.get("replicaCount", 1)) for pool in body["jobSpec"]["workerPoolSpecs"] if pool)


def changed(body: Mapping[str, Any], name: str, *, alone: bool = False, epochs: int | None = None) -> Body:
    """A CustomJob with places of its own, which end in `name`; the chief `alone`, `epochs` as told."""
    other = copy.deepcopy(dict(body))
    spec = other["jobSpec"]
    spec["baseOutputDirectory"]["outputUriPrefix"] += f"-{name}"
    if alone:
        spec["workerPoolSpecs"] = spec["workerPoolSpecs"][:1]
    if epochs is not None:
        for pool in spec["workerPoolSpecs"]:
            # The last flag of a name wins.
            (pool.get("containerSpec") or pool["pythonPackageSpec"])["args"] += flags({"epochs": epochs})
    return other
