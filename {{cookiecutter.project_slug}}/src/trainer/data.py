# Owned by the template; read it when your data is no table of numbers and categories.
"""From files to what `build_model` sees, in training and, as part of the exported graph, in serving."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from trainer import files, rows
from trainer.columns import Column, DataError, Table, described, shortened
from trainer.encoding import Encoder, encoded_as, reserve_names
from trainer.explaining import ask
from trainer.export import plain
from trainer.reader import EXAMPLES, Reader  # noqa: F401 - where model.py may look for it
from trainer.rows import SAME_ROWS, Seen, find_notes, is_records, say_left_out
from trainer.scan import BadRowError, FirstPass, Scan
from trainer.store import Store, kept_place
from trainer.values import Tensors, Units

SHUFFLE_BUFFER = 10_000
PARALLEL_FILES = 16
# Of what a first pass keeps for another time.
FORMAT = 4
_CHANNEL = {True: "train", False: "eval"}


class CsvReader:
    """Reads a `Table` from CSV files or TFRecord shards: a file, a folder of them, or a pattern.

    The first pass keeps what it decodes (`store.py` says where), and epochs read that: memory use is bounded.
    """

    def __init__(self, table: Table, keep_in: str = "") -> None:
        self.table, self._keep_in = table, keep_in
        self.features = table.features
        self._files: dict[bool, list[str]] = {}
        self._columns: list[Column] = []
        self._sizes: dict[str, int | None] = {}
        self._records = {True: False, False: False}
        self._stores: dict[bool, Store] = {}
        self._first: dict[bool, FirstPass] = {}
        # To make one takes long where there are hundreds of columns.
        self._evaluation: dict[int, tf.data.Dataset] = {}
        self._encoder = Encoder(table)
        self._scan = Scan(table, self._encoder)
        self.signatures = self._encoder.signatures
        self.check_output = self._encoder.targets.check_output
        self.train_rows = self.eval_rows = 0

    def prepare(self, train: str, evaluation: str) -> None:
        notes, budget = [], self.table.memory_mb << 20
        self._sizes, self._evaluation, self._first = {}, {}, {}
        for training, location in ((True, train), (False, evaluation)):
            self._files[training], left = files.find(location, self.table.delimiter)
            self._records[training] = is_records(self._files[training][0])
            notes += [say_left_out(_CHANNEL[training], left)] if left else []
            self._sizes |= files.sizes(self._files[training])
            for file in self._files[training]:
                self._check_start(training, file)
        for training in (True, False):
            self._encoder.large |= self._read_first(training, budget).large
            budget -= self._stores[training].memory
            if why := self._stores[training].why:
                print(f"{_CHANNEL[training]}: {why}", flush=True)
        self._refuse_changes()
        seen = [self._first[training].seen for training in (True, False)]
        self._encoder.normal = self._first[True].normal
        self._encoder.learn_words(self._first[True].words)
        self._encoder.targets.learn(self._first[True].moments)
        self.train_rows, self.eval_rows = (channel.rows for channel in seen)
        same = (self._first[True].total, self.train_rows) == (self._first[False].total, self.eval_rows)
        notes += find_notes(*seen) + [SAME_ROWS] * same
        for note in notes:
            print(f"note: {note}", flush=True)
        if said := self._encoder.why_objects():
            print(said, flush=True)

    @property
    def units(self) -> Units:
        """In which answers and metrics are, by what the network has."""
        return self._encoder.targets.units

    @property
    def constant(self) -> tuple[str, Any]:
        """What is best to answer of a row of which nothing is known, in words and as an output of the network."""
        return self._encoder.targets.constant(self._first[True].seen.labels, self._first[True].moments)

    @property
    def order(self) -> str:
        """Where epochs get their rows from, which decides on their order: `memory`, `files`, or the data `again`."""
        return self._stores[True].way

    def check_again(self) -> None:
        """Raise DataError where epochs read the files again, and these are not what they were."""
        if any(store.way == "again" for store in self._stores.values()):
            self._refuse_changes()

    def _refuse_changes(self) -> None:
        for file, size in files.sizes(list(self._sizes)).items():
            if size is None:
                raise DataError(f"{file} is gone: somebody took it away while it was read")
            if size != self._sizes[file]:
                said = f"{file} has {size} bytes now, and had {self._sizes[file]}"
                raise DataError(f"{said}: somebody writes to it while it is read. Train on files that nobody changes")

    def inputs(self) -> dict[str, keras.KerasTensor]:
        reserve_names(column.key for column in self.features)
        return {column.key: keras.Input(name=column.key, **encoded_as(column)) for column in self.features}

    @property
    def about(self) -> dict[str, Any]:
        """What weights are learned from: the columns, what the training data has taught, and what it adds up to."""
        first, normal = self._first[True], zip(self._encoder.numbers, self._encoder.normal, strict=False)
        moments: dict[str, Iterable[float]] = {**{one.name: pair for one, pair in normal}, **first.moments}
        columns = {one.name: described(one) for one in (*self.features, *self.table.targets)}
        for column, words in zip(self._encoder.worded, first.words, strict=True):
            columns[column.name] += f", {len(words)} words {shortened(words)}"
        learned = {name: f"mean {mean:.5g}, deviation {spread:.5g}" for name, (mean, spread) in moments.items()}
        return {"columns": columns, "learned": learned, "total": first.total}

    def batches(
        self, training: bool, batch_size: int, seed: tf.Tensor | int = 0, skip: tf.Tensor | int = 0
    ) -> tf.data.Dataset:
        """As `Reader` says; in training without the first `skip` batches."""
        if not training and batch_size in self._evaluation:
            return self._evaluation[batch_size]
        store = self._stores[training]
        if store.way == "again":
            found = self._again(training, seed).rebatch(batch_size).skip(tf.cast(skip, tf.int64))
        else:
            found = store.shuffled(batch_size, seed, skip) if training else store.ordered(batch_size)
        encode = files.as_written(lambda packed: self._encoded(packed, training))
        encoded = found.map(encode, num_parallel_calls=tf.data.AUTOTUNE)
        batches = encoded.prefetch(tf.data.AUTOTUNE)
        if not training:
            self._evaluation[batch_size] = batches
        return batches

    def placed(self, training: bool) -> Iterator[tuple[list[str], files.Batch]]:
        """All rows in batches, with each row's place and text."""
        for file in self._files[training]:
            at = 1 + (self.table.header and not self._records[training])
            for lines in self._lines(training, [file]):
                places, used = [], self._used(training, lines)
                for line, is_used in zip(lines.numpy(), used, strict=True):
                    text = "" if self._records[training] else f": {line.decode('utf-8', 'replace')}"
                    places += [f"{file}, row {at}{text}"] * is_used
                    at += 1 + (text.count("\n"))
                yield places, self._encoded(self._decode(training, self._cleaned(training, lines)), training)

    def examples(self, count: int = EXAMPLES) -> list:
        """The first `count` rows of `batches(False)`."""
        found: list[list] = []
        for lines in self._lines(False, self._files[False], min(count, files.BLOCK)):
            raw, target, _ = self._parsed(False, self._cleaned(False, lines))
            used = (target.numpy() != b"").all(axis=1)
            found += map(list, zip(*(plain(raw[column.key].numpy()[used]) for column in self.features), strict=True))
            if len(found) >= count:
                break
        keys = [column.key for column in self.features]
        is_list = self._encoder.rows_are_lists
        return [row if is_list else dict(zip(keys, row, strict=True)) for row in found[:count]]

    def _lines(self, training: bool, some: list[str], size: int = files.BLOCK) -> tf.data.Dataset:
        """The lines, or serialized examples, of files one after the other, `size` at a time."""
        return tf.data.Dataset.from_tensor_slices(some).flat_map(
            files.as_written(lambda file: self._open(training, file).batch(size))
        )

    def _open(self, training: bool, file: tf.Tensor) -> tf.data.Dataset:
        joined = training in self._first and self._first[training].joined
        return files.lines(file, self.table, self._records[training], joined)

    def _again(self, training: bool, seed: tf.Tensor | int) -> tf.data.Dataset:
        """Rows decoded from the files once more, in blocks; in training endless, and shuffled."""
        lines = self._lines(training, self._files[training])
        if training:
            # A shuffle needs single lines, and of all files some.
            apart = min(PARALLEL_FILES, len(self._files[True]))
            open_one = files.as_written(lambda file: self._open(True, file))
            lines = tf.data.Dataset.from_tensor_slices(self._files[True]).interleave(open_one, cycle_length=apart)
            lines = lines.shuffle(SHUFFLE_BUFFER, seed=seed).repeat().batch(files.BLOCK)
        blank = self._first[training].has_blank
        clean = lambda block: self._cleaned(training, block) if blank or self.table.encoding != "utf-8" else block
        decode = files.as_written(lambda block: self._decode(training, clean(block)))
        return lines.map(decode, num_parallel_calls=tf.data.AUTOTUNE)

    def _cleaned(self, training: bool, lines: tf.Tensor) -> tf.Tensor:
        return lines if self._records[training] else files.without_blank(self.table, lines)

    def _used(self, training: bool, lines: tf.Tensor) -> list[bool]:
        """Whether each line is a row of the data."""
        alone = (self._parsed(training, self._cleaned(training, line[tf.newaxis]))[1] for line in lines)
        return [bool((target.numpy() != b"").all(axis=1).any()) for target in alone]

    def _decode(self, training: bool, lines: tf.Tensor) -> tf.Tensor:
        return self._scan.pack(*self._with_target(*self._parsed(training, lines)))

    def _with_target(self, raw: Tensors, texts: tf.Tensor, weight: tf.Tensor) -> files.Batch:
        """Rows with their targets, packed; those that lack one are left out."""
        if any(target.drop_missing for target in self.table.targets):
            has_all = tf.reduce_all(texts != "", axis=1)
            mask = lambda value: tf.boolean_mask(value, has_all)
            raw, texts, weight = tf.nest.map_structure(mask, (raw, texts, weight))
        return raw, self._encoder.packed_targets(texts), weight

    def _encoded(self, packed: tf.Tensor, training: bool) -> files.Batch:
        numbers, weight, targets, indices = self._scan.unpack(packed)
        if training:
            weight = self._encoder.targets.weighed(targets, weight)
        return self._encoder.encode(numbers, indices), self._encoder.targets.seen(targets), weight

    def _parsed(self, training: bool, lines: tf.Tensor) -> files.Batch:
        """Raw features, the targets as texts, "" where there is none, and the weight."""
        if self._records[training]:
            return files.parse_records(self.table, lines)
        return files.parse_text(self.table, self._columns, lines)

    def _look(self, training: bool, lines: tf.Tensor) -> dict:
        rows = self._cleaned(training, lines)
        return self._scan.look(lines, rows, *self._with_target(*self._parsed(training, rows)))

    def _read_first(self, training: bool, budget: int) -> FirstPass:
        """Read every row once: refuse a bad one, see what is odd, learn mean and deviation of the columns."""
        some, channel = self._files[training], _CHANNEL[training]
        kept = kept_place(self._keep_in, some, f"{FORMAT} {channel} {self.table}")
        first, store = self._begin(training, budget, kept)
        if kept and store.load(first.take):
            print(f"{channel}: {first.seen.rows} rows, as they were read the last time", flush=True)
            return first
        try:
            first = self._read_all(training, *self._begin(training, budget, kept))
        except (tf.errors.OpError, BadRowError) as error:
            parsed = isinstance(error, (tf.errors.InvalidArgumentError, BadRowError))
            if self._records[training] or not parsed or not files.has_line_ends(some, self.table):
                raise DataError(self._why_refused(training, error)) from error
            try:
                first = self._read_all(training, *self._begin(training, budget, kept, joined=True))
            except (tf.errors.OpError, BadRowError) as error:
                raise DataError(self._why_refused(training, error)) from error
        if not first.seen.rows:
            raise DataError(
                f"{', '.join(some)}: no row has a value for {', '.join(repr(one.name) for one in self.table.targets)}"
            )
        first.seen.refuse_unknown()
        return first

    def _begin(self, training: bool, budget: int, kept: str | None, joined: bool = False) -> tuple[FirstPass, Store]:
        self._first[training] = FirstPass(Seen(self.table, _CHANNEL[training]), joined=joined)
        self._stores[training] = Store(self._scan.width, budget, kept)
        return self._first[training], self._stores[training]

    def _read_all(self, training: bool, first: FirstPass, store: Store) -> FirstPass:
        lines = self._lines(training, self._files[training])
        look = files.as_written(lambda block: self._look(training, block))
        self._scan.run(lines.map(look, num_parallel_calls=tf.data.AUTOTUNE), first, store)
        store.finish(first.as_json())
        return first

    def _why_refused(self, training: bool, error: Exception) -> str:
        problem = None
        if not self._records[training]:
            problem = rows.find_problem(self.table, self._files[training], files.text_lines)
        return problem or self._find_refused(training) or str(error)

    def _find_refused(self, training: bool) -> str | None:
        """The first row that TensorFlow's parser refuses, such as one with a stray quote, and what it says."""
        for file in self._files[training]:
            row = 1 + (self.table.header and not self._records[training])
            try:
                for lines in self._lines(training, [file]):
                    if self._refusal(training, lines):
                        for line in lines:
                            if refusal := self._refusal(training, line[tf.newaxis]):
                                return f"{file}, row {row}: {refusal}"
                            row += 1 + line.numpy().count(b"\n") * (not self._records[training])
                    row += len(lines)
            except tf.errors.OpError as error:
                return f"{file} cannot be read beyond row {row - 1}: {_reason(error)}"
        return None

    def _refusal(self, training: bool, lines: tf.Tensor) -> str | None:
        try:
            self._scan.check({name: value.numpy() for name, value in self._look(training, lines).items()})
        except tf.errors.InvalidArgumentError as error:
            return _reason(error)
        except BadRowError as error:
            return str(error)
        return None

    def _check_start(self, training: bool, file: str) -> None:
        # Lines have lost their CR.
        start = files.start(file).decode("utf-8", "surrogateescape")
        if self._records[training]:
            return
        if problem := ask("not_a_text", start[: start.find("\n") + 1] or start):
            raise DataError(f"{file} {problem}")
        columns = rows.start(self.table, file, files.text_lines(file, self.table.encoding))
        if self._columns and columns != self._columns:
            other = self._files[True][0]
            raise DataError(f"{file}, row 1: the columns are in another order than in {other}; reorder one")
        self._columns = columns


def find_files(location: str) -> list[str]:
    """The files of a location; what tests of projects of version 0.1.0 ask for."""
    return files.find(location)[0]


def _reason(error: tf.errors.OpError) -> str:
    return error.message.partition(" [Op:")[0].rpartition("} ")[2]
