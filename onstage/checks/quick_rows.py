"""The rows of a table in blocks, checked by the trainer's own rules at the speed of C where nothing is wrong.

A block in which something is unusual is read by `trainer.rows`, line by line: that one decides, and finds the words.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from onstage.checks.model_page import ModelPage
from onstage.tables import files as kinds
from onstage.tables.values import extremes

BLOCK = 2**17
# An odd quote: its other half is looked for in so many bytes.
_MOST = 2**22
_Found = tuple[Sequence[Sequence[str]], Sequence[str], Sequence[tuple[str, str]]]


@dataclass(frozen=True)
class Block:
    """Rows that follow each other: `texts` by column, in the file's order, and `lines`, of those that are right.

    `problems` are of the others, by column. `end` is where the next block starts: the place in the unpacked
    file, in bytes, and the number of its line as an editor counts them.
    """

    texts: Sequence[Sequence[str]]
    lines: Sequence[str]
    problems: Sequence[tuple[str, str]]
    end: tuple[int, int]


class QuickRows:
    """Reads files of one table."""

    def __init__(self, page: ModelPage) -> None:
        self._table, self._rows = page.table, page.modules["trainer.rows"]
        delimiter = re.escape(self._table.delimiter)
        one = rf'("([^"]|"")*"|[^"{delimiter}]*)'
        self._whole = re.compile(rf"{one}({delimiter}{one})*")

    def blocks(
        self, name: str, file: Path, columns: Sequence[Any], start: tuple[int, int] = (0, 1), size: int = BLOCK
    ) -> Iterator[Block]:
        """The rows of `file`, `name` for people, from `start` on: a place in bytes, and the number of its line.

        A block has `size` bytes and what is left of its last line.
        """
        place, number = start
        with kinds.unpacked(file, name) as content:
            content.seek(place)
            if self._table.header and number == 1:
                place, number = place + len(content.readline()), 2
            while raw := content.read(size):
                raw += content.readline()
                while raw.count(b'"') % 2 and len(raw) < _MOST and (more := content.readline()):
                    raw += more
                first, place, number = number, place + len(raw), number + raw.count(b"\n")
                text = raw.decode(self._table.encoding, "surrogateescape")
                found = self._quick(columns, text) or self._slow(name, columns, text, first)
                yield Block(*found, (place, number))

    def values(self, column: Any, texts: Iterable[str]) -> list[Any]:
        """The values of right fields, as `trainer.rows` reads them."""
        return [self._rows.value(self._table, column, text) for text in texts]

    def _quick(self, columns: Sequence[Any], text: str) -> _Found | None:
        """The block if nothing in it is unusual."""
        lines = text.replace("\r", "").removesuffix("\n").split("\n")
        if "\0" in text or not all(map(str.strip, lines)):
            return None
        if '"' in text:
            if not all(map(self._whole.fullmatch, lines)):
                return None
            rows = list(csv.reader(lines, delimiter=self._table.delimiter))
        else:
            rows = [line.split(self._table.delimiter) for line in lines]
        if set(map(len, rows)) != {len(columns)} or (not text.isascii() and re.search("[\udc80-\udcff]", text)):
            return None
        texts = list(zip(*rows, strict=True))
        if not all(self._is_right(column, found) for column, found in zip(columns, texts, strict=True)):
            return None
        return texts, lines, ()

    def _is_right(self, column: Any, texts: Sequence[str]) -> bool:
        """Whether nothing is wrong with any field of a column; False where it takes a closer look to know."""
        if column.dtype is None:
            return True
        if column.dtype != "float32":
            return not any(self._is_wrong(column, text) for text in set(texts))
        if (found := extremes(texts)) and self._table.missing_text not in texts:
            # Of a column that has more rules, the least number breaks them first.
            return column.problem(repr(found[0])) is None
        return not any(self._is_wrong(column, text) for text in set(texts))

    def _is_wrong(self, column: Any, text: str) -> bool:
        if text in ("", self._table.missing_text):
            return column.default is None and not getattr(column, "drop_missing", False)
        return column.problem(text) is not None

    def _slow(self, name: str, columns: Sequence[Any], text: str, first: int) -> _Found:
        lines, read, told = re.findall(r"[^\n]*\n|[^\n]+", text), 0, 0

        def tell() -> Iterator[str]:
            nonlocal told
            for line in lines:
                told += 1
                yield line

        part = replace(self._table, header=False, columns=list(columns))
        right: list[tuple[Sequence[str], str]] = []
        problems: list[tuple[str, str]] = []
        for texts, wrong in self._rows.read(part, name, tell()):
            while self._rows.is_blank(part, lines[read]):
                read += 1
            # A quoted field may go on in the next line.
            row, read = "".join(lines[read:told]), told
            if not wrong:
                right.append((texts, row.strip("\r\n")))
            problems += [(key, _in_file(name, first - 1, said)) for key, said in wrong.items()]
        columns_of = list(zip(*(texts for texts, _ in right), strict=True)) or [()] * len(columns)
        return columns_of, [line for _, line in right], problems


def _in_file(name: str, before: int, said: str) -> str:
    """What is said about a row of a block that has so many lines `before` it."""
    place = f"{name}, row "
    number = re.match(r"\d+", said.removeprefix(place))
    return f"{place}{before + int(number[0])}{said[len(place) + number.end() :]}" if number else said
