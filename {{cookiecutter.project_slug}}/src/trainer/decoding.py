# Owned by the template.
"""From lines of text, or serialized examples, to the raw columns of a table."""

import math
from collections.abc import Sequence

import tensorflow as tf

from trainer.columns import Column, Dropped, Table, Target
from trainer.encoding import Tensors

_NO_NUMBER = -(2**63)

# Features, target, weight; the first dimension of each tensor is the batch.
Batch = tuple[Tensors, tf.Tensor, tf.Tensor]


def parse_text(table: Table, columns: Sequence[Column], lines: tf.Tensor) -> Batch:
    """Raw features, the target as a text, "" where there is none, and the weight, of lines with these columns."""
    # Dropped columns too: with its select_cols, decode_csv would accept a row with a field too many.
    defaults = [_record_default(column) for column in columns]
    fields = tf.io.decode_csv(lines, defaults, field_delim=table.delimiter, na_value=table.missing_text)
    return _parts(table, {column.key: value for column, value in zip(columns, fields, strict=True) if column.dtype})


def parse_records(table: Table, examples: tf.Tensor) -> Batch:
    """The same of serialized tf.train.Example, whose features have the columns' names."""
    kinds = {column.name: _feature(column) for column in table.columns if column.dtype}
    values = tf.io.parse_example(examples, kinds)
    return _parts(table, {column.key: values[column.name] for column in table.columns if column.dtype})


def _parts(table: Table, raw: Tensors) -> Batch:
    text = _as_text(raw.pop(table.target.key))
    return raw, text, raw.pop(table.weight.key) if table.weight else tf.ones_like(text, tf.float32)


def _record_default(column: Column) -> tf.Tensor:
    # decode_csv refuses an empty field where the default is an empty tensor.
    if isinstance(column, Target):
        return tf.constant([""] if column.drop_missing else [], tf.string)
    if isinstance(column, Dropped):
        return tf.constant([""])
    return tf.constant([] if column.default is None else [column.default], column.dtype)


def _feature(column: Column) -> tf.io.FixedLenFeature:
    """How a column stands in a tf.train.Example; a feature that is not there is an empty field."""
    default = column.default
    if isinstance(column, Target) and column.drop_missing:
        default = {"string": "", "int64": _NO_NUMBER}.get(column.dtype, math.nan)
    return tf.io.FixedLenFeature([], column.dtype, default)


def _as_text(target: tf.Tensor) -> tf.Tensor:
    if target.dtype == tf.string:
        return target
    if target.dtype == tf.int64:
        return tf.where(target == _NO_NUMBER, "", tf.strings.as_string(target))
    # With as many digits as a float32 has.
    return tf.where(tf.math.is_nan(target), "", tf.strings.as_string(target, precision=9, scientific=True))
