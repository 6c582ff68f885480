"""The rows of one text file as their bytes, beside the values of some of its columns."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from onstage import advice
from onstage.errors import StartError, UserError
from onstage.tables import files as kinds
from onstage.tables.blocks import raw_rows
from onstage.tables.dialect import Dialect, split


class RawTable:
    """A file, `name` for people, of this dialect. `add` gets how many bytes were read, in each pass."""

    def __init__(self, file: Path, name: str, dialect: Dialect, encoding: str, add: Callable[[int], None]) -> None:
        self.file, self.name, self.dialect = file, name, dialect
        self._encoding, self._add = encoding, add
        with kinds.unpacked(file, name) as content:
            start = next(raw_rows(content, dialect.delimiter), b"")
        self._end = b"\r\n" if start.endswith(b"\r\n") else b"\n"
        self.header = start if dialect.header else b""

    def check(self, option: str, column: str) -> None:
        """Raise StartError unless the column is there, with the nearest one."""
        names = self.dialect.names
        if column in names:
            return
        near = advice.nearest(column, names)
        meant = f"did you mean {near!r}? " if near is not None else ""
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        raise StartError(
            f"{option} {column}: {self.name} has no such column; {meant}It has {', '.join(map(repr, names[:20]))}{more}"
        )

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[bytes, list[str]]]:
        """Each row as its bytes, a line end among them, and its values of these columns; blank lines are left out.

        Raises UserError for a row of another width.
        """
        delimiter, width = self.dialect.delimiter, len(self.dialect.names)
        places, number, gone = [self.dialect.names.index(column) for column in columns], 1, 0
        with kinds.unpacked(self.file, self.name) as content:
            rows = raw_rows(content, delimiter)
            if self.dialect.header:
                next(rows)
            for number, raw in enumerate(rows, start=1 + self.dialect.header):
                line = raw.decode(self._encoding, "surrogateescape").replace("\r", "").removesuffix("\n")
                texts = split(line, delimiter) if '"' in line else line.split(delimiter)
                if len(texts) != width:
                    raise UserError(
                        f"{self.name}, row {number}, blank lines and those in quotes not counted: {len(texts)} columns "
                        f"where there are {width}: {line[:80]!r}; correct it (onstage columns {self.name} names all)"
                    )
                yield raw if raw.endswith(b"\n") else raw + self._end, [texts[place] for place in places]
                gone += len(raw)
                if gone > 2**20:
                    self._add(gone)
                    gone = 0
        self._add(gone)
