"""The tar.gz archives that travel: code goes in, models come out."""

import gzip
import itertools
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from onstage.errors import UserError

# Beyond any model or code: an archive that holds more is a mistake, or would fill the disk.
MOST_BYTES, MOST_MEMBERS, MOST_FOLDERS = 100 * 2**30, 200_000, 64
# What Python raises for bytes that no archive has. ValueError: names and numbers that cannot be.
_DAMAGES = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar.gz. Raises UserError for one that cannot be read to its end, or is too large, and changes nothing.

    The same for names and links that lead out of `folder`; a link to what the archive holds itself is unpacked.
    """
    try:
        with tarfile.open(archive) as tar:
            amount = _Amount(archive.name, folder)
            members = []
            for member in tar:
                amount.add(member.name, member.size)
                members.append(member)
            _check_places(archive.name, members)
            _check_end(archive.name, tar)
            # Python's own filter came with a security release of each version; what matters is checked above.
            options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(folder, members, **options)
    except (*_DAMAGES, tarfile.TarError) as error:
        raise UserError(f"{archive.name} cannot be unpacked: {_first_line(error)}") from error


def unpack_zip(archive: Path, folder: Path) -> None:
    """Unpack a wheel. Raises UserError for one that cannot be read, is too large, or holds names outside `folder`."""
    try:
        with zipfile.ZipFile(archive) as opened:
            amount = _Amount(archive.name, folder)
            for member in opened.infolist():
                if member.filename.startswith("/") or ".." in PurePosixPath(member.filename).parts:
                    raise _outside(archive.name, member.filename)
                amount.add(member.filename, member.file_size)
            opened.extractall(folder)
    # RuntimeError: a member is encrypted, or packed in a way that Python has not got.
    except (*_DAMAGES, zipfile.BadZipFile, RuntimeError) as error:
        raise UserError(f"{archive.name} cannot be unpacked: {_first_line(error)}") from error


class _Amount:
    """What an archive holds so far, by what it says of its members before they are read."""

    def __init__(self, archive: str, folder: Path) -> None:
        self._archive = archive
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        self._room = shutil.disk_usage(there).free
        self._bytes = self._members = 0

    def add(self, name: str, size: int) -> None:
        self._bytes += size
        self._members += 1
        if self._bytes > MOST_BYTES:
            raise UserError(f"{self._archive} holds more than {MOST_BYTES / 2**30:.1f} GiB: it is not unpacked")
        if self._bytes > self._room:
            free = f"{self._room / 2**30:.1f} GiB that are free"
            raise UserError(f"{self._archive} holds more than the {free}: make room to unpack it")
        if self._members > MOST_MEMBERS:
            raise UserError(f"{self._archive} holds more than {MOST_MEMBERS:,} files: it is not unpacked")
        if len(PurePosixPath(name).parts) > MOST_FOLDERS:
            raise UserError(f"{self._archive} holds {name[:80]!r}...: more than {MOST_FOLDERS} folders in each other")


def _check_places(archive: str, members: Sequence[tarfile.TarInfo]) -> None:
    links = {PurePosixPath(member.name) for member in members if member.issym()}
    names = {PurePosixPath(member.name) for member in members}
    for member in members:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or links.intersection(name.parents):
            raise _outside(archive, member.name)
        if member.islnk():
            # A hard link names a member from the archive's root.
            if PurePosixPath(member.linkname) not in names - links:
                raise _outside(archive, f"{member.name} -> {member.linkname}")
        elif member.issym():
            if not _leads_inside(name.parent, PurePosixPath(member.linkname)):
                raise _outside(archive, f"{member.name} -> {member.linkname}")
        elif not (member.isfile() or member.isdir()):
            raise _outside(archive, member.name)


def _leads_inside(place: PurePosixPath, target: PurePosixPath) -> bool:
    """Whether a link there stays inside; `..` counts only at the target's start, where no other link is before it."""
    up = len(list(itertools.takewhile(lambda part: part == "..", target.parts)))
    return not target.is_absolute() and ".." not in target.parts[up:] and up <= len(place.parts)


def _check_end(archive: str, tar: tarfile.TarFile) -> None:
    """Read what is after the last member: only then is the compressed file's checksum compared."""
    assert tar.fileobj is not None, "it is open"
    while rest := tar.fileobj.read(2**20):
        if rest.strip(b"\0"):
            raise UserError(f"{archive} holds something after its end: it is two archives, or a damaged one")


def _first_line(error: Exception) -> str:
    # tarfile lists, a line for each, why it is none of the kinds that it knows.
    return str(error).partition("\n")[0].rstrip(":")


def _outside(archive: str, name: str) -> UserError:
    return UserError(f"{archive} holds {name!r}: it may hold only files and folders of its own")


def entries(folders: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
    """What the hosts' folders hold together: paths by name, sorted, and the names that several hosts wrote.

    The service says only that hosts "should ensure no file/directory names clash"; here the first host's file is kept.
    https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-output.html
    """
    found: dict[str, Path] = {}
    clashes = []
    for folder in folders:
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if name not in found:
                found[name] = path
            elif not (path.is_dir() and found[name].is_dir()):
                clashes.append(name)
    return dict(sorted(found.items())), sorted(clashes)


def pack(found: dict[str, Path], archive: Path) -> Path | None:
    """Write `entries`, if any, as a tar.gz: the same bytes for the same files; relative names, no owner, no time."""
    if not found:
        return None
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0, compresslevel=1) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, path in found.items():
            member = tarfile.TarInfo(name)
            if path.is_dir():
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member)
            elif path.is_file():
                member.size, member.mode = path.stat().st_size, 0o644
                with path.open("rb") as content:
                    tar.addfile(member, content)
    return archive


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder's content, following links; later copies replace earlier ones."""
    shutil.copytree(source, target, dirs_exist_ok=True)
