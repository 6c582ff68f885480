# Owned by the template.
"""The first pass over all rows: counts them, learns what numbers are normalised by, and sees what is odd."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.columns import Classes, Table, Target
from trainer.encoding import FLOAT_LIMIT, Encoder, together
from trainer.rows import EXAMPLES, Seen
from trainer.store import Store
from trainer.values import WordCounts

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
    # Mean and deviation of each number, [n, 2], and, by name, of targets that are one.
    normal: Any = None
    moments: dict[str, list[float]] = field(default_factory=dict)
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
        labels = [[*name, count] for name, count in self.seen.labels.items()]
        others = {"large": sorted(self.large), "normal": self.normal.tolist(), "labels": labels}
        return (
            others
            | {name: getattr(self, name) for name in ("joined", "has_blank", "total", "moments", "words")}
            | {"seen": kept}
        )

    def take(self, found: dict) -> None:
        """Become what `as_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        self.large, self.normal = set(found["large"]), np.float32(found["normal"]).reshape(-1, 2)
        self.joined, self.has_blank, self.total = found["joined"], found["has_blank"], found["total"]
        self.words = list(found["words"])
        self.moments = {name: [float(one) for one in pair] for name, pair in found["moments"].items()}
        self.seen.labels.update({(name, label): int(count) for name, label, count in found["labels"]})
        for name in _KEPT:
            setattr(self.seen, name, type(getattr(self.seen, name))(found["seen"][name]))


class Scan:
    """What a first pass looks at, and how rows are packed.

    A row is kept as int32: the bits of its numbers and of the weight; the targets; then the indices.
    """

    def __init__(self, table: Table, encoder: Encoder) -> None:
        self._targets, self._encoder = table.targets, encoder
        # No field of a file is this text.
        missing = ["\0" if column.default is None else str(column.default) for column in encoder.categorical]
        self._missing = tf.constant(missing, tf.string)

    @property
    def width(self) -> int:
        """Of a packed row."""
        places = len(self._encoder.indexed) + sum(column.length for column in self._encoder.worded)
        return self._encoder.width + 1 + len(self._targets) + places

    def pack(self, raw: dict, targets: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Decoded rows as int32 [rows, width]; `targets` are packed already."""
        size = tf.shape(weight)[0]
        indices = tf.cast(self._encoder.indices(raw, size), tf.int32)
        floats = self._encoder.floats(together(raw, self._encoder.numbers, size), raw)
        floats = tf.concat([floats, weight[:, tf.newaxis]], axis=1)
        return tf.concat([tf.bitcast(floats, tf.int32), targets, indices], axis=1)

    def unpack(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Numbers [rows, n], weight [rows], targets, still packed, and indices [rows, m]."""
        count = self._encoder.width
        floats, end = tf.bitcast(rows[:, : count + 1], tf.float32), count + 1 + len(self._targets)
        return floats[:, :count], floats[:, count], rows[:, count + 1 : end], rows[:, end:]

    def run(self, looks: tf.data.Dataset, found: FirstPass, store: Store) -> None:
        """Complete `found` by what `look` saw in all blocks, and put their rows into `store`. Raises BadRowError."""
        count = self._encoder.width
        # Beside the numbers stand the weight and the targets.
        values = {count + 1 + n: t.name for n, t in enumerate(self._targets) if not isinstance(t, Classes)}
        learned = [*range(count), *values]
        seen, moments, told = found.seen, _Moments(len(learned)), time.monotonic()
        unknown: dict[int, dict[str, None]] = {}
        large, counts = np.zeros(len(self._encoder.integers), bool), np.zeros((2, len(self._encoder.categorical)), int)
        same = first = np.zeros(0, bool)
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
            moments.add(packed.view(np.float32)[:, learned])
            self._add_targets(seen, packed, seen.rows == len(packed))
            large = large | look["large"]
            if seen.rows == len(packed):
                same, first = look["same"], look["first"]
            same = same & look["same"] & (first == look["first"])
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
        found.moments = dict(zip(values.values(), normal[count:].tolist(), strict=True))
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
            examples = [int(word) if column.dtype == "int64" else word for word in unknown.get(number, {})]
            seen.add_categories(column.name, int(counts[0, number]), int(counts[1, number]), examples)

    def look(self, lines: tf.Tensor, rows: tf.Tensor, raw: dict, targets: tf.Tensor, weight: tf.Tensor) -> dict:
        """What `run` needs of a block: `lines`, `rows`, those that are not blank, and what is decoded of them."""
        size, packed = tf.shape(weight)[0], self.pack(raw, targets, weight)
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
        wrong = any(
            (column < 0).any() if isinstance(target, Classes) else not np.isfinite(column.view(np.float32)).all()
            for target, column in self._columns_of(packed)
        )
        if wrong or not is_utf8 or not np.isfinite(floats).all() or (floats[:, count] < 0).any():
            raise BadRowError("a number is not finite, out of range, or a negative weight; or a text is not UTF-8")

    def _columns_of(self, packed: np.ndarray) -> Iterator[tuple[Target, np.ndarray]]:
        for number, target in enumerate(self._targets, start=self._encoder.width + 1):
            yield target, np.ascontiguousarray(packed[:, number])

    def _add_targets(self, seen: Seen, packed: np.ndarray, first: bool) -> None:
        for target, column in self._columns_of(packed):
            if isinstance(target, Classes):
                for label, count in zip(target.labels, np.bincount(column, minlength=len(target.labels)), strict=True):
                    seen.labels[target.name, label] += int(count)
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
        return np.array(found, np.float32).reshape(-1, 2)
