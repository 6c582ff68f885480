"""The tar.gz archives that travel: code goes in, models come out."""

import gzip
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from onstage.errors import UserError


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar.gz. Raises UserError for one that cannot be read, or that holds links or names outside `folder`."""
    try:
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            for member in members:
                name = PurePosixPath(member.name)
                if not (member.isfile() or member.isdir()) or name.is_absolute() or ".." in name.parts:
                    raise UserError(
                        f"{archive.name} holds {member.name!r}: it may hold only files and folders of its own"
                    )
            # Python's own filter came with a security release of each version; what matters is checked above.
            options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(folder, members, **options)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UserError(f"{archive.name} cannot be unpacked: {error}") from error


def unpack_zip(archive: Path, folder: Path) -> None:
    """Unpack a wheel. Raises UserError for one that cannot be read, or that holds names outside `folder`."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                if name.startswith("/") or ".." in PurePosixPath(name).parts:
                    raise UserError(f"{archive.name} holds {name!r}: it may hold only files and folders of its own")
            opened.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{archive.name} cannot be unpacked: {error}") from error


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
