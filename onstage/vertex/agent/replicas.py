"""What Vertex AI prepares for every replica before its container starts: the environment, and /gcs, relocated.

https://cloud.google.com/vertex-ai/docs/training/code-requirements, .../distributed-training
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onstage.errors import UserError

# Of no project in particular. The service gives the number, not the name.
PROJECT_NUMBER = "111122223333"
JOB_ID = "1234567890123456789"
# Pools by their position: what TensorFlow calls them.
ROLES = ("chief", "worker", "ps", "evaluator")
_GCS = re.compile(r"(?<![\w./-])/gcs/")


@dataclass(frozen=True)
class Replica:
    """One container: its folder, what it runs and the variables that the service and the request set.

    `name` is its task's, `host` that of its machine.
    """

    name: str
    host: str
    root: Path
    pool: Mapping[str, Any]
    variables: dict[str, str]
    metric_file: Path

    @property
    def work(self) -> Path:
        """Its working directory: empty, where the container's is /."""
        return self.root / "work"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.root / "log.txt"


def host_names(spec: Mapping[str, Any]) -> list[str]:
    """The hosts' names as the service gives them, of a CustomJobSpec: the chief's first.

    Raises UserError for a job without pools.
    """
    return [_host(number, index) for number, size in _sizes(spec).items() for index in range(size)]


def lay_out(
    spec: Mapping[str, Any],
    buckets: Path,
    folder: Path,
    trial: str | None,
    addresses: Mapping[str, str] | None = None,
) -> list[Replica]:
    """Every replica of a CustomJobSpec, its folders made below `folder`; `buckets` is what is /gcs in a container.

    `addresses` are what it is told of each host, by `host_names`; without them, the name. Raises UserError for a used
    `folder`, and for a job without pools.
    """
    sizes, told = _sizes(spec), addresses or {name: f"{name}:2222" for name in host_names(spec)}
    hosts = {number: [told[_host(number, index)] for index in range(size)] for number, size in sizes.items()}
    replicas = []
    for number, size in sizes.items():
        pool = spec["workerPoolSpecs"][number]
        for index in range(size):
            name = f"workerpool{number}-{index}"
            root = folder / name
            if root.exists():
                raise UserError(f"{root} is there already: give every run a folder of its own")
            for part in ("home", "tmp", "work"):
                (root / part).mkdir(parents=True)
            metric_file = root / "tmp" / "hypertune" / "output.metrics"
            variables = _variables(spec, hosts, number, index, trial)
            if trial is not None:
                variables |= {"CLOUD_ML_TRIAL_ID": trial, "CLOUD_ML_HP_METRIC_FILE": str(metric_file)}
            own = {one["name"]: relocate(one.get("value", ""), buckets) for one in task(pool).get("env") or ()}
            replicas.append(Replica(name, _host(number, index), root, pool, {**variables, **own}, metric_file))
    return replicas


def task(pool: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pool's containerSpec or pythonPackageSpec. Raises UserError when it has neither."""
    found = pool.get("containerSpec") or pool.get("pythonPackageSpec")
    if not found:
        raise UserError("a worker pool needs either containerSpec or pythonPackageSpec")
    return found


def relocate(text: str, buckets: Path) -> str:
    """`text` with `buckets` for /gcs, where that begins a path."""
    return _GCS.sub(lambda _: f"{buckets.as_posix()}/", text)


def model_place(spec: Mapping[str, Any]) -> str | None:
    """The gs:// URI of AIP_MODEL_DIR, without the slash at its end; None without a baseOutputDirectory."""
    base = (spec.get("baseOutputDirectory") or {}).get("outputUriPrefix")
    return f"{base.rstrip('/')}/model" if base else None


def _variables(
    spec: Mapping[str, Any], hosts: Mapping[int, Sequence[str]], number: int, index: int, trial: str | None
) -> dict[str, str]:
    base = (spec.get("baseOutputDirectory") or {}).get("outputUriPrefix")
    numbered = {"trial": trial} if trial is not None else {}
    pools = {f"workerpool{pool}": list(addresses) for pool, addresses in hosts.items()}
    own = {"type": f"workerpool{number}", "index": index, **numbered}
    variables = {
        "CLOUD_ML_PROJECT_ID": PROJECT_NUMBER,
        "CLOUD_ML_JOB_ID": JOB_ID,
        "CLUSTER_SPEC": _described(pools, own, spec),
    }
    if base:
        places = {"AIP_MODEL_DIR": "model", "AIP_CHECKPOINT_DIR": "checkpoints", "AIP_TENSORBOARD_LOG_DIR": "logs"}
        variables |= {variable: f"{base.rstrip('/')}/{name}/" for variable, name in places.items()}
    if sum(map(len, hosts.values())) > 1:
        # An evaluator is not part of TensorFlow's cluster.
        cluster = {ROLES[pool]: list(addresses) for pool, addresses in hosts.items() if ROLES[pool] != "evaluator"}
        variables["TF_CONFIG"] = _described(cluster, {"type": ROLES[number], "index": index, **numbered}, spec)
    return variables


def _described(cluster: Mapping[str, Any], own: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    return json.dumps({"cluster": cluster, "environment": "cloud", "task": own, "job": spec})


def _sizes(spec: Mapping[str, Any]) -> dict[int, int]:
    """How many replicas the pools have that have any, by their position."""
    pools = [(number, pool) for number, pool in enumerate(spec.get("workerPoolSpecs") or ()) if pool]
    if not pools or pools[0][0]:
        raise UserError("the request has no jobSpec.workerPoolSpecs[0]")
    return {number: int(pool.get("replicaCount", 1)) for number, pool in pools}


def _host(number: int, index: int) -> str:
    # Source: https://cloud.google.com/vertex-ai/docs/training/distributed-training, CLUSTER_SPEC.
    return f"cmle-training-workerpool{number}-{JOB_ID[:10]}-{index}"
