# Owned by the template: edit `model.py` instead.
"""What the columns of a table are, and whether a text file holds such a table.

Standard library only, so that a mistake in the data can be reported without waiting for TensorFlow.
"""

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import ClassVar

from trainer.run import UserError

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


class DataError(UserError):
    """A table that cannot be trained on; the message names file, row and column."""


@dataclass(frozen=True)
class Column:
    """One column of the table, by its name in the header."""

    name: str

    # Whether `build_model` and a request see the column.
    feature: ClassVar[bool] = True

    @property
    def dtype(self) -> str | None:
        """What TensorFlow reads the field as: float32, int64 or string; None leaves it unread."""
        return "float32"

    @property
    def key(self) -> str:
        """The serving input's name: TensorFlow allows letters, digits and `_` only, so `bill (mm)` is `bill_mm`."""
        return re.sub(r"[^A-Za-z0-9]+", "_", self.name).strip("_")

    @property
    def default(self) -> str | float | int | None:
        """What stands for an empty field; None refuses one."""
        return getattr(self, "missing", None)

    def problem(self, text: str) -> str | None:
        """What is wrong with one field, in words; None where nothing is."""
        return None


@dataclass(frozen=True)
class Numeric(Column):
    """A number. `build_model` gets it as float32 [batch, 1], with mean 0 and variance 1 over the training data.

    `missing` stands for an empty field, and for NaN in a request; without it both are refused.
    """

    missing: float | None = None

    def problem(self, text: str) -> str | None:
        return _not_a_number(text)


class _Indexed(Column):
    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"model.py: the size of {self.name!r} must be 1 or more, not {self.size}")
        if self.encoding not in ("one_hot", "index"):
            raise UserError(f"model.py: {self.name!r}: encoding is 'one_hot' or 'index', not {self.encoding!r}")


@dataclass(frozen=True)
class Categorical(_Indexed):
    """One of the strings, or whole numbers, of `vocabulary`; anything else is index 0, "unknown".

    `build_model` gets it as one-hot float32 [batch, size], or with `encoding="index"` as int64 [batch] for an
    Embedding.
    """

    vocabulary: Sequence[str] | Sequence[int]
    missing: str | int | None = None
    encoding: str = "one_hot"

    def __post_init__(self) -> None:
        _check_values(self.name, "vocabulary", self.vocabulary)
        super().__post_init__()

    @property
    def dtype(self) -> str:
        return "int64" if isinstance(self.vocabulary[0], int) else "string"

    @property
    def size(self) -> int:
        """The number of indices: the vocabulary and "unknown"."""
        return len(self.vocabulary) + 1

    def problem(self, text: str) -> str | None:
        return _not_whole(text) if self.dtype == "int64" else None


@dataclass(frozen=True)
class Hashed(_Indexed):
    """A string out of too many to list: its hash modulo `size`. Encoded as `Categorical` is."""

    size: int
    missing: str | None = None
    encoding: str = "one_hot"
    dtype: ClassVar[str] = "string"


@dataclass(frozen=True)
class Identity(_Indexed):
    """A whole number from 0 to `size` - 1, itself the index; any other is refused. Encoded as `Categorical` is."""

    size: int
    missing: int | None = None
    encoding: str = "one_hot"
    dtype: ClassVar[str] = "int64"

    def problem(self, text: str) -> str | None:
        if problem := _not_whole(text):
            return problem
        return None if 0 <= int(text) < self.size else f"{text} is not between 0 and {self.size - 1}"


@dataclass(frozen=True)
class Dropped(Column):
    """A column that the file has and the model does not use."""

    feature: ClassVar[bool] = False
    dtype: ClassVar[None] = None


@dataclass(frozen=True)
class Weight(Column):
    """How much a row counts in the loss (and in `weighted_metrics`): a number, 0 or more."""

    feature: ClassVar[bool] = False

    def problem(self, text: str) -> str | None:
        return _not_a_number(text) or (f"the weight {text} is negative" if float(text) < 0 else None)


@dataclass(frozen=True)
class Target(Column):
    """What is predicted. `drop_missing=True` leaves out the rows whose target is empty; otherwise they are an error."""

    drop_missing: bool = field(default=False, kw_only=True)
    feature: ClassVar[bool] = False


@dataclass(frozen=True)
class Classes(Target):
    """One of `labels`, spelt as in the file (strings or whole numbers). `build_model` ends in one probability each."""

    labels: Sequence[str] | Sequence[int]

    def __post_init__(self) -> None:
        _check_values(self.name, "labels", self.labels)
        if len(self.labels) < 2:
            raise UserError(f"model.py: {self.name!r} needs two labels or more, not {list(self.labels)}")

    @property
    def dtype(self) -> str:
        return "int64" if isinstance(self.labels[0], int) else "string"

    def problem(self, text: str) -> str | None:
        if self.dtype == "int64" and (problem := _not_whole(text)):
            return problem
        value = int(text) if self.dtype == "int64" else text
        return None if value in self.labels else f"{text!r} is not one of the labels {list(self.labels)}"


@dataclass(frozen=True)
class Number(Target):
    """A number to be predicted. `build_model` ends in one unit."""

    def problem(self, text: str) -> str | None:
        return _not_a_number(text)


def local_lines(file: str) -> Iterator[str]:
    """The lines of a local file."""
    with open(file, encoding="utf-8", errors="replace") as lines:
        yield from lines


@dataclass(frozen=True)
class Table:
    """A table in CSV files: all columns, in the files' order when there is no header.

    Raises UserError when the columns cannot be one table.
    """

    columns: Sequence[Column]
    header: bool = True
    delimiter: str = ","
    # A spelling of "no value" beside the empty field, such as NA.
    missing_text: str = ""

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise UserError(f"model.py: a column name stands twice in {names}")
        used = [column for column in self.columns if column.dtype]
        for column in used:
            if not column.key:
                raise UserError(f"model.py: the column {column.name!r} has no a-z or 0-9 in its name: rename it")
            same = [other.name for other in used if other.key == column.key]
            if len(same) > 1:
                raise UserError(f"model.py: the columns {same} have one input name, {column.key!r}: rename one")
        targets = [column.name for column in self.columns if isinstance(column, Target)]
        if len(targets) != 1:
            raise UserError(f"model.py: the table needs exactly one target (Classes or Number), not {targets}")
        if len([column for column in self.columns if isinstance(column, Weight)]) > 1:
            raise UserError("model.py: the table may have one Weight column")
        if not self.features:
            raise UserError("model.py: the table has no column to learn from")
        if len(self.delimiter) != 1 or self.delimiter in '"\n\r':
            raise UserError(f"model.py: the delimiter must be one character, not {self.delimiter!r}")

    @property
    def features(self) -> list[Column]:
        return [column for column in self.columns if column.feature]

    @property
    def target(self) -> Target:
        return next(column for column in self.columns if isinstance(column, Target))

    @property
    def weight(self) -> Weight | None:
        return next((column for column in self.columns if isinstance(column, Weight)), None)

    def check_header(self, file: str, names: Sequence[str]) -> None:
        """Raise DataError unless `names`, the first row of `file`, are this table's columns in any order."""
        known = [column.name for column in self.columns]
        if len(names) == 1 and len(known) > 1:
            raise DataError(f"{file}, row 1: one column, {names[0]!r}; is {self.delimiter!r} the right delimiter?")
        for name in known:
            if name not in names:
                near = "".join(f"did you mean {close!r}? " for close in get_close_matches(name, names, n=1))
                header = f"{near}The header is {list(names)}"
                raise DataError(f"{file}, row 1: the column {name!r} of model.py is missing. {header}")
        for position, name in enumerate(names):
            if name not in known:
                raise DataError(
                    f"{file}, row 1: the column {name!r} is not in model.py; add Dropped({name!r}) to leave it out"
                )
            if name in names[:position]:
                raise DataError(f"{file}, row 1: the column {name!r} stands twice in the header")

    def in_file_order(self, names: Sequence[str]) -> list[Column]:
        """The columns in the order of a header; for a table without one, as they stand in model.py."""
        return sorted(self.columns, key=lambda column: names.index(column.name)) if self.header else list(self.columns)

    def find_problem(self, files: Iterable[str], lines: Callable[[str], Iterable[str]] = local_lines) -> str | None:
        """The first wrong field of `files` as one sentence with file, row (as an editor counts them) and column."""
        return next((problem for file in files for problem in self._problems(file, lines(file))), None)

    def _problems(self, file: str, lines: Iterable[str]) -> Iterator[str]:
        columns = list(self.columns)
        for row, line in enumerate(lines, start=1):
            if self.header and row == 1:
                columns = self.in_file_order(self.split(line.removeprefix("\ufeff")))
                continue
            fields = self.split(line)
            if len(fields) != len(columns):
                counts = f"{len(fields)} columns where model.py has {len(columns)}: {line.strip()[:80]!r}"
                yield f"{file}, row {row}: {counts if fields else 'an empty line; delete it'}"
                continue
            for column, text in zip(columns, fields, strict=True):
                if problem := self._field_problem(column, text):
                    yield f"{file}, row {row}, column {column.name!r}: {problem}"

    def _field_problem(self, column: Column, text: str) -> str | None:
        if column.dtype is None:
            return None
        if text in ("", self.missing_text):
            if column.default is not None or getattr(column, "drop_missing", False):
                return None
            way_out = "drop_missing=True" if isinstance(column, Target) else "missing=..."
            return f"no value; say in model.py what an empty field means ({way_out})"
        return column.problem(text)

    def split(self, line: str) -> list[str]:
        """The fields of one line."""
        line = line.rstrip("\r\n")
        return next(csv.reader([line], delimiter=self.delimiter), []) if line else []


def _not_a_number(text: str) -> str | None:
    if not _NUMBER.fullmatch(text.strip()):
        return f"{text!r} is not a number"
    # TensorFlow reads float32: a larger number would become infinite.
    return None if math.isfinite(float(text)) and abs(float(text)) < 3.4e38 else f"{text!r} is not a finite number"


def _not_whole(text: str) -> str | None:
    fits = _INTEGER.fullmatch(text.strip()) and -(2**63) <= int(text) < 2**63
    return None if fits else f"{text!r} is not a whole number of 64 bits"


def _check_values(name: str, what: str, values: Sequence[str] | Sequence[int]) -> None:
    kinds = {type(value) for value in values}
    if kinds not in ({str}, {int}) or len(set(values)) != len(values):
        raise UserError(f"model.py: the {what} of {name!r} must be distinct strings or distinct whole numbers")
