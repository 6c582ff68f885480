"""`onstage split`: one CSV file as the train and the eval file of a project, each row's bytes as they were."""

import contextlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count as numbers
from pathlib import Path
from typing import IO, Any

from onstage.checks.model_page import read_model
from onstage.commands import show
from onstage.errors import StartError, UserError
from onstage.project import Project, path_for_people
from onstage.settings import load
from onstage.tables import files as kinds
from onstage.tables import parts
from onstage.tables.dialect import Dialect, sniff
from onstage.tables.dialect import split as split_line
from onstage.tables.raw import RawTable

# More different values are no labels, unless model.py says that they are.
MOST_LABELS = 100
# What the template's own example is called.
_EXAMPLE = {"iris.csv", "penguins.csv"}
# A column, and whether a row with this value of it is eval; asked in the rows' order.
Chooser = tuple[str, Callable[[str], bool]]


@dataclass(frozen=True)
class Wish:
    """How to split: the share of eval and a seed; the column of labels, of groups or of a time, "" for none."""

    share: float
    seed: int
    target: str
    by: str
    time: str


@dataclass(frozen=True)
class Place:
    """Where a channel's rows are written, and what is there already."""

    channel: str
    file: Path
    there: Sequence[Path]


def split(project: Project, file: Path, wish: Wish, *, replace: bool) -> None:
    """Write `file` as two, where settings.toml's [data] says; what is there is moved away if `replace`.

    Raises StartError where it cannot begin, and UserError for a row that cannot be read.
    """
    name = path_for_people(file)
    if not file.is_file():
        raise StartError(f"{name} is a folder: name a file" if file.is_dir() else f"there is no {name}")
    if wish.by and wish.time:
        raise StartError("--by or --time, not both")
    page = read_model(project)
    data = page.table if page.is_table else None
    dialect, fits = _dialect(file, name, data)
    passes = 2 + bool(wish.time) + bool(wish.target)
    with show.Bytes(name, passes * file.stat().st_size, patient=True) as progress:
        encoding = data.encoding if data and fits else "utf-8"
        source = RawTable(file, name, dialect, encoding, progress.add)
        labels = _labels(source, wish, data if fits else None)
        places = [_place(project, file, dialect, channel, location) for channel, location in load(project).data]
        _check(file, name, places)
        moves = _moves(places)
        if moves and not replace:
            raise StartError(_occupied(project, moves))
        column, is_eval = _chooser(source, wish, labels)
        with _written([place.file for place in places]) as sinks:
            found = _write(source, sinks, (column, is_eval), labels)
            for before, after in moves.items():
                after.parent.mkdir(parents=True, exist_ok=True)
                before.rename(after)
    for before, after in moves.items():
        show.say(f"moved: {path_for_people(before)} to {path_for_people(after)}")
    _say(places, found, labels)


def _dialect(file: Path, name: str, data: Any) -> tuple[Dialect, bool]:
    """How the file holds its table, and whether that is the table of model.py, which then says so."""
    seen = sniff(file, name, data.encoding if data else "utf-8")
    if data is None:
        return seen, False
    known = [column.name for column in data.columns]
    with kinds.unpacked(file, name) as content:
        first = content.readline().removeprefix(b"\xef\xbb\xbf").decode(data.encoding, "replace").replace("\r", "")
    texts = split_line(first.removesuffix("\n"), data.delimiter)
    if data.header:
        return (Dialect(data.delimiter, True, tuple(texts)), True) if sorted(texts) == sorted(known) else (seen, False)
    if len(texts) != len(known) or seen.header:
        return seen, False
    return Dialect(data.delimiter, False, tuple(known)), True


def _labels(source: RawTable, wish: Wish, data: Any) -> str:
    """The column of the labels, which are to have the same share in both parts; "" where a number is predicted."""
    for option, column in (("--target", wish.target), ("--by", wish.by), ("--time", wish.time)):
        if column:
            source.check(option, column)
    known = data.target.name if data else ""
    if not (wish.target or known):
        if wish.by or wish.time:
            return ""
        raise StartError(
            f"{source.name} has not the columns of DATA in src/trainer/model.py. First onstage columns {source.name} "
            "--write; or name the column of the labels: --target NAME"
        )
    if wish.target in ("", known):
        return known if hasattr(data.target, "labels") else ""
    values: set[str] = set()
    for _, (text,) in source.rows([wish.target]):
        values.add(text)
        if len(values) > MOST_LABELS:
            return ""
    return wish.target


def _chooser(source: RawTable, wish: Wish, labels: str) -> Chooser:
    if wish.time:
        return wish.time, _by_time(source, wish)
    column = wish.by or labels
    counts: Counter[str] = Counter()
    for _, texts in source.rows([column] if column else []):
        counts["".join(texts)] += 1
    total = sum(counts.values())
    if total < 2:
        raise StartError(f"{source.name} has {total} row{'s' * (total != 1)}: nothing to split")
    if wish.by:
        return column, parts.by_group(counts, wish.share, wish.seed, wish.by).__contains__
    if max(counts.values()) < 2:
        raise StartError(f"{labels!r} has another value in each row: no labels; name another column by --target")
    return column, parts.by_label(counts, wish.share, wish.seed)


def _by_time(source: RawTable, wish: Wish) -> Callable[[str], bool]:
    _, (first,) = next(source.rows([wish.time]), (b"", ("",)))
    odd = first
    for name, read in parts.clock(first):
        moments = array("d")
        try:
            for _, (odd,) in source.rows([wish.time]):
                moments.append(read(odd))
        except ValueError:
            continue
        show.say(f"{wish.time} is read as {name}")
        return parts.since(parts.by_time(moments, wish.share, wish.time), read)
    raise UserError(
        f"{source.name}, column {wish.time!r}: {odd!r} is no time like the first, {first!r}. All have to be numbers, "
        "or dates of one kind, such as 2026-03-07"
    )


def _write(source: RawTable, sinks: Sequence[IO[bytes]], chooser: Chooser, labels: str) -> list[Counter[str]]:
    """Write each row to train or eval; the labels of both."""
    column, is_eval = chooser
    found: list[Counter[str]] = [Counter(), Counter()]
    for sink in sinks:
        sink.write(source.header)
    columns = [name for name in (column, labels) if name]
    for raw, texts in source.rows(columns):
        part = int(is_eval(texts[0] if column else ""))
        sinks[part].write(raw)
        found[part][texts[-1] if labels else ""] += 1
    return found


def _place(project: Project, file: Path, dialect: Dialect, channel: str, location: str) -> Place:
    setting = f"settings.toml, [data] {channel} = {location!r}"
    if "://" in location:
        raise StartError(f"{setting} is not on this machine: name a folder, such as data/{channel}, to split here")
    place = project.root / location
    if not place.exists() and set("*?[") & set(location):
        raise StartError(f"{setting} is a pattern: name a folder, such as data/{channel}, to split into it")
    if place.is_file() or (kinds.kind(location) == kinds.TEXT and not place.is_dir()):
        return Place(channel, place, [place] if place.exists() else [])
    there = sorted(place.iterdir()) if place.is_dir() else []
    own = file.name.lower().removesuffix(".gz").endswith(".csv") or dialect.delimiter == "\t"
    name = file.name if own and kinds.kind(file.name) == kinds.TEXT else f"{file.stem}.csv"
    return Place(channel, place / name, [one for one in there if not one.name.startswith(".")])


def _check(file: Path, name: str, places: Sequence[Place]) -> None:
    train, evaluation = (place.file.resolve() for place in places)
    if train == evaluation or train.parent in evaluation.parent.parents or evaluation.parent in train.parent.parents:
        raise StartError("settings.toml, [data]: one of train and eval lies in the other, which would read both")
    if any(file.resolve().is_relative_to(one.resolve()) for place in places for one in place.there):
        raise StartError(f"{name} is where train or eval is written to: move it out of there first")


def _moves(places: Sequence[Place]) -> dict[Path, Path]:
    """Where everything goes that is there: into a folder beside, which no channel reads."""
    beside = places[0].file.parent.parent
    folder = next(one for number in numbers(1) if not (one := beside / f"replaced-{number}").exists())
    return {one: folder / place.channel / one.name for place in places for one in place.there}


def _occupied(project: Project, moves: dict[Path, Path]) -> str:
    shown = ", ".join(map(project.name, list(moves)[:4])) + (f" and {len(moves) - 4} more" if len(moves) > 4 else "")
    example = " (the template's example)" if {one.name for one in moves} <= _EXAMPLE else ""
    to = project.name(next(iter(moves.values())).parents[1])
    return f"there is data already: {shown}{example}; --replace moves it to {to}/ and deletes nothing"


@contextlib.contextmanager
def _written(files: Sequence[Path]) -> Iterator[list[IO[bytes]]]:
    """New files, which are there when all has gone well."""
    parts_of = [file.with_name(f".{file.name}.part") for file in files]
    try:
        with contextlib.ExitStack() as stack:
            for part in parts_of:
                part.parent.mkdir(parents=True, exist_ok=True)
            yield [
                stack.enter_context(kinds.create(part, file.name)) for part, file in zip(parts_of, files, strict=True)
            ]
        for part, file in zip(parts_of, files, strict=True):
            part.replace(file)
    finally:
        for part in parts_of:
            part.unlink(missing_ok=True)


def _say(places: Sequence[Place], found: Sequence[Counter[str]], labels: str) -> None:
    for place, counts in zip(places, found, strict=True):
        said = f" ({parts.described(counts)})" if labels else ""
        total = sum(counts.values())
        show.say(f"{path_for_people(place.file)}: {total:,} row{'s' * (total != 1)}{said}")
    for place, counts in zip(places, found, strict=True):
        lacking = sorted(set(found[0] + found[1]) - set(counts))
        if labels and lacking:
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            show.say(f"note: {place.channel} has no row of {labels} = {', '.join(map(repr, lacking[:5]))}{more}")
