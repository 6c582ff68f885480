"""Files of rows by their names: text (CSV, TSV) and TFRecord shards, either packed by gzip."""

import contextlib
import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from onstage.errors import UserError

TEXT, RECORDS = "text", "records"
_TEXT = re.compile(r".+\.(csv|tsv|tab)(\.gz)?", re.IGNORECASE)
_RECORDS = re.compile(r".*\.tfrecord.*", re.IGNORECASE)
# What the trainer skips in and below a folder, as Hive and Spark do: a folder's name counts for all below it.
_HIDDEN = (".", "_")
# A line that is longer is in one of many files that are no table; read whole, it would fill the memory.
_LONGEST_LINE = 16 * 2**20


def kind(name: str) -> str:
    """TEXT, RECORDS, or "" for a file that has no rows as far as its name says."""
    last = name.rpartition("/")[2]
    return TEXT if _TEXT.fullmatch(last) else RECORDS if _RECORDS.fullmatch(last) else ""


def is_hidden(name: str, marks: tuple[str, ...] = _HIDDEN) -> bool:
    """Whether a part of a name in a folder, such as `old/_x.csv`, begins with one of `marks`: no job reads the file."""
    return any(part.startswith(marks) for part in name.split("/"))


def below(folder: Path, marks: tuple[str, ...] = _HIDDEN) -> dict[str, Path]:
    """What lies in a folder and in all below it, by its name there, sorted; no folders, and nothing that is hidden."""
    names = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if not path.is_dir()}
    return {name: path for name, path in names.items() if not is_hidden(name, marks)}


def is_packed(name: str) -> bool:
    """Whether a name says that gzip has packed the file."""
    return name.lower().endswith(".gz")


@contextlib.contextmanager
def unpacked(file: Path, name: str) -> Iterator[IO[bytes]]:
    """The content of a file, to be read and sought in; of a packed one, going back means to begin anew.

    Raises UserError, with its `name` for people, for one that cannot be read.
    """
    try:
        with gzip.open(file) if is_packed(file.name) else file.open("rb") as opened:
            content: Any = opened
            yield content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{name} cannot be unpacked: {error}; copy or pack it anew") from error
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror}") from error


def create(file: Path, like: str) -> IO[bytes]:
    """A new file in the form that the name `like` asks for, the same bytes for the same content."""
    if not is_packed(like):
        return file.open("wb")
    made: Any = _Packed(file)
    return made


def text_lines(file: Path, name: str, encoding: str) -> Iterator[str]:
    """The lines of a text as `trainer.rows.local_lines` gives them: bytes of no character become surrogates."""
    with unpacked(file, name) as content:
        for line in content:
            yield line.decode(encoding, "surrogateescape")


def ends(content: IO[bytes], name: str) -> Iterator[int]:
    """Where each row ends from here on; a blank line is no row. Raises UserError for damaged records."""
    return _record_ends(content, name) if kind(name) == RECORDS else _line_ends(content)


def _line_ends(content: IO[bytes]) -> Iterator[int]:
    position, odd, blank = content.tell(), False, True
    while line := content.readline(_LONGEST_LINE):
        position += len(line)
        # A line end inside quotes is a part of a field.
        odd ^= line.count(b'"') % 2 == 1
        blank &= not line.strip()
        if not odd and line.endswith(b"\n") and not blank:
            yield position
            blank = True
    if not blank:
        yield position


def _record_ends(content: IO[bytes], name: str) -> Iterator[int]:
    position, number = content.tell(), 0
    while head := content.read(12):
        number += 1
        if len(head) == 12 and _masked_crc(head[:8]) != struct.unpack("<I", head[8:])[0]:
            what = "is no TFRecord" if number == 1 else "is damaged"
            raise UserError(f"{name} {what}: the length of record {number} does not have its checksum")
        position += 16 + struct.unpack("<Q", head[:8])[0] if len(head) == 12 else 16
        content.seek(position - 1)
        if not content.read(1):
            raise UserError(f"{name} ends inside of record {number}: it was not written to its end; write it anew")
        yield position


def _masked_crc(content: bytes) -> int:
    """TFRecord's checksum: CRC-32C, turned by 15 bits and moved, so that one of a checksum is not all zeros."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC = [_crc_of(byte) for byte in range(256)]


class _Packed(gzip.GzipFile):
    """Neither name nor time of this machine in what is written; closes the file below it."""

    def __init__(self, file: Path) -> None:
        self._below = file.open("wb")
        super().__init__(filename="", mode="wb", fileobj=self._below, mtime=0)

    def close(self) -> None:
        super().close()
        self._below.close()
