"""The shards that were made of one CSV file, and the note beside them that says so, from which the next run goes on."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onstage.errors import StartError

ENDING = ".tfrecord"


@dataclass(frozen=True)
class Place:
    """Where a row is: in the block that starts at `start` (in bytes) and line `line`, after `rows` rows."""

    start: int = 0
    line: int = 1
    rows: int = 0


@dataclass(frozen=True)
class Shard:
    """A finished shard by its file's name; it holds `rows` rows from `begin` to `end`. `size` is in bytes."""

    name: str
    rows: int
    size: int
    begin: Place
    end: Place


class Shards:
    """The shards of one input, all named `KEY-00000.tfrecord`, `KEY` being the input's path without its ending.

    `made_of` says which input they were made of, and how; `finished` that none is missing at the end.
    """

    def __init__(self, folder: Path, key: str, *, packed: bool) -> None:
        self.stem, self._packed = folder / key, packed
        self._file = self.stem.parent / f".{self.stem.name}.convert.json"
        self.list: list[Shard] = []
        self.made_of: dict[str, Any] = {}
        self.finished = False
        self._read()

    def check(self) -> None:
        """Raise StartError where a file is in the way that was not written here, or was changed."""
        names = {shard.name for shard in self.list}
        for file in self._there():
            if file.name not in names:
                raise StartError(f"{file} was not written by onstage convert, and would be in the way: move it away")
        changed = [shard.name for shard in self.list if self._size(shard) not in (None, shard.size)]
        if changed:
            raise StartError(f"{self.stem.with_name(changed[0])} was changed after onstage convert: move it away")

    def begin(self, made_of: dict[str, Any]) -> None:
        """Keep the shards of just this input, in just this form, and remove others of our own."""
        if self.made_of != made_of:
            for shard in self.list:
                self.stem.with_name(shard.name).unlink(missing_ok=True)
            self.list, self.made_of, self.finished = [], made_of, False

    def name(self, number: int) -> str:
        """The file of a shard, counted from 0."""
        return f"{self.stem.name}-{number:05}{ENDING}{'.gz' * self._packed}"

    def missing(self) -> Iterator[tuple[int, Place]]:
        """Number and beginning of each shard that is to be written: those that were removed, then the rest."""
        for number, shard in enumerate(self.list):
            if self._size(shard) is None:
                yield number, shard.begin
        while not self.finished:
            yield len(self.list), self.list[-1].end if self.list else Place()

    def temporary(self, number: int) -> Path:
        """Where a shard is written until it is whole; uploads leave hidden files out."""
        self.stem.parent.mkdir(parents=True, exist_ok=True)
        return self.stem.with_name(f".{self.name(number)}.part")

    def add(self, number: int, rows: int, begin: Place, end: Place, *, last: bool) -> None:
        """Note a written shard, and give it its name; one without rows is none."""
        part = self.temporary(number)
        if rows:
            self.list[number : number + 1] = [Shard(self.name(number), rows, part.stat().st_size, begin, end)]
        self.finished |= last
        content = {"made_of": self.made_of, "finished": self.finished, "shards": [asdict(one) for one in self.list]}
        note = self._file.with_name(f"{self._file.name}.part")
        note.write_text(json.dumps(content), encoding="utf-8")
        note.replace(self._file)
        # The note first: killed between the two, a run leaves a shard that is missing, not one that nobody knows.
        if rows:
            part.replace(self.stem.with_name(self.name(number)))
        else:
            part.unlink()

    def _read(self) -> None:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            self.list = [
                Shard(**{**shard, "begin": Place(**shard["begin"]), "end": Place(**shard["end"])})
                for shard in content["shards"]
            ]
            self.made_of, self.finished = content["made_of"], content["finished"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StartError(
                f"{self._file} should say which shards are there, and cannot be read: remove it, and them"
            ) from error

    def _there(self) -> list[Path]:
        """Files that have the name of a shard of this input, in either form."""
        begin = f"{self.stem.name}-"
        files = sorted(self.stem.parent.iterdir()) if self.stem.parent.is_dir() else []
        rests = ((file, file.name.removeprefix(begin)) for file in files if file.name.startswith(begin))
        return [file for file, rest in rests if rest[:5].isdigit() and rest[5:] in (ENDING, f"{ENDING}.gz")]

    def _size(self, shard: Shard) -> int | None:
        file = self.stem.with_name(shard.name)
        return file.stat().st_size if file.exists() else None
