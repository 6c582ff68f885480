# Owned by the template.
"""Targets, words and dates: from the texts of a file to numbers, and from a network's output to an answer.

With several targets, targets, outputs and weights are dicts by the targets' keys, and answers have their key in front.
Words, dates and answers are part of the exported graph.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.columns import DATE_DIGITS, Classes, Date, Table, Target
from trainer.run import UserError

Tensors = dict[str, tf.Tensor]
# Wide enough for half precision.
SUM_TOLERANCE = 1e-2
# Words are kept as these hashes: a vocabulary is known only when all rows were read. A row is int32.
HASHES = 2**31 - 1
MOST_COUNTED = 1_000_000
PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2
DATE_NUMBERS = 4
_MONTHS = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
# From 0000-03-01.
_DAYS_TO_1970 = 719468


@dataclass(frozen=True)
class Units:
    """A target's own units, in which answers and metrics are, and the standardised ones of a network and its loss."""

    mean: float = 0.0
    deviation: float = 1.0
    # Of several targets, by their keys.
    parts: Mapping[str, "Units"] = field(default_factory=dict, kw_only=True)

    def standardise(self, values: Any) -> Any:
        """A target, or answers, as the network has them."""
        if self.parts:
            return {key: self.parts[key].standardise(value) for key, value in values.items()}
        return values if self == Units() else (values - self.mean) / self.deviation

    def restore(self, output: Any) -> Any:
        """What the network has, in the target's own units."""
        if self.parts:
            return {key: self.parts[key].restore(value) for key, value in output.items()}
        return output if self == Units() else tf.cast(output, tf.float32) * self.deviation + self.mean

    def said(self, table: Table) -> list[str]:
        """What is to be known of the loss, in words."""
        units = {target.name: self.parts.get(target.key, self) for target in table.targets}
        each = {name: one for name, one in units.items() if one != Units()}
        return [f"{name} less {one.mean:.6g}, divided by {one.deviation:.6g}" for name, one in each.items()]


def like(target: Any, output: Any) -> Any:
    """`target` in the shape of `output`: [batch] against [batch, 1] would broadcast to [batch, batch]."""
    if isinstance(target, dict) and isinstance(output, dict):
        return {key: like(value, output[key]) if key in output else value for key, value in target.items()}
    if tf.is_tensor(target) and tf.is_tensor(output) and target.shape.rank == 1 and output.shape[-1] == 1:
        return target[:, tf.newaxis]
    return target


def named(results: Tensors, reader: Any, network: keras.Model) -> Tensors:
    """Metrics as they are reported: the values of one that has several one by one, each called by its label where they
    are as many as the labels of its target, and none of several thresholds, else by its number. Raises UserError for
    one that is no list of numbers.
    """
    found, columns = {}, getattr(getattr(reader, "table", None), "targets", [])
    compiled = [one for some in network.metrics for one in getattr(some, "metrics", [some])]
    for name, value in results.items():
        if not value.shape.rank or value.shape == [1]:
            found[name] = tf.reshape(value, [])
            continue
        if value.shape.rank > 1:
            raise UserError(
                f"model.py: the metric {name!r} has the shape {tuple(value.shape)}, and must be a number or a list"
            )
        parts = [str(number) for number in range(len(value))]
        of = [column for column in columns if len(columns) == 1 or name.startswith(f"{column.key}_")]
        # One key may begin with another.
        column = max(of, key=lambda column: len(column.key), default=None)
        labels = [re.sub(r"[^A-Za-z0-9]+", "_", str(label)) for label in getattr(column, "labels", ())]
        has_thresholds = any(name.endswith(one.name) and hasattr(one, "thresholds") for one in compiled)
        if len(set(labels)) == len(labels) == len(parts) and not has_thresholds:
            parts = labels
        found |= {f"{name}_{part}": value[number] for number, part in enumerate(parts)}
    return found


class Targets:
    """The targets of a table: packed, int32 [batch, targets], the numbers of labels, or the bits of numbers."""

    def __init__(self, table: Table) -> None:
        self.columns = table.targets
        self.units = Units()
        self._weigh = any(getattr(column, "weights", None) for column in self.columns)

    def learn(self, moments: Mapping[str, Sequence[float]]) -> None:
        """Take mean and deviation of the targets that are numbers, by name."""
        parts = {
            column.key: Units(*moments[column.name]) if getattr(column, "standardise", False) else Units()
            for column in self.columns
        }
        if len(parts) == 1:
            self.units = next(iter(parts.values()))
        else:
            self.units = Units(parts=parts) if any(one != Units() for one in parts.values()) else Units()

    def seen(self, packed: tf.Tensor) -> Any:
        """What losses and metrics see: label numbers [batch], one-hot labels [batch, labels] or numbers [batch, 1]."""
        found = {}
        for column, values in zip(self.columns, tf.unstack(packed, len(self.columns), axis=1), strict=True):
            if not isinstance(column, Classes):
                found[column.key] = tf.bitcast(values, tf.float32)[:, tf.newaxis]
            else:
                found[column.key] = (
                    tf.one_hot(values, len(column.labels)) if column.one_hot else tf.cast(values, tf.int64)
                )
        return self._together(found)

    def weighed(self, packed: tf.Tensor, weight: tf.Tensor) -> Any:
        """The weight of rows [batch] in training, each output's times those of its labels."""
        if not self._weigh:
            return weight
        found = {}
        for column, values in zip(self.columns, tf.unstack(packed, len(self.columns), axis=1), strict=True):
            known = getattr(column, "weights", {})
            of_labels = [float(known.get(label, 1)) for label in getattr(column, "labels", ())] if known else []
            found[column.key] = weight * tf.gather(tf.constant(of_labels), values) if known else weight
        return self._together(found)

    def check_output(self, output: Any) -> str | None:
        """What is wrong with a model that answers a batch of data with `output`, in words; None where nothing is."""
        keys = [column.key for column in self.columns]
        if len(keys) > 1 and (not isinstance(output, dict) or set(output) != set(keys)):
            given = sorted(output) if isinstance(output, dict) else type(output).__name__
            return f"the table has the targets {keys}: end in a dict with one output for each, not {given}"
        each = {column.key: output[column.key] for column in self.columns} if len(keys) > 1 else {keys[0]: output}
        found = (_wrong_output(column, each[column.key]) for column in self.columns)
        return next(filter(None, found), None)

    def answer(self, output: Any) -> Tensors:
        """What an endpoint answers."""
        output = self.units.restore(output)
        found: Tensors = {}
        for column in self.columns:
            alone = len(self.columns) == 1
            one = _answer(column, output if alone else output[column.key])
            found |= {key if alone else f"{column.key}_{key}": value for key, value in one.items()}
        return found

    def constant(self, labels: Mapping[Any, int], moments: Mapping[str, Sequence[float]]) -> tuple[str, Any]:
        """What is best to answer of a row of which nothing is known, in words and as outputs, in the targets' units."""
        words, found = [], {}
        for column in self.columns:
            if isinstance(column, Classes):
                counts = [labels[column.name, label] for label in column.labels]
                words.append(f"{column.labels[int(np.argmax(counts))]!r}, the most frequent label,")
                found[column.key] = [count / sum(counts) for count in counts]
            else:
                words.append(f"{moments[column.name][0]:.6g}, the mean of train,")
                found[column.key] = [moments[column.name][0]]
        return " and ".join(words), self._together(found)

    def _together(self, found: dict[str, Any]) -> Any:
        return found if len(found) > 1 else next(iter(found.values()))


def _wrong_output(column: Target, output: Any) -> str | None:
    if not tf.is_tensor(output):
        return f"the model's output for {column.name!r} must be one tensor, not a {type(output).__name__}"
    units = len(column.labels) if isinstance(column, Classes) else 1
    meaning = f"one probability for each label of {column.name!r}" if units > 1 else f"the value of {column.name!r}"
    one_unit = isinstance(column, Classes) and units == 2 and output.shape[1:] == [1] and not column.one_hot
    if output.shape[1:] != [units] and not one_unit:
        return f"the model's output has the shape {('batch', *output.shape[1:])}, not (batch, {units}): {meaning}"
    total = tf.reduce_sum(_probabilities(output), axis=1)
    if units > 1 and not (tf.reduce_all(output >= 0) and tf.reduce_all(tf.abs(total - 1) < SUM_TOLERANCE)):
        return "the model's output is no probability; end in softmax, or in sigmoid where there is one unit"
    return None


def _probabilities(output: tf.Tensor) -> tf.Tensor:
    # One sigmoid unit says how likely the second of two labels is.
    return tf.concat([1 - output, output], axis=1) if output.shape[-1] == 1 else output


def _answer(column: Target, output: tf.Tensor) -> Tensors:
    output = tf.debugging.assert_all_finite(output, "the prediction is not finite")
    if not isinstance(column, Classes):
        return {"value": tf.squeeze(output, axis=1)}
    output = _probabilities(output)
    best = tf.argmax(output, axis=1)
    # A gather needs neither a lookup table nor an asset file in the export.
    labels = tf.constant(list(column.labels), column.dtype)
    return {"class_id": best, "class_label": tf.gather(labels, best), "probabilities": output}


def words_of(texts: tf.Tensor, length: int, prefix: str) -> tf.Tensor:
    """The first `length` words of texts [batch], in lower case, without punctuation, behind `prefix`: [batch, length],
    "" where there are fewer.
    """
    # Keras' own standardization knows ASCII only.
    plain = tf.strings.regex_replace(tf.strings.lower(texts, encoding="utf-8"), r"[\p{P}\p{S}]", "")
    words = tf.strings.split(tf.strings.regex_replace(plain, r"[\p{Z}\s]+", " "), " ")
    words = tf.ragged.boolean_mask(words, words != "")
    return tf.strings.join([prefix, words]).to_tensor("", shape=[None, length])


def hashed(words: tf.Tensor) -> tf.Tensor:
    """Words as int64 below `HASHES`, -1 for ""."""
    return tf.where(words == "", tf.constant(-1, tf.int64), tf.strings.to_hash_bucket_fast(words, HASHES))


class Vocabulary:
    """Token ids of hashed words: 0 for none, 1 for an unknown one, then one for each of `words`, in their order."""

    def __init__(self, words: Mapping[str, int]) -> None:
        """`words`, with the prefixes of their columns, and their ids."""
        texts, ids = list(words) or [""], list(words.values()) or [UNKNOWN]
        keys = tf.strings.to_hash_bucket_fast(tf.constant(texts), HASHES).numpy()
        # Of two words with one hash, the more frequent one has the id.
        known = dict(zip(reversed(keys.tolist()), reversed(ids), strict=True))
        initializer = tf.lookup.KeyValueTensorInitializer(list(known), list(known.values()), tf.int64, tf.int64)
        self.table = tf.lookup.StaticHashTable(initializer, UNKNOWN)

    def ids(self, hashes: tf.Tensor) -> tf.Tensor:
        """Token ids, int64, in the shape of `hashes`."""
        return tf.where(hashes < 0, tf.constant(PADDING, tf.int64), self.table.lookup(tf.cast(hashes, tf.int64)))


class WordCounts:
    """Counts the words of several columns; of so many that memory could end, the rare ones are forgotten."""

    def __init__(self, most: Sequence[int]) -> None:
        """`most`: how many words of each column are asked for."""
        self._most, self._counts = most, [Counter[str]() for _ in most]

    def add(self, words: Sequence[bytes], counts: Sequence[int]) -> None:
        """Add words behind the numbers of their columns, and how often each was seen."""
        for word, count in zip(words, counts, strict=True):
            if word:
                number, _, text = word.decode("utf-8", "replace").partition(":")
                self._counts[int(number)][text] += count
        for counted in self._counts:
            if len(counted) > MOST_COUNTED:
                for rare, _ in counted.most_common()[MOST_COUNTED // 2 :]:
                    del counted[rare]

    def most_frequent(self) -> list[list[str]]:
        """The most frequent words of each column; of those as frequent as each other, the alphabet's first."""
        pairs = zip(self._counts, self._most, strict=True)
        ranked = lambda counted: sorted(counted, key=lambda word: (-counted[word], word))
        return [ranked(counted)[:most] for counted, most in pairs]


def date_numbers(column: Date, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Year, month, weekday (Monday is 0) and days since 1970-01-01 of texts [batch], float32 [batch, 4]; and whether
    each text is a date.
    """
    has_form = tf.strings.regex_full_match(texts, column.pattern)
    given = tf.where(has_form, texts, column.example)
    part = dict.fromkeys(("%m", "%d"), tf.ones_like(given, tf.int32))
    part |= dict.fromkeys(("%H", "%M", "%S"), tf.zeros_like(given, tf.int32))
    position = 0
    for piece in re.findall("%.|[^%]", column.format):
        width = DATE_DIGITS.get(piece, len(piece.encode()))
        if piece in DATE_DIGITS:
            part[piece] = tf.strings.to_number(tf.strings.substr(given, position, width), tf.int32)
        position += width
    year, month, day = part["%Y"], part["%m"], part["%d"]
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    longest = tf.gather(_MONTHS, tf.clip_by_value(month, 1, 12)) + tf.cast(is_leap & (month == 2), tf.int32)
    is_date = has_form & (year > 0) & (month > 0) & (month < 13) & (day > 0) & (day <= longest)
    is_date &= (part["%H"] < 24) & (part["%M"] < 60) & (part["%S"] < 60)
    # A year that begins in March ends with the leap day.
    years = year - tf.cast(month < 3, tf.int32)
    days = 365 * years + years // 4 - years // 100 + years // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - _DAYS_TO_1970
    seconds = 3600 * part["%H"] + 60 * part["%M"] + part["%S"]
    numbers = [tf.cast(one, tf.float32) for one in (year, month, (days + 3) % 7, days)]
    numbers[3] += tf.cast(seconds, tf.float32) / 86400
    return tf.stack(numbers, axis=1), is_date
