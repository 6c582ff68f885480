"""Objects of Cloud Storage as files: gs://bucket/key is the file root/bucket/key."""

import base64
import functools
import hashlib
import os
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

try:
    # It comes with google-cloud-storage, the only client that asks for the checksum.
    from google_crc32c import Checksum
except ImportError:
    Checksum = None


class RefusedError(Exception):
    """A request that Cloud Storage answers with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Stored:
    """An object that exists. `generation` changes with every write; `file` is None for a folder's marker."""

    bucket: str
    key: str
    size: int
    generation: int
    file: Path | None

    @property
    def updated(self) -> str:
        """When it was written, as RFC 3339 in UTC."""
        written = datetime.fromtimestamp(self.generation / 1e6, timezone.utc)
        return written.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def content(self) -> bytes:
        """All its bytes."""
        return self.file.read_bytes() if self.file else b""

    def hashes(self) -> dict[str, str]:
        """Its md5Hash, and crc32c where the library for it is installed; base64, as the API writes them."""
        return _hashes(self.file, self.generation)


class Objects:
    """The buckets below a folder. Links to files and folders are followed when read, and replaced when written.

    Other than in Cloud Storage, `a` and `a/b` cannot both be objects. Safe to use from several threads.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        # Objects such as `logs/`, which TensorFlow creates for empty folders, would have no file of their own.
        self._markers: dict[tuple[str, str], Stored] = {}
        self._lock = threading.RLock()

    def create_bucket(self, name: str) -> None:
        """Make a bucket. Raises RefusedError for a name that is taken or cannot be one."""
        folder = self.root / _part(name)
        if folder.exists():
            raise RefusedError(409, f"the bucket {name} exists")
        folder.mkdir(parents=True)

    def bucket(self, name: str) -> Path:
        """The folder of a bucket. Raises RefusedError if there is no such bucket."""
        folder = self.root / _part(name)
        if not folder.is_dir():
            raise RefusedError(404, "The specified bucket does not exist.")
        return folder

    def get(self, bucket: str, key: str) -> Stored:
        """The object. Raises RefusedError if there is none."""
        with self._lock:
            found = self._find(bucket, key)
        if found is None:
            raise RefusedError(404, f"No such object: {bucket}/{key}")
        return found

    def put(self, bucket: str, key: str, content: bytes | Path, generation: str | None = None) -> Stored:
        """Write an object at once: bytes, or a file that is moved there.

        `generation` is the one that is expected, "0" for none. Raises RefusedError if it is another.
        """
        with self._lock:
            before = self._find(bucket, key)
            if generation is not None and int(generation) != (before.generation if before else 0):
                raise RefusedError(412, "At least one of the pre-conditions you specified did not hold.")
            if key.endswith("/"):
                now = int(datetime.now(timezone.utc).timestamp() * 1e6)
                return self._markers.setdefault((bucket, key), Stored(bucket, key, 0, now, None))
            file = self._file(bucket, key)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                os.replace(content if isinstance(content, Path) else self._temporary(content), file)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise RefusedError(
                    501, f"{key} and an object below it: folders of this machine hold only one"
                ) from error
            return self.get(bucket, key)

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object, and the folders that are empty without it. Raises RefusedError if there is none."""
        with self._lock:
            found = self.get(bucket, key)
            if found.file is None:
                del self._markers[bucket, key]
                return
            found.file.unlink()
            folder, top = found.file.parent, self.root / bucket
            while folder != top and not any(folder.iterdir()):
                folder.rmdir()
                folder = folder.parent

    def list(self, bucket: str, prefix: str = "", delimiter: str = "") -> tuple[dict[str, Stored], set[str]]:
        """The objects whose keys begin with `prefix`, and the prefixes that end at the next `delimiter`; sorted."""
        with self._lock:
            found = {one.key: one for one in self._below(bucket, prefix)}
        prefixes = set()
        for key in list(found) if delimiter else ():
            head, separator, _ = key[len(prefix) :].partition(delimiter)
            if separator:
                prefixes.add(prefix + head + separator)
                del found[key]
        return dict(sorted(found.items())), prefixes

    def temporary(self) -> Path:
        """A new name for a file on the same disk, for `put`."""
        folder = self.root / ".uploads"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid.uuid4().hex

    def close(self) -> None:
        """Forget uploads that were not finished."""
        shutil.rmtree(self.root / ".uploads", ignore_errors=True)

    def _temporary(self, content: bytes) -> Path:
        file = self.temporary()
        file.write_bytes(content)
        return file

    def _find(self, bucket: str, key: str) -> Stored | None:
        marker = self._markers.get((bucket, key))
        if marker or key.endswith("/"):
            self.bucket(bucket)
            return marker
        file = self._file(bucket, key)
        if not file.is_file():
            return None
        return _stored(bucket, key, file)

    def _file(self, bucket: str, key: str) -> Path:
        return self.bucket(bucket).joinpath(*(_part(part) for part in key.split("/")))

    def _below(self, bucket: str, prefix: str) -> Iterator[Stored]:
        top = self.bucket(bucket)
        folder = top.joinpath(*(_part(part) for part in prefix.split("/")[:-1]))
        for path, _, names in os.walk(folder, followlinks=True):
            for name in names:
                file = Path(path, name)
                key = file.relative_to(top).as_posix()
                if key.startswith(prefix):
                    yield _stored(bucket, key, file)
        for (owner, key), marker in self._markers.items():
            if owner == bucket and key.startswith(prefix):
                yield marker


def _stored(bucket: str, key: str, file: Path) -> Stored:
    status = file.stat()
    return Stored(bucket, key, status.st_size, status.st_mtime_ns // 1000, file)


def _part(name: str) -> str:
    """A part of a path, which must not lead out of its folder."""
    if name in ("", ".", "..", ".uploads") or re.search(r"[/\\\0]", name) or (os.name == "nt" and ":" in name):
        raise RefusedError(400, f"{name!r} cannot be part of a name here")
    return name


@functools.lru_cache(maxsize=1000)
def _hashes(file: Path | None, generation: int) -> dict[str, str]:
    content = file.read_bytes() if file else b""
    found = {"md5Hash": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()}
    if Checksum:
        found["crc32c"] = base64.b64encode(Checksum(content).digest()).decode()
    return found
