# Owned by the template: edit `model.py` instead.
"""What the columns of a table are.

Standard library only, so that a mistake in the data can be reported without waiting for TensorFlow.
"""

import codecs
import contextlib
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from trainer import explaining
from trainer.run import UserError, mistaken


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

    @property
    def largest(self) -> int:
        """The largest magnitude of the whole numbers that model.py says of the column; 0 where it says none."""
        return 0

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
        return explaining.not_a_number(self.name, text)


@dataclass(frozen=True)
class Categorical(Column):
    """One of the strings, or whole numbers, of `vocabulary`; anything else is index 0, "unknown".

    `build_model` gets it as one-hot float32 [batch, size], or with `encoding="index"` as int64 [batch] for an
    Embedding.
    """

    vocabulary: Sequence[str] | Sequence[int]
    missing: str | int | None = None
    encoding: str = "one_hot"

    @property
    def dtype(self) -> str:
        return "int64" if isinstance(self.vocabulary[0], int) else "string"

    @property
    def size(self) -> int:
        """The number of indices: the vocabulary and "unknown"."""
        return len(self.vocabulary) + 1

    @property
    def largest(self) -> int:
        return max(map(abs, [*self.vocabulary, self.missing or 0])) if self.dtype == "int64" else 0

    def problem(self, text: str) -> str | None:
        return explaining.not_whole(self.name, text) if self.dtype == "int64" else None


@dataclass(frozen=True)
class Hashed(Column):
    """A string out of too many to list: its hash modulo `size`. Encoded as `Categorical` is."""

    size: int
    missing: str | None = None
    encoding: str = "one_hot"
    dtype: ClassVar[str] = "string"


@dataclass(frozen=True)
class Identity(Column):
    """A whole number from 0 to `size` - 1, itself the index; any other is refused. Encoded as `Categorical` is."""

    size: int
    missing: int | None = None
    encoding: str = "one_hot"
    dtype: ClassVar[str] = "int64"

    @property
    def largest(self) -> int:
        return self.size - 1

    def problem(self, text: str) -> str | None:
        if problem := explaining.not_whole(self.name, text):
            return problem
        return None if 0 <= int(text) < self.size else f"{text} is not between 0 and {self.size - 1}"


@dataclass(frozen=True)
class Text(Column):
    """Words: `build_model` gets the first `length` as int64 [batch, length], 0 where there are fewer, 1 for an unknown
    one, then one id for each of the `words` most frequent ones of the training data.

    Lower case, without punctuation, split at blanks. An Embedding has the size `size`.
    """

    words: int = 10_000
    length: int = 50
    missing: str | None = ""
    dtype: ClassVar[str] = "string"

    @property
    def size(self) -> int:
        """The number of ids."""
        return self.words + 2


# How many digits a part of a date has.
DATE_DIGITS = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2}


@dataclass(frozen=True)
class Date(Column):
    """A date of one `format`: `build_model` gets year, month, weekday (Monday is 0) and days as float32 [batch, 4],
    each with mean 0 and variance 1 over the training data.
    """

    format: str = "%Y-%m-%d"
    missing: str | None = None
    dtype: ClassVar[str] = "string"

    @property
    def pattern(self) -> str:
        """A regular expression for texts of this format, that exist or not."""
        pieces = re.findall("%.|[^%]", self.format)
        return "".join("[0-9]" * DATE_DIGITS[one] if one in DATE_DIGITS else re.escape(one) for one in pieces)

    @property
    def example(self) -> str:
        """A date of this format."""
        return datetime(1970, 1, 1).strftime(self.format)

    def problem(self, text: str) -> str | None:
        try:
            datetime.strptime(text, self.format)
        except ValueError:
            exists = False
        else:
            exists = bool(re.fullmatch(self.pattern, text))
        return None if exists else f"{text!r} is not a date of the format {self.format}, such as {self.example}"


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
        return explaining.not_a_number(self.name, text) or (
            f"the weight {text} is negative" if float(text) < 0 else None
        )


@dataclass(frozen=True)
class Target(Column):
    """What is predicted. `drop_missing=True` leaves out the rows whose target is empty; otherwise they are an error."""

    drop_missing: bool = field(default=False, kw_only=True)
    feature: ClassVar[bool] = False


@dataclass(frozen=True)
class Classes(Target):
    """One of `labels`, spelt as in the file (strings or whole numbers). `build_model` ends in one probability each.

    `weights`, by label, is how much a row counts in training, 1 where a label is not named: Keras' class_weight. Losses
    and metrics get the label's number; with `one_hot`, as F1Score and CategoricalCrossentropy want it, float32 [batch,
    labels].
    """

    labels: Sequence[str] | Sequence[int]
    weights: Mapping[str, float] | Mapping[int, float] = field(default_factory=dict, kw_only=True)
    one_hot: bool = field(default=False, kw_only=True)

    @property
    def dtype(self) -> str:
        return "int64" if isinstance(self.labels[0], int) else "string"

    def problem(self, text: str) -> str | None:
        if self.dtype == "int64" and (problem := explaining.not_whole(self.name, text, "Classes")):
            return problem
        value = int(text) if self.dtype == "int64" else text
        if value in (labels := list(self.labels)):
            return None
        return f"{text!r} is not one of the labels {labels}{explaining.ask('label', text, labels)}"


@dataclass(frozen=True)
class Number(Target):
    """A number to be predicted. `build_model` ends in one unit.

    The model learns it with mean 0 and variance 1 over the training data, which the loss is of; answers and metrics are
    in its own units. `standardise=False` leaves it as it is: for a loss, or an output, that allows no negative numbers.
    """

    standardise: bool = field(default=True, kw_only=True)

    def problem(self, text: str) -> str | None:
        return explaining.not_a_number(self.name, text, "Classes")


@dataclass(frozen=True)
class Table:
    """A table in CSV files: all columns, in the files' order when there is no header. One or more are a target.

    Raises UserError when the columns cannot be one table.
    """

    columns: Sequence[Column]
    header: bool = True
    delimiter: str = ","
    # A spelling of "no value" beside the empty field, such as NA.
    missing_text: str = ""
    # UTF-8, or one with a byte a character, such as cp1252.
    encoding: str = "utf-8"
    # How much memory decoded rows may take; above it they go to files.
    memory_mb: int = 1024

    def __post_init__(self) -> None:
        with contextlib.suppress(LookupError, TypeError):
            object.__setattr__(self, "encoding", codecs.lookup(self.encoding).name)
        if found := explaining.ask("mistakes", self, otherwise=[]):
            mistaken("\n".join(f"model.py: {mistake}" for mistake in found))

    @property
    def features(self) -> list[Column]:
        return [column for column in self.columns if column.feature]

    @property
    def targets(self) -> list[Target]:
        """With several, a network has an output for each, named by its `key`, as are losses, metrics and answers."""
        return [column for column in self.columns if isinstance(column, Target)]

    @property
    def target(self) -> Any:
        """The first one: `Classes`, which has labels, or `Number`; model.py knows which."""
        return self.targets[0]

    @property
    def weight(self) -> Weight | None:
        return next((column for column in self.columns if isinstance(column, Weight)), None)


def described(column: Column) -> str:
    """What of a column the shape and the meaning of weights depend on."""
    names = ("vocabulary", "labels", "size", "words", "length", "format", "encoding", "one_hot")
    told = [f"{name} {shortened(value)}" for name in names if (value := getattr(column, name, None)) not in (None, "")]
    return " ".join([type(column).__name__, ", ".join(told)]).strip()


def shortened(value: object) -> str:
    """A value as people read it; of a long one, its beginning and what tells it from others."""
    text = repr(list(value) if isinstance(value, (list, tuple)) else value)
    return text if len(text) <= 120 else f"{text[:100]}... ({zlib.crc32(text.encode('utf-8', 'replace')):08x})"
