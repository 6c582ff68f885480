"""What the rows of a table hold, and what is wrong in them: at the start of every file, then all within a time."""

import csv
import io
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onstage.checks.model_page import ModelPage
from onstage.checks.quick_rows import BLOCK, Block, QuickRows
from onstage.errors import UserError
from onstage.tables import files as kinds
from onstage.tables.sample import Sample

# In seconds, of all channels together.
SECONDS = 3.0
# In bytes: at the start of all files together, and of one file at least.
_STARTS, _LEAST = 2**24, 2**12
# How many times smaller gzip makes a table, about.
_PACKED = 4


class ChannelRows:
    """The rows of the files of one channel, by their names in it.

    `seen` is a `Seen` of `trainer.rows`; `problems` are the first of each column of a file. `total` adds up the lines,
    in whatever order they stand. `lacking` are labels, with their targets, that the sample has no row of, and none has
    been found of.
    """

    def __init__(self, page: ModelPage, channel: str, files: Mapping[str, Path], sample: Sample) -> None:
        self.seen, self.total = page.notes.Seen(page.table, channel), 0
        self.lacking: list[tuple[Any, Any]] = []
        self._page, self._quick, self._files, self._sample = page, QuickRows(page), files, sample
        self._problems: dict[str, dict[str, str]] = {name: {} for name in files}
        self._next: dict[str, tuple[int, int]] = {}
        self._columns: Sequence[Any] = ()
        # By name: lines with labels that the sample lacks.
        self._found: dict[str, list[bytes]] = {}

    @property
    def problems(self) -> list[str]:
        return [problem for wrong in self._problems.values() for problem in wrong.values()]

    @property
    def looked(self) -> int | None:
        """How many rows were read; None for all."""
        return None if self.seen.whole else self.seen.rows + self.seen.without_target

    @property
    def size(self) -> int:
        """Bytes that were not read yet, of packed files about."""
        return sum(
            max(1, self._files[name].stat().st_size * (_PACKED if kinds.is_packed(name) else 1) - place)
            for name, (place, _) in self._next.items()
        )

    @property
    def sample(self) -> Sample:
        """The sample with a row of each label that it lacked and that was found."""
        if not self._found:
            return self._sample
        more = {}
        for name, lines in self._found.items():
            with kinds.unpacked(self._files[name], name) as content:
                more[name] = (self._files[name], len(content.readline()) * self._page.has_header, lines)
        return self._sample.with_rows(more)

    def look_at_starts(self, files: int, before: "ChannelRows | None") -> None:
        """Look at the header and a block of each file, one of so many `files`; all have the order of `before`."""
        self.seen.order = before.seen.order if before else None
        size = max(_LEAST, min(BLOCK, _STARTS // max(1, files)))
        for name, file in self._files.items():
            shown = self._shown(name)
            try:
                columns = self._page.columns_of(shown, file)
                if self.seen.order and columns != self.seen.order[1]:
                    raise UserError(f"{shown}, row 1: the columns are in another order than in {self.seen.order[0]}")
                self.seen.order = self.seen.order or (shown, columns)
                if not self._columns:
                    self._columns = columns
                    self._find_lacking()
                for block in self._quick.blocks(shown, file, columns, size=size):
                    self._add(name, block)
                    self._next[name] = block.end
                    break
            except UserError as error:
                self._problems[name][""] = str(error)
        # A file that ends with its first block has nothing more to read.
        self._next = {name: place for name, place in self._next.items() if self._has_more(name, place[0])}
        self.seen.whole = not self._next

    def look_at_rest(self, seconds: float) -> None:
        """Look at all other rows, until the time is over."""
        until = time.monotonic() + seconds
        for name, start in list(self._next.items()):
            for block in self._quick.blocks(self._shown(name), self._files[name], self._columns, start):
                self._add(name, block)
                self._next[name] = block.end
                if time.monotonic() > until:
                    return
            del self._next[name]
        self.seen.whole = True

    def _add(self, name: str, block: Block) -> None:
        """Add the rows of a block as `Seen.add` does one row."""
        for column, problem in block.problems:
            self._problems[name].setdefault(column, problem)
        table, seen, targets = self._page.table, self.seen, self._page.table.targets
        texts, lines = block.texts, block.lines
        self.total += sum(map(hash, lines))
        found = [texts[self._columns.index(target)] for target in targets]
        absent = {"", table.missing_text}
        if not all(map(absent.isdisjoint, found)):
            rows = [row for row, some in enumerate(zip(*found, strict=True)) if absent.isdisjoint(some)]
            seen.without_target += len(lines) - len(rows)
            texts = [[column[row] for row in rows] for column in texts]
            lines = [lines[row] for row in rows]
        if not lines:
            return
        first = not seen.rows
        seen.rows += len(lines)
        for column, fields in zip(self._columns, texts, strict=True):
            if not (column.feature or column in targets):
                continue
            # A number's column that is known to have several values says nothing more.
            if column.dtype == "float32" and not (first or column.name in seen.only):
                continue
            counts = Counter(fields)
            values = dict(zip(counts, self._quick.values(column, counts), strict=True))
            self._count(column, counts, values)
            value = next(iter(values.values()))
            seen.add_values(column.name, value, first, all(other == value for other in values.values()))
        if self.lacking:
            self._look_for_labels(name, texts, lines)

    def _count(self, column: Any, counts: Counter[str], values: Mapping[str, Any]) -> None:
        if hasattr(column, "labels"):
            for text, count in counts.items():
                self.seen.labels[column.name, values[text]] += count
        elif vocabulary := getattr(column, "vocabulary", None):
            given = {text: value for text, value in values.items() if value != column.default}
            known = {text for text, value in given.items() if value in vocabulary}
            other = [text for text in given if text not in known]
            numbers = (sum(counts[text] for text in some) for some in (known, other))
            self.seen.add_categories(column.name, *numbers, [given[text] for text in other])

    def _find_lacking(self) -> None:
        """The labels that the sample has no row of."""
        targets = [target for target in self._page.table.targets if hasattr(target, "labels")]
        if not targets or self._sample.is_all:
            return
        seen: dict[int, set[str]] = {self._columns.index(target): set() for target in targets}
        for name, part in self._sample.parts.items():
            if name in self._files:
                text = b"".join(part.pieces()).decode(self._page.table.encoding, "surrogateescape")
                rows = csv.reader(io.StringIO(text.replace("\r", "")), delimiter=self._page.table.delimiter)
                for row in rows:
                    for at, texts in seen.items():
                        texts.update(row[at : at + 1])
        for target, texts in zip(targets, seen.values(), strict=True):
            known = {
                value for text in texts if target.problem(text) is None for value in self._quick.values(target, [text])
            }
            self.lacking += [(target, label) for label in target.labels if label not in known]

    def _look_for_labels(self, name: str, texts: Sequence[Sequence[str]], lines: Sequence[str]) -> None:
        for target in dict.fromkeys(target.name for target, _ in self.lacking):
            at = next(at for at, column in enumerate(self._columns) if column.name == target)
            fields = texts[at]
            values = dict(zip(set(fields), self._quick.values(self._columns[at], set(fields)), strict=True))
            given = set(values.values())
            for one in [one for one in self.lacking if one[0].name == target and one[1] in given]:
                row = next(row for row, text in enumerate(fields) if values[text] == one[1])
                line = lines[row].encode(self._page.table.encoding, "surrogateescape") + b"\n"
                self._found.setdefault(name, []).append(line)
                self.lacking.remove(one)

    def _has_more(self, name: str, place: int) -> bool:
        with kinds.unpacked(self._files[name], name) as content:
            content.seek(place)
            return bool(content.read(1))

    def _shown(self, name: str) -> str:
        """The name of a file as its author knows it, wherever it is."""
        file, project = self._files[name], self._page.project
        return project.name(file) if file.is_relative_to(project.root) else str(file)


def look_at_rest(looks: Sequence[ChannelRows]) -> None:
    """Look at all rows of several channels, within SECONDS, of which each has a share by its size."""
    until = time.monotonic() + SECONDS
    for done, look in enumerate(looks):
        sizes = [one.size for one in looks[done:]]
        if sizes[0]:
            look.look_at_rest((until - time.monotonic()) * sizes[0] / sum(sizes))
