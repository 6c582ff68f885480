"""CSV files as TFRecord shards of tf.train.Example, by the columns of model.py."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from onstage.checks.model_page import ModelPage, read_model
from onstage.checks.quick_rows import QuickRows
from onstage.commands import show
from onstage.commands.shards import Place, Shards
from onstage.errors import StartError, UserError
from onstage.project import Project, install_line, path_for_people
from onstage.quiet import quiet_import
from onstage.tables import files as kinds

if sys.platform != "win32":
    import fcntl

MOST_PROBLEMS = 10
_ENDINGS = (".gz", ".csv", ".tsv")
_LISTS = {"float32": "float_list", "int64": "int64_list", "string": "bytes_list"}

# A row: its fields in the file's order, and where the next one is.
Row = tuple[Sequence[str], Place]


def convert(project: Project, inputs: Sequence[Path], to: Path, *, packed: bool, rows: int) -> None:
    """Write each input's rows as shards of at most `rows` rows below `to`; those that are there are not written again.

    Raises StartError where it cannot begin, and UserError for rows that are wrong, by file, row and column.
    """
    page = read_model(project)
    if not page.is_table:
        raise StartError("DATA in src/trainer/model.py is no Table: nothing says what the columns of a CSV file are")
    if to.exists() and not to.is_dir():
        raise StartError(f"--to {path_for_people(to)} is a file: name a folder")
    files = _files(inputs, to)
    work = []
    for key, file in files.items():
        columns, shards = page.columns_of(path_for_people(file), file), Shards(to, key, packed=packed)
        shards.check()
        work.append((file, columns, shards))
    with _alone(to):
        _write(page, work, project, to, rows, packed=packed)


@contextlib.contextmanager
def _alone(to: Path) -> Iterator[None]:
    """Raise StartError while another convert writes to the folder: two would write the same shards."""
    to.mkdir(parents=True, exist_ok=True)
    with (to / ".converting").open("w", encoding="utf-8") as lock:
        if sys.platform != "win32":
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                said = f"another onstage convert writes to {path_for_people(to)}"
                raise StartError(f"{said}: wait for it, or name another folder") from None
        yield


def _write(
    page: ModelPage,
    work: Sequence[tuple[Path, Sequence[Any], Shards]],
    project: Project,
    to: Path,
    rows: int,
    *,
    packed: bool,
) -> None:
    for file, columns, shards in work:
        shards.begin(_made_of(page, file, columns, rows, packed=packed))
    there = sum(len(shards.list) for _, _, shards in work)
    todo = [one for one in work if next(one[2].missing(), None)]
    total, written = sum(file.stat().st_size for file, _, _ in todo), 0
    if todo:
        records = _tensorflow(project)
        try:
            with show.Bytes(f"{len(todo)} of {len(work)} files", total) as progress:
                for file, columns, shards in todo:
                    written += _convert(page, file, columns, shards, rows, records, progress.add)
        except KeyboardInterrupt:
            show.say("stopped; finished shards stay. To go on: the same command")
            raise typer.Exit(130) from None
        except UserError as error:
            raise UserError(f"{error}\nfinished shards stay; the same command goes on") from error
    # A shard that somebody has removed was among those that were there, and is written again.
    count = sum(len(shards.list) for _, _, shards in work)
    kept = f", {min(there, count - written)} of them there already" if count > written else ""
    total_rows = sum(shard.rows for _, _, shards in work for shard in shards.list)
    show.say(f"{total_rows:,} rows in {count} shard{'s' * (count != 1)} in {path_for_people(to)}{kept}")


def _files(inputs: Sequence[Path], to: Path) -> dict[str, Path]:
    """The CSV files of the inputs by what their shards are called: their paths in a folder, without their endings."""
    found: dict[str, Path] = {}
    for place in inputs:
        if not place.exists():
            raise StartError(f"there is no {path_for_people(place)}")
        if place.is_dir():
            if to.resolve().is_relative_to(place.resolve()):
                raise StartError(f"--to {path_for_people(to)} lies in {path_for_people(place)}: a job would read both")
            there = {name: file for name, file in kinds.below(place, marks=(".",)).items() if file.is_file()}
            names = {name: file for name, file in there.items() if _is_read(name)}
            others = [name for name in there if name not in names]
            if not names:
                raise StartError(f"{path_for_people(place)} has no CSV file: *.csv, *.tsv, or those with .gz")
            if others:
                more = f" and {len(others) - 5} more" if len(others) > 5 else ""
                show.say(f"left out of {path_for_people(place)}: {', '.join(others[:5])}{more}")
        elif _is_read(place.name):
            names = {place.name: place}
        elif kinds.is_hidden(place.name):
            why = f"begins with {place.name[0]}, as its shards would, and a job reads no such file: rename it"
            raise StartError(f"the name of {path_for_people(place)} {why}")
        else:
            raise StartError(f"{path_for_people(place)} is no CSV file: its name has no .csv, .tsv, .csv.gz or .tsv.gz")
        for name, file in names.items():
            key = name
            for ending in _ENDINGS:
                if key.lower().endswith(ending):
                    key = key[: -len(ending)]
            if key in found and found[key].resolve() != file.resolve():
                two = f"{path_for_people(found[key])} and {path_for_people(file)}"
                raise StartError(f"the shards of {two} would have the same names: convert them into two folders")
            found[key] = file
    return found


def _is_read(name: str) -> bool:
    return kinds.kind(name) == kinds.TEXT and not kinds.is_hidden(name)


def _made_of(page: ModelPage, file: Path, columns: Sequence[Any], rows: int, *, packed: bool) -> dict[str, Any]:
    """What shards depend on: the input as far as its size and time say, its columns, and the shards' form."""
    found, table = file.stat(), page.table
    return {
        "size": found.st_size,
        "time": found.st_mtime_ns,
        "columns": [[column.name, column.dtype] for column in columns],
        "table": [table.header, table.delimiter, table.missing_text, table.encoding],
        "rows": rows,
        "packed": packed,
    }


def _tensorflow(project: Project) -> Any:
    try:
        with quiet_import():
            import tensorflow as tf
    except ImportError as error:
        raise StartError(f"TensorFlow writes the shards, and is not installed: {install_line(project.root)}") from error
    return tf


def _convert(
    page: ModelPage,
    file: Path,
    columns: Sequence[Any],
    shards: Shards,
    most: int,
    tf: Any,
    gone: Callable[[int], None],
) -> int:
    """Write the missing shards of one file; returns how many. `gone` is told how many of its bytes are behind."""
    encode, options = _Encoder(page, columns, tf), tf.io.TFRecordOptions(compression_type=_compression(shards))
    left, number = file.stat().st_size, 0
    missing = list(shards.missing()) if shards.finished else shards.missing()
    for written, (number, begin) in enumerate(missing, start=1):
        rows, end, last = 0, begin, True
        part = shards.temporary(number)
        try:
            with tf.io.TFRecordWriter(str(part), options) as writer:
                for texts, after in _rows(page, file, columns, begin):
                    if rows == most:
                        last = False
                        break
                    writer.write(encode(texts))
                    rows, end = rows + 1, after
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        known = number < len(shards.list)
        shards.add(number, rows, begin, end, last=last and not known)
        behind = min(left, max(0, end.start - begin.start)) if not kinds.is_packed(file.name) else 0
        left -= behind
        gone(behind)
        if last and not known:
            gone(left)
            return written if rows else written - 1
    return written


def _rows(page: ModelPage, file: Path, columns: Sequence[Any], begin: Place) -> Iterator[Row]:
    """The rows from a place on. Raises UserError for the first wrong ones."""
    start, skipped = (begin.start, begin.line), begin.rows
    blocks, problems = QuickRows(page).blocks(path_for_people(file), file, columns, start), []
    for block in blocks:
        problems += [problem for _, problem in block.problems]
        if len(problems) >= MOST_PROBLEMS:
            break
        for number, texts in enumerate(zip(*block.texts, strict=True) if not problems else ()):
            if number >= skipped:
                yield texts, Place(*start, number + 1)
        start, skipped = block.end, 0
    if problems:
        how = f"onstage columns {path_for_people(file)} says what they are"
        advice = f"-> correct the file, or the columns in src/trainer/model.py: {how}"
        raise UserError("\n".join([*problems[:MOST_PROBLEMS], advice]))


def _compression(shards: Shards) -> str:
    return "GZIP" if kinds.is_packed(shards.name(0)) else ""


class _Encoder:
    """Makes a serialized tf.train.Example of a row: a feature for each column that has a value, by its name."""

    def __init__(self, page: ModelPage, columns: Sequence[Any], tf: Any) -> None:
        self._example = tf.train.Example()
        self._absent = {"", page.table.missing_text}
        types: dict[str, Callable[[str], Any]] = {"float32": float, "int64": int, "string": str.encode}
        self._columns = [
            (at, column.name, _LISTS[column.dtype], types[column.dtype])
            for at, column in enumerate(columns)
            if column.dtype is not None
        ]

    def __call__(self, texts: Sequence[str]) -> bytes:
        self._example.Clear()
        features = self._example.features.feature
        for at, name, kind, value in self._columns:
            if texts[at] not in self._absent:
                getattr(features[name], kind).value.append(value(texts[at]))
        # A map has no order of its own, and the same row is to be the same bytes.
        serialized: bytes = self._example.SerializeToString(deterministic=True)
        return serialized
