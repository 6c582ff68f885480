"""What a saved_model.pb holds, read without TensorFlow, which takes seconds to import."""

from collections.abc import Iterator
from pathlib import Path

# Operations that call back into the Python process that exported the graph: tf.py_function, tf.numpy_function and
# Dataset.from_generator. TensorFlow Serving's binary has no kernel for them.
PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
# Fields of tensorflow/core/protobuf/saved_model.proto and tensorflow/core/framework/{graph,function,node_def}.proto.
_META_GRAPHS, _GRAPH_DEF, _NODES, _LIBRARY, _FUNCTIONS, _SIGNATURE, _BODY, _NAME, _OP = 2, 2, 1, 2, 1, 1, 3, 1, 2


def python_only_ops(folder: Path) -> list[str]:
    """The operations of a SavedModel that only Python can run, as `Op (node, function)`; empty for a servable one.

    Raises OSError when `folder` holds no saved_model.pb, and ValueError when that is no protocol buffer.
    """
    found = []
    for meta_graph in _fields((folder / "saved_model.pb").read_bytes(), _META_GRAPHS):
        for graph in _fields(meta_graph, _GRAPH_DEF):
            found += _ops(_fields(graph, _NODES), "")
            for library in _fields(graph, _LIBRARY):
                for function in _fields(library, _FUNCTIONS):
                    name = next(_fields(next(_fields(function, _SIGNATURE)), _NAME))
                    found += _ops(_fields(function, _BODY), f", in {bytes(name).decode()}")
    return found


def _ops(nodes: Iterator[memoryview], where: str) -> list[str]:
    named = ((_text(node, _OP), _text(node, _NAME)) for node in nodes)
    return [f"{op} (node {name}{where})" for op, name in named if op in PYTHON_OPS]


def _text(message: memoryview, field: int) -> str:
    return bytes(next(_fields(message, field), b"")).decode()


def _fields(message: bytes | memoryview, wanted: int) -> Iterator[memoryview]:
    """The length-delimited fields of that number. Source: protobuf.dev, Encoding."""
    message, position = memoryview(message), 0
    while position < len(message):
        tag, position = _varint(message, position)
        wire_type = tag & 7
        if wire_type == 0:
            _, position = _varint(message, position)
            continue
        if wire_type == 2:
            length, position = _varint(message, position)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError("saved_model.pb is not a SavedModel")
        if wire_type == 2 and tag >> 3 == wanted:
            yield message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
    raise ValueError("saved_model.pb is cut off")
