# Owned by the template.
"""What travels to a cloud: the files of `src/`, as an archive that is the same bytes for the same files."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from cloud import ROOT

SOURCE = ROOT / "src"
_LEFT_BEHIND = {"__pycache__", ".ipynb_checkpoints"}


def files(source: Path = SOURCE) -> list[Path]:
    """The files that travel, sorted: all of `source` but hidden ones, bytecode, links and build folders."""
    return sorted(_travelling(source))


def archive(source: Path = SOURCE) -> bytes:
    """`files` as a tar.gz with nothing of this machine in it: no owner, no time, no absolute path."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for file in files(source):
            content = file.read_bytes()
            member = tarfile.TarInfo(file.relative_to(source).as_posix())
            member.size, member.mode = len(content), 0o755 if file.suffix == ".sh" else 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _travelling(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in _LEFT_BEHIND or path.suffix in (".pyc", ".egg-info"):
            continue
        # A link may lead out of the folder.
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from _travelling(path)
        else:
            yield path
