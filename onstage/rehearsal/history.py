"""What a trainer wrote for TensorBoard, read without TensorFlow: the numbers that it reported, epoch by epoch."""

import struct
from collections.abc import Iterator
from pathlib import Path

from onstage.serving.model_server.saved_model_file import contents

# Fields of tensorflow/core/util/event.proto and tensorflow/core/framework/{summary,tensor}.proto.
_SUMMARY, _VALUE, _TAG, _SIMPLE_VALUE, _TENSOR, _CONTENT, _FLOATS = 5, 1, 1, 2, 8, 4, 5


def read(*folders: Path) -> dict[str, list[float]]:
    """Every scalar below `folders` by its tag, in the order of writing; of a file that is cut off, what is whole."""
    found: dict[str, list[float]] = {}
    files = {file for folder in folders for file in folder.rglob("*.tfevents.*") if file.is_file()}
    # Their names begin with the time at which each was opened.
    for file in sorted(files, key=lambda one: one.name):
        for tag, value in _scalars(file.read_bytes()):
            found.setdefault(tag, []).append(value)
    return found


def _scalars(content: bytes) -> Iterator[tuple[str, float]]:
    for record in _records(content):
        for summary in contents(record, _SUMMARY):
            for value in contents(summary, _VALUE):
                number = _number(value)
                if number is not None:
                    yield bytes(next(contents(value, _TAG), b"")).decode(), number


def _records(content: bytes) -> Iterator[bytes]:
    """Source: tensorflow.org/tutorials/load_data/tfrecord: a length, its checksum, the content, its checksum."""
    position = 0
    while position + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, position)
        if position + 16 + length > len(content):
            return
        yield content[position + 12 : position + 12 + length]
        position += 16 + length


def _number(value: memoryview) -> float | None:
    """The one float32 of a value; None for pictures, texts and tensors of more."""
    places = [*contents(value, _SIMPLE_VALUE)]
    for tensor in contents(value, _TENSOR):
        places += [*contents(tensor, _CONTENT), *contents(tensor, _FLOATS)]
    return struct.unpack("<f", places[0])[0] if len(places) == 1 and len(places[0]) == 4 else None
