# Owned by the template.
"""From raw columns to what `build_model` sees, and from its output to an endpoint's answer."""

import keyword
from collections import Counter
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from trainer.columns import Categorical, Classes, Column, Hashed, Identity, Table

Tensors = dict[str, tf.Tensor]
Predict = Callable[[Tensors], tf.Tensor]
Signatures = dict[str, tuple[Callable, list]]
# Wide enough for half precision.
SUM_TOLERANCE = 1e-2
# From here on a float32 no longer holds every whole number: the neighbour's would be meant.
FLOAT_LIMIT = 2**24


class Encoder:
    """Preprocessing and serving signatures of a `Table`; part of the exported graph, so no client has to repeat it."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.features = table.features
        # Mean and deviation of each float column, learned from the training data.
        self.normal: dict[str, tuple[float, float]] = {}
        # The columns with whole numbers that a list of float32 cannot carry: model.py says so, or the data.
        self.large = {column.name for column in self.features if column.largest >= FLOAT_LIMIT}
        categorical = [column for column in self.features if isinstance(column, Categorical)]
        self.lookups = {column.key: _lookup(column.vocabulary, unknown=1) for column in categorical}
        self._labels = _lookup(table.target.labels, unknown=0) if isinstance(table.target, Classes) else None

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

    def encode(self, raw: Tensors) -> Tensors:
        """Raw features ([batch] each, nothing missing) to what the model sees ([batch, n], or [batch] for an index)."""
        return {column.key: self._encode(column, raw[column.key]) for column in self.features}

    def _encode(self, column: Column, value: tf.Tensor) -> tf.Tensor:
        if isinstance(column, Categorical):
            index = self.lookups[column.key](value)
        elif isinstance(column, Hashed):
            index = tf.strings.to_hash_bucket_fast(value, column.size)
        elif isinstance(column, Identity):
            message = f"{column.key} must be between 0 and {column.size - 1}"
            index = _checked(column_in_range(column, value), message, value)
        else:
            mean, deviation = self.normal[column.key]
            return ((value - mean) / deviation)[:, tf.newaxis]
        return tf.one_hot(index, column.size) if column.encoding == "one_hot" else tf.cast(index, tf.int64)

    def target(self, text: tf.Tensor) -> tf.Tensor:
        """The target as the file spells it, [batch], to label indices [batch] or numbers [batch, 1]."""
        if self._labels is None:
            return tf.strings.to_number(text)[:, tf.newaxis]
        return self._labels(tf.strings.to_number(text, tf.int64) if self.table.target.dtype == "int64" else text)

    def signatures(self, predict: Predict) -> tuple[Signatures, list[keras.layers.Layer]]:
        """`named` takes one input a column. `serving_default` is the same, unless every column is a number that a
        float32 holds: then it takes one list a row, in the order of model.py, because SageMaker's text/csv sends lists
        and names no signature.
        """
        dtypes = {column.key: tf.as_dtype(column.dtype) for column in self.features}

        def named(raw: Tensors) -> Tensors:
            filled = {column.key: _filled(column, raw[column.key]) for column in self.features}
            return self._answer(predict(self.encode(filled)))

        def packed(features: tf.Tensor) -> Tensors:
            values = dict(zip(dtypes, tf.unstack(features, axis=1), strict=True))
            return named({column.key: _cast(column, values[column.key]) for column in self.features})

        names = _input_names(dtypes)
        by_name = (named, [{key: tf.TensorSpec([None], dtype, name=names[key]) for key, dtype in dtypes.items()}])
        as_list = (packed, [tf.TensorSpec([None, len(dtypes)], tf.float32, name="features")])
        default = as_list if self.rows_are_lists else by_name
        return {"serving_default": default, "named": by_name}, list(self.lookups.values())

    def check_output(self, output: tf.Tensor) -> str | None:
        """What is wrong with a model that answers a batch of data with `output`, in words; None where nothing is."""
        target = self.table.target
        units = len(target.labels) if isinstance(target, Classes) else 1
        meaning = f"one probability for each label of {target.name!r}" if units > 1 else f"the value of {target.name!r}"
        one_unit = units == 2 and output.shape[1:] == [1]
        if output.shape[1:] != [units] and not one_unit:
            return f"the model's output has the shape {('batch', *output.shape[1:])}, not (batch, {units}): {meaning}"
        total = tf.reduce_sum(self._probabilities(output), axis=1)
        if units > 1 and not (tf.reduce_all(output >= 0) and tf.reduce_all(tf.abs(total - 1) < SUM_TOLERANCE)):
            return "the model's output is no probability; end in softmax, or in sigmoid where there is one unit"
        return None

    def _probabilities(self, output: tf.Tensor) -> tf.Tensor:
        # One sigmoid unit says how likely the second of two labels is.
        return tf.concat([1 - output, output], axis=1) if output.shape[-1] == 1 else output

    def _answer(self, output: tf.Tensor) -> Tensors:
        output = tf.debugging.assert_all_finite(output, "the prediction is not finite")
        target = self.table.target
        if not isinstance(target, Classes):
            return {"value": tf.squeeze(output, axis=1)}
        output = self._probabilities(output)
        best = tf.argmax(output, axis=1)
        # A gather needs neither a lookup table nor an asset file in the export.
        labels = tf.constant(list(target.labels), target.dtype)
        return {"class_id": best, "class_label": tf.gather(labels, best), "probabilities": output}


def column_in_range(column: Identity, value: tf.Tensor) -> tf.Tensor:
    """Whether every value, [batch], is an index of `column`."""
    return tf.reduce_all((value >= 0) & (value < column.size))


def reserve_names(keys: Iterable[str]) -> None:
    """Keep Keras from naming a layer as a column, such as `dense` or `average_1`: a model has a name once."""
    for key in keys:
        stem, _, number = key.rpartition("_")
        if stem and number.isdigit() and len(number) < 4:
            while keras.backend.get_uid(stem) <= int(number):
                pass
        keras.backend.get_uid(key)


def has_large(value: tf.Tensor) -> tf.Tensor:
    """Whether one of the whole numbers, [batch], is more than a list of float32 carries."""
    return tf.reduce_any((value >= FLOAT_LIMIT) | (value <= -FLOAT_LIMIT))


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


def _lookup(values: list, unknown: int) -> keras.layers.Layer:
    kind = keras.layers.IntegerLookup if isinstance(values[0], int) else keras.layers.StringLookup
    # Keras takes a first value that is its own word for the unknown, -1 or [UNK], for just that.
    word = {-1: min(values), "[UNK]": "[UNK]"}.get(values[0])
    other = {} if word is None else {"oov_token": word - 1 if isinstance(word, int) else "".join(values) + "?"}
    return kind(vocabulary=list(values), num_oov_indices=unknown, **other)


def _filled(column: Column, value: tf.Tensor) -> tf.Tensor:
    if column.dtype == "float32":
        if column.default is not None:
            value = tf.where(tf.math.is_nan(value), tf.constant(column.default, value.dtype), value)
        return tf.debugging.assert_all_finite(value, f"{column.key} must be a finite number")
    if column.dtype == "string" and column.default is not None:
        return tf.where(value == "", tf.constant(column.default), value)
    return value


def _cast(column: Column, value: tf.Tensor) -> tf.Tensor:
    if column.dtype == "float32":
        return value
    if column.default is not None:
        value = tf.where(tf.math.is_nan(value), tf.constant(column.default, tf.float32), value)
    whole = tf.reduce_all((tf.floor(value) == value) & (tf.abs(value) < FLOAT_LIMIT))
    message = f"{column.key} must be a whole number below 2^24; use the signature named for a larger one"
    return tf.cast(_checked(whole, message, value), column.dtype)


def _checked(condition: tf.Tensor, message: str, value: tf.Tensor) -> tf.Tensor:
    # Bound to the value by a control dependency, so that pruning an exported graph cannot lose the check.
    assertion = tf.debugging.Assert(condition, [message])
    with tf.control_dependencies([assertion] if assertion is not None else []):
        return tf.identity(value)
