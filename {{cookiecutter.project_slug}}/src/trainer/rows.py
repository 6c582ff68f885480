# Owned by the template.
"""Whether text files hold a `Table`, what is wrong where, and what is no error, but seldom meant.

Standard library only, as in `columns.py`.
"""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from trainer import explaining
from trainer.columns import Categorical, Classes, Column, DataError, Table, Target

EXAMPLES = 3

# Fields are as long as they like.
csv.field_size_limit(2**31 - 1)


def local_lines(file: str, encoding: str = "utf-8") -> Iterator[str]:
    """The lines of a local file, as TensorFlow splits them; bytes that are not of the encoding become surrogates."""
    opened = gzip.open if str(file).lower().endswith(".gz") else open
    with opened(file, "rt", encoding=encoding, errors="surrogateescape", newline="\n") as lines:
        yield from lines


def _pieces(table: Table, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The number, as an editor counts it, and the text of each row: a quoted field may go on in the next line."""
    inside, begun, text = re.compile(inside_quotes(table)), 0, ""
    for number, line in enumerate(lines, start=1):
        if begun:
            text, goes_on = text + line, line.count('"') % 2 == 0
        else:
            begun, text = number, line
            goes_on = '"' in line and bool(inside.fullmatch(line.rstrip("\r\n")))
        if not goes_on:
            yield begun, text
            begun = 0
    if begun:
        yield begun, text


def _field(table: Table) -> str:
    return rf'("([^"]|"")*"|[^"{re.escape(table.delimiter)}]*)'


def inside_quotes(table: Table) -> str:
    """The pattern of a line that ends inside of a quoted field."""
    return rf'({_field(table)}{re.escape(table.delimiter)})*"([^"]|"")*'


def start(table: Table, file: str, lines: Iterable[str]) -> list[Column]:
    """The columns in the order of `file`, which begins with `lines`. Raises DataError if it holds no such table."""
    rest = iter(lines)
    if (first := next(rest, None)) is None:
        raise DataError(f"{file} is empty")
    if problem := explaining.ask("not_a_text", first):
        raise DataError(f"{file} {problem}")
    if table.header:
        _check_header(table, f"{file}, row 1", first)
    elif first.startswith("\ufeff"):
        raise DataError(f"{file} starts with a byte order mark; save it as UTF-8 without one")
    elif split(table, first) == [column.name for column in table.columns]:
        raise DataError(f"{file}, row 1 is a header; take header=False out of the Table in model.py")
    if (table.header or is_blank(table, first)) and all(is_blank(table, line) for line in rest):
        raise DataError(f"{file} has {'a header and ' if table.header else ''}no rows")
    return _columns(table, first)


def read(table: Table, file: str, lines: Iterable[str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Each row's fields, in the file's order, and what is wrong with it, by column ("" for the row as a whole).

    Problems are sentences with file, row as an editor counts it, and column. Blank lines are no rows.
    """
    columns = list(table.columns)
    whole = re.compile(rf"{_field(table)}({re.escape(table.delimiter)}{_field(table)})*")
    for row, line in _pieces(table, lines):
        if table.header and row == 1:
            columns = _columns(table, line)
        elif not is_blank(table, line):
            texts, place = split(table, line), f"{file}, row {row}"
            if len(texts) != len(columns):
                counts = f"{len(texts)} columns where model.py has {len(columns)}: {line.strip()[:80]!r}"
                yield texts, {"": f"{place}: {counts}{_why_so_many(table, line, len(texts))}"}
                continue
            if '"' in line and not whole.fullmatch(line.rstrip("\r\n")):
                # TensorFlow's words.
                stray = 'Unquoted fields cannot have quotes/CRLFs inside; write 5" as "5"""'
                yield texts, {"": f"{place}: {stray}: {line.strip()[:80]!r}"}
                continue
            found = ((column.name, _problem(table, column, text)) for column, text in zip(columns, texts, strict=True))
            wrong = {name: f"{place}, column {name!r}: {problem}" for name, problem in found if problem}
            if wrong and not any(texts):
                wrong = {"": f"{place}: every field is empty; delete the row"}
            elif wrong and texts == [column.name for column in columns]:
                wrong = {"": f"{place}: the header once more; delete the row"}
            yield texts, wrong


def find_problem(
    table: Table, files: Iterable[str], lines: Callable[[str, str], Iterable[str]] = local_lines
) -> str | None:
    """The first thing that is wrong in the rows of `files`; None where nothing is."""
    read_one = lambda file: read(table, file, lines(file, table.encoding))
    found = (problem for file in files for _, wrong in read_one(file) for problem in wrong.values())
    return next(found, None)


def is_blank(table: Table, line: str) -> bool:
    """Whether a line holds nothing, or only blanks where those do not separate columns."""
    return not line.strip("\r\n" if table.delimiter == " " else " \r\n")


def split(table: Table, line: str) -> list[str]:
    """The fields of one row. As TensorFlow's reader does, it leaves out every CR."""
    try:
        text = line.rstrip("\n").replace("\r", "")
        return next(
            csv.reader(text.splitlines(keepends=True) if "\n" in text else [text], delimiter=table.delimiter), []
        )
    except csv.Error:
        # In Python 3.10, a zero byte.
        return []


def value(table: Table, column: Column, text: str) -> Any:
    """A field as a JSON value; for an empty one, what the column has for it."""
    if text in ("", table.missing_text):
        return column.default
    return {"float32": float, "int64": int, "string": str}[column.dtype or "string"](text)


def _columns(table: Table, first: str) -> list[Column]:
    if not table.header:
        return list(table.columns)
    names = split(table, first.removeprefix("\ufeff"))
    return sorted(table.columns, key=lambda column: names.index(column.name))


def _problem(table: Table, column: Column, text: str) -> str | None:
    if column.dtype is None:
        return None
    if problem := explaining.not_utf8(text):
        return problem
    if text in ("", table.missing_text):
        if column.default is not None or getattr(column, "drop_missing", False):
            return None
        way_out = "drop_missing=True" if isinstance(column, Target) else "missing=..."
        return f"no value; say in model.py what an empty field means ({way_out})"
    return column.problem(text)


def _why_so_many(table: Table, line: str, count: int) -> str:
    if line.count('"') % 2:
        return "; quotes that nobody closes"
    more = count > len(table.columns) and table.delimiter == ","
    return "; write a field that has a comma in quotes, and 0,5 as 0.5" if more else ""


def _check_header(table: Table, place: str, line: str) -> None:
    """Raise DataError unless `line` names the table's columns, in any order."""
    if problem := explaining.not_utf8(line):
        raise DataError(f"{place}: {problem}")
    known, names = [column.name for column in table.columns], split(table, line.removeprefix("\ufeff"))
    if is_blank(table, line):
        raise DataError(f"{place}: an empty line where the header should be; delete it")
    if sorted(names) != sorted(known):
        plain = f"the header is {names}, and model.py has {known}"
        raise DataError(f"{place}: {explaining.ask('header', names, known, table.delimiter, otherwise=plain)}")


class Seen:
    """What the rows of one channel, "train" or "eval", hold; of a part of them if not `whole`."""

    def __init__(self, table: Table, channel: str) -> None:
        self.table, self.channel, self.rows, self.without_target = table, channel, 0, 0
        self.whole = True
        # The first file, and the order of its columns, which the others have to share.
        self.order: tuple[str, list[Column]] | None = None
        # By column: how many values are known or unknown to a vocabulary, and the first unknown ones.
        self.known: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.first_unknown: dict[str, list[Any]] = {}
        # By the names of targets and their labels.
        self.labels: Counter[tuple[str, Any]] = Counter()
        # By column: its only value so far; a column that has several is missing.
        self.only: dict[str, Any] = {}

    def add(self, columns: Sequence[Column], texts: Sequence[str]) -> None:
        """Add a row without problems, as it stands in a file; one without target is left out."""
        values = [
            (column, value(self.table, column, text))
            for column, text in zip(columns, texts, strict=True)
            if column.feature or isinstance(column, Target)
        ]
        if any(one is None for _, one in values):
            self.without_target += 1
            return
        self.rows += 1
        for column, one in values:
            if isinstance(column, Categorical) and one != column.default:
                known = one in column.vocabulary
                self.add_categories(column.name, int(known), int(not known), [one])
            elif isinstance(column, Classes):
                self.labels[column.name, one] += 1
            self.add_values(column.name, one, self.rows == 1)

    def add_categories(self, name: str, known: int, unknown: int, examples: Iterable[Any]) -> None:
        """Add counts of a categorical column's values, those that stand for an empty field aside."""
        self.known[name] += known
        self.unknown[name] += unknown
        if unknown:
            first = self.first_unknown.setdefault(name, [])
            first += [value for value in examples if value not in first][: EXAMPLES - len(first)]

    def add_values(self, name: str, value: Any, first: bool, same: bool = True) -> None:
        """Add values of a column, all of them `value` if they are the `same`."""
        if first:
            self.only[name] = value
        if not same or (name in self.only and self.only[name] != value):
            self.only.pop(name, None)

    def refuse_unknown(self) -> None:
        """Raise DataError for a column of which every value is unknown; none could be told from another."""
        for column in (one for one in self.table.features if isinstance(one, Categorical)):
            if self.unknown[column.name] and not self.known[column.name] and self.whole:
                what = f"{column.name!r}: every value is outside its vocabulary {list(column.vocabulary)[:10]}"
                raise DataError(f"{self.channel}, column {what}; the first: {self._first(column)}")

    def notes(self) -> list[str]:
        """Of this channel alone."""
        found = []
        for column in self.table.features:
            if count := self.unknown[column.name]:
                share = f"{count} of {self.rows} {self.channel} rows ({100 * count / self.rows:.3g} %)"
                found.append(f"{column.name}: {share} are outside its vocabulary; the first: {self._first(column)}")
        return found

    def _first(self, column: Any) -> str:
        nearest = lambda one: explaining.ask("nearest", one, column.vocabulary, otherwise=None)
        near = {one: nearest(one) for one in self.first_unknown[column.name]}
        return ", ".join(f"{v!r}" + (f" (did you mean {n!r}?)" if n is not None else "") for v, n in near.items())


def find_notes(train: Seen, evaluation: Seen) -> list[str]:
    """What is odd about the rows of both channels, one sentence each."""
    found, table = train.notes() + evaluation.notes(), train.table
    if not train.whole:
        return found
    for target in table.targets:
        names = [(target.name, label) for label in getattr(target, "labels", ())]
        if missing := [name for name in names if not train.labels[name]]:
            asked = sum(evaluation.labels[name] for name in missing)
            rest = f", and {asked} eval row{'s have' if asked > 1 else ' has'} such a label" if asked else ""
            labels = ", ".join(repr(label) for _, label in missing)
            found.append(f"{target.name}: no train row has the label {labels}{rest}")
        elif target.name in train.only and train.rows > 1:
            found.append(f"{target.name}: every train row has {_shown(train.only[target.name])}")
    for column in table.features:
        if column.name in train.only and train.rows > 1 and train.unknown[column.name] < train.rows:
            found.append(f"{column.name}: every train row has {_shown(train.only[column.name])}: nothing to learn from")
    return found


SAME_ROWS = "eval has the very rows of train: its metrics will say what the model remembers, not what it has learned"


def is_records(name: str) -> bool:
    """Whether a file is a TFRecord shard, by its name."""
    return ".tfrecord" in name.rpartition("/")[2].lower()


def is_data(name: str, delimiter: str) -> bool:
    """Whether a file in a channel's folder is read, by its name: CSV files and TFRecord shards."""
    kinds = (".csv", ".tsv", ".tab") if delimiter == "\t" else (".csv",)
    return is_records(name) or name.lower().removesuffix(".gz").endswith(kinds)


def left_out(names: Iterable[str], delimiter: str) -> list[str]:
    """Which of the names in and below a channel's folder are not read, those about the data aside."""
    shown = [name for name in names if not any(part.startswith((".", "_")) for part in name.split("/"))]
    about = ("readme", "license", "licence", "notice", "changelog")
    return sorted(
        name
        for name in shown
        if not (
            is_data(name, delimiter)
            or name.endswith((".md", ".rst", ".pdf", ".html"))
            or name.rpartition("/")[2].lower().startswith(about)
        )
    )


def say_left_out(place: str, names: Sequence[str]) -> str:
    """One sentence about all that a place has and the reader does not take."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{place}: only *.csv and TFRecord shards are read, and this is left out: {', '.join(names[:5])}{more}"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
