"""What a rehearsal of Vertex AI's jobs cannot know of just this request."""

from collections.abc import Mapping
from typing import Any

from onstage.rehearsal import cluster, unseen
from onstage.rehearsal.operation_checks import Server
from onstage.vertex.requests import images

_PLATFORM = "vertex"


def not_seen(body: Mapping[str, Any], server: Server | None, asked: str = "") -> list[str]:
    """Short lines about a CustomJob or HyperparameterTuningJob body, and what will serve its model.

    `asked` is a version of TensorFlow that serves it here, too.
    """
    spec: Mapping[str, Any] = body.get("trialJobSpec") or body.get("jobSpec") or {}
    pools = [pool for pool in spec.get("workerPoolSpecs") or () if pool]
    uris = list(dict.fromkeys(filter(None, map(_image, pools))))
    lines = [unseen.account(_PLATFORM, _things(body, spec))]
    lines += [unseen.libraries(_PLATFORM, uri, images.known_image(uri)) for uri in uris]
    lines += unseen.kernels(_PLATFORM, server, asked)
    machines = [pool.get("machineSpec") or {} for pool in pools]
    kinds = _named(machines, "machineType")
    # int64 may be a text in JSON.
    count = sum(int(pool.get("replicaCount", 1)) for pool in pools)
    gpu = _named(machines, "acceleratorType")
    lines += unseen.machines(_PLATFORM, kinds, f"its GPU ({gpu})" if gpu else "", count)
    lines += cluster.not_seen(_PLATFORM, count)
    if "trialJobSpec" in body:
        lines.append(f"{_PLATFORM}: the search: here one trial runs, with the middle of every range")
    return lines


def _things(body: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    things = ["the project", "buckets"]
    for name, thing in (("serviceAccount", "the service account"), ("network", "the network")):
        if spec.get(name):
            things.append(thing)
    return [*things, "the key"] if body.get("encryptionSpec") else things


def _image(pool: Mapping[str, Any]) -> str:
    task: Mapping[str, Any] = pool.get("containerSpec") or pool.get("pythonPackageSpec") or {}
    return task.get("imageUri") or task.get("executorImageUri") or ""


def _named(machines: list[Any], name: str) -> str:
    return " and ".join(sorted({one[name] for one in machines if one.get(name)}))
