"""JSON values to tensors, by TensorFlow Serving's rules.

Source: tensorflow_serving/util/json_tensor.cc. What is plainly right is converted all at once; for all else `_walk`
looks at every value in that file's order, and says what TensorFlow Serving says.
"""

import base64
import binascii
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from .json_parser import members
from .json_text import shown
from .refusal import refuse

# TensorFlow's names of types to NumPy's.
_FLOATS: dict[str, type[np.floating[Any]]] = {"float": np.float32, "double": np.float64}
_MOST_DIMENSIONS = 64
_INT32 = (-(2**31), 2**31 - 1)
_INT64 = (-(2**63), 2**63 - 1)
# The small types are checked as int32, and wrap.
_INTS = {
    "int8": (np.int8, *_INT32),
    "int16": (np.int16, *_INT32),
    "uint8": (np.uint8, *_INT32),
    "int32": (np.int32, *_INT32),
    "int64": (np.int64, *_INT64),
    "uint32": (np.uint32, 0, 2**32 - 1),
    "uint64": (np.uint64, 0, 2**64 - 1),
}

_BLANKS = dict.fromkeys(map(ord, " \t\n\v\f\r"))


def to_tensor(value: Any, dtype: str) -> np.ndarray:
    """The tensor of a JSON value; its shape is that of the first element at each level. Raises RefusedError.

    `dtype` is TensorFlow's name: float, double, int32, string, ...
    """
    shape, leaves = _flatten(value)
    if len(shape) > _MOST_DIMENSIONS:
        # TensorFlow has up to 254 dimensions; NumPy, through which a value gets there, has fewer.
        refuse("tensor parsing error: more than 64 dimensions")
    tensor = None if leaves is None else _plain(leaves, dtype)
    if tensor is None:
        tensor = _array(list(_walk(value, 0, shape, dtype)), dtype)
    return tensor.reshape(shape)


def is_b64(value: Any) -> bool:
    """Whether a value is {"b64": "..."}: bytes, not an object of named inputs."""
    return isinstance(value, dict) and len(members(value)) == 1 and isinstance(value.get("b64"), str)


def _flatten(value: Any) -> tuple[list[int], list[Any] | None]:
    """The shape that the first elements have, and the values at its end: None where a list is ragged."""
    shape: list[int] = []
    level, regular = [value], True
    while level and type(level[0]) is list:
        size = len(level[0])
        regular = regular and all(type(item) is list and len(item) == size for item in level)
        shape.append(size)
        level = list(chain.from_iterable(level)) if regular else level[0]
    return shape, level if regular else None


def _plain(leaves: list[Any], dtype: str) -> np.ndarray | None:
    """The tensor of values that raise no question, or None."""
    types = set(map(type, leaves))
    if dtype in _FLOATS and types <= {int, float}:
        return _array(leaves, dtype)
    if dtype in _INTS and types <= {int}:
        _, low, high = _INTS[dtype]
        return _array(leaves, dtype) if not leaves or (low <= min(leaves) and max(leaves) <= high) else None
    if (dtype, types) == ("bool", {bool}):
        return _array(leaves, dtype)
    return None


def _array(leaves: list[Any], dtype: str) -> np.ndarray:
    if dtype in _FLOATS:
        # What is too big for a float is infinite, as in C++.
        with np.errstate(over="ignore"):
            return np.array(leaves, np.float64).astype(_FLOATS[dtype])
    if dtype in _INTS:
        return np.array(leaves, np.uint64 if dtype == "uint64" else np.int64).astype(_INTS[dtype][0])
    if dtype == "bool":
        return np.array(leaves, np.bool_)
    tensor = np.empty(len(leaves), object)
    tensor[:] = leaves
    return tensor


def _walk(value: Any, level: int, shape: list[int], dtype: str) -> Iterator[Any]:
    if not isinstance(value, list):
        if level != len(shape):
            refuse(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        yield _leaf(value, dtype)
        return
    if level >= len(shape):
        refuse(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        refuse(f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}")
    for item in value:
        yield from _walk(item, level + 1, shape, dtype)


def _leaf(value: Any, dtype: str) -> Any:
    if isinstance(value, dict) and dtype == "string":
        return decoded(value)
    kind = "float" if dtype in _FLOATS else "int" if dtype in _INTS else dtype
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "float" and number:
        return value
    if kind == "int" and number and isinstance(value, int) and _INTS[dtype][1] <= value <= _INTS[dtype][2]:
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "string" and isinstance(value, str):
        # Bytes that are not UTF-8 pass through, as they do in TensorFlow Serving.
        return value.encode("utf-8", "surrogateescape")
    if kind not in ("float", "int", "bool", "string"):
        refuse(f"Conversion of JSON Value: {shown(value)} to type: {dtype}", 501)
    return refuse(f"JSON Value: {shown(value)} Type: {json_type(value)} is not of expected type: {dtype}")


def decoded(value: dict[str, Any]) -> bytes:
    """The bytes of a {"b64": ...}. Raises RefusedError."""
    if not is_b64(value):
        refuse(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    # Blanks count for nothing; padding may be missing, or else has to be right, and a full stop is as good for it.
    text = value["b64"].translate(_BLANKS).replace(".", "=")
    digits = text.rstrip("=")
    padding = -len(digits) % 4
    if len(text) - len(digits) not in (0, padding) or padding == 3:
        refuse("Unable to base64 decode")
    try:
        return base64.b64decode(digits + "=" * padding, validate=True)
    except (binascii.Error, ValueError):
        return refuse("Unable to base64 decode")


def json_type(value: Any) -> str:
    """The kind of a JSON value, in rapidjson's words."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, dict):
        return "Object"
    return {int: "Number", float: "Number", str: "String", list: "Array", type(None): "Null"}[type(value)]
