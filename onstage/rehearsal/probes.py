"""Rows that the data does not have and a client may send: the least and the greatest value, and beyond, zero, missing,
unknown, empty; and the first row of each label that is not among the first rows.

What model.py, or the data, says may come has to be answered. What is beyond is a warning: a logarithm may be right for
all that ever comes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_UNKNOWN = "a text that nobody knows"
_TEXTS = {
    "unknown words": _UNKNOWN,
    "an empty text": "",
    "no word": "?!",
    "another alphabet": "Жизнь, 生活",
    "many words": "one of many " * 1000,
}
# What a list of float32 carries.
_LARGEST = 2**24
# Numbers in a list: of more, as of a picture, one alone means nothing.
_MOST_PLACES = 256


@dataclass(frozen=True)
class Probe:
    """A row, and in words which value of which input makes it one; whether that is `beyond` what is said to come."""

    row: Any
    key: str
    what: str
    beyond: bool = False


def make(rows: Sequence[Any], columns: Sequence[dict[str, Any]] | None, labels: Sequence[Any]) -> Iterator[Probe]:
    """The probes of a table, or, without its `columns`, of whatever values a row has."""
    for row in labels:
        yield Probe(row, "the label", "one that the first rows do not have")
    listed = isinstance(rows[0], list)
    for number, column in enumerate(columns or _columns(rows[0])):
        place = column.get("place", number if listed else column["key"])
        values = [row if place is None else row[place] for row in rows]
        for what, value, beyond in _values(column, values, listed):
            yield Probe(value if place is None else _with(rows[0], place, value), column["key"], what, beyond)


def _columns(row: Any) -> list[dict[str, Any]]:
    """What the values of a row are like, where nothing else says it."""
    if isinstance(row, dict) and list(row) == ["b64"]:
        # Bytes: those of an image with another value mean nothing.
        return []
    if isinstance(row, dict):
        return [{"key": repr(key), "place": key, "dtype": _kind(value)} for key, value in row.items()]
    if isinstance(row, list) and len(row) <= _MOST_PLACES and all(type(value) in (int, float) for value in row):
        return [{"key": f"value {number}", "dtype": "float32"} for number in range(1, len(row) + 1)]
    return [{"key": "the row", "place": None, "dtype": _kind(row)}]


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "array"
    return {float: "float32", int: "int64", str: "string"}.get(type(value), "")


def _values(column: dict[str, Any], seen: Sequence[Any], listed: bool) -> Iterator[tuple[str, Any, bool]]:
    kind, dtype = column.get("kind"), column["dtype"]
    if kind == "Date":
        yield "the day 1970-01-01", column["example"], True
        yield from [("missing", "", False)] * column["missing"]
    elif kind == "Text":
        for what, text in _TEXTS.items():
            yield what, text, False
    elif dtype == "string":
        yield "unknown", _UNKNOWN, kind is None
        yield "an empty text", "", kind is None
    elif kind == "Identity":
        yield "0", 0, False
        yield "the greatest", column["size"] - 1, False
    elif kind == "Categorical" or dtype == "int64":
        whole = [value for value in seen if math.isfinite(value)]
        largest = max(whole, default=0) if column.get("largest") is None else column["largest"]
        if not listed or largest + 1 < _LARGEST:
            yield "unknown", largest + 1, kind is None
        yield "0", 0, kind is None
    elif dtype in ("float32", "array"):
        yield from _numbers(seen, dtype == "array")
    # An int64 of its own has no NaN.
    if column.get("missing") and (dtype == "float32" or (listed and dtype != "string")):
        yield "missing", math.nan, False


def _numbers(seen: Sequence[Any], is_array: bool) -> Iterator[tuple[str, Any, bool]]:
    numbers = [value for value in _flat(seen) if type(value) in (int, float) and math.isfinite(value)]
    if not numbers:
        return
    least, greatest = min(numbers), max(numbers)
    span = (greatest - least) or max(abs(greatest), 1.0)
    made = [
        ("0", 0.0, is_array or not least <= 0 <= greatest),
        ("the least", least, is_array),
        ("the greatest", greatest, is_array),
        ("less than ever", least - span, True),
        ("greater than ever", greatest + span, True),
    ]
    for what, value, beyond in made:
        if type(least) is int and is_array:
            value = int(value)
        yield what + " everywhere" * is_array, _filled(seen[0], value) if is_array else value, beyond


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _filled(like: Any, value: Any) -> Any:
    return [_filled(one, value) for one in like] if isinstance(like, list) else value


def _with(row: Any, place: Any, value: Any) -> Any:
    changed = dict(row) if isinstance(row, dict) else list(row)
    changed[place] = value
    return changed
