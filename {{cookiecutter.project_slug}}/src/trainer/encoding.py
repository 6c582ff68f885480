# Owned by the template.
"""From raw columns to what `build_model` sees, and the serving signatures.

Columns of one kind are computed together, as one tensor: a table may have hundreds.
"""

import keyword
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.columns import Categorical, Classes, Column, Date, Hashed, Identity, Table, Text
from trainer.values import (
    DATE_NUMBERS,
    FIRST_WORD,
    Targets,
    Tensors,
    Vocabulary,
    date_numbers,
    hashed,
    words_of,
)

Predict = Callable[[Tensors], Any]
Signatures = dict[str, tuple[Callable, list]]
Indexed = Categorical | Hashed | Identity
# From here on a float32 no longer holds every whole number: the neighbour's would be meant.
FLOAT_LIMIT = 2**24
EMBEDDING = 16


def joined(table: Table, inputs: dict[str, keras.KerasTensor]) -> keras.KerasTensor:
    """All columns side by side, float32 [batch, n]: numbers, dates and one-hot categories as they are, an index as its
    embedding, a text as the mean of its words' embeddings.
    """
    parts = []
    for column in table.features:
        value = inputs[column.key]
        if isinstance(column, (Indexed, Text)) and value.dtype == "int64":
            value = keras.layers.Embedding(column.size, EMBEDDING)(value)
            if isinstance(column, Text):
                # Not by Keras' mask, whose mean of no word is not finite.
                is_word = keras.ops.cast(inputs[column.key] > 0, "float32")[:, :, None]
                count = keras.ops.maximum(keras.ops.sum(is_word, axis=1), 1.0)
                value = keras.ops.sum(value * is_word, axis=1) / count
        parts.append(value)
    return keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


class Encoder:
    """Preprocessing and serving signatures of a `Table`; part of the exported graph, so no client has to repeat it.

    In between, a row is numbers, float32 [batch, n], those of `numbers` and then of `dates`; and the indices of all
    other columns, int64 [batch, m], of `indexed` and then of the words of `worded`.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.features = table.features
        self.numbers = [column for column in self.features if column.dtype == "float32"]
        self.dates = [column for column in self.features if isinstance(column, Date)]
        self.worded = [column for column in self.features if isinstance(column, Text)]
        self.categorical = [column for column in self.features if isinstance(column, Categorical)]
        # Side by side where they are computed by one operation.
        self.hashed = sorted((c for c in self.features if isinstance(c, Hashed)), key=lambda column: column.size)
        self.whole = [column for column in self.features if isinstance(column, Identity)]
        # By what they are in a file and in a request.
        self.texts = [column for column in self.features if column.dtype == "string"]
        self.integers = [column for column in self.features if column.dtype == "int64"]
        self.indexed: list[Indexed] = [*self.categorical, *self.hashed, *self.whole]
        # Learned from the training data: mean and deviation of each number; and the words of texts.
        self.normal = np.array([(0, 1)] * self.width, np.float32).reshape(-1, 2)
        self.vocabulary = Vocabulary({})
        self.targets = Targets(table)
        # The columns with whole numbers that a list of float32 cannot carry: model.py says so, or the data.
        self.large = {column.name for column in self.features if column.largest >= FLOAT_LIMIT}
        labels = [getattr(target, "labels", ()) for target in table.targets]
        self._words = _index([*(column.vocabulary for column in self.categorical), *labels])

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return len(self.numbers) + DATE_NUMBERS * len(self.dates)

    def floats(self, values: tf.Tensor, raw: Tensors) -> tf.Tensor:
        """All numbers of a row, [batch, width], of those of `numbers`; a graph of it refuses what is no date."""
        for column in self.dates:
            found, is_date = date_numbers(column, raw[column.key])
            message = f"{column.key} must be a date of the format {column.format}, such as {column.example}"
            values = tf.concat([values, _checked(found, is_date[:, tf.newaxis], [message])], axis=1)
        return values

    def learn_words(self, words: Sequence[Sequence[str]]) -> None:
        """Take the most frequent words of each column of `worded`, the first one first."""
        self.vocabulary = Vocabulary(
            {f"{n}:{word}": i for n, some in enumerate(words) for i, word in enumerate(some, start=FIRST_WORD)}
        )

    @property
    def rows_are_lists(self) -> bool:
        """Whether `serving_default` takes a row as a list of numbers; else it takes an object."""
        return not self.large and all(column.dtype != "string" for column in self.features)

    def why_objects(self) -> str | None:
        """Why rows are objects though every column is a number, for people; None where that is not so."""
        if not self.large or any(column.dtype == "string" for column in self.features):
            return None
        names = ", ".join(column.name for column in self.features if column.name in self.large)
        return f"whole numbers of 2^24 and above in {names}: in a request, a row is an object, not a list"

    def indices(self, raw: Tensors, size: tf.Tensor) -> tf.Tensor:
        """The indices of raw features, `size` rows of which nothing is missing; a graph of it refuses bad ones."""
        parts = [self._words.lookup(self.named_words(raw, size))] if self.categorical else []
        for buckets in dict.fromkeys(column.size for column in self.hashed):
            texts = together(raw, [column for column in self.hashed if column.size == buckets], size)
            parts.append(tf.strings.to_hash_bucket_fast(texts, buckets))
        if self.whole:
            values = together(raw, self.whole, size)
            messages = [f"{column.key} must be between 0 and {column.size - 1}" for column in self.whole]
            good = (values >= 0) & (values < tf.constant([column.size for column in self.whole], tf.int64))
            parts.append(_checked(values, good, messages))
        parts += [hashed(words) for words in self.words_of_texts(raw)]
        return tf.concat(parts, axis=1) if parts else tf.zeros([size, 0], tf.int64)

    def encode(self, numbers: tf.Tensor, indices: tf.Tensor) -> Tensors:
        """What the model sees of a row: [batch, n] a column, or [batch] for an index, by key."""
        found: Tensors = {}
        if self.width:
            mean, deviation = self.normal[:, 0], self.normal[:, 1]
            sizes = [1] * len(self.numbers) + [DATE_NUMBERS] * len(self.dates)
            normal = tf.split((numbers - mean) / deviation, sizes, axis=1)
            found |= dict(zip((column.key for column in [*self.numbers, *self.dates]), normal, strict=True))
        for encoding, size in dict.fromkeys((column.encoding, column.size) for column in self.indexed):
            places = [n for n, c in enumerate(self.indexed) if (c.encoding, c.size) == (encoding, size)]
            some = _gather(indices, places, len(self.indexed) + sum(column.length for column in self.worded))
            some = tf.one_hot(some, size) if encoding == "one_hot" else tf.cast(some, tf.int64)
            found |= {self.indexed[n].key: one for n, one in zip(places, tf.unstack(some, len(places), 1), strict=True)}
        start = len(self.indexed)
        for column in self.worded:
            found[column.key] = self.vocabulary.ids(indices[:, start : start + column.length])
            start += column.length
        return {column.key: found[column.key] for column in self.features}

    def packed_targets(self, texts: tf.Tensor) -> tf.Tensor:
        """The targets as the file spells them, [batch, targets], to int32: labels' numbers, -1 for what is none, or the
        bits of numbers.
        """
        found = []
        for number, target in enumerate(self.table.targets):
            text = texts[:, number]
            if not isinstance(target, Classes):
                found.append(tf.bitcast(tf.strings.to_number(text), tf.int32))
                continue
            if target.dtype == "int64":
                text = tf.strings.as_string(tf.strings.to_number(text, tf.int64))
            place = self._words.lookup(tf.strings.join([f"{len(self.categorical) + number}:", text]))
            found.append(tf.cast(place - 1, tf.int32))
        return tf.stack(found, axis=1)

    def words(self, raw: Tensors, size: tf.Tensor) -> tf.Tensor:
        """The raw values of the categorical columns as texts, [batch, k]."""
        texts = {
            c.key: raw[c.key] if c.dtype == "string" else tf.strings.as_string(raw[c.key]) for c in self.categorical
        }
        return together(texts, self.categorical, size, "string")

    def named_words(self, raw: Tensors, size: tf.Tensor) -> tf.Tensor:
        """The same behind the number of their column and a colon, as the vocabularies have them."""
        return tf.constant([f"{n}:" for n in range(len(self.categorical))], tf.string) + self.words(raw, size)

    def words_of_texts(self, raw: Tensors) -> list[tf.Tensor]:
        """The words of each text column, [batch, length], behind the number of the column and a colon."""
        return [words_of(raw[column.key], column.length, f"{n}:") for n, column in enumerate(self.worded)]

    def signatures(self, predict: Predict) -> tuple[Signatures, list]:
        """`named` takes one input a column. `serving_default` is the same, unless every column is a number that a
        float32 holds: then it takes one list a row, in the order of model.py, because SageMaker's text/csv sends lists
        and names no signature.
        """
        dtypes = {column.key: tf.as_dtype(column.dtype) for column in self.features}
        numbers, texts, whole = self.numbers, self.texts, self.integers

        def answer(values: tf.Tensor, raw: Tensors) -> Tensors:
            values = _where(tf.math.is_nan(values), numbers, values)
            wanted = [f"{column.key} must be a finite number" for column in numbers]
            values = _checked(values, tf.math.is_finite(values), wanted)
            return self.targets.answer(
                predict(self.encode(self.floats(values, raw), self.indices(raw, tf.shape(values)[0])))
            )

        def named(raw: Tensors) -> Tensors:
            size = tf.shape(raw[self.features[0].key])[0]
            given = together(raw, texts, size)
            filled = _unstacked(_where(given == "", texts, given), texts) if texts else {}
            return answer(together(raw, numbers, size), raw | filled)

        def packed(features: tf.Tensor) -> Tensors:
            # One value a row would be taken for all columns.
            features = tf.ensure_shape(features, [None, len(self.features)])
            at = lambda columns: _gather(features, [self.features.index(c) for c in columns], len(self.features))
            return answer(at(numbers), _unstacked(_whole(at(whole), whole), whole) if whole else {})

        names = _input_names(dtypes)
        by_name = (named, [{key: tf.TensorSpec([None], dtype, name=names[key]) for key, dtype in dtypes.items()}])
        as_list = (packed, [tf.TensorSpec([None, len(dtypes)], tf.float32, name="features")])
        default = as_list if self.rows_are_lists else by_name
        layers = [self._words] * bool(self.categorical) + [self.vocabulary.table] * bool(self.worded)
        return {"serving_default": default, "named": by_name}, layers


def together(raw: Tensors, columns: Sequence[Column], size: tf.Tensor, dtype: str = "float32") -> tf.Tensor:
    """The raw values of columns of one type, [batch, columns]."""
    return tf.stack([raw[column.key] for column in columns], axis=1) if columns else tf.zeros([size, 0], dtype)


def encoded_as(column: Column) -> dict:
    """Shape, without the batch, and type of what the model sees of a column."""
    if isinstance(column, Text):
        return {"shape": (column.length,), "dtype": "int64"}
    if isinstance(column, Date):
        return {"shape": (DATE_NUMBERS,), "dtype": "float32"}
    if isinstance(column, Indexed):
        one_hot = column.encoding == "one_hot"
        return {"shape": (column.size,) if one_hot else (), "dtype": "float32" if one_hot else "int64"}
    return {"shape": (1,), "dtype": "float32"}


def reserve_names(keys: Iterable[str]) -> None:
    """Keep Keras from naming a layer as a column, such as `dense` or `average_1`: a model has a name once."""
    for key in keys:
        stem, _, number = key.rpartition("_")
        if stem and number.isdigit() and len(number) < 4:
            while keras.backend.get_uid(stem) <= int(number):
                pass
        keras.backend.get_uid(key)


def _input_names(keys: Iterable[str]) -> dict[str, str]:
    """The name of each key in the graph: itself. Where TensorFlow cannot take one, every name is a neutral one, and
    `export` writes the keys into the signatures: it takes none that is no name in Python, and none that another equals
    but for capital letters.
    """
    keys = list(keys)
    alike = Counter(key.lower() for key in keys)
    if any(keyword.iskeyword(key) or key == "self" or alike[key.lower()] > 1 for key in keys):
        return {key: f"column_{number}" for number, key in enumerate(keys)}
    return {key: key for key in keys}


def _index(vocabularies: Sequence[Sequence]) -> tf.lookup.StaticHashTable:
    """The place of every word, from 1 on, by the number of its vocabulary, a colon and the word; 0 for any other."""
    places = {f"{n}:{word}": place for n, words in enumerate(vocabularies) for place, word in enumerate(words, start=1)}
    words, numbers = list(places) or [""], list(places.values()) or [0]
    initializer = tf.lookup.KeyValueTensorInitializer(words, numbers, tf.string, tf.int64)
    return tf.lookup.StaticHashTable(initializer, 0)


def _unstacked(values: tf.Tensor, columns: Sequence[Column]) -> Tensors:
    return dict(zip((column.key for column in columns), tf.unstack(values, len(columns), 1), strict=True))


def _gather(values: tf.Tensor, places: list[int], size: int) -> tf.Tensor:
    return values if places == list(range(size)) else tf.gather(values, tf.constant(places, tf.int32), axis=1)


def _where(empty: tf.Tensor, columns: Sequence[Column], values: tf.Tensor) -> tf.Tensor:
    """`values`, [batch, columns], with what model.py has for an empty field where one is empty."""
    if all(column.default is None for column in columns):
        return values
    nothing = "" if values.dtype == tf.string else np.nan
    filled = [nothing if column.default is None else column.default for column in columns]
    return tf.where(empty, tf.constant(filled, values.dtype), values)


def _whole(values: tf.Tensor, columns: Sequence[Column]) -> tf.Tensor:
    """Whole numbers that came as float32, [batch, columns]."""
    filled = [np.nan if column.default is None else column.default for column in columns]
    values = tf.where(tf.math.is_nan(values), tf.constant(filled, tf.float32), values)
    whole = (tf.floor(values) == values) & (tf.abs(values) < FLOAT_LIMIT)
    advice = "must be a whole number below 2^24; use the signature named for a larger one"
    return tf.cast(_checked(values, whole, [f"{column.key} {advice}" for column in columns]), tf.int64)


def _checked(values: tf.Tensor, good: tf.Tensor, messages: list[str]) -> tf.Tensor:
    """`values`, bound to a check that all are `good`, [batch, columns], so that pruning a graph cannot lose it."""
    if not messages:
        return values
    bad = tf.reduce_any(~good, axis=0)
    said = tf.strings.reduce_join(tf.boolean_mask(tf.constant(messages), bad), separator="; ")
    assertion = tf.debugging.Assert(~tf.reduce_any(bad), [said])
    with tf.control_dependencies([assertion] if assertion is not None else []):
        return tf.identity(values)
