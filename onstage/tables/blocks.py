"""The rows of a text file in blocks: at the speed of C where nothing is unusual, and flat in memory."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from onstage.tables import files as kinds
from onstage.tables.dialect import Dialect, split

BLOCK = 2**19
# An odd quote: its other half is looked for in so many bytes.
_MOST = 2**24

Rows = list[list[str]]


class NotThisEncodingError(Exception):
    """Bytes that are no text of the encoding."""


def blocks(
    file: Path, name: str, dialect: Dialect, encoding: str, wrong: Callable[[str], None], add: Callable[[int], None]
) -> Iterator[Rows]:
    """The rows of `file`, `name` for people, without those that the trainer refuses: `wrong` gets a sentence of each.

    `add` gets how many of the file's bytes were read. Raises NotThisEncodingError.
    """
    reader, number = _Reader(name, dialect, wrong), 1
    with kinds.unpacked(file, name) as content:
        before = 0
        if dialect.header:
            number += _closed(content.readline(), content).count(b"\n")
        while raw := content.read(BLOCK):
            if not raw.endswith(b"\n"):
                raw += content.readline()
            raw = _closed(raw, content)
            try:
                text = raw.decode(encoding)
            except UnicodeDecodeError as error:
                raise NotThisEncodingError from error
            yield reader.rows(text, number)
            number += raw.count(b"\n")
            place = _place(content)
            add(place - before)
            before = place


def raw_rows(content: IO[bytes], delimiter: str) -> Iterator[bytes]:
    """Each row of a file as its bytes, from here on, with the line ends that quotes have; blank lines are none."""
    one = rb'("([^"]|"")*"|[^"%s]*)' % re.escape(delimiter.encode())
    inside = re.compile(rb'(%s%s)*"([^"]|"")*' % (one, re.escape(delimiter.encode())))
    for line in content:
        if line.count(b'"') % 2 and inside.fullmatch(line.rstrip(b"\r\n")):
            yield _closed(line, content)
        elif line.strip(b"\r\n" if delimiter == " " else b" \r\n"):
            yield line


class _Reader:
    def __init__(self, name: str, dialect: Dialect, wrong: Callable[[str], None]) -> None:
        self._name, self._dialect, self._wrong = name, dialect, wrong
        self._width = len(dialect.names)
        delimiter = re.escape(dialect.delimiter)
        one = rf'("([^"]|"")*"|[^"{delimiter}]*)'
        self._whole = re.compile(rf"{one}({delimiter}{one})*")
        self._inside = re.compile(rf'({one}{delimiter})*"([^"]|"")*')

    def rows(self, text: str, first: int) -> Rows:
        """The rows of a block that begins with the line `first`."""
        delimiter = self._dialect.delimiter
        text = text.replace("\r", "")
        if '"' not in text:
            lines = text.removesuffix("\n").split("\n")
            rows = [line.split(delimiter) for line in lines]
            return rows if self._are_right(rows) else self._checked(rows, range(first, first + len(rows)))
        # Row by row the quotes have to be looked at: what stands beside them is refused.
        rows, places, number = [], [], first
        for line in self._joined(text):
            if '"' in line:
                stray = not self._whole.fullmatch(line)
                row = split(line, delimiter)
                if stray and len(row) == self._width:
                    self._say(number, f'quotes beside text, which TensorFlow refuses; write 5" as "5""": {line[:60]!r}')
                    row = []
            else:
                row = line.split(delimiter)
            rows.append(row)
            places.append(number)
            number += line.count("\n") + 1
        return rows if self._are_right(rows) else self._checked(rows, places)

    def _are_right(self, rows: Rows) -> bool:
        return set(map(len, rows)) == {self._width} and all(map(any, rows)) and list(self._dialect.names) not in rows

    def _checked(self, rows: Rows, places: Sequence[int]) -> Rows:
        right, names = [], list(self._dialect.names)
        for number, row in zip(places, rows, strict=True):
            if len(row) == self._width and any(row) and row != names:
                right.append(row)
            elif len(row) < 2 and not "".join(row).strip():
                # A blank line, or one about which something is said.
                continue
            elif len(row) != self._width:
                line = self._dialect.delimiter.join(row)[:60]
                self._say(number, f"{len(row)} columns where there are {self._width}: {line!r}")
            else:
                self._say(number, "every field is empty" if not any(row) else "the header once more")
        return right

    def _joined(self, text: str) -> Iterator[str]:
        """The lines without their ends; a quoted field goes on in the next."""
        begun: list[str] = []
        for line in text.removesuffix("\n").split("\n"):
            odd = line.count('"') % 2 == 1
            if begun:
                begun.append(line)
                if odd:
                    yield "\n".join(begun)
                    begun.clear()
            elif odd and self._inside.fullmatch(line):
                begun.append(line)
            else:
                yield line
        if begun:
            yield "\n".join(begun)

    def _say(self, number: int, what: str) -> None:
        self._wrong(f"{self._name}, row {number}: {what}")


def _closed(raw: bytes, content: IO[bytes]) -> bytes:
    """Lines with those that follow, up to where all quotes are closed, or for so long that they are forgotten."""
    lines, size = [raw], len(raw)
    odd = raw.count(b'"') % 2 == 1
    while odd and size < _MOST and (line := content.readline(_MOST)):
        lines.append(line)
        size += len(line)
        odd ^= line.count(b'"') % 2 == 1
    return b"".join(lines)


def _place(content: IO[bytes]) -> int:
    """How many bytes of the file itself are read; of a packed one, those that were unpacked."""
    below = getattr(content, "fileobj", None)
    return (below or content).tell()
