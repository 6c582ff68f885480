"""What a saved_model.pb holds, read without TensorFlow, which takes seconds to import."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Operations that call back into the Python process that exported the graph: tf.py_function, tf.numpy_function and
# Dataset.from_generator. TensorFlow Serving's binary has no kernel for them.
PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
# Operations that read and write files of the machine that serves; PrintV2 where it prints to one.
FILE_OPS = ("WriteFile", "ReadFile", "MatchingFiles", "PrintV2")
_WRITES = ("WriteFile", "PrintV2")
# Fields of tensorflow/core/protobuf/{saved_model,meta_graph}.proto and core/framework/{graph,function,node_def}.proto.
_META_GRAPHS, _META_INFO, _TAGS, _VERSION, _GRAPH_DEF, _NODES, _LIBRARY = 2, 1, 4, 5, 2, 1, 2
_CUT_OFF = "it is cut off"
_FUNCTIONS, _SIGNATURE, _BODY, _NAME, _OP, _INPUTS, _ATTRIBUTES = 1, 1, 3, 1, 2, 3, 5
_COLLECTIONS, _SIGNATURES, _KEY, _VALUE, _OUTPUTS, _STRING, _LIST, _FUNCTION, _FUNCTION_IN_LIST = (
    4, 5, 1, 2, 2, 2, 1, 10, 9)  # fmt: skip
_INIT_SIGNATURE, _INIT_COLLECTIONS = "__saved_model_init_op", ("saved_model_main_op", "legacy_init_op")


def python_only_ops(folder: Path) -> list[str]:
    """The operations of a SavedModel that only Python can run, as `Op (node, function)`; empty for a servable one.

    Raises OSError when `folder` holds no saved_model.pb, and ValueError when that is no protocol buffer.
    """
    return _named(folder, lambda node: text(node, _OP) in PYTHON_OPS)


def file_ops(folder: Path) -> list[str]:
    """The operations of a SavedModel that read or write files where it is served, as `python_only_ops` names them."""
    return _named(folder, _touches_files)


def writes_at_load(folder: Path) -> list[str]:
    """Those of `file_ops` that write as soon as the SavedModel is loaded, before any request."""
    return [said for graph in graphs(folder) for said in _started(graph)]


def _named(folder: Path, is_one: Callable[[memoryview], bool]) -> list[str]:
    found = []
    for graph in graphs(folder):
        found += [_say(node, "") for node in graph.nodes() if is_one(node)]
        for name, body in graph.functions():
            found += [_say(node, f", in {name}") for node in body if is_one(node)]
    return found


def _say(node: memoryview, where: str) -> str:
    return f"{text(node, _OP)} (node {text(node, _NAME)}{where})"


def _touches_files(node: memoryview) -> bool:
    op = text(node, _OP)
    return op in FILE_OPS and (op != "PrintV2" or _printed_to(node).startswith("file://"))


def _printed_to(node: memoryview) -> str:
    for entry in contents(node, _ATTRIBUTES):
        if text(entry, _KEY) == "output_stream":
            return text(next(contents(entry, _VALUE), b""), _STRING)
    return ""


def _started(graph: "Graph") -> Iterator[str]:
    nodes = {text(node, _NAME): node for node in graph.nodes()}
    functions = dict(graph.functions())
    waiting = [(nodes.pop(name), "") for name in graph.started if name in nodes]
    while waiting:
        node, where = waiting.pop()
        if text(node, _OP) in _WRITES and _touches_files(node):
            yield _say(node, where)
        # In a function every node counts; outside, those that this one needs, and control inputs such as ^name.
        needed = [bytes(name).decode().lstrip("^").partition(":")[0] for name in contents(node, _INPUTS)]
        waiting += [(nodes.pop(name), "") for name in needed if not where and name in nodes]
        attributes = [value for entry in contents(node, _ATTRIBUTES) for value in contents(entry, _VALUE)]
        for name in [text(node, _OP), *itertools.chain.from_iterable(map(called_functions, attributes))]:
            # Popped, so that no function is visited twice.
            waiting += [(each, f", in {name}") for each in functions.pop(name, ())]


def called_functions(attribute: memoryview) -> Iterator[str]:
    """The names of functions in an AttrValue, in lists, too."""
    lists = (one for found in contents(attribute, _LIST) for one in contents(found, _FUNCTION_IN_LIST))
    for function in itertools.chain(contents(attribute, _FUNCTION), lists):
        yield text(function, _NAME)


@dataclass(frozen=True)
class Graph:
    """A MetaGraphDef's graph: the version of TensorFlow that wrote it, such as 2.21.0, its tags, and its bytes.

    `started` are the names of the nodes that loading runs. Nodes are the bytes of NodeDefs.
    """

    producer: str
    tags: frozenset[str]
    content: memoryview
    started: tuple[str, ...] = ()

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
            yield Graph(text(info, _VERSION), tags, content, tuple(_start(meta_graph)))


def _start(meta_graph: memoryview) -> Iterator[str]:
    """The nodes that are run when the model is loaded."""
    for entry in contents(meta_graph, _SIGNATURES):
        if text(entry, _KEY) == _INIT_SIGNATURE:
            for output in contents(next(contents(entry, _VALUE), b""), _OUTPUTS):
                yield text(next(contents(output, _VALUE), b""), _NAME).partition(":")[0]
    for entry in contents(meta_graph, _COLLECTIONS):
        if text(entry, _KEY) in _INIT_COLLECTIONS:
            for nodes in contents(next(contents(entry, _VALUE), b""), 1):
                yield from (bytes(name).decode().partition(":")[0] for name in contents(nodes, 1))


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
