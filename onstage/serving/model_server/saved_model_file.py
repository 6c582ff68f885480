"""What a saved_model.pb holds, read without TensorFlow, which takes seconds to import."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Operations that call back into the Python process that exported the graph: tf.py_function, tf.numpy_function and
# Dataset.from_generator. TensorFlow Serving's binary has no kernel for them.
PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
# Fields of tensorflow/core/protobuf/{saved_model,meta_graph}.proto and core/framework/{graph,function,node_def}.proto.
_META_GRAPHS, _META_INFO, _TAGS, _VERSION, _GRAPH_DEF, _NODES, _LIBRARY = 2, 1, 4, 5, 2, 1, 2
_CUT_OFF = "it is cut off"
_FUNCTIONS, _SIGNATURE, _BODY, _NAME, _OP = 1, 1, 3, 1, 2


def python_only_ops(folder: Path) -> list[str]:
    """The operations of a SavedModel that only Python can run, as `Op (node, function)`; empty for a servable one.

    Raises OSError when `folder` holds no saved_model.pb, and ValueError when that is no protocol buffer.
    """
    found = []
    for graph in graphs(folder):
        found += _ops(graph.nodes(), "")
        for name, body in graph.functions():
            found += _ops(body, f", in {name}")
    return found


@dataclass(frozen=True)
class Graph:
    """A MetaGraphDef's graph: the version of TensorFlow that wrote it, such as 2.21.0, its tags, and its bytes.

    Nodes are the bytes of NodeDefs.
    """

    producer: str
    tags: frozenset[str]
    content: memoryview

    def nodes(self) -> Iterator[memoryview]:
        """Those outside of all functions."""
        return contents(self.content, _NODES)

    def functions(self) -> Iterator[tuple[str, Iterator[memoryview]]]:
        """Name and nodes of each function in the library."""
        for library in contents(self.content, _LIBRARY):
            for function in contents(library, _FUNCTIONS):
                yield text(next(contents(function, _SIGNATURE), b""), _NAME), contents(function, _BODY)


def graphs(folder: Path) -> Iterator[Graph]:
    """The graphs of a SavedModel; raises as `python_only_ops` does."""
    for meta_graph in contents((folder / "saved_model.pb").read_bytes(), _META_GRAPHS):
        info = next(contents(meta_graph, _META_INFO), memoryview(b""))
        tags = frozenset(bytes(tag).decode() for tag in contents(info, _TAGS))
        for content in contents(meta_graph, _GRAPH_DEF):
            yield Graph(text(info, _VERSION), tags, content)


def _ops(nodes: Iterator[memoryview], where: str) -> list[str]:
    named = ((text(node, _OP), text(node, _NAME)) for node in nodes)
    return [f"{op} (node {name}{where})" for op, name in named if op in PYTHON_OPS]


def text(message: bytes | memoryview, field: int) -> str:
    """The first field of that number, as a text; empty if there is none."""
    return bytes(next(contents(message, field), b"")).decode()


def fields(message: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of every field, a varint as a whole number, all else as bytes. Source: protobuf.dev, Encoding.

    Raises ValueError for what is no protocol buffer.
    """
    message, position = memoryview(message), 0
    while position < len(message):
        tag, position = _varint(message, position)
        wire_type = tag & 7
        if wire_type == 0:
            value, position = _varint(message, position)
            yield tag >> 3, value
            continue
        if wire_type == 2:
            length, position = _varint(message, position)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError("it is no SavedModel")
        if position + length > len(message):
            raise ValueError(_CUT_OFF)
        yield tag >> 3, message[position : position + length]
        position += length


def contents(message: bytes | memoryview, wanted: int) -> Iterator[memoryview]:
    """The bytes of every field of that number."""
    for number, value in fields(message):
        if number == wanted and not isinstance(value, int):
            yield value


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
    raise ValueError(_CUT_OFF)
