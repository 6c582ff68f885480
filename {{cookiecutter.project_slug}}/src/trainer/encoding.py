# Owned by the template.
"""From raw columns to what `build_model` sees, and from its output to an endpoint's answer."""

from collections.abc import Callable

import keras
import tensorflow as tf

from trainer.columns import Categorical, Classes, Column, Hashed, Identity, Table

Tensors = dict[str, tf.Tensor]
Predict = Callable[[Tensors], tf.Tensor]
Signatures = dict[str, tuple[Callable, list]]
# Wide enough for half precision.
SUM_TOLERANCE = 1e-2


class Encoder:
    """Preprocessing and serving signatures of a `Table`; part of the exported graph, so no client has to repeat it."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.features = table.features
        # Mean and deviation of each float column, learned from the training data.
        self.normal: dict[str, tuple[float, float]] = {}
        categorical = [column for column in self.features if isinstance(column, Categorical)]
        self.lookups = {column.key: _lookup(column.vocabulary, unknown=1) for column in categorical}
        self._labels = _lookup(table.target.labels, unknown=0) if isinstance(table.target, Classes) else None

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
        """`named` takes one input a column. `serving_default` is the same, unless every column is a number: then it
        takes one list a row, in the order of model.py, because SageMaker's text/csv sends lists and names no signature.
        """
        dtypes = {column.key: tf.as_dtype(column.dtype) for column in self.features}

        def named(raw: Tensors) -> Tensors:
            filled = {column.key: _filled(column, raw[column.key]) for column in self.features}
            return self._answer(predict(self.encode(filled)))

        def packed(features: tf.Tensor) -> Tensors:
            values = dict(zip(dtypes, tf.unstack(features, axis=1), strict=True))
            return named({column.key: _cast(column, values[column.key]) for column in self.features})

        by_name = (named, [{key: tf.TensorSpec([None], dtype, name=key) for key, dtype in dtypes.items()}])
        as_list = (packed, [tf.TensorSpec([None, len(dtypes)], tf.float32, name="features")])
        default = by_name if tf.string in dtypes.values() else as_list
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


def _lookup(values: list, unknown: int) -> keras.layers.Layer:
    kind = keras.layers.IntegerLookup if isinstance(values[0], int) else keras.layers.StringLookup
    return kind(vocabulary=list(values), num_oov_indices=unknown)


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
    # Above 2^24 a float32 no longer holds every whole number: the neighbour's would be meant.
    whole = tf.reduce_all((tf.floor(value) == value) & (tf.abs(value) < 2**24))
    message = f"{column.key} must be a whole number below 2^24; use the signature named for a larger one"
    return tf.cast(_checked(whole, message, value), column.dtype)


def _checked(condition: tf.Tensor, message: str, value: tf.Tensor) -> tf.Tensor:
    # Bound to the value by a control dependency, so that pruning an exported graph cannot lose the check.
    assertion = tf.debugging.Assert(condition, [message])
    with tf.control_dependencies([assertion] if assertion is not None else []):
        return tf.identity(value)
