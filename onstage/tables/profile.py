"""What the columns of text files hold: their values, or, where those are too many, what all of them have in common.

One pass, in memory that does not grow with the files.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from onstage.errors import StartError
from onstage.tables.blocks import NotThisEncodingError, Rows, blocks
from onstage.tables.dialect import Dialect, sniff
from onstage.tables.values import DateFormat, date_formats, extremes, is_no_value, is_number

# Different values of a column that are kept, fewer for each of many columns, and how long they may be together.
MOST_VALUES, LEAST_VALUES, ALL_VALUES, MOST_TEXT = 5_000, 64, 400_000, 2**20
# Texts among numbers.
MOST_ODD = 20
SAMPLED_FIELDS, MOST_SAMPLED = 200_000, 4_096
_KEPT_HASHES = 1_024
_WRONG_SHOWN = 5


class Column:
    """The fields of one column."""

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        # Each value with its count, until they are too many.
        self.values: Counter[str] | None = Counter()
        # Of a column of numbers, the texts that are none, the empty one too; None where it has none to speak of.
        self.odd: Counter[str] | None = None
        self.low, self.high, self.whole, self.padded = 0.0, 0.0, True, False
        # The formats that all values are dates of, those that stand for no value aside.
        self.dates: list[DateFormat] = []
        # Whether the values are 0, 1, 2 and so on, or from 1.
        self.counts_rows = True
        # The spellings of no value, the empty field among them.
        self.missing: Counter[str] = Counter()
        # Values as the sampled rows have them.
        self.sample: list[str] = []
        self.different, self.rows = 0, 0
        self._most = most
        self._next: int | None = None
        self._hashes: Counter[int] | None = None
        self._step = 1

    def add(self, texts: Sequence[str]) -> None:
        """Add the fields of a block of rows."""
        if self.counts_rows:
            self._look_at_order(texts)
        self.rows += len(texts)
        if self.values is not None:
            known = len(self.values)
            self.values.update(texts)
            if len(self.values) > known and (len(self.values) > self._most or sum(map(len, self.values)) > MOST_TEXT):
                self._forget()
            return
        counts: Counter[str] | None = None
        if self.odd is not None:
            found = None if self.padded else extremes(texts)
            if found is None:
                counts = Counter(texts)
                self._add_numbers(counts)
            else:
                self.low, self.high = min(self.low, found[0]), max(self.high, found[1])
                self.whole = self.whole and all(map(str.isdigit, texts))
                self.padded = self.whole and any(text[0] == "0" and len(text) > 1 for text in texts)
        if self.dates or self._hashes is not None:
            counts = counts or Counter(texts)
            self._add_dates(counts)
            self._add_hashes(counts)
        if counts:
            self._add_missing(counts)

    def close(self) -> None:
        """All rows are added."""
        if self.values is not None:
            self._look_at_values()
            self.different = len(self.values)
        elif self._hashes is not None:
            self.different = len(self._hashes) * self._step
        else:
            self.different = self._most
        self.counts_rows = self.counts_rows and self.rows > 2

    def _look_at_order(self, texts: Sequence[str]) -> None:
        if self._next is None:
            if texts[0] not in ("0", "1"):
                self.counts_rows = False
                return
            self._next = int(texts[0])
        self.counts_rows = list(texts) == list(map(str, range(self._next, self._next + len(texts))))
        self._next += len(texts)

    def _look_at_values(self) -> None:
        values, self.odd = self.values or Counter(), Counter()
        self.low, self.high = float("inf"), float("-inf")
        self._add_numbers(values)
        first = next((text for text in values if not is_no_value(text)), "")
        self.dates = date_formats(first)
        self._add_dates(values)
        self._add_missing(values)

    def _forget(self) -> None:
        """The values are too many to keep."""
        values = self.values or Counter()
        self._look_at_values()
        if self.odd is None or self.whole:
            self._hashes = Counter()
            self._add_hashes(values)
        self.values = None

    def _add_numbers(self, counts: Counter[str]) -> None:
        odd: Counter[str] = self.odd if self.odd is not None else Counter()
        for text, count in counts.items():
            if not is_number(text):
                odd[text] += count
                if len(odd) > MOST_ODD:
                    self.odd, self._hashes = None, self._hashes or Counter()
                    return
                continue
            number = float(text)
            self.low, self.high = min(self.low, number), max(self.high, number)
            digits = text.strip().lstrip("+-")
            self.whole = self.whole and digits.isdigit()
            self.padded = self.padded or (len(digits) > 1 and digits[0] == "0" and digits.isdigit())
        self.odd = odd

    def _add_dates(self, counts: Counter[str]) -> None:
        if self.dates:
            given = [text for text in counts if not is_no_value(text)]
            self.dates = [one for one in self.dates if one.fits(given)]

    def _add_missing(self, counts: Counter[str]) -> None:
        # Most values of a long table begin with a digit, and no word does.
        others = [text for text in counts if not text[:1].isdigit()]
        self.missing.update({text: counts[text] for text in others if is_no_value(text)})

    def _add_hashes(self, counts: Counter[str]) -> None:
        """Count the values of which the hash is a multiple of a step, a larger one the more there are."""
        if self._hashes is None:
            return
        for text, count in counts.items():
            code = zlib.crc32(text.encode("utf-8", "surrogateescape"))
            if code % self._step == 0:
                self._hashes[code] += count
        while len(self._hashes) > _KEPT_HASHES:
            self._step *= 2
            self._hashes = Counter({code: count for code, count in self._hashes.items() if code % self._step == 0})


@dataclass
class Profile:
    """The columns of files of one dialect. `wrong` says what is wrong with the first rows that the trainer refuses."""

    dialect: Dialect
    encoding: str
    columns: list[Column]
    rows: int
    wrong: list[str]
    wrong_rows: int

    def column(self, name: str) -> Column:
        """The column of this name."""
        return self.columns[self.dialect.names.index(name)]


def profile(files: Sequence[tuple[Path, str]], add: Callable[[int], None]) -> Profile:
    """Read files, each with its name for people; `add` gets how many bytes were read.

    Raises StartError for files that are no table, or not one table.
    """
    dialects = [sniff(file, name) for file, name in files]
    for (_, name), dialect in zip(files, dialects, strict=True):
        if dialect != dialects[0]:
            what = "header" if set(dialect.names) != set(dialects[0].names) else "order of columns, or delimiter"
            raise StartError(f"{name} has another {what} than {files[0][1]}: {list(dialect.names)[:20]}")
    read = 0

    def count(size: int) -> None:
        nonlocal read
        read += size
        add(size)

    for encoding in ("utf-8", "cp1252", "latin-1"):
        try:
            return _read(files, sniff(*files[0], encoding), encoding, count)
        except NotThisEncodingError:
            # Once more from the start, as another text.
            add(-read)
            read = 0
    raise AssertionError("latin-1 has a character for every byte")


def _read(files: Sequence[tuple[Path, str]], dialect: Dialect, encoding: str, add: Callable[[int], None]) -> Profile:
    most = max(LEAST_VALUES, min(MOST_VALUES, ALL_VALUES // len(dialect.names)))
    columns = [Column(name, most) for name in dialect.names]
    found = Profile(dialect, encoding, columns, 0, [], 0)
    sample = _Sample(min(MOST_SAMPLED, max(50, SAMPLED_FIELDS // len(columns))))

    def wrong(said: str) -> None:
        found.wrong_rows += 1
        if len(found.wrong) < _WRONG_SHOWN:
            found.wrong.append(said)

    for file, name in files:
        rows: Rows
        for rows in blocks(file, name, dialect, encoding, wrong, add):
            if rows:
                found.rows += len(rows)
                sample.add(rows)
                for column, texts in zip(columns, zip(*rows, strict=True), strict=True):
                    column.add(texts)
    if not found.rows:
        raise StartError(f"{files[0][1]} has {'a header and ' * dialect.header}no rows" + "".join(found.wrong[:1]))
    for column, texts in zip(columns, zip(*sample.rows, strict=True), strict=True):
        column.sample = list(texts)
        column.close()
    return found


class _Sample:
    """Every so manieth of the rows that are added, so that they are never more than `most`."""

    def __init__(self, most: int) -> None:
        self.rows: Rows = []
        self._most, self._step, self._seen = most, 1, 0

    def add(self, more: Rows) -> None:
        self.rows += more[-self._seen % self._step :: self._step]
        self._seen += len(more)
        while len(self.rows) > self._most:
            del self.rows[1::2]
            self._step *= 2
