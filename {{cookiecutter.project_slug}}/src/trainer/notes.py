# Owned by the template.
"""What a first look at the data notices that is no error, but seldom meant. Standard library only."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from trainer import rows
from trainer.columns import Categorical, Classes, Column, DataError, Table, Target
from trainer.explaining import ask

EXAMPLES = 3


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
            (column, rows.value(self.table, column, text))
            for column, text in zip(columns, texts, strict=True)
            if column.feature or isinstance(column, Target)
        ]
        if any(value is None for _, value in values):
            self.without_target += 1
            return
        self.rows += 1
        for column, value in values:
            if isinstance(column, Categorical) and value != column.default:
                known = value in column.vocabulary
                self.add_categories(column.name, int(known), int(not known), [value])
            elif isinstance(column, Classes):
                self.labels[column.name, value] += 1
            self.add_values(column.name, value, self.rows == 1)

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
        for column in self.table.features:
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
        near = {
            value: ask("nearest", value, column.vocabulary, otherwise=None) for value in self.first_unknown[column.name]
        }
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
