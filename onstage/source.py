"""What travels to a cloud: `src/`, as an archive that is the same bytes for the same files, and the data."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from glob import escape, glob
from pathlib import Path

from onstage.errors import UserError
from onstage.project import Project
from onstage.tables import files as kinds

_LEFT_BEHIND = {"__pycache__", ".ipynb_checkpoints"}


def files(source: Path) -> list[Path]:
    """The files that travel, sorted: all of `source` but hidden ones, bytecode, links and build folders."""
    return sorted(_travelling(source))


def archive(source: Path) -> bytes:
    """`files` as a tar.gz with nothing of this machine in it: no owner, no time, no absolute path."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for file in files(source):
            content = file.read_bytes()
            member = tarfile.TarInfo(file.relative_to(source).as_posix())
            member.size, member.mode = len(content), 0o755 if file.suffix == ".sh" else 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def find_data(project: Project, location: str) -> dict[str, Path]:
    """The local files of a location of settings.toml, by the names that they have in a bucket.

    A location is a file, a folder but for what begins with a dot in it, or a pattern. Raises UserError when it has no
    files, or is not on this machine.
    """
    if "://" in location:
        raise UserError(
            f"settings.toml: {location} is not on this machine; to rehearse, name a small sample that is, in [data]"
        )
    place = project.root / location
    if place.is_dir():
        # A reader of the researcher's own may read what begins with _.
        shown = kinds.below(place, marks=(".",))
        for name, path in shown.items():
            if path.is_symlink() and not path.exists():
                raise UserError(f"{location}/{name} is a link to what is not there")
        found = {name: path for name, path in shown.items() if path.is_file()}
    else:
        matches = (
            [place] if place.is_file() else sorted(project.root / path for path in _matching(project.root, location))
        )
        found = {path.name: path for path in matches}
    if not found:
        raise UserError(f"settings.toml: there is no data at {location}")
    return found


def _matching(root: Path, pattern: str) -> list[str]:
    # Its folder by name, where there is one: [, ] and ? are characters of a name, too.
    folder, _, name = pattern.rpartition("/")
    return glob(f"{escape(folder)}/{name}" if folder and (root / folder).is_dir() else pattern, root_dir=root)


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
