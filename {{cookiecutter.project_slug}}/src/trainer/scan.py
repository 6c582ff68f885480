# Owned by the template.
"""The first pass over all rows: counts them, learns what numbers are normalised by, and sees what is odd."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from trainer.columns import Categorical, Classes, Identity, Table
from trainer.encoding import Encoder, column_in_range, has_large
from trainer.notes import Seen


class BadRowError(Exception):
    """Some row of a batch cannot be used; which one is for a slower reader to find."""


class Scan:
    """One pass over batches of lines; `decode` makes columns, target and weight of one."""

    def __init__(self, table: Table, encoder: Encoder, decode: Callable[[tf.Tensor], tuple]) -> None:
        self.seen: Seen
        self._table, self._encoder, self._decode = table, encoder, decode
        self._numeric = [column for column in table.features if column.dtype == "float32"]
        self._others = [column for column in table.features if column.dtype != "float32"]
        # Whether there are blank lines; what all lines add up to, in whatever order they stand.
        self.has_blank, self.total = False, 0
        # The names of the columns with a whole number that a list of float32 cannot carry.
        self.large: set[str] = set()

    def run(self, lines: tf.data.Dataset, channel: str) -> dict[str, tuple[float, float]]:
        """Mean and deviation of each numeric column by its key; `seen` has the rest. Raises BadRowError."""
        self.seen, moments, target = Seen(self._table, channel), _Moments(len(self._numeric)), self._table.target
        for found in lines.map(self._look, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE):
            if not found["good"]:
                raise BadRowError("a number is not finite, out of range, or a negative weight; or a text is not UTF-8")
            self.has_blank |= bool(found["blank"])
            self.total += int(found["total"])
            if not (rows := int(found["rows"])):
                continue
            first = self.seen.rows == 0
            self.seen.rows += rows
            moments.add(found["numbers"].numpy())
            for column in self._others:
                (value,), same = (part.numpy() for part in found["values"][column.key])
                self.seen.add_values(column.name, _plain(value), first, bool(same))
                if column.key in found["large"] and found["large"][column.key]:
                    self.large.add(column.name)
                if isinstance(column, Categorical):
                    known, unknown, examples = (part.numpy() for part in found["categories"][column.key])
                    self.seen.add_categories(column.name, int(known), int(unknown), map(_plain, examples))
            if isinstance(target, Classes):
                self.seen.labels.update(dict(zip(target.labels, found["target"].numpy().tolist(), strict=True)))
            else:
                low, high = found["target"].numpy().tolist()
                self.seen.add_values(target.name, low, first, low == high)
        for column, value in zip(self._numeric, moments.constants(), strict=True):
            if value is not None:
                self.seen.only[column.name] = value
        return dict(zip((column.key for column in self._numeric), moments.normal(), strict=True))

    def _look(self, lines: tf.Tensor) -> dict:
        rows = without_blank(self._table, lines)
        raw, target, weight = self._decode(rows)
        numbers = [raw[column.key] for column in self._numeric]
        values = tf.stack(numbers, axis=1) if numbers else tf.zeros([tf.shape(weight)[0], 0])
        good = [tf.reduce_all(tf.math.is_finite(value)) for value in (values, weight)] + [tf.reduce_all(weight >= 0)]
        good += [column_in_range(column, raw[column.key]) for column in self._others if isinstance(column, Identity)]
        good += [_is_utf8(raw[column.key]) for column in self._others if column.dtype == "string"]
        if isinstance(self._table.target, Classes):
            summary = tf.math.bincount(tf.cast(target, tf.int32), minlength=len(self._table.target.labels))
        else:
            good.append(tf.reduce_all(tf.math.is_finite(target)))
            summary = tf.stack([tf.reduce_min(target), tf.reduce_max(target)])
        return {
            "good": tf.reduce_all(tf.stack(good)),
            "rows": tf.shape(weight)[0],
            "blank": tf.size(rows) < tf.size(lines),
            "total": tf.reduce_sum(tf.strings.to_hash_bucket_fast(rows, 2**31 - 1)),
            "numbers": values,
            "target": summary,
            "large": {column.key: has_large(raw[column.key]) for column in self._others if column.dtype == "int64"},
            "values": {column.key: _only(raw[column.key]) for column in self._others},
            "categories": {
                column.key: _categories(column, self._encoder.lookups[column.key], raw[column.key])
                for column in self._others
                if isinstance(column, Categorical)
            },
        }


def without_blank(table: Table, lines: tf.Tensor) -> tf.Tensor:
    """The lines that `rows.is_blank` does not leave out."""
    return tf.boolean_mask(lines, ~tf.strings.regex_full_match(lines, "" if table.delimiter == " " else " *"))


def _only(value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The first value, [1] or [0], and whether all are the same."""
    return value[:1], tf.reduce_all(value == value[:1])


def _categories(column: Categorical, lookup: keras.layers.Layer, value: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """How many values are known, how many are not, and those; what stands for an empty field is neither."""
    known = lookup(value) != 0
    unknown = ~known
    if column.missing is not None:
        given = value != tf.constant(column.missing, value.dtype)
        known, unknown = known & given, unknown & given
    count = [tf.math.count_nonzero(mask) for mask in (known, unknown)]
    return *count, tf.unique(tf.boolean_mask(value, unknown))[0]


def _is_utf8(text: tf.Tensor) -> tf.Tensor:
    # A dot stands for a whole character, and matches no byte that is part of none.
    return tf.reduce_all(tf.strings.regex_full_match(text, "(?s).*"))


def _plain(value: bytes | np.integer) -> str | int:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else int(value)


class _Moments:
    """Count, mean and deviation of columns in one pass, by the pairwise update of Chan, Golub and LeVeque; extremes."""

    def __init__(self, columns: int) -> None:
        self.count, self._mean, self._squares = 0, np.zeros(columns), np.zeros(columns)
        self._low, self._high = np.full(columns, np.inf), np.full(columns, -np.inf)

    def add(self, values: np.ndarray) -> None:
        """`values`: [rows, columns]."""
        rows, values = len(values), values.astype("float64")
        if not rows:
            return
        self._low, self._high = np.minimum(self._low, values.min(axis=0)), np.maximum(self._high, values.max(axis=0))
        mean, total = values.mean(axis=0), self.count + rows
        shift = mean - self._mean
        self._squares += ((values - mean) ** 2).sum(axis=0) + shift**2 * self.count * rows / total
        self._mean += shift * rows / total
        self.count = total

    def constants(self) -> list[float | None]:
        """The value of each column that never changes, None for the others."""
        return [low if low == high else None for low, high in zip(self._low.tolist(), self._high.tolist(), strict=True)]

    def normal(self) -> list[tuple[float, float]]:
        """Mean and deviation of each column; the value and 1 where it never changes, which would divide by zero."""
        deviations = np.sqrt(self._squares / max(self.count, 1))
        normal = zip(self.constants(), self._mean.tolist(), deviations.tolist(), strict=True)
        return [(mean, deviation or 1.0) if value is None else (value, 1.0) for value, mean, deviation in normal]
