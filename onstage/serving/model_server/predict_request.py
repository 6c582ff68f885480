"""The body of a predict request as tensors, by TensorFlow Serving's rules (tensorflow_serving/util/json_tensor.cc)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .json_parser import Members, members
from .json_reader import read
from .json_text import shown
from .refusal import RefusedError, log, refuse
from .tensors import is_b64, to_tensor


def parse(body: bytes) -> dict[str, Any]:
    """A body's JSON object; what follows it counts for nothing. Raises RefusedError.

    NaN and Infinity are accepted, as TensorFlow Serving accepts them.
    """
    return _object(read(body)[0])


def parse_and_warn(body: bytes) -> dict[str, Any]:
    """`parse`, which says in the log what is not answered."""
    value, rest = read(body)
    document = _object(value)
    if rest.strip(b" \n\r\t\0"):
        log(
            f"warning: {len(rest)} bytes after the first JSON object are not read: {rest[:80]!r}",
            "  TensorFlow Serving answers one request a body; several rows belong into one list of instances",
        )
    return document


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        refuse(f"JSON Value: {shown(value)} Is not object")
    return value


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names, or the default one. Raises RefusedError."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        refuse(f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value.")
    return name or "serving_default"


def tensors(document: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The tensor of every input (name to TensorFlow's type), from rows (`instances`) or columns (`inputs`).

    Raises RefusedError, with the offending input as `key`.
    """
    if "instances" in document and "inputs" in document:
        refuse(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if "instances" in document:
        return _from_rows(document, inputs)
    if "inputs" in document:
        return _from_columns(document["inputs"], inputs)
    return refuse("Missing 'inputs' or 'instances' key")


def _from_columns(columns: Any, inputs: Mapping[str, str]) -> dict[str, np.ndarray]:
    if not isinstance(columns, dict) or is_b64(columns):
        if len(inputs) > 1:
            refuse(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        columns = {next(iter(inputs)): columns}
    found = {}
    for name, dtype in inputs.items():
        if name not in columns:
            refuse(f"Missing named input: {name} in 'inputs' object.", key=name)
        found[name] = _tensor(columns[name], name, dtype)
    return found


def _from_rows(document: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, np.ndarray]:
    rows = document["instances"]
    if not isinstance(rows, list):
        refuse(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
    if not rows:
        refuse(f"JSON Value: {shown(document)} No values in 'instances' array")
    if not isinstance(rows[0], dict) and len(inputs) > 1:
        refuse(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    try:
        if _is_object(rows[0]):
            if any(not isinstance(row, dict) or row.keys() != inputs.keys() for row in rows):
                return _explain(rows, inputs)
            if any(isinstance(row, Members) for row in rows):
                return _with_repeated(rows, inputs)
            return {name: to_tensor([row[name] for row in rows], dtype) for name, dtype in inputs.items()}
        name, dtype = next(iter(inputs.items()))
        if any(_is_object(row) for row in rows):
            return _explain(rows, inputs)
        return {name: to_tensor(rows, dtype)}
    except RefusedError as refused:
        return _explain(rows, inputs, refused)


def _with_repeated(rows: list[dict[str, Any]], inputs: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Of a row that names an input twice, both values count; those beyond as many as there are rows do not."""
    values: dict[str, list[Any]] = {name: [] for name in inputs}
    for row in rows:
        for name, value in members(row):
            values[name].append(value)
    return {name: to_tensor(values[name], dtype)[: len(rows)] for name, dtype in inputs.items()}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_b64(value)


def _explain(rows: list[Any], inputs: Mapping[str, str], refused: RefusedError | None = None) -> dict[str, np.ndarray]:
    """Find the first row and input at fault: TensorFlow Serving goes row by row, `tensors` column by column."""
    objects = _is_object(rows[0])
    first: dict[str, Any] = {}
    for index, row in enumerate(rows):
        if objects != _is_object(row):
            wanted, got = ("object", "list") if objects else ("value/list", "object")
            refuse(f"Expecting {wanted} but got {got} at item {index} of input list")
        named = members(row) if objects else [(next(iter(inputs)), row)]
        for name, value in named:
            place = f"element: {index} key: {name}" if objects else f"element: {index}"
            try:
                _check_row(name, value, inputs, first)
            except RefusedError as error:
                code = "UNIMPLEMENTED" if error.status == 501 else "INVALID_ARGUMENT"
                refuse(f"Failed to process {place} of 'instances' list. Error: {code}: {error.message}", key=name)
        if objects and row.keys() != inputs.keys():
            wrong = sorted(row.keys() ^ inputs.keys())
            refuse(
                f"Failed to process element: {index} of 'instances' list. JSON object: {shown(row)} keys must be "
                f"equal to: {','.join(sorted(inputs))}",
                key=", ".join(wrong),
            )
    raise refused or RefusedError("Failed to process 'instances' list.")


def _check_row(name: str, value: Any, inputs: Mapping[str, str], first: dict[str, np.ndarray]) -> None:
    if name not in inputs:
        refuse(f"JSON object: does not have named input: {name}")
    tensor = to_tensor(value, inputs[name])
    expected = first.setdefault(name, tensor)
    if expected.size != tensor.size:
        refuse(f"Expecting tensor size: {expected.size} but got: {tensor.size}")
    if expected.shape != tensor.shape:
        refuse(f"Expecting shape {_shape(expected)} but got: {_shape(tensor)}")


def _tensor(value: Any, name: str, dtype: str) -> np.ndarray:
    try:
        return to_tensor(value, dtype)
    except RefusedError as refused:
        refused.key = name
        raise


def _shape(tensor: np.ndarray) -> str:
    return f"[{','.join(map(str, tensor.shape))}]"
