"""What a SavedModel needs of the server's version of TensorFlow, read without TensorFlow.

operations.json has what each minor version of TensorFlow added; packaging/operations.py makes it. Tried with the C++
loader of 2.15, 2.17, 2.19, 2.20 and 2.21: a version loads a model with an operation that it has not, and refuses each
request that reaches it, also where a branch is not taken; it goes on as if an attribute that it does not know were not
there; it refuses a value that an attribute cannot have. What no signature reaches does no harm.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from onstage.serving.model_server.saved_model_file import Graph, called_functions, contents, fields, graphs, text

_TABLE = Path(__file__).with_name("operations.json")
# TensorFlow's hints to the runtime: without them the answers are the same, as tried with gradients in a signature and
# tf.data in a model; the last two are for TPUs.
_HINTS = frozenset({
    "grad_a", "grad_b", "grad_x", "grad_y", "force_synchronous", "use_unbounded_threadpool", "mixed_priority_policy",
    "batch_padding_policy", "use_shardy_partitioner", "num_sparsecores_per_device",
})  # fmt: skip
# What TensorFlow, not the model, names: calls of functions, and branches and loops.
_CALLS = re.compile(r"(Stateful)?PartitionedCall(_\d+)?")
_CONTROL = re.compile(r"((Stateless)?(If|While|Case)|cond|while|then|else|branch|body|map|switch_case)(_\d+)?")
# Fields of tensorflow/core/framework/{node_def,attr_value}.proto; an entry of a map is its key and its value.
_NAME, _OP, _ATTRIBUTE, _KEY, _VALUE = 1, 2, 5, 1, 2
_KINDS = {2: "s", 3: "i", 5: "b", 6: "type"}
Version: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Need:
    """Something that a model uses and that only newer versions of TensorFlow have.

    `kind` is operation, attribute, type (an attribute's) or value (that an attribute cannot have in an older version).
    `what` is it in words. `place` is the node's path in the graph, by the names of layers; `layer` the innermost of
    these, without the number that TensorFlow gives it, empty if there is none. `name` is the operation's or attribute's
    own, `operation` the operation's. `is_hint` says that the answers are the same without it.
    """

    kind: str
    name: str
    operation: str
    what: str
    place: str
    layer: str
    since: Version
    is_hint: bool = False


def version(said: str) -> Version:
    """Major and minor of a version such as 2.20 or 2.21.0; (0, 0) for what is none."""
    found = re.match(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def known() -> tuple[Version, Version]:
    """The oldest and the newest version of TensorFlow that the table has."""
    return version(_table()["oldest"]), version(_table()["newest"])


def producer(folder: Path) -> Version:
    """The version that wrote the SavedModel in `folder`; raises as `needs` does."""
    return max((version(graph.producer) for graph in graphs(folder)), default=(0, 0))


def needs(folder: Path) -> list[Need]:
    """What the SavedModel in `folder` needs beyond the oldest version, each thing once, at the first place that has it.

    Raises OSError when `folder` holds no saved_model.pb, and ValueError when that is no protocol buffer.
    """
    found: dict[tuple[str, str], Need] = {}
    for graph in graphs(folder):
        if not graph.tags or "serve" in graph.tags:
            for path, node in _reached(graph):
                for need in _needs_of(path, node):
                    found.setdefault((need.kind, need.what), need)
    return list(found.values())


@dataclass(frozen=True)
class _Node:
    name: str
    op: str
    attributes: Mapping[str, memoryview]


def _reached(graph: Graph) -> Iterator[tuple[str, _Node]]:
    """Every node that a request can reach, with its path; a function's, once."""
    functions = dict(graph.functions())
    waiting = [("", "", graph.nodes())]
    while waiting:
        path, caller, nodes = waiting.pop()
        for node in map(_node, nodes):
            # Nodes of a branch and a loop repeat the name of the node that calls it.
            above = path.removesuffix(caller) if caller and node.name.startswith(f"{caller}/") else f"{path}/"
            here = f"{above}{node.name}".lstrip("/")
            yield here, node
            called = [node.op, *(name for value in node.attributes.values() for name in called_functions(value))]
            # Popped, so that no function is visited twice, and recursion ends.
            waiting += [(here, node.name, functions.pop(name)) for name in called if name in functions]


def _node(content: memoryview) -> _Node:
    attributes = {
        text(entry, _KEY): value for entry in contents(content, _ATTRIBUTE) for value in contents(entry, _VALUE)
    }
    return _Node(text(content, _NAME), text(content, _OP), attributes)


def _needs_of(path: str, node: _Node) -> Iterator[Need]:
    def need(kind: str, name: str, what: str, since: Version, is_hint: bool = False) -> Need:
        return Need(kind, name, node.op, what, place, layer, since, is_hint)

    place, layer = _place(path)
    for since, step in _steps():
        if node.op in step["operations"]:
            yield need("operation", node.op, node.op, since)
        for name, default in step["attributes"].get(node.op, {}).items():
            value = _value(node.attributes.get(name))
            if value and list(value) != default:
                kind = "type" if value[0] == "type" else "attribute"
                yield need(kind, name, f"{name}={_shown(*value)} of {node.op}", since, name in _HINTS)
        for name, (kind, allowed) in step["values"].get(node.op, {}).items():
            value = _value(node.attributes.get(name))
            if value and value[0] == kind and value[1] in allowed:
                yield need("value", name, f"{name}={_shown(*value)} of {node.op}", since)


def _value(attribute: memoryview | None) -> tuple[str, Any] | None:
    """Kind and value of an AttrValue; None for one that is not there, or empty."""
    for number, value in fields(attribute or b""):
        kind = _KINDS.get(number, "other")
        if isinstance(value, int):
            # A negative int64 has all of its 64 bits.
            return kind, bool(value) if kind == "b" else value - (value >> 63 << 64)
        return kind, bytes(value).decode(errors="replace")
    return None


def _shown(kind: str, value: Any) -> str:
    return _table()["types"].get(str(value), f"type {value}") if kind == "type" else repr(value)


def _place(path: str) -> tuple[str, str]:
    """A node's path without what only calls functions, and the layer in it."""
    parts = [part for part in path.split("/") if not _CALLS.fullmatch(part)]
    scopes = [part for part in parts[:-1] if not _CONTROL.fullmatch(part)]
    return "/".join(parts), re.sub(r"_\d+$", "", scopes[-1]) if scopes else ""


@functools.cache
def _table() -> dict[str, Any]:
    return json.loads(_TABLE.read_text(encoding="utf-8"))


@functools.cache
def _steps() -> list[tuple[Version, dict[str, Any]]]:
    return [(version(name), step) for name, step in _table()["added"].items()]
