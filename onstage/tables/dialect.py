"""How a text file holds a table: delimiter, header, names of the columns. Seen from its start."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onstage import advice
from onstage.errors import StartError
from onstage.tables import files as kinds
from onstage.tables.values import has_decimal_comma, is_no_value, is_number

START_BYTES = 2**18
# The first that separates the rows evenly: texts have commas and blanks, seldom the others.
_DELIMITERS = ("\t", ";", "|", ",", " ")
# So much of the rows may be wrong, which is said by row, before the delimiter is.
_EVEN = 0.8
_YEAR = re.compile(r"(19|20)\d\d")
csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Dialect:
    """What separates the fields, whether row 1 is a header, and the columns' names: without one column_1 and so on."""

    delimiter: str
    header: bool
    names: tuple[str, ...]


def sniff(file: Path, name: str, encoding: str = "utf-8") -> Dialect:
    """The dialect of a file, `name` for people. Bytes of another encoding are replaced in the names.

    Raises StartError for a file that holds no table.
    """
    with kinds.unpacked(file, name) as content:
        start = content.read(START_BYTES)
    if not start.strip():
        raise StartError(f"{name} is empty")
    first, end, _ = start.decode("utf-8", "surrogateescape").partition("\n")
    if what := advice.not_a_text(first + end) or ("has zero bytes: it is no text" if b"\0" in start else ""):
        raise StartError(f"{name} {what}")
    text = start.removeprefix(b"\xef\xbb\xbf").decode(encoding, "replace").replace("\r", "")
    if len(start) == START_BYTES and "\n" in text:
        # The last line is not whole.
        text = text[: text.rindex("\n")]
    if not text.partition("\n")[0].strip():
        raise StartError(f"{name}, row 1 is empty: delete it")
    rows, delimiter = _separated(name, text)
    header = _has_header(rows)
    if not header and start.startswith(b"\xef\xbb\xbf"):
        raise StartError(f"{name} starts with a byte order mark: save it as UTF-8 without one")
    if header and len(rows) == 1:
        raise StartError(f"{name} has one row, {', '.join(rows[0])[:80]!r}: a header and no rows")
    names = rows[0] if header else [f"column_{number}" for number in range(1, len(rows[0]) + 1)]
    if twice := [one for one, count in Counter(names).items() if count > 1]:
        shown = ", ".join(map(repr, twice[:5]))
        raise StartError(f"{name}, row 1: the column {shown} stands twice in the header; rename one in the file")
    return Dialect(delimiter, header, tuple(names))


def split(line: str, delimiter: str) -> list[str]:
    """The fields of one row, which may have line ends in quotes."""
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])


def _separated(name: str, text: str) -> tuple[list[list[str]], str]:
    """The rows, and what separates their fields."""
    begins: dict[str, tuple[int, int]] = {}
    for delimiter in _DELIMITERS:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
        if len(text) > START_BYTES // 2 and len(rows) > 2:
            # A quoted field may have been cut.
            rows.pop()
        widths = Counter(map(len, rows))
        width = len(rows[0])
        if width > 1 and widths[width] >= _EVEN * len(rows) and not (delimiter == " " and _is_aligned(text)):
            return [row for row in rows if len(row) == width], delimiter
        begins[delimiter] = (width, widths.most_common(1)[0][0])
    if _is_aligned(text):
        raise StartError(
            f"{name}: the columns are aligned by several blanks, and a delimiter is one character. Convert it: "
            "sed -E 's/^[ \\t]+//; s/[ \\t]+$//; s/[ \\t]+/,/g' OLD > NEW"
        )
    for delimiter in _DELIMITERS:
        if begins[delimiter][0] > 1 and (row := _never_closed(text, delimiter)):
            raise StartError(f"{name}, row {row}: quotes that nobody closes")
    uneven = {one: widths for one, widths in begins.items() if widths[0] != widths[1] and widths[1] > 1 and one != " "}
    if uneven:
        delimiter, (first, usual) = max(uneven.items(), key=lambda item: item[1][1])
        raise StartError(
            f"{name}, row 1 has {first} column{'s' * (first != 1)}, and other rows have {usual} (between "
            f"{delimiter!r}): the header has to be row 1, and name every column"
        )
    raise StartError(
        f"{name} has one column, or nothing that separates columns: neither comma, semicolon, tab, | nor blank "
        f"does it in every row. Row 1 is {text.partition(chr(10))[0][:80]!r}"
    )


def _never_closed(text: str, delimiter: str) -> int:
    """The line in which quotes are opened that hold all of the rest; 0 where there is none."""
    reader, begun = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), 1
    try:
        for _ in reader:
            begun = reader.line_num + 1
    except csv.Error as error:
        return begun if "end of data" in str(error) else 0
    return 0


def _is_aligned(text: str) -> bool:
    """Whether blanks separate the same number of words in every line, several blanks in some."""
    lines = [line for line in text.split("\n") if line.strip()]
    widths = {len(line.split()) for line in lines}
    return len(widths) == 1 and widths != {1} and any(re.search(r"^ |  |\t ", line) for line in lines)


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether row 1 names columns: a text above numbers says so; a number, or a text that comes again below, denies it.

    A header may have numbers beside texts above numbers, and different years beside any.
    """
    first, rest = rows[0], rows[1:]
    if not rest:
        return not any(map(_is_numeric, first))
    below = [[text for text in column if not is_no_value(text)] for column in zip(*rest, strict=True)]
    of_numbers = [bool(column) and sum(map(_is_numeric, column)) > 0.9 * len(column) for column in below]
    if any(numbers and text.strip() and not _is_numeric(text) and not is_no_value(text)
           for text, numbers in zip(first, of_numbers, strict=True)):  # fmt: skip
        return True
    numbers = [text for text in first if _is_numeric(text)]
    years = len(numbers) > 1 and len(set(numbers)) == len(numbers) and all(map(_YEAR.fullmatch, numbers))
    if numbers and not (years and len(numbers) < len(first)):
        return False
    return not any(text in column for text, column in zip(first, below, strict=True))


def _is_numeric(text: str) -> bool:
    return is_number(text) or has_decimal_comma(text)
