"""A part of a channel's rows, found without reading all of them; the same files give the same part."""

import contextlib
import csv
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO

from onstage.tables import files as kinds

# Rows are taken from so many of a channel's files, and, of a text, at its start and at so many places more.
MOST_FILES, PLACES = 16, 8
_FORM = ("utf-8", "surrogateescape")
_SIZE_OF_PACKED = 2**32


@dataclass(frozen=True)
class Part:
    """What a job gets of one file: all of it, or `ranges` (start and end in its unpacked bytes) and the lines `more`.

    `rows` are so many; of a file that is taken whole without counting, None. `all_rows` are the file's own, estimated
    where it is not taken whole. `is_table` is false of a file beside the table's.
    """

    file: Path
    rows: int | None = None
    all_rows: float = 0
    ranges: tuple[tuple[int, int], ...] | None = None
    more: tuple[bytes, ...] = ()
    is_table: bool = True

    def write(self, target: Path, *, link: bool) -> None:
        """Make the file of a job; one that is taken whole is copied, or linked to. Its folder is made, too."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.ranges is None:
            target.symlink_to(self.file) if link else shutil.copyfile(self.file, target)
            return
        with kinds.create(target, self.file.name) as sink:
            for piece in self.pieces():
                sink.write(piece)

    def pieces(self) -> Iterator[bytes]:
        """The unpacked bytes, each piece to a row's end."""
        with kinds.unpacked(self.file, self.file.name) as content:
            ends_well = True
            for start, end in ((0, None),) if self.ranges is None else self.ranges:
                content.seek(start)
                piece = content.read(-1 if end is None else end - start)
                ends_well = piece.endswith(b"\n")
                yield piece
        for line in self.more:
            yield (b"" if ends_well else b"\n") + line
            ends_well = line.endswith(b"\n")

    def row_at_home(self, row: int) -> int | None:
        """The number that row `row` of the written file has in the file itself, both counted as an editor does.

        None for one that is not from a range. Reads the file up to there.
        """
        if self.ranges is None:
            return row
        with kinds.unpacked(self.file, self.file.name) as content:
            before, read = 0, 0
            for start, end in self.ranges:
                while read < start:
                    part = content.read(min(2**20, start - read))
                    before, read = before + part.count(b"\n"), read + len(part)
                piece = content.read(end - start)
                lines, read = piece.count(b"\n"), end
                if row <= lines + (not piece.endswith(b"\n")):
                    return before + row
                row, before = row - lines, before + lines
        return None


@dataclass(frozen=True)
class Sample:
    """What a job gets of a channel: parts by the names of their files. `files` of rows there are in all.

    `looked` says how many rows the check of the data has read: None where it has read all, or none was there to read;
    `counted` how many there are, in words.
    """

    parts: Mapping[str, Part]
    files: int
    looked: int | None = None
    counted: str = ""

    @property
    def in_words(self) -> str:
        """How many rows of how many it has, and of how many files."""
        files = f"{self.files} file{'s' * (self.files != 1)}"
        if len(self._tables) < self.files:
            files = f"{len(self._tables)} of {files}"
        total = self.counted or self.estimated
        return f"{total} of {files}" if self.is_all else f"{self.rows:,} of {total} of {files}"

    @property
    def estimated(self) -> str:
        """How many rows there are, as far as the sample tells."""
        if self.is_all:
            return f"{self.rows:,} row{'s' * (self.rows != 1)}" if self.rows else "all rows"
        return f"about {float(f'{self.all_rows:.3g}'):,.0f} rows"

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return all(part.ranges is None for part in self.parts.values()) and self.files == len(self._tables)

    @property
    def rows(self) -> int:
        """How many rows are taken; 0 where they were not counted."""
        return sum(part.rows or 0 for part in self._tables)

    @property
    def all_rows(self) -> float:
        """How many rows there are, estimated."""
        found = [part.all_rows for part in self._tables]
        return sum(found) * self.files / max(1, len(found))

    def with_count(self, looked: int | None, counted: str) -> "Sample":
        """With what the check of the data found."""
        return replace(self, looked=looked, counted=counted)

    def with_rows(self, more: Mapping[str, tuple[Path, int, Sequence[bytes]]]) -> "Sample":
        """With lines of files beside what is taken: by name, the file, where its header ends, and the lines."""
        parts = dict(self.parts)
        for name, (file, header, lines) in more.items():
            part = parts.get(name) or Part(file, 0, 0, ((0, header),))
            parts[name] = replace(part, rows=(part.rows or 0) + len(lines), more=(*part.more, *lines))
        return replace(self, parts=dict(sorted(parts.items())))

    @property
    def _tables(self) -> list[Part]:
        return [part for part in self.parts.values() if part.is_table]


def whole(files: Mapping[str, Path], tables: Collection[str] = ()) -> Sample:
    """All of a channel, of which `tables` are the files that have rows."""
    return Sample({name: Part(file, is_table=name in tables) for name, file in files.items()}, len(tables))


def take(files: Mapping[str, Path], tables: Collection[str], most: int, *, header: bool, delimiter: str) -> Sample:
    """At most `most` rows of those of a channel's `files` that are `tables`, and all of the others. 0 takes all rows.

    Raises UserError for a damaged file.
    """
    if not most or not tables:
        return whole(files, tables)
    parts = {name: Part(file, is_table=False) for name, file in files.items() if name not in tables}
    names = sorted(tables)
    if counts := _counts(files, names, most, header):
        parts |= {name: Part(files[name], count, count) for name, count in counts.items()}
        return Sample(dict(sorted(parts.items())), len(names))
    chosen, left = _even(names, min(MOST_FILES, most)), most
    # What a small file does not need of its share is for the larger ones.
    for done, name in enumerate(sorted(chosen, key=lambda name: (files[name].stat().st_size, name))):
        part = _take_of(name, files[name], left // (len(chosen) - done), header, delimiter)
        parts[name], left = part, left - (part.rows or 0)
    return Sample(dict(sorted(parts.items())), len(names))


def _counts(files: Mapping[str, Path], names: Sequence[str], most: int, header: bool) -> dict[str, int]:
    """How many rows each file has; nothing where they are more than `most`, of which no more are read."""
    found: dict[str, int] = {}
    for name in names:
        left = most - sum(found.values())
        with kinds.unpacked(files[name], name) as content:
            _skip_header(name, content, header)
            found[name] = sum(1 for _ in islice(kinds.ends(content, name), left + 1))
        if found[name] > left:
            return {}
    return found


def _take_of(name: str, file: Path, share: int, header: bool, delimiter: str) -> Part:
    with kinds.unpacked(file, name) as content:
        first = _skip_header(name, content, header)
        ends = list(islice(kinds.ends(content, name), share + 1))
        if len(ends) <= share:
            return Part(file, len(ends), len(ends))
        size = file.stat().st_size
        if kinds.is_packed(file.name):
            size = max(_unpacked_size(file), ends[-1])
        spread = share // 2 if kinds.kind(name) == kinds.TEXT and not kinds.is_packed(file.name) else 0
        at_start = max(1, share - spread)
        more, taken = (
            _spread(content, (first, ends[at_start - 1], size), ends, spread, delimiter) if spread else ([], 0)
        )
    if not taken:
        read = ends[share - 1] - first
        return Part(file, share, share * (size - first) / read, ((0, ends[share - 1]),))
    # Rows may grow longer from a file's start to its end.
    read = sum(end - start for start, end in more)
    all_rows = taken * (size - first) / read
    return Part(file, at_start + taken, all_rows, ((0, ends[at_start - 1]), *more))


def _spread(
    content: IO[bytes], places: tuple[int, int, int], ends: Sequence[int], rows: int, delimiter: str
) -> tuple[list[tuple[int, int]], int]:
    """Ranges of some rows each, spread over a text, and how many rows they have together.

    `places` are where the rows begin, where those end that are taken at the start, and the size; the first rows end at
    `ends`. No range where lines of a field cannot be told from rows.
    """
    first, start, size = places
    content.seek(first)
    head = content.read(ends[-1] - first)
    if sum(1 for line in head.split(b"\n") if line.strip()) > len(ends):
        return [], 0
    found: list[tuple[int, int]] = []
    count, position, quotes, widths = 0, start, b'"' in head, {_width(content, start, delimiter)}
    number = min(PLACES, rows)
    for place in range(number):
        wanted = start + (size - start) * (place + 1) // (number + 1)
        # One byte before: a place may be where a line begins.
        content.seek(max(position, wanted) - 1)
        content.readline()
        begin = content.tell()
        lines = list(islice(content, rows // number + (place < rows % number)))
        quotes |= any(b'"' in line for line in lines)
        widths.update(_fields(line, delimiter) for line in lines if line.strip())
        if any(line.count(b'"') % 2 for line in lines) or (quotes and len(widths) > 1):
            return [], 0
        if lines:
            position = begin + sum(map(len, lines))
            found.append((begin, position))
            count += sum(1 for line in lines if line.strip())
    return found, count


def _width(content: IO[bytes], before: int, delimiter: str) -> int:
    """The number of fields of the first line, which is the header or a row."""
    content.seek(0)
    return _fields(content.readline(before), delimiter)


def _fields(line: bytes, delimiter: str) -> int:
    with contextlib.suppress(csv.Error):
        return len(next(csv.reader([line.decode(*_FORM).strip("\r\n")], delimiter=delimiter), []))
    return 0


def _skip_header(name: str, content: IO[bytes], header: bool) -> int:
    """Where the rows begin, to which `content` is moved."""
    if header and kinds.kind(name) == kinds.TEXT:
        content.readline()
    return content.tell()


def _unpacked_size(file: Path) -> int:
    """What gzip says at the end of a file, which counts up to 4 GB and for its last member."""
    with file.open("rb") as content:
        content.seek(-4, 2)
        last = int.from_bytes(content.read(4), "little")
    size = file.stat().st_size
    return last if last >= size else last + _SIZE_OF_PACKED * (size > _SIZE_OF_PACKED // 4)


def _even(names: Sequence[str], count: int) -> list[str]:
    """So many of `names`, the first and the last among them."""
    if len(names) <= count:
        return list(names)
    return [names[place * (len(names) - 1) // max(1, count - 1)] for place in range(count)]
