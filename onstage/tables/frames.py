"""Rows of a table as a pandas DataFrame by the columns of model.py, and a frame's rows as requests."""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from types import ModuleType
from typing import Any

from onstage.errors import StartError, UserError
from onstage.tables import files as kinds
from onstage.tables.sample import Part

# Examples of a shard that are parsed at once.
_BLOCK = 1024


def read(table: Any, parts: Mapping[str, Part], own: Collection[str], rows: ModuleType) -> Any:
    """The rows of the files `own`, with `attrs` "targets" and "features"; `rows` is `trainer.rows`.

    Raises UserError for a row that does not fit the table.
    """
    import pandas

    found: dict[str, list[Any]] = {column.name: [] for column in table.columns}
    for name in own:
        part = parts[name]
        if kinds.kind(name) == kinds.RECORDS:
            for column, values in _examples(table, part):
                found[column.name] += values
            continue
        order = rows.start(table, name, _lines(part, table.encoding))
        for texts, wrong in rows.read(table, name, _lines(part, table.encoding)):
            for problem in wrong.values():
                # In a part of a file, rows have other numbers.
                whole = kinds.text_lines(part.file, name, table.encoding)
                raise UserError(rows.find_problem(table, [name], lambda *_, whole=whole: whole) or problem)
            for column, text in zip(order, texts, strict=True):
                is_empty = text in ("", table.missing_text)
                found[column.name].append(None if is_empty else rows.value(table, column, text))
    frame = pandas.DataFrame({column.name: _series(column, found[column.name]) for column in table.columns})
    frame.attrs["targets"] = [column.name for column in table.targets]
    frame.attrs["features"] = [column.name for column in table.features]
    return frame


def as_request(table: Any, frame: Any) -> list[dict[str, Any]]:
    """The rows of a frame as the signature `named` takes them, what model.py has for a missing value filled in.

    Raises StartError for a column that is missing, or has no value where model.py has nothing for that.
    """
    if missing := [column.name for column in table.features if column.name not in frame.columns]:
        raise StartError(f"the frame has no column {', '.join(map(repr, missing))}, which the model takes")
    columns = {column.key: _values(column, frame[column.name]) for column in table.features}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def answers(table: Any, predictions: Sequence[Any], index: Any) -> Any:
    """Predictions as a frame: for each target the label, or the number in its own units."""
    import pandas

    found = {}
    for target in table.targets:
        key = "class_label" if hasattr(target, "labels") else "value"
        key = key if len(table.targets) == 1 else f"{target.key}_{key}"
        values = [one[key] if isinstance(one, dict) else one for one in predictions]
        labels = list(target.labels) if hasattr(target, "labels") else None
        found[target.name] = pandas.Categorical(values, labels) if labels else values
    return pandas.DataFrame(found, index=index)


def _lines(part: Part, encoding: str) -> Iterator[str]:
    for piece in part.pieces():
        for line in io.BytesIO(piece):
            yield line.decode(encoding, "surrogateescape")


def _examples(table: Any, part: Part) -> Iterator[tuple[Any, list[Any]]]:
    """The values of each column in a shard of tf.train.Example, some rows at a time; None where there is no feature."""
    import tensorflow as tf

    known = [column for column in table.columns if column.dtype]
    features = {column.name: tf.io.RaggedFeature(column.dtype) for column in known}
    records = tf.data.TFRecordDataset(str(part.file), "GZIP" if kinds.is_packed(part.file.name) else "")
    for block in records.take(-1 if part.rows is None else part.rows).batch(_BLOCK):
        parsed = tf.io.parse_example(block, features)
        for column in table.columns:
            values = parsed[column.name].to_list() if column in known else [[]] * len(block)
            yield column, [_plain(one[0]) if one else None for one in values]


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _series(column: Any, values: Sequence[Any]) -> Any:
    import numpy
    import pandas

    if column.dtype == "float32":
        return pandas.Series(values, dtype="float64")
    listed = getattr(column, "labels", None) or getattr(column, "vocabulary", None)
    if listed:
        others = sorted({value for value in values if value is not None} - set(listed))
        return pandas.Series(pandas.Categorical(values, [*listed, *others]))
    if column.dtype == "int64":
        return pandas.Series(values, dtype="Int64")
    if hasattr(column, "format"):
        # In seconds, years from 1 to 9999 have room.
        dates = [None if value is None else datetime.strptime(value, column.format) for value in values]
        return pandas.Series(numpy.array(dates, "datetime64[s]"))
    empty = "" if column.dtype and column.default == "" else None
    return pandas.Series([empty if value is None else value for value in values], dtype="object")


def _values(column: Any, series: Any) -> list[Any]:
    filled = [column.default if is_empty else value for value, is_empty in zip(series, series.isna(), strict=True)]
    if None in filled:
        raise StartError(
            f"column {column.name!r} has no value in a row, and model.py says nothing of that: missing=..."
        )
    if hasattr(column, "format"):
        return [value if isinstance(value, str) else value.strftime(column.format) for value in filled]
    return list(map({"float32": float, "int64": int, "string": str}[column.dtype], filled))
