# Owned by the template; read it when your data is no table of numbers and categories.
"""From CSV files to what `build_model` sees, in training and, as part of the exported graph, in serving."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from trainer.columns import Column, DataError, Dropped, Identity, Table, Target
from trainer.encoding import Encoder, Predict, Signatures, Tensors, column_in_range, unknown_values
from trainer.run import join

SHUFFLE_BUFFER = 10_000
SCAN_BATCH = 1024
PARALLEL_FILES = 16
EXAMPLES = 3

# Raw or encoded features, target, weight; the first dimension of each tensor is the batch.
Batch = tuple[Tensors, tf.Tensor, tf.Tensor]


class Reader(Protocol):
    """What training needs of data. `CsvReader` is one; `model.DATA` may be another, for images or text."""

    def prepare(self, train: str, evaluation: str) -> None:
        """Find and check the data before any training, learn statistics from `train`. Raises DataError."""

    @property
    def train_rows(self) -> int: ...

    @property
    def eval_rows(self) -> int: ...

    def inputs(self) -> dict[str, keras.KerasTensor]:
        """What `build_model` is given: the features of `batches`, symbolically."""

    def batches(self, training: bool, batch_size: int, seed: tf.Tensor | int = 0) -> tf.data.Dataset:
        """Batches of (features, target, weight): endless and shuffled by `seed` in training, else one ordered pass."""

    def signatures(self, predict: Predict) -> tuple[Signatures, list[keras.layers.Layer]]:
        """Serving signatures (name to function and its input signature), and the layers they use beside the model."""

    def examples(self) -> list:
        """A few rows as JSON values, in the form that the signature `serving_default` takes as `instances`."""

    def check_output(self, output: tf.Tensor) -> str | None:
        """What is wrong with a model that answers a batch of data with `output`, in words."""


class CsvReader:
    """Reads a `Table` from a CSV file, a folder of `*.csv`, or a pattern; memory use does not grow with the data."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.features = table.features
        self._files: dict[bool, list[str]] = {}
        self._columns: list[Column] = []
        self._encoder = Encoder(table)
        self.signatures = self._encoder.signatures
        self.check_output = self._encoder.check_output
        self.train_rows = self.eval_rows = 0

    def prepare(self, train: str, evaluation: str) -> None:
        for training, location in ((True, train), (False, evaluation)):
            self._files[training] = find_files(location)
            for file in self._files[training]:
                self._check_start(file)
        self.train_rows = self._scan(training=True)
        self.eval_rows = self._scan(training=False)

    def inputs(self) -> dict[str, keras.KerasTensor]:
        features = self.batches(False, SCAN_BATCH).element_spec[0]
        return {key: keras.Input(spec.shape[1:], dtype=spec.dtype, name=key) for key, spec in features.items()}

    def batches(self, training: bool, batch_size: int, seed: tf.Tensor | int = 0) -> tf.data.Dataset:
        read = self._shuffled(batch_size, seed) if training else self._ordered(self._files[False], batch_size)
        return read.map(
            lambda raw, target, weight: (self._encoder.encode(raw), target, weight), num_parallel_calls=tf.data.AUTOTUNE
        ).prefetch(tf.data.AUTOTUNE)

    def examples(self) -> list:
        rows = [
            {
                column.key: self._json_value(column, text)
                for column, text in zip(self._columns, fields, strict=True)
                if column.feature
            }
            for fields in islice(self._rows(self._files[False][0]), EXAMPLES)
        ]
        if any(column.dtype == "string" for column in self.features):
            return rows
        return [[row[column.key] for column in self.features] for row in rows]

    def _ordered(self, files: list[str], batch_size: int) -> tf.data.Dataset:
        # Lines are batched before files are interleaved: a third faster than the other way round.
        read = self._interleaved(files, lambda lines: lines.batch(batch_size), tf.data.AUTOTUNE)
        return self._decoded(read, batch_size)

    def _shuffled(self, batch_size: int, seed: tf.Tensor | int) -> tf.data.Dataset:
        # A shuffle needs single lines; handing those from thread to thread costs more than it gains.
        read = self._interleaved(self._files[True], lambda lines: lines, None).shuffle(SHUFFLE_BUFFER, seed=seed)
        return self._decoded(read.repeat().batch(batch_size), batch_size)

    def _decoded(self, lines: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        rows = lines.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)
        # Rows without a target were left out: without full batches again, an epoch would see too few rows.
        return rows.rebatch(batch_size) if self.table.target.drop_missing else rows

    def _interleaved(
        self, files: list[str], each: Callable[[tf.data.Dataset], tf.data.Dataset], parallel: int | None
    ) -> tf.data.Dataset:
        header = int(self.table.header)
        return tf.data.Dataset.from_tensor_slices(files).interleave(
            lambda file: each(tf.data.TextLineDataset(file).skip(header)),
            cycle_length=min(PARALLEL_FILES, len(files)),
            num_parallel_calls=parallel,
        )

    def _decode(self, lines: tf.Tensor) -> Batch:
        # Dropped columns too: with its select_cols, decode_csv would accept a row with a field too many.
        fields = tf.io.decode_csv(
            lines,
            [_record_default(column) for column in self._columns],
            field_delim=self.table.delimiter,
            na_value=self.table.missing_text,
        )
        raw = {column.key: value for column, value in zip(self._columns, fields, strict=True) if column.dtype}
        text = raw.pop(self.table.target.key)
        weight = raw.pop(self.table.weight.key) if self.table.weight else tf.ones_like(text, tf.float32)
        if self.table.target.drop_missing:
            present = text != ""
            raw, text, weight = tf.nest.map_structure(
                lambda value: tf.boolean_mask(value, present), (raw, text, weight)
            )
        return raw, self._encoder.target(text), weight

    def _scan(self, training: bool) -> int:
        """Read every row once: count the rows, refuse a bad one, learn mean and deviation of the training columns."""
        files, name = self._files[training], "train" if training else "eval"
        numeric = [column.key for column in self.features if column.dtype == "float32"]
        moments, unknown = _Moments(len(numeric)), Counter()
        batches = self._ordered(files, SCAN_BATCH).map(
            lambda *batch: self._numbers(numeric, *batch), num_parallel_calls=tf.data.AUTOTUNE
        )
        try:
            for values, good, outside in batches.prefetch(tf.data.AUTOTUNE):
                if not good:
                    raise ValueError("a number is not finite, out of range, or a negative weight")
                moments.add(values.numpy())
                unknown.update({key: int(count) for key, count in outside.items()})
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            problem = self.table.find_problem(files, _lines) or self._find_refused(files)
            raise DataError(problem or str(error)) from error
        if not moments.count:
            raise DataError(f"{', '.join(files)}: no row has a value for {self.table.target.name!r}")
        for key, rows in unknown.items():
            if rows:
                print(f"note: {key}: {rows} of {moments.count} {name} rows are outside its vocabulary", flush=True)
        if training:
            self._encoder.normal = dict(zip(numeric, moments.normal(), strict=True))
        return moments.count

    def _numbers(
        self, numeric: list[str], raw: Tensors, target: tf.Tensor, weight: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
        """Numeric columns as [batch, columns], whether all numbers can be used, and counts of unknown categories."""
        values = tf.stack([raw[key] for key in numeric], axis=1) if numeric else tf.zeros([tf.shape(weight)[0], 0])
        floats = [values, weight, *([target] if target.dtype == tf.float32 else [])]
        good = [tf.reduce_all(tf.math.is_finite(value)) for value in floats] + [tf.reduce_all(weight >= 0)]
        for column in self.features:
            if isinstance(column, Identity):
                good.append(column_in_range(column, raw[column.key]))
        return values, tf.reduce_all(tf.stack(good)), unknown_values(self._encoder.lookups, raw)

    def _find_refused(self, files: list[str]) -> str | None:
        """The first row that TensorFlow's parser refuses, such as one with a stray quote, and what it says."""
        for file in files:
            row = int(self.table.header)
            for lines in tf.data.TextLineDataset(file).skip(row).batch(SCAN_BATCH):
                if self._refusal(lines):
                    refusals = ((number, self._refusal(line[tf.newaxis])) for number, line in enumerate(lines, row + 1))
                    return next(f"{file}, row {number}: {refusal}" for number, refusal in refusals if refusal)
                row += len(lines)
        return None

    def _refusal(self, lines: tf.Tensor) -> str | None:
        try:
            self._decode(lines)
        except tf.errors.InvalidArgumentError as error:
            return error.message.partition(" [Op:")[0].rpartition("} ")[2]
        return None

    def _check_start(self, file: str) -> None:
        first = list(islice(_lines(file), 2))
        if not first:
            raise DataError(f"{file} is empty")
        if self.table.header:
            names = self.table.split(first[0].removeprefix("\ufeff"))
            self.table.check_header(file, names)
            if len(first) == 1:
                raise DataError(f"{file} has a header and no rows")
            columns = self.table.in_file_order(names)
        else:
            if first[0].startswith("\ufeff"):
                raise DataError(f"{file} starts with a byte order mark; save it as UTF-8 without one")
            columns = list(self.table.columns)
        if self._columns and columns != self._columns:
            other = self._files[True][0]
            raise DataError(f"{file}, row 1: the columns are in another order than in {other}; reorder one")
        self._columns = columns

    def _rows(self, file: str) -> Iterator[list[str]]:
        return (self.table.split(line) for line in islice(_lines(file), int(self.table.header), None))

    def _json_value(self, column: Column, text: str) -> Any:
        if text in ("", self.table.missing_text):
            return column.default
        return {"float32": float, "int64": int, "string": str}[column.dtype](text)


class _Moments:
    """Count, mean and deviation of columns in one pass, by the pairwise update of Chan, Golub and LeVeque."""

    def __init__(self, columns: int) -> None:
        self.count, self._mean, self._squares = 0, np.zeros(columns), np.zeros(columns)

    def add(self, values: np.ndarray) -> None:
        """`values`: [rows, columns]."""
        rows, values = len(values), values.astype("float64")
        if not rows:
            return
        mean, total = values.mean(axis=0), self.count + rows
        shift = mean - self._mean
        self._squares += ((values - mean) ** 2).sum(axis=0) + shift**2 * self.count * rows / total
        self._mean += shift * rows / total
        self.count = total

    def normal(self) -> list[tuple[float, float]]:
        """Mean and deviation of each column; 1 for a column that never changes, which would be divided by zero."""
        deviations = np.sqrt(self._squares / self.count)
        return [(float(mean), float(deviation) or 1.0) for mean, deviation in zip(self._mean, deviations, strict=True)]


def find_files(location: str) -> list[str]:
    """The files of a location: itself, a folder's *.csv, or what a pattern matches. Raises DataError for none."""
    try:
        # Not by a pattern first: a folder's own name may hold [ or ?.
        if tf.io.gfile.isdir(location):
            files = [join(location, name) for name in tf.io.gfile.listdir(location) if name.endswith(".csv")]
            none = f"{location} holds no *.csv file; name a file or a pattern such as {join(location, 'part-*')}"
        else:
            files = [location] if tf.io.gfile.exists(location) else tf.io.gfile.glob(location)
            none = f"there is no data at {location}"
    except tf.errors.OpError as error:
        raise DataError(f"{location} cannot be read: {error.message.splitlines()[0]}") from error
    if not files:
        raise DataError(none)
    return sorted(files)


def _lines(file: str) -> Iterator[str]:
    with tf.io.gfile.GFile(file, "rb") as lines:
        for line in lines:
            yield line.decode("utf-8", "replace")


def _record_default(column: Column) -> tf.Tensor:
    # decode_csv refuses an empty field where the default is an empty tensor.
    if isinstance(column, Target):
        return tf.constant([""] if column.drop_missing else [], tf.string)
    if isinstance(column, Dropped):
        return tf.constant([""])
    return tf.constant([] if column.default is None else [column.default], column.dtype)
