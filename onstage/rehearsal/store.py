"""Object storage on this machine: s3:// and gs:// URIs that are files and folders."""

import re
from collections.abc import Mapping
from pathlib import Path

from onstage.errors import UserError

_URI = re.compile(r"(s3|gs)://([^/]+)(?:/(.*))?", re.DOTALL)


class LocalStore:
    """Buckets as folders: `s3://bucket/key` is `root/bucket/key`, unless a mount says where else.

    `mounts` maps URIs to files or folders, which need not be below `root`; the longest one that fits wins. What is
    written goes the same way, so mount only what a job reads.
    """

    def __init__(self, root: Path, mounts: Mapping[str, Path] | None = None) -> None:
        self.root = root
        self._mounts = {_parts(uri): path for uri, path in (mounts or {}).items()}

    def path(self, uri: str) -> Path:
        """Where `uri` is on this machine, whether there is something or not.

        Raises UserError for a URI of another service or without a bucket, and for a key that could lead out of it.
        """
        parts = _parts(uri)
        for length in range(len(parts), 1, -1):
            mount = self._mounts.get(parts[:length])
            if mount is not None:
                return mount.joinpath(*parts[length:])
        return self.root.joinpath(*parts[1:])

    def objects(self, uri: str) -> list[tuple[str, Path]]:
        """Names and files of the objects below the prefix `uri`, sorted by name.

        As SageMaker names them in a channel's folder: the object itself by its last part, those in the folder by
        their path in it. A prefix without a slash at its end stands for all that begin with it, `.../train` for
        `.../train_old/x.csv` as well; a mount of just this URI for itself only.
        """
        path = self.path(uri)
        own = [(path.name, path)] if path.is_file() else _files(path, path) if path.is_dir() else []
        if uri.endswith("/") or (own and _parts(uri) in self._mounts) or not path.parent.is_dir():
            return own
        begun = [one for one in sorted(path.parent.iterdir()) if one.name.startswith(path.name) and one != path]
        return sorted([*own, *(found for entry in begun for found in _files(entry, path.parent))])


def _parts(uri: str) -> tuple[str, ...]:
    match = _URI.fullmatch(uri)
    if not match:
        raise UserError(f"{uri!r} is not an object's address: write s3://bucket/key or gs://bucket/key")
    scheme, bucket, key = match.groups()
    parts = (bucket, *filter(None, (key or "").split("/")))
    if any(part in (".", "..") or "\\" in part or ":" in part for part in parts):
        raise UserError(f"{uri!r} cannot be a file of this machine: '.', '..', a colon or a backslash in its key")
    return (scheme, *parts)


def _files(path: Path, folder: Path) -> list[tuple[str, Path]]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sorted((file.relative_to(folder).as_posix(), file) for file in files)
