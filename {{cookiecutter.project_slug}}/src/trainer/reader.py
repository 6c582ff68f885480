# Owned by the template; read it when your data is no table of numbers and categories.
"""Data that is no table: what training asks of `model.DATA` then, and `Rows`, which has half of it already."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import tensorflow as tf

from trainer.encoding import Predict, Signatures
from trainer.explaining import UserError, ask, explaining_model

EXAMPLES = 3


class Reader(Protocol):
    """What training needs of data. `CsvReader` is one; `model.DATA` may be another, for images or series.

    Called in this order: prepare, once; train_rows and eval_rows; inputs; batches, for each epoch anew; check_output
    with a first answer; signatures and examples, which have to fit each other before the first step, and once more for
    the export.
    """

    def prepare(self, train: str, evaluation: str) -> None:
        """Find and check the data before any training, learn statistics from `train`. Raises DataError.

        Each is what settings.toml names: a file, a folder or a pattern; in a job of SageMaker the folder of a channel,
        in one of Vertex AI a gs:// place. `files.below` finds the files of each; tf.io.gfile opens all.
        """

    @property
    def train_rows(self) -> int: ...

    @property
    def eval_rows(self) -> int: ...

    def inputs(self) -> dict[str, keras.KerasTensor]:
        """What `build_model` is given: the features of `batches`, symbolically."""

    def batches(self, training: bool, batch_size: int, seed: tf.Tensor | int = 0) -> tf.data.Dataset:
        """Batches of (features, target, weight): endless and shuffled by `seed` in training, else one ordered pass."""

    def signatures(self, predict: Predict) -> tuple[Signatures, list]:
        """Serving signatures (name to function and its input signature), and the layers they use beside the model."""

    def examples(self, count: int = EXAMPLES) -> list:
        """The first `count` rows of `batches(False)`, in its order, as JSON values: what a client sends as `instances`
        to the signature `serving_default`. Bytes are {"b64": their base64}.
        """

    def check_output(self, output: tf.Tensor) -> str | None:
        """What is wrong with a model that answers a batch of data with `output`, in words."""


class Rows:
    """A `Reader` of which a subclass writes `prepare`, `rows`, `signatures` and `examples`, and what else it likes."""

    # Called with `training`: lists, arrays or tensors, in a tuple or a dict, each with an element for every row. They
    # stay in memory, and are shuffled: the names of files stand better here than what is in them.
    rows: Callable[[bool], Any]

    def row(self, *parts: Any) -> tuple:
        """(features, target), or with a weight, of one row's parts of `rows`, by TensorFlow's operations."""
        return parts

    train_rows = property(lambda self: len(self._all(True)))
    eval_rows = property(lambda self: len(self._all(False)))

    def inputs(self) -> dict[str, keras.KerasTensor]:
        features = self.batches(False, 1).element_spec[0]
        return {key: keras.Input(spec.shape[1:], name=key, dtype=spec.dtype.name) for key, spec in features.items()}

    def batches(self, training: bool, batch_size: int, seed: tf.Tensor | int = 0) -> tf.data.Dataset:
        found = self._all(training)
        if training:
            found = found.shuffle(found.cardinality(), seed=seed).repeat()
        return found.map(self._weighted, tf.data.AUTOTUNE).batch(batch_size).prefetch(tf.data.AUTOTUNE)

    def check_output(self, output: tf.Tensor) -> str | None:
        return None

    def _all(self, training: bool) -> tf.data.Dataset:
        # Not in the graph of an epoch, which cannot hold 2 GB.
        with tf.init_scope():
            return tf.data.Dataset.from_tensor_slices(self.rows(training))

    def _weighted(self, *parts: Any) -> tuple:
        features, target, *weight = self.row(*parts)
        return features, target, *(weight or [1.0])


def part(batch: tuple, number: tf.Tensor, count: int) -> tuple:
    """Rows `number`, `number` + `count`, and so on of a batch, (features, target, weight); weighted so that the sum of
    `count` parts' mean losses is `count` times the mean over the whole batch, of which a part may have a row more.
    """
    rows = tf.shape(tf.nest.flatten(batch[1])[0])[0]
    places = tf.range(tf.minimum(tf.cast(number, tf.int32), rows), rows, count)
    # A part of no row has one that does not count: a mean over none is not finite.
    is_empty = tf.cast(tf.size(places) == 0, tf.int32)
    places = tf.concat([places, tf.zeros([is_empty], tf.int32)], axis=0)
    factor = tf.cast(tf.size(places) * count * (1 - is_empty), tf.float32) / tf.cast(rows, tf.float32)
    features, target, weight = tf.nest.map_structure(lambda values: tf.gather(values, places), batch)
    return features, target, tf.nest.map_structure(lambda one: tf.cast(one, tf.float32) * factor, weight)


def prepare(reader: Reader, train: str, evaluation: str) -> None:
    """`reader.prepare`, between looks at what the reader is. Raises UserError."""
    refuse("members", reader)
    reader.prepare(train, evaluation)
    refuse("rows", reader)


def refuse(what: str, *about: Any) -> None:
    """Raise UserError for what `onstage` finds wrong with a reader."""
    with explaining_model("DATA must have the members of `Reader` in src/trainer/reader.py"):
        problem = ask(f"reader_{what}", *about)
    if problem:
        raise UserError(f"model.py: {problem}")


def described(reader: Reader) -> dict[str, Any]:
    """What weights were learned from: `rows`, `columns`, whose change they do not survive, and what is `learned`."""
    about = getattr(reader, "about", {"columns": {}, "learned": {}, "total": 0})
    rows = {"come from": getattr(reader, "order", ""), "count": reader.train_rows, "total": about["total"]}
    return {"rows": rows, "columns": about["columns"], "learned": about["learned"]}


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What has changed, in words; the order counts."""
    found = [f"{name} is new" for name in now if name not in then]
    found += [f"{name} is gone" for name in then if name not in now]
    found += [f"{name}: {then[name]} then, {now[name]} now" for name in now if then.get(name, now[name]) != now[name]]
    if not found and [*then] != [*now]:
        found = [f"the order is {', '.join(now)} now, and was {', '.join(then)}"]
    return found[:3] + ([f"and {len(found) - 3} more"] if len(found) > 3 else [])
