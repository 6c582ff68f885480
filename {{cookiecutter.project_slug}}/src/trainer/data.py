# Owned by the template; read it when your data is no table of numbers and categories.
"""From CSV files to what `build_model` sees, in training and, as part of the exported graph, in serving."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import islice
from typing import Protocol

import keras
import tensorflow as tf

from trainer import rows
from trainer.columns import Column, DataError, Dropped, Table, Target
from trainer.encoding import Encoder, Predict, Signatures, Tensors, reserve_names
from trainer.fields import not_a_text
from trainer.notes import SAME_ROWS, Seen, find_notes, left_out, say_left_out
from trainer.run import join
from trainer.scan import BadRowError, Scan, without_blank

SHUFFLE_BUFFER = 10_000
SCAN_BATCH = 1024
PARALLEL_FILES = 16
EXAMPLES = 3
START_BYTES = 4096
_CHANNEL = {True: "train", False: "eval"}

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
        self._has_blank = {True: False, False: False}
        self._encoder = Encoder(table)
        self.signatures = self._encoder.signatures
        self.check_output = self._encoder.check_output
        self.train_rows = self.eval_rows = 0

    def prepare(self, train: str, evaluation: str) -> None:
        notes = []
        for training, location in ((True, train), (False, evaluation)):
            self._files[training], left = _find(location)
            notes += [say_left_out(_CHANNEL[training], left)] if left else []
            for file in self._files[training]:
                self._check_start(file)
        totals = []
        seen = [self._scan(training, totals) for training in (True, False)]
        self.train_rows, self.eval_rows = (channel.rows for channel in seen)
        notes += find_notes(*seen) + [SAME_ROWS] * (totals[0] == totals[1])
        for note in notes:
            print(f"note: {note}", flush=True)
        if why := self._encoder.why_objects():
            print(why, flush=True)

    def inputs(self) -> dict[str, keras.KerasTensor]:
        features = self.batches(False, SCAN_BATCH).element_spec[0]
        reserve_names(features)
        return {key: keras.Input(spec.shape[1:], dtype=spec.dtype, name=key) for key, spec in features.items()}

    def batches(self, training: bool, batch_size: int, seed: tf.Tensor | int = 0) -> tf.data.Dataset:
        read = self._shuffled(batch_size, seed) if training else self._ordered(False, batch_size)
        return read.map(
            lambda raw, target, weight: (self._encoder.encode(raw), target, weight), num_parallel_calls=tf.data.AUTOTUNE
        ).prefetch(tf.data.AUTOTUNE)

    def placed(self, training: bool) -> Iterator[tuple[list[str], Batch]]:
        """All rows in batches, with each row's place and text."""
        for file in self._files[training]:
            before = int(self.table.header)
            for lines in tf.data.TextLineDataset(file).skip(before).batch(SCAN_BATCH):
                raw, target, weight = self._decode(without_blank(self.table, lines))
                places = [f"{file}, row {before + n}: {line.decode()}" for n, line in enumerate(lines.numpy(), start=1)]
                if len(weight) < len(lines):
                    alone = (self._decode(without_blank(self.table, line[tf.newaxis]))[2] for line in lines)
                    places = [place for place, rows in zip(places, alone, strict=True) if len(rows)]
                yield places, (self._encoder.encode(raw), target, weight)
                before += len(lines)

    def examples(self) -> list:
        at = self._columns.index(self.table.target)
        read = (texts for file in self._files[False] for texts, _ in rows.read(self.table, file, _lines(file)))
        # Nobody has looked at the rows that the training leaves out.
        used = (texts for texts in read if texts[at] not in ("", self.table.missing_text))
        found = [
            {
                column.key: rows.value(self.table, column, text)
                for column, text in zip(self._columns, texts, strict=True)
                if column.feature
            }
            for texts in islice(used, EXAMPLES)
        ]
        if not self._encoder.rows_are_lists:
            return found
        return [[row[column.key] for column in self.features] for row in found]

    def _lines(self, files: list[str], batch_size: int) -> tf.data.Dataset:
        # Lines are batched before files are interleaved: a third faster than the other way round.
        return self._interleaved(files, lambda lines: lines.batch(batch_size), tf.data.AUTOTUNE)

    def _ordered(self, training: bool, batch_size: int) -> tf.data.Dataset:
        return self._decoded(self._lines(self._files[training], batch_size), training, batch_size)

    def _shuffled(self, batch_size: int, seed: tf.Tensor | int) -> tf.data.Dataset:
        # A shuffle needs single lines; handing those from thread to thread costs more than it gains.
        read = self._interleaved(self._files[True], lambda lines: lines, None).shuffle(SHUFFLE_BUFFER, seed=seed)
        return self._decoded(read.repeat().batch(batch_size), True, batch_size)

    def _decoded(self, lines: tf.data.Dataset, training: bool, batch_size: int) -> tf.data.Dataset:
        has_blank = self._has_blank[training]
        read = lines.map(
            lambda batch: self._decode(without_blank(self.table, batch) if has_blank else batch),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        # Rows without a target were left out: without full batches again, an epoch would see too few rows.
        return read.rebatch(batch_size) if self.table.target.drop_missing or has_blank else read

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

    def _scan(self, training: bool, totals: list[tuple[int, int]]) -> Seen:
        """Read every row once: refuse a bad one, see what is odd, learn mean and deviation of the training columns."""
        files, scan = self._files[training], Scan(self.table, self._encoder, self._decode)
        try:
            normal = scan.run(self._lines(files, SCAN_BATCH), _CHANNEL[training])
        except (tf.errors.InvalidArgumentError, BadRowError) as error:
            problem = rows.find_problem(self.table, files, _lines) or self._find_refused(files)
            raise DataError(problem or str(error)) from error
        if not scan.seen.rows:
            raise DataError(f"{', '.join(files)}: no row has a value for {self.table.target.name!r}")
        scan.seen.refuse_unknown()
        if training:
            self._encoder.normal = normal
        self._has_blank[training] = scan.has_blank
        self._encoder.large |= scan.large
        totals.append((scan.seen.rows, scan.total))
        return scan.seen

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
            self._decode(without_blank(self.table, lines))
        except tf.errors.InvalidArgumentError as error:
            return error.message.partition(" [Op:")[0].rpartition("} ")[2]
        return None

    def _check_start(self, file: str) -> None:
        with tf.io.gfile.GFile(file, "rb") as content:
            # Lines have lost their CR.
            start = content.read(START_BYTES).decode("utf-8", "surrogateescape")
        if problem := not_a_text(start[: start.find("\n") + 1] or start):
            raise DataError(f"{file} {problem}")
        columns = rows.start(self.table, file, _lines(file))
        if self._columns and columns != self._columns:
            other = self._files[True][0]
            raise DataError(f"{file}, row 1: the columns are in another order than in {other}; reorder one")
        self._columns = columns


def find_files(location: str) -> list[str]:
    """The files of a location: itself, a folder's *.csv, or what a pattern matches. Raises DataError for none."""
    return _find(location)[0]


def _find(location: str) -> tuple[list[str], list[str]]:
    """The files of a location, and what is left out of a folder."""
    others: list[str] = []
    try:
        # Not by a pattern first: a folder's own name may hold [ or ?.
        if tf.io.gfile.isdir(location):
            names = [name for name in tf.io.gfile.listdir(location) if not name.startswith(".")]
            if "://" not in location:
                # As object storage lists folders.
                names = [f"{name}/" if tf.io.gfile.isdir(join(location, name)) else name for name in names]
            others = left_out(names)
            files = [join(location, name) for name in names if name.endswith(".csv")]
            none = f"{location} holds no *.csv file; name a file or a pattern such as {join(location, 'part-*')}"
        else:
            files = [location] if tf.io.gfile.exists(location) else _matching(location)
            none = f"there is no data at {location}"
    except tf.errors.OpError as error:
        raise DataError(f"{location} cannot be read: {error.message.splitlines()[0]}") from error
    if not files:
        raise DataError(say_left_out(none, others) if others else none)
    return sorted(files), others


def _matching(pattern: str) -> list[str]:
    """What a pattern matches. Its folder is none where there is one of that very name, whatever characters it has."""
    folder, _, name = pattern.rpartition("/")
    if folder and tf.io.gfile.isdir(folder):
        return [join(folder, found) for found in tf.io.gfile.listdir(folder) if fnmatchcase(found.rstrip("/"), name)]
    return tf.io.gfile.glob(pattern)


def _lines(file: str) -> Iterator[str]:
    with tf.io.gfile.GFile(file, "rb") as lines:
        for line in lines:
            yield line.decode("utf-8", "surrogateescape")


def _record_default(column: Column) -> tf.Tensor:
    # decode_csv refuses an empty field where the default is an empty tensor.
    if isinstance(column, Target):
        return tf.constant([""] if column.drop_missing else [], tf.string)
    if isinstance(column, Dropped):
        return tf.constant([""])
    return tf.constant([] if column.default is None else [column.default], column.dtype)
