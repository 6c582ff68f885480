# Owned by the template.
"""The first pass over all rows: counts them, learns what numbers are normalised by, and sees what is odd."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.columns import Classes, Table
from trainer.encoding import FLOAT_LIMIT, Encoder, together
from trainer.notes import EXAMPLES, Seen
from trainer.store import Store
from trainer.texts import WordCounts

SECONDS_BETWEEN_SIGNS_OF_LIFE = 10
MOST_UNKNOWN = 10_000
_KEPT = ("rows", "known", "unknown", "first_unknown", "only")


class BadRowError(Exception):
    """Some row of a batch cannot be used; which one is for a slower reader to find."""


@dataclass
class FirstPass:
    """What is known of a channel once all of its rows were read."""

    seen: Seen
    # Whether some fields have line ends in them.
    joined: bool = False
    # Mean and deviation of each number, [n, 2], and of a target that is one.
    normal: Any = None
    target: tuple[float, float] = (0.0, 1.0)
    # The most frequent words of each text column.
    words: list[list[str]] = field(default_factory=list)
    # The names of the columns with a whole number that a list of float32 cannot carry.
    large: set[str] = field(default_factory=set)
    has_blank: bool = False
    # What all lines add up to, in whatever order they stand.
    total: int = 0

    def as_json(self) -> dict:
        """All of it, for another time."""
        kept = {name: getattr(self.seen, name) for name in _KEPT}
        labels = list(self.seen.labels.values())
        others = {"large": sorted(self.large), "normal": self.normal.tolist(), "labels": labels}
        return (
            others
            | {name: getattr(self, name) for name in ("joined", "has_blank", "total", "target", "words")}
            | {"seen": kept}
        )

    def take(self, found: dict) -> None:
        """Become what `as_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        self.large, self.normal = set(found["large"]), np.float32(found["normal"]).reshape(-1, 2)
        self.joined, self.has_blank, self.total = found["joined"], found["has_blank"], found["total"]
        self.target, self.words = (float(found["target"][0]), float(found["target"][1])), list(found["words"])
        target = self.seen.table.target
        if isinstance(target, Classes):
            self.seen.labels.update(dict(zip(target.labels, found["labels"], strict=True)))
        for name in _KEPT:
            setattr(self.seen, name, type(getattr(self.seen, name))(found["seen"][name]))


class Scan:
    """What a first pass looks at, and how rows are packed.

    A row is kept as int32: the bits of its numbers, of the weight and of a target that is a number; then the indices.
    """

    def __init__(self, table: Table, encoder: Encoder) -> None:
        self._table, self._encoder = table, encoder
        # No field of a file is this text.
        missing = ["\0" if column.default is None else str(column.default) for column in encoder.categorical]
        self._missing = tf.constant(missing, tf.string)

    @property
    def width(self) -> int:
        """Of a packed row."""
        places = len(self._encoder.indexed) + sum(column.length for column in self._encoder.worded)
        return self._encoder.width + 2 + places

    def pack(self, raw: dict, target: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Decoded rows as int32 [rows, width]."""
        size = tf.shape(weight)[0]
        indices = tf.cast(self._encoder.indices(raw, size), tf.int32)
        target = tf.bitcast(target, tf.int32) if target.dtype == tf.float32 else tf.cast(target, tf.int32)
        floats = self._encoder.floats(together(raw, self._encoder.numbers, size), raw)
        floats = tf.concat([floats, weight[:, tf.newaxis]], axis=1)
        return tf.concat([tf.bitcast(floats, tf.int32), target[:, tf.newaxis], indices], axis=1)

    def unpack(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Numbers [rows, n], weight [rows], target (indices [rows] or numbers [rows, 1]) and indices [rows, m]."""
        count = self._encoder.width
        floats = tf.bitcast(rows[:, : count + 1], tf.float32)
        target = rows[:, count + 1]
        if isinstance(self._table.target, Classes):
            target = tf.cast(target, tf.int64)
        else:
            target = tf.bitcast(target, tf.float32)[:, tf.newaxis]
        return floats[:, :count], floats[:, count], target, rows[:, count + 2 :]

    def run(self, looks: tf.data.Dataset, found: FirstPass, store: Store) -> None:
        """Complete `found` by what `look` saw in all blocks, and put their rows into `store`. Raises BadRowError."""
        is_number, count = not isinstance(self._table.target, Classes), self._encoder.width
        # Beside the numbers stand the weight and the target.
        learned = [*range(count), *[count + 1] * is_number]
        seen, moments, told = found.seen, _Moments(len(learned)), time.monotonic()
        large, same, first, counts, unknown = False, None, None, 0, {}
        words = WordCounts([column.words for column in self._encoder.worded])
        for tensors in looks.prefetch(tf.data.AUTOTUNE):
            look = {name: value.numpy() for name, value in tensors.items()}
            found.has_blank |= bool(look["blank"])
            found.total += int(look["total"])
            packed = look["packed"]
            if not len(packed):
                continue
            self.check(look)
            store.add(packed)
            seen.rows += len(packed)
            moments.add(packed[:, : count + 2].view(np.float32)[:, learned])
            self._add_target(seen, packed, seen.rows == len(packed))
            large = large | look["large"]
            first = look["first"] if same is None else first
            same = look["same"] if same is None else same & look["same"] & (first == look["first"])
            counts = counts + look["counts"]
            words.add(look["words"].tolist(), look["word_counts"].tolist())
            for place, _, word in (one.decode("utf-8", "replace").partition(":") for one in look["unknown"].tolist()):
                if len(unknown.setdefault(int(place), {})) < EXAMPLES:
                    unknown[int(place)][word] = None
            if time.monotonic() - told > SECONDS_BETWEEN_SIGNS_OF_LIFE:
                told = time.monotonic()
                print(f"{seen.channel}: {seen.rows} rows read for the first time", flush=True)
        normal = moments.normal()
        found.normal, found.words = normal[:count], words.most_frequent()
        found.target = tuple(normal[count].tolist()) if is_number else found.target
        if not seen.rows:
            return
        found.large = {column.name for column, is_large in zip(self._encoder.integers, large, strict=True) if is_large}
        for column, value in zip(self._encoder.numbers, moments.constants(), strict=False):
            if value is not None:
                seen.only[column.name] = value
        for column, value, is_same in zip(
            [*self._encoder.texts, *self._encoder.integers], first.tolist(), same, strict=True
        ):
            if is_same:
                seen.only[column.name] = int(value) if column.dtype == "int64" else value.decode("utf-8", "replace")
        for number, column in enumerate(self._encoder.categorical):
            words = [int(word) if column.dtype == "int64" else word for word in unknown.get(number, {})]
            seen.add_categories(column.name, *counts[:, number].tolist(), words)

    def look(self, lines: tf.Tensor, rows: tf.Tensor, raw: dict, target: tf.Tensor, weight: tf.Tensor) -> dict:
        """What `run` needs of a block: `lines`, `rows`, those that are not blank, and what is decoded of them."""
        size, packed = tf.shape(weight)[0], self.pack(raw, target, weight)
        words, names = (part(raw, size) for part in (self._encoder.words, self._encoder.named_words))
        known, given = self.unpack(packed)[3][:, : len(self._encoder.categorical)] != 0, words != self._missing
        unknown = ~known & given
        texts = together(raw, self._encoder.texts, size, "string")
        whole = together(raw, self._encoder.integers, size, "int64")
        others = tf.concat([texts, tf.strings.as_string(whole)], axis=1)
        said = [tf.reshape(words, [-1]) for words in self._encoder.words_of_texts(raw)]
        said, _, said_counts = tf.unique_with_counts(tf.concat([tf.constant([], tf.string), *said], axis=0))
        return {
            "packed": packed,
            # A dot stands for a whole character, and matches no byte that is part of none.
            "is_utf8": tf.reduce_all(tf.strings.regex_full_match(texts, "(?s).*")),
            "blank": tf.size(rows) < tf.size(lines),
            "total": tf.reduce_sum(tf.strings.to_hash_bucket_fast(rows, 2**31 - 1)),
            "large": tf.reduce_any((whole >= FLOAT_LIMIT) | (whole <= -FLOAT_LIMIT), axis=0),
            "first": tf.reshape(others[:1], [-1]),
            "same": tf.reduce_all(others == others[:1], axis=0),
            "counts": tf.stack([tf.math.count_nonzero(known & given, axis=0), tf.math.count_nonzero(unknown, axis=0)]),
            "words": said,
            "word_counts": said_counts,
            "unknown": tf.unique(tf.boolean_mask(names, unknown))[0][:MOST_UNKNOWN],
        }

    def check(self, look: dict[str, np.ndarray]) -> None:
        """Raise BadRowError for a block with a row that cannot be used."""
        packed, is_utf8 = look["packed"], look["is_utf8"]
        count = self._encoder.width
        floats = packed[:, : count + 1].view(np.float32)
        is_number = not isinstance(self._table.target, Classes)
        target = packed[:, count + 1].view(np.float32) if is_number else packed[:, count + 1]
        wrong = (target < 0).any() if not is_number else not np.isfinite(target).all()
        if wrong or not is_utf8 or not np.isfinite(floats).all() or (floats[:, count] < 0).any():
            raise BadRowError("a number is not finite, out of range, or a negative weight; or a text is not UTF-8")

    def _add_target(self, seen: Seen, packed: np.ndarray, first: bool) -> None:
        column, target = packed[:, self._encoder.width + 1], self._table.target
        if isinstance(target, Classes):
            counts = np.bincount(column, minlength=len(target.labels)).tolist()
            seen.labels.update(dict(zip(target.labels, counts, strict=True)))
        else:
            values = column.view(np.float32)
            seen.add_values(target.name, float(values.min()), first, values.min() == values.max())


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

    def normal(self) -> np.ndarray:
        """Mean and deviation of each column, [n, 2]; the value and 1 where it never changes: not to divide by zero."""
        deviations = np.sqrt(self._squares / max(self.count, 1))
        normal = zip(self.constants(), self._mean.tolist(), deviations.tolist(), strict=True)
        found = [(mean, deviation or 1.0) if value is None else (value, 1.0) for value, mean, deviation in normal]
        return np.float32(found).reshape(-1, 2)
