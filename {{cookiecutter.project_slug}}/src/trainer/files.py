# Owned by the template.
"""The files of a location, the lines or serialized examples in them, and the raw columns in those."""

import atexit
import gzip
import math
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import tensorflow as tf

from trainer import rows
from trainer.cluster import Peers
from trainer.columns import Column, DataError, Dropped, Table, Target
from trainer.rows import is_data, is_records, left_out, say_left_out
from trainer.run import UserError, join

START_BYTES = 4096
CHUNK_BYTES = 1 << 20
# What one host sends another at once.
SENT_BYTES = 16 << 20
# Rows that are decoded at once.
BLOCK = 1024
# AutoGraph, which translates conditions on tensors, takes seconds, and nothing here has one.
as_written = tf.autograph.experimental.do_not_convert
# Features by the keys of their columns, target, weight; the first dimension of each tensor is the batch.
Batch = tuple[dict[str, tf.Tensor], Any, Any]
_NO_NUMBER = -(2**63)
_PATTERN = set("[]*?") if os.name == "nt" else set("[]*?\\")


def find(location: str, delimiter: str = ",") -> tuple[list[str], list[str]]:
    """The files of a location (itself, those of a folder and of all below, or what a pattern matches), and what is left
    out of a folder. Raises DataError for none, and for text and TFRecord shards side by side.
    """
    others: list[str] = []
    try:
        # Not by a pattern first: a folder's own name may hold [ or ?.
        if tf.io.gfile.isdir(location):
            names = list(_below(location))
            others = left_out(names, delimiter)
            found = [join(location, name) for name in names if is_data(name, delimiter)]
            none = f"{location} holds no *.csv file; name a file or a pattern such as {join(location, 'part-*')}"
        else:
            found = [location] if tf.io.gfile.exists(location) else _matching(location)
            none = f"there is no data at {location}"
    except tf.errors.OpError as error:
        raise DataError(f"{location} cannot be read: {error.message.splitlines()[0]}") from error
    if not found:
        raise DataError(say_left_out(none, others) if others else none)
    found.sort()
    if len({is_records(name) for name in found}) > 1:
        one, other = (next(name for name in found if is_records(name) is kind) for kind in (False, True))
        raise DataError(
            f"{location} has text ({one}) and TFRecord shards ({other}), the same rows twice? Name one kind"
        )
    return found, others


def gathered(folder: str, peers: Peers) -> str:
    """A folder with the files of all hosts, of which each has others in `folder`, or none. Raises UserError.

    Every host walks all rows. The chief passes on what the others have, in pieces.
    """
    whole = tempfile.mkdtemp(prefix="shards-")
    atexit.register(shutil.rmtree, whole, ignore_errors=True)
    own = [[name, os.path.getsize(join(folder, name))] for name in (_below(folder) if os.path.isdir(folder) else ())]
    count, total = 0, 0
    for owner in range(peers.count):
        for name, size in peers.share(lambda: own, owner):
            place, count, total = join(whole, name), count + 1, total + size
            if os.path.exists(place) or ".." in name.split("/"):
                raise UserError(f"ShardedByS3Key: the hosts of the job have more than one file {name}")
            try:
                os.makedirs(os.path.dirname(place), exist_ok=True)
                with open(*(join(folder, name), "rb") if peers.index == owner else (place, "wb")) as file:
                    for _ in range(0, size, SENT_BYTES):
                        piece = peers.share(lambda file=file: file.read(SENT_BYTES), owner)
                        if peers.index != owner:
                            file.write(piece)
                if peers.index == owner:
                    os.symlink(os.path.abspath(join(folder, name)), place)
            except OSError as error:
                raise UserError(f"{place}: {error.strerror}; every host gets the files of all hosts") from error
    print(f"{folder}: {count} files of {peers.count} hosts, {total / 1e6:.1f} MB, are on each of them now", flush=True)
    return whole


def below(location: str, ending: str) -> list[str]:
    """Files whose names end so: of a folder and all below it, or what a pattern matches, or itself. Raises DataError.

    For data that is no table; `location` may be a gs:// place, too.
    """
    is_folder = tf.io.gfile.isdir(location)
    names = [join(location, name) for name in _below(location)] if is_folder else _matching(location)
    if not (found := sorted(name for name in names if name.lower().endswith(ending))):
        raise DataError(f"{location} {'holds' if is_folder else 'is'} no *{ending} file")
    return found


def _below(folder: str, inside: str = "") -> Iterator[str]:
    for name in sorted(tf.io.gfile.listdir(join(folder, inside) if inside else folder)):
        path = f"{inside}{name}"
        if name.startswith((".", "_")):
            continue
        # Object storage lists folders with the slash, and is slow to ask.
        if name.endswith("/") or ("://" not in folder and tf.io.gfile.isdir(join(folder, path))):
            yield from _below(folder, f"{path.rstrip('/')}/")
        else:
            yield path


def _matching(pattern: str) -> list[str]:
    """What a pattern matches. Its folder is none where there is one of that very name, whatever characters it has."""
    folder, _, name = pattern.rpartition("/")
    if folder and tf.io.gfile.isdir(folder):
        return [join(folder, found) for found in tf.io.gfile.listdir(folder) if fnmatchcase(found.rstrip("/"), name)]
    return tf.io.gfile.glob(pattern)


def lines(file: tf.Tensor, table: Table, records: bool, joined: bool) -> tf.data.Dataset:
    """The lines below a header, or the serialized examples. `joined`: some fields have line ends in quotes."""
    kind = tf.where(tf.strings.regex_full_match(file, r"(?i).*\.gz"), "GZIP", "")
    if records:
        return tf.data.TFRecordDataset(file, compression_type=kind)
    found = tf.data.TextLineDataset(file, compression_type=kind).skip(int(table.header))
    return _joined(found) if joined else found


def _joined(found: tf.data.Dataset) -> tf.data.Dataset:
    """Lines put together again where a quoted field goes on in the next."""

    def step(open_line: tf.Tensor, block: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        some, is_last = tf.concat([open_line, block[0]], axis=0), block[1]
        quotes = tf.strings.length(some) - tf.strings.length(tf.strings.regex_replace(some, '"', ""))
        ends = tf.cumsum(quotes) % 2 == 0
        group = tf.cumsum(tf.cast(ends, tf.int32), exclusive=True)
        whole = tf.strings.unsorted_segment_join(some, group, tf.reduce_max(tf.concat([[-1], group], 0)) + 1, "\n")
        # What is still open at the end of a file is for the decoder to refuse.
        is_open = tf.cast(~is_last & tf.reduce_any(~ends[-1:]), tf.int32)
        count = tf.size(whole) - is_open
        return whole[count:], whole[:count]

    blocks = tf.data.Dataset.zip(found.batch(BLOCK), tf.data.Dataset.from_tensors(False).repeat())
    end = tf.data.Dataset.from_tensors((tf.constant([], tf.string), True))
    return blocks.concatenate(end).scan(tf.constant([], tf.string), as_written(step)).unbatch()


def has_line_ends(some: list[str], table: Table) -> bool:
    """Whether a line of the text files ends inside of a quoted field."""
    inside = rows.inside_quotes(table)
    found = tf.data.Dataset.from_tensor_slices(some).flat_map(as_written(lambda file: lines(file, table, False, False)))
    matches = as_written(lambda block: tf.reduce_any(tf.strings.regex_full_match(block, inside)))
    return any(map(bool, found.batch(BLOCK).map(matches)))


def without_blank(table: Table, block: tf.Tensor) -> tf.Tensor:
    """The lines, [n], that `rows.is_blank` does not leave out, in UTF-8."""
    if table.encoding != "utf-8":
        block = tf.strings.unicode_transcode(block, table.encoding, "UTF-8")
    return tf.boolean_mask(block, ~tf.strings.regex_full_match(block, "" if table.delimiter == " " else " *"))


def sizes(some: list[str]) -> dict[str, int | None]:
    """How many bytes each file has; None for one that is not there."""
    return {file: tf.io.gfile.stat(file).length if tf.io.gfile.exists(file) else None for file in some}


def text_lines(file: str, encoding: str) -> Iterator[str]:
    """The lines of a text file, wherever it is."""
    if "://" not in file:
        yield from rows.local_lines(file, encoding)
        return
    with tf.io.gfile.GFile(file, "rb") as content:
        for line in gzip.GzipFile(fileobj=content) if file.lower().endswith(".gz") else content:
            yield line.decode(encoding, "surrogateescape")


def start(file: str) -> bytes:
    """The first bytes of a file, unpacked. Raises DataError for one that gzip cannot have written, or not to the end:
    TensorFlow reads a broken one up to the break, without an error.
    """
    first = b""
    try:
        with tf.io.gfile.GFile(file, "rb") as content:
            if not file.lower().endswith(".gz"):
                return content.read(START_BYTES)
            unpack = zlib.decompressobj(31)
            while chunk := content.read(CHUNK_BYTES):
                while chunk:
                    # Several may be put together.
                    unpack = zlib.decompressobj(31) if unpack.eof else unpack
                    first += unpack.decompress(chunk)[: max(START_BYTES - len(first), 0)]
                    chunk = unpack.unused_data
        if not unpack.eof:
            raise zlib.error("it is cut")
    except zlib.error as error:
        raise DataError(f"{file} is no whole gzip file: {error}") from error
    except tf.errors.OpError as error:
        raise DataError(f"{file} cannot be read: {error.message.splitlines()[0]}") from error
    return first


def write_whole(place: str, text: str) -> None:
    """Write a file that nobody finds half written."""
    with tf.io.gfile.GFile(f"{place}.part", "w") as file:
        file.write(text)
    tf.io.gfile.rename(f"{place}.part", place, overwrite=True)


def reason(error: Exception) -> str:
    """What an error of TensorFlow says, without what it adds about an operation."""
    said = re.sub(r"\{\{function_node [^}]*\}\} ?| \[Op:\w+\]", "", str(getattr(error, "message", error)))
    return said.partition("\n")[0][:250]


def plain_path(folder: str) -> str:
    """A path of `folder` that TensorFlow can read: what lies below `old [1]/` is a pattern to it, and not found.

    Where the name needs it, that is a link in a temporary folder. Raises UserError where no link can be made.
    """
    if "://" in folder or not _PATTERN & set(os.path.abspath(folder)):
        return folder
    place = tempfile.mkdtemp(prefix="trainer-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    link = join(place, "link")
    try:
        os.symlink(os.path.abspath(folder), link, target_is_directory=True)
    except OSError as error:
        raise UserError(_refusal(folder)) from error
    if _PATTERN & set(link):
        raise UserError(_refusal(link))
    return link


def _refusal(folder: str) -> str:
    return f"TensorFlow takes [, ], * and ? in {folder} for a pattern; use a folder without them"


def parse_text(table: Table, columns: Sequence[Column], lines: tf.Tensor) -> Batch:
    """Raw features, the targets as texts, [batch, targets], "" where there is none, and the weight."""
    # Dropped columns too: with its select_cols, decode_csv would accept a row with a field too many.
    defaults = [_record_default(column) for column in columns]
    fields = tf.io.decode_csv(lines, defaults, field_delim=table.delimiter, na_value=table.missing_text)
    return _parts(table, {column.key: value for column, value in zip(columns, fields, strict=True) if column.dtype})


def parse_records(table: Table, examples: tf.Tensor) -> Batch:
    """The same of serialized tf.train.Example, whose features have the columns' names."""
    kinds = {column.name: _feature(column) for column in table.columns if column.dtype}
    values = tf.io.parse_example(examples, kinds)
    return _parts(table, {column.key: values[column.name] for column in table.columns if column.dtype})


def _parts(table: Table, raw: dict[str, tf.Tensor]) -> Batch:
    texts = [_as_text(raw.pop(target.key)) for target in table.targets]
    weight = raw.pop(table.weight.key) if table.weight else tf.ones_like(texts[0], tf.float32)
    return raw, tf.stack(texts, axis=1), weight


def _record_default(column: Column) -> tf.Tensor:
    # decode_csv refuses an empty field where the default is an empty tensor.
    if isinstance(column, Target):
        return tf.constant([""] if column.drop_missing else [], tf.string)
    if isinstance(column, Dropped):
        return tf.constant([""])
    return tf.constant([] if column.default is None else [column.default], column.dtype)


def _feature(column: Column) -> tf.io.FixedLenFeature:
    """How a column stands in a tf.train.Example; a feature that is not there is an empty field."""
    default: object = column.default
    if isinstance(column, Target) and column.drop_missing:
        missing: dict[str | None, object] = {"string": "", "int64": _NO_NUMBER}
        default = missing.get(column.dtype, math.nan)
    return tf.io.FixedLenFeature([], column.dtype, default)


def _as_text(target: tf.Tensor) -> tf.Tensor:
    if target.dtype == tf.string:
        return target
    if target.dtype == tf.int64:
        return tf.where(target == _NO_NUMBER, "", tf.strings.as_string(target))
    # With as many digits as a float32 has.
    return tf.where(tf.math.is_nan(target), "", tf.strings.as_string(target, precision=9, scientific=True))
