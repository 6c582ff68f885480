"""Writes JSON as TensorFlow Serving does, to the byte: answers, errors, and the values that errors name.

Source: tensorflow_serving/util/json_tensor.cc, with rapidjson 1.1.0's PrettyWriter.
"""

import base64
import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .json_parser import members
from .refusal import refuse

# As long as a value in an error may be: it is cut before the next token.
_MOST_BYTES = 256
_MOST_OF_MESSAGE = 4096
# Stands for NaN and infinity; no JSON text ends so.
_NO_NUMBER = "\0"
_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_ESCAPES = str.maketrans({chr(code): f"\\u{code:04X}" for code in range(32)} | _SHORT)
# What json_tensor.cc writes; NumPy's names are those of TensorFlow but for these.
_NAMES = {"float16": "half"}
_WRITTEN = frozenset(["int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool"])


def quoted(text: str) -> str:
    """A string, with the escapes that rapidjson writes."""
    return f'"{text.translate(_ESCAPES)}"'


def error(message: str) -> bytes:
    """{"error": message} as TensorFlow Serving lays it out; it sends back megabytes of a string, which are cut here."""
    if len(message) > _MOST_OF_MESSAGE:
        message = f"{message[:_MOST_OF_MESSAGE]}... ({len(message)} characters)"
    return f'{{\n    "error": {quoted(message)}\n}}'.encode("utf-8", "surrogateescape")


def shown(value: Any) -> str:
    """A JSON value in a message, cut after 256 bytes as there."""
    size, parts = 0, []
    for token in _tokens(value, 0):
        parts.append(token)
        size += len(token.encode("utf-8", "surrogateescape"))
        # It cannot write NaN and infinity, and ends there.
        if size >= _MOST_BYTES or token.endswith(_NO_NUMBER):
            break
    return "".join(parts).removesuffix(_NO_NUMBER)


def answer(outputs: dict[str, np.ndarray], by_row: bool) -> bytes:
    """The answer to a predict request: {"predictions": rows} or {"outputs": columns}. Raises RefusedError."""
    alone = len(outputs) == 1
    if not by_row:
        columns = {name: _tensor(tensor, name, 1 + (not alone)) for name, tensor in outputs.items()}
        text = next(iter(columns.values())) if alone else _lines(
            [f"{quoted(name)}: {value}" for name, value in columns.items()], 1, "{}")  # fmt: skip
        return f'{{\n    "outputs": {text}\n}}'.encode("utf-8", "surrogateescape")
    rows = [_rows(tensor, name, 2 + (not alone)) for name, tensor in outputs.items()]
    if alone:
        text = f"[{', '.join(rows[0])}\n    ]" if rows[0] else "[]"
    else:
        names = list(map(quoted, outputs))
        objects = (
            _lines([f"{name}: {value}" for name, value in zip(names, row, strict=True)], 2, "{}")
            for row in zip(*rows, strict=True)
        )
        text = _lines(list(objects), 1, "[]")
    return f'{{\n    "predictions": {text}\n}}'.encode("utf-8", "surrogateescape")


def results(scores: np.ndarray, labels: np.ndarray | None = None) -> bytes:
    """The answer to a classify request, rows of labelled scores, or to a regress request, one number a row."""
    numbers = _decimals(scores.ravel())
    if labels is None:
        return f'{{\n    "results": [{", ".join(numbers)}]\n}}'.encode()
    pairs = [f"[{_text(label, 0)}, {number}]" for label, number in zip(labels.ravel(), numbers, strict=True)]
    size = scores.shape[1]
    rows = [f"[{', '.join(pairs[index * size : (index + 1) * size])}]" for index in range(len(scores))]
    return f'{{\n    "results": [{", ".join(rows)}\n    ]\n}}'.encode("utf-8", "surrogateescape")


def _tokens(value: Any, level: int) -> Iterator[str]:
    """What is written between two looks at the size."""
    if isinstance(value, dict):
        pairs = members(value)
        yield "{"
        for index, (name, item) in enumerate(pairs):
            yield f"{',' if index else ''}\n{'    ' * (level + 1)}{quoted(name)}"
            yield from _after(": ", _tokens(item, level + 1))
        yield f"\n{'    ' * level}}}" if pairs else "}"
    elif isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            yield from _after(", " if index else "", _tokens(item, level + 1))
        yield "]"
    elif isinstance(value, str):
        yield quoted(value)
    else:
        yield _scalar(value)


def _after(separator: str, tokens: Iterator[str]) -> Iterator[str]:
    first = next(tokens)
    yield separator + first
    yield from tokens


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return str(value)
    return _double(float(value))


def _double(value: float) -> str:
    """A number as rapidjson writes it: digits up to 10^21, no zeros after the point but one."""
    if not math.isfinite(value):
        return _NO_NUMBER
    sign = "-" if math.copysign(1, value) < 0 else ""
    mantissa, _, power = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction.rstrip("0")).lstrip("0")
    if not digits:
        return f"{sign}0.0"
    # The decimal point stands after so many digits.
    point = len(whole.lstrip("0")) + int(power or 0) if whole.strip("0") else (
        len(fraction.lstrip("0")) - len(fraction) + int(power or 0))  # fmt: skip
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return f"{sign}{digits}{'0' * (point - len(digits))}.0"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1}"


def _lines(items: Sequence[str], level: int, brackets: str) -> str:
    if not items:
        return brackets
    inner = "    " * (level + 1)
    return f"{brackets[0]}\n{inner}" + f",\n{inner}".join(items) + f"\n{'    ' * level}{brackets[1]}"


def _rows(tensor: np.ndarray, name: str, level: int) -> list[str]:
    """Each row on one line."""
    leaves = _leaves(tensor, name, level + tensor.ndim - 1)
    for axis in range(tensor.ndim - 1, 0, -1):
        size, count = tensor.shape[axis], math.prod(tensor.shape[:axis])
        leaves = [f"[{', '.join(leaves[index * size : (index + 1) * size])}]" for index in range(count)]
    return leaves


def _tensor(tensor: np.ndarray, name: str, level: int) -> str:
    """Each value on a line of its own."""
    leaves = _leaves(tensor, name, level + tensor.ndim)
    for axis in range(tensor.ndim - 1, -1, -1):
        size, count = tensor.shape[axis], math.prod(tensor.shape[:axis])
        leaves = [_lines(leaves[index * size : (index + 1) * size], level + axis, "[]") for index in range(count)]
    return leaves[0]


def _leaves(tensor: np.ndarray, name: str, level: int) -> list[str]:
    if tensor.dtype == np.bool_:
        return ["true" if value else "false" for value in tensor.ravel().tolist()]
    if tensor.dtype.name in _WRITTEN:
        return list(map(str, tensor.ravel().tolist()))
    if tensor.dtype in (np.float32, np.float64):
        return _decimals(tensor.ravel())
    if tensor.dtype.kind == "O":
        show = _b64 if name.endswith("_bytes") else _text
        return [show(value, level) for value in tensor.ravel()]
    if not tensor.size:
        return []
    return refuse(f"Failed to write JSON value for tensor type: {_NAMES.get(tensor.dtype.name, tensor.dtype.name)}")


def _decimals(tensor: np.ndarray) -> list[str]:
    """Six digits or, where these are another number, all that tell a number from its neighbours."""
    values = tensor.tolist()
    texts = [f"{value:.6g}" for value in values]
    read = list(map(float, texts))
    # An array of C floats rounds as a float32 does, and takes no time for a few values.
    most, again = (17, read) if tensor.dtype == np.float64 else (9, array("f", read).tolist())
    for index, (text, value) in enumerate(zip(texts, values, strict=True)):
        written = text if again[index] == value else f"{value:.{most}g}"
        if written.lstrip("-").isdecimal():
            written += ".0"
        elif written.endswith(("nan", "inf")):
            written = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[written]
        texts[index] = written
    return texts


def _text(value: bytes, _: int) -> str:
    return quoted(value.decode("utf-8", "surrogateescape"))


def _b64(value: bytes, level: int) -> str:
    return _lines([f'"b64": "{base64.b64encode(value).decode("ascii")}"'], level, "{}")
