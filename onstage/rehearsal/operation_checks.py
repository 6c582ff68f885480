"""Holds what a model's graph uses against the version of TensorFlow that will serve it, and says what that lacks."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onstage.checks.source_checks import Source
from onstage.report import Finding
from onstage.serving import operations
from onstage.serving.operations import Need, Version, version

_CLOUD = {
    "operation": "the endpoint is in service, and requests fail: Op type not registered '{name}' in binary",
    "attribute": "the endpoint is in service and leaves {name} out: its answers are others, or requests fail",
    "type": "the endpoint never is in service, or requests fail: expected another type than {name}",
    "value": "the endpoint never is in service, or requests fail: {name} is not in the list of allowed values",
}


@dataclass(frozen=True)
class Server:
    """The container that will serve a model: `tensorflow` is its version, empty where that is not known.

    `newest` is the newest version that the platform's own images have, and `how` what to write to be served by it.
    `code` is what made the model.
    """

    image: str
    tensorflow: str
    newest: str
    how: str
    code: Source


def check_operations(model: Path, server: Server | None) -> list[Finding] | str:
    """What the exports below `model` use and the server's version of TensorFlow has not; None: no server is named."""
    folders = [file.parent for file in sorted(model.rglob("saved_model.pb"))]
    needs = list(dict.fromkeys(need for folder in folders for need in operations.needs(folder)))
    producer = max(map(operations.producer, folders), default=(0, 0))
    oldest, newest = operations.known()
    has = version(server.tensorflow) if server else (0, 0)
    if server is None or has == (0, 0):
        which = f"which TensorFlow {server.image} has is not known" if server else "the request names no server"
        newer = [_unknown(need, which) for need in needs if not need.is_hint]
        return newer or f"{which}; every version from {_text(oldest)} on has what the model uses"
    missing = [need for need in needs if need.since > has]
    findings = [_missing(need, server) for need in missing if not need.is_hint]
    if has < producer and (has < oldest or producer > newest):
        what = (
            f"the model is of TensorFlow {_text(producer)}, its server of {_text(has)}; of what versions added, those "
            f"up to {_text(oldest)} and from {_text(newest)} on are not known here"
        )
        findings.append(Finding(what, "ask the endpoint before you rely on it", warning=True))
    left_out = [need.what for need in missing if need.is_hint]
    without = f"; it leaves out {', '.join(left_out)}, which changes no answer" if left_out else ""
    return findings or f"TensorFlow {server.tensorflow}, which will serve, has what the model uses{without}"


def lacking(folders: Iterable[Path], tensorflow: str, code: Source) -> Finding | None:
    """The first thing that SavedModels use and this version is known to lack, as a finding; None for none."""
    needs = (need for folder in folders for need in operations.needs(folder) if not need.is_hint)
    need = next((one for one in needs if one.since > version(tensorflow)), None)
    if need is None:
        return None
    file, line = _line(need, code)
    since = _text(need.since)
    fix = f"{_replace(need, tensorflow)}, or serve with TensorFlow {since} or newer"
    return Finding(f"{_used(need)} from {since} on", fix, file=file, line=line)


def _missing(need: Need, server: Server) -> Finding:
    newer = f"{server.how}: TensorFlow {server.newest} serves then"
    own = f"serve with an image of TensorFlow {_text(need.since)} or newer"
    file, line = _line(need, server.code)
    return Finding(
        f"{_used(need)} from {_text(need.since)} on; the server, {server.image}, has {server.tensorflow}",
        f"{newer if version(server.newest) >= need.since else own}; or {_replace(need, server.tensorflow)}",
        _CLOUD[need.kind].format(name=need.name),
        file=file,
        line=line,
    )


def _replace(need: Need, tensorflow: str) -> str:
    where = f"the layer {need.layer}" if need.layer else "that place"
    return f"replace it in {where} by what TensorFlow {tensorflow} has"


def _unknown(need: Need, which: str) -> Finding:
    return Finding(
        f"{_used(need)} from {_text(need.since)} on; {which}",
        f"serve it with TensorFlow {_text(need.since)} or newer",
        f"with an older one: {_CLOUD[need.kind].format(name=need.name)}",
        warning=True,
    )


def _line(need: Need, code: Source) -> tuple[str, int | None]:
    """The file, and the first line in it, that names what a model needs, as tf.io.decode_webp or as a keyword."""
    for file, tree in code.trees.items():
        lines = [node.lineno for node in ast.walk(tree) if _names(node, need)]  # type: ignore[attr-defined]
        if lines:
            return code.name(file), min(lines)
    return "", None


def _names(node: Any, need: Need) -> bool:
    if need.kind in ("attribute", "type"):
        return isinstance(node, ast.keyword) and node.arg == need.name
    said = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return said.replace("_", "").lower() == need.operation.lower()


def _used(need: Need) -> str:
    what = {"operation": "the operation ", "value": "", "type": "", "attribute": ""}[need.kind]
    layer = f"the layer {need.layer}" if need.layer else "the model's graph"
    return f"{layer} uses {what}{need.what} ({need.place}), which TensorFlow has"


def _text(one: Version) -> str:
    return ".".join(map(str, one))
