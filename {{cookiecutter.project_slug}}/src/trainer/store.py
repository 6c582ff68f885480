# Owned by the template.
"""Keeps decoded rows, so that a text is parsed once: in memory, else in files, else not at all."""

import atexit
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from trainer.files import as_written

# What a block takes in a file, and how many are shuffled together.
BLOCK_BYTES = 1 << 19
BLOCKS_TOGETHER = 8
ROWS_TOGETHER = 8192
# Left free on the disk, for checkpoints and the export.
RESERVE = 512 << 20
_ALIGNED = 64
# Smaller files are read again each time; and no more results than these are kept.
KEPT_FROM_BYTES = 10 << 20
MOST_KEPT = 4
_KEPT = "first_pass.json"


class Store:
    """Rows as int32 [rows, width], of which some columns are the bits of float32.

    `add` them, then `finish`. `way` says where they are: `memory` within `budget` bytes; `files`, in a temporary
    folder, where the disk has room; or nowhere, and they have to be read `again`. `why` says why not in memory. In the
    folder `kept`, files stay for another time.
    """

    def __init__(self, width: int, budget: int, kept: str | None = None) -> None:
        self.rows, self.way, self.why = 0, "memory", ""
        self.sums: list[int] = []
        # Rows of each block in a file.
        self._sizes: list[int] = []
        self._width, self._kept = width, kept or ""
        # Nobody shall find it half written.
        self._folder = f"{kept}-{os.getpid()}" if kept else ""
        self._block_rows = max(BLOCK_BYTES // (4 * width), 1)
        # Pages that nobody has written to take no memory; and aligned, TensorFlow shares it.
        try:
            space = np.empty(max(budget, 0) + _ALIGNED, np.uint8)
        except MemoryError:
            budget, space = 0, np.empty(_ALIGNED, np.uint8)
        start = -space.ctypes.data % _ALIGNED
        room = max(budget, 0) // (4 * width)
        self._memory: np.ndarray = space[start : start + room * 4 * width].view(np.int32).reshape(room, width)
        self._waiting: list[np.ndarray] = []

    @property
    def memory(self) -> int:
        """How many bytes of the budget are taken."""
        return self.rows * self._width * 4 if self.way == "memory" else 0

    def add(self, rows: np.ndarray) -> None:
        """Add `rows`, int32 [n, width]."""
        if self.way == "memory" and self.rows + len(rows) > len(self._memory):
            before, self._memory = self._memory[: self.rows], self._memory[:0]
            self.way = "files"
            self._write(before)
        if self.way == "memory":
            self._memory[self.rows : self.rows + len(rows)] = rows
        elif self.way == "files":
            self._waiting.append(rows)
            if sum(map(len, self._waiting)) >= self._block_rows:
                waiting = np.concatenate(self._waiting)
                whole = len(waiting) - len(waiting) % self._block_rows
                self._write(waiting[:whole])
                self._waiting = [waiting[whole:]]
        self.rows += len(rows)

    def finish(self, about: dict) -> None:
        """Nothing more will be added. `about`, JSON values, is kept with the rows."""
        if self.way == "memory":
            if self._kept:
                self._write(self._memory[: self.rows])
            self._share()
        elif self.way == "files":
            self._write(np.concatenate(self._waiting))
        self._waiting = []
        if self._kept and self.sums:
            try:
                Path(self._folder, _KEPT).write_text(
                    json.dumps({"rows": self.rows, "sums": self.sums, "about": about}), encoding="utf-8"
                )
                os.rename(self._folder, self._kept)
                self._folder = self._kept
            except OSError as error:
                print(f"not kept for another time: {error}", flush=True)
        self._say()

    def load(self, take: Callable[[dict], None]) -> bool:
        """`take` what is about the rows of another time, and the rows; whether anything whole was there."""
        try:
            found = json.loads(Path(self._kept, _KEPT).read_text(encoding="utf-8"))
            blocks = (np.fromfile(f"{self._kept}/{number}", np.int32) for number in range(len(found["sums"])))
            for block, checksum in zip(blocks, found["sums"], strict=True):
                if zlib.crc32(block.data) != checksum:
                    raise ValueError(checksum)
                block = block.reshape(-1, self._width)
                if self.way == "memory" and self.rows + len(block) <= len(self._memory):
                    self._memory[self.rows : self.rows + len(block)] = block
                else:
                    self.way, self._memory = "files", self._memory[:0]
                self.rows += len(block)
                self._sizes.append(len(block))
            self.sums, self._folder = found["sums"], self._kept
            if self.rows != found["rows"]:
                raise ValueError(self.rows)
            take(found["about"])
        except (OSError, ValueError, KeyError, TypeError):
            shutil.rmtree(self._kept, ignore_errors=True)
            return False
        os.utime(self._kept)
        if self.way == "memory":
            self._share()
        self._say()
        return True

    def _share(self) -> None:
        rows = self._memory[: self.rows]
        self._tensor = tf.experimental.dlpack.from_dlpack(rows.__dlpack__()) if self.rows else tf.constant(rows)

    def _say(self) -> None:
        if self.way != "memory":
            self.why = "the decoded rows take more than memory_mb of the Table in model.py" + self.why
        if self.way == "files":
            self.why += f"; they are in files in {self._folder}, of which {BLOCKS_TOGETHER} are shuffled together"

    def shuffled(self, batch_size: int, seed: tf.Tensor | int, skip: tf.Tensor | int = 0) -> tf.data.Dataset:
        """Endless batches, every pass over the rows in an order of its own; the same `seed`, the same orders. The first
        `skip` batches are left out, and not read.
        """
        start = tf.cast(skip, tf.int64) * batch_size
        if self.way == "memory":
            numbers = tf.data.Dataset.range(tf.int64.max)

            def rows(number: tf.Tensor) -> tf.Tensor:
                places = start + number * ROWS_TOGETHER + tf.range(ROWS_TOGETHER, dtype=tf.int64)
                return tf.gather(self._tensor, _permuted(places, self.rows, seed))

            return numbers.map(as_written(rows), num_parallel_calls=tf.data.AUTOTUNE).rebatch(batch_size)
        blocks = len(self.sums)
        windows = -(-blocks // BLOCKS_TOGETHER)
        first_window, before = self._window_of(start, seed)

        def window(number: tf.Tensor) -> tf.Tensor:
            first = number // windows * blocks + number % windows * BLOCKS_TOGETHER
            last = tf.minimum(first + BLOCKS_TOGETHER, (number // windows + 1) * blocks)
            rows = self._read(_permuted(tf.range(first, last), blocks, seed))
            count = tf.shape(rows, tf.int64)[0]
            places = _permuted(tf.range(count), count, seed, number + 1)
            return tf.gather(rows, places[tf.where(number == first_window, before, 0) :])

        numbers = tf.data.Dataset.range(first_window, tf.int64.max)
        return numbers.map(as_written(window)).prefetch(1).rebatch(batch_size)

    def _window_of(self, row: tf.Tensor, seed: tf.Tensor | int) -> tuple[tf.Tensor, tf.Tensor]:
        """The window of blocks that has a row of endless passes, and how many rows it has before that one."""
        blocks, passes = len(self._sizes), row // self.rows
        order = _permuted(tf.range(passes * blocks, (passes + 1) * blocks), blocks, seed)
        # Windows end with every so many blocks, and with the pass.
        sums = tf.cumsum(tf.gather(tf.constant(self._sizes, tf.int64), order))
        ends = tf.concat([sums[BLOCKS_TOGETHER - 1 :: BLOCKS_TOGETHER], sums[-1:]], axis=0)
        found = tf.searchsorted(ends, [row % self.rows], side="right", out_type=tf.int64)[0]
        windows = -(-blocks // BLOCKS_TOGETHER)
        return passes * windows + found, row % self.rows - tf.where(found > 0, ends[tf.maximum(found - 1, 0)], 0)

    def ordered(self, batch_size: int) -> tf.data.Dataset:
        """All rows once, in batches, as they were added."""
        if self.way == "memory":
            starts = tf.data.Dataset.range(0, self.rows, batch_size)
            part = as_written(lambda start: self._tensor[start : start + batch_size])
            return starts.map(part, num_parallel_calls=tf.data.AUTOTUNE)
        blocks = tf.data.Dataset.range(len(self.sums))
        return blocks.map(as_written(lambda block: self._read([block]))).rebatch(batch_size)

    def _read(self, blocks: tf.Tensor | list) -> tf.Tensor:
        names = tf.strings.join([f"{self._folder}/", tf.strings.as_string(blocks)])
        content = tf.strings.reduce_join(tf.map_fn(tf.io.read_file, names))
        return tf.reshape(tf.io.decode_raw(content, tf.int32), [-1, self._width])

    def _write(self, rows: np.ndarray) -> None:
        try:
            if not self.sums:
                self._folder = self._folder or tempfile.mkdtemp(prefix="rows-")
                atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
                os.makedirs(self._folder, exist_ok=True)
            for start in range(0, len(rows), self._block_rows):
                block = np.ascontiguousarray(rows[start : start + self._block_rows])
                if shutil.disk_usage(self._folder).free < block.nbytes + RESERVE:
                    raise OSError("the disk is full")
                block.tofile(f"{self._folder}/{len(self.sums)}")
                self.sums.append(zlib.crc32(block.data))
                self._sizes.append(len(block))
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            self.sums, self._sizes = [], []
            if self.way == "files":
                self.way, self.why = "again", f", and files have no room ({error}): every epoch reads the data again"
            else:
                print(f"not kept for another time: {error}", flush=True)


def kept_place(folder: str, files: Iterable[str], what: str) -> str | None:
    """Where what is read of local `files`, as `what` says, is kept in `folder`; None for small or remote ones."""
    if not folder or any("://" in file for file in files) or sum(map(os.path.getsize, files)) < KEPT_FROM_BYTES:
        return None
    digest = hashlib.blake2b(f"{what} {tf.__version__} {sys.byteorder}".encode(), digest_size=16)
    for file in files:
        with open(file, "rb") as content:
            digest.update(f"\n{os.path.basename(file)} ".encode())
            while chunk := content.read(1 << 20):
                digest.update(chunk)
    with contextlib.suppress(OSError):
        older = sorted((path for path in Path(folder).iterdir() if path.is_dir()), key=os.path.getmtime)
        for path in older[: 1 - MOST_KEPT]:
            shutil.rmtree(path, ignore_errors=True)
    return os.path.join(folder, digest.hexdigest())


def _permuted(places: tf.Tensor, size: int | tf.Tensor, seed: int | tf.Tensor, salt: int | tf.Tensor = 0) -> tf.Tensor:
    """What endless passes over the numbers below `size`, each in an order of its own, have at `places`, int64 [n]."""
    count = tf.shape(places)
    seeds = [tf.fill(count, tf.cast(one, tf.int64)) for one in (seed, salt)] + [places // size]
    last = tf.cast(size, tf.int64) - 1
    return tf.raw_ops.RandomIndexShuffle(index=places % size, seed=tf.stack(seeds, 1), max_index=last, rounds=4)
