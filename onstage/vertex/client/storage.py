"""The Cloud Storage bucket: parallel uploads that skip what is there and go on where they were cut off."""

import contextlib
import fnmatch
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from onstage.cloud import Item, NotFoundError
from onstage.commands.transfers import key_of
from onstage.errors import UserError
from onstage.vertex.client import errors
from onstage.vertex.client.session import Client
from onstage.vertex.client.transfers import Uploads, checksum


class GoogleBucket:
    """The bucket of settings.toml in the region of the jobs. An empty name is refused when it is used."""

    def __init__(self, client: Client, name: str) -> None:
        self.name = name
        self._client = client

    def require(self) -> None:
        """Raise UserError unless the bucket exists, can be used, and lies in the job's region."""
        found = self.found()
        # Source: vertex-ai/docs/training/cloud-storage-file-system: no buckets of several regions are mounted.
        region, where = self._client.region, found.location.lower()
        if where != region:
            raise UserError(
                f"the bucket {self.name} is in {where}, the jobs are in {region}; they must be together: "
                "change bucket or region in settings.toml, [vertex]"
            )

    def create(self) -> bool:
        """Make the bucket: private, versioned, in the job's region. False when it is ours already."""
        try:
            self._client.call("storage", "POST", "/storage/v1/b", self.body(), project=self._client.project)
        except errors.ExistsError as error:
            try:
                self.require()
            except errors.DeniedError:
                raise UserError(
                    f"{error}\nthe name belongs to somebody else (names are shared by everybody): choose another "
                    "bucket in settings.toml, [vertex], such as one that begins with your project's name"
                ) from error
            return False
        return True

    def body(self) -> dict[str, Any]:
        """What makes the bucket. Source: storage/docs/json_api/v1/buckets."""
        uniform = {"enabled": True}
        # The parts of an upload that nobody finishes cost money, and no list of objects has them.
        action, condition = {"type": "AbortIncompleteMultipartUpload"}, {"age": 7}
        abort = {"action": action, "condition": condition}
        return {
            "name": self._needed(),
            "location": self._client.region.upper(),
            "iamConfiguration": {"uniformBucketLevelAccess": uniform, "publicAccessPrevention": "enforced"},
            "versioning": {"enabled": True},
            "lifecycle": {"rule": [abort]},
        }

    def unchanged(self, items: Sequence[Item]) -> set[str]:
        """The URIs of the items whose object has the file's size and checksum."""
        there: dict[str, Any] = {}
        for folder in {item.uri.rpartition("/")[0] for item in items}:
            there.update((f"gs://{self.name}/{blob.name}", blob) for blob in self._list(folder))
        same_size = [item for item in items if item.uri in there and there[item.uri].size == item.size]
        with ThreadPoolExecutor(8) as pool:
            sums = pool.map(lambda item: checksum(item.file), same_size)
            return {item.uri for item, crc in zip(same_size, sums, strict=True) if there[item.uri].crc32c == crc}

    def upload(self, items: Sequence[Item], sent: Callable[[int], None]) -> None:
        """Send files in parallel, parts of large ones too. What was cut off goes on with the parts that arrived."""
        Uploads(self._client, self._bucket(), sent).run(items)

    def write(self, uri: str, content: bytes) -> None:
        """Make a small object."""
        with self._client.explained(f"writing {uri}"):
            self._blob(uri).upload_from_string(content, "application/octet-stream", checksum="crc32c")

    def read(self, uri: str, file: Path) -> None:
        """Fetch an object. Raises NotFoundError."""
        try:
            with self._client.explained(f"reading {uri}"):
                self._blob(uri).download_to_filename(str(file), checksum="crc32c")
        except NotFoundError as error:
            raise NotFoundError(f"there is nothing at {uri}") from error

    def names(self, uri: str) -> list[str]:
        """The URIs of the objects below a folder; with a * in the last part, of those in the folder that fit."""
        folder, _, last = uri.rstrip("/").rpartition("/")
        if "*" not in last:
            return [f"gs://{self.name}/{blob.name}" for blob in self._list(uri.rstrip("/"))]
        return [name for name in self.names(folder) if fnmatch.fnmatchcase(name, uri)]

    def delete(self, uris: Sequence[str]) -> None:
        """Remove objects; in a bucket with versions their contents stay as old versions."""
        for uri in uris:
            with contextlib.suppress(NotFoundError), self._client.explained(f"removing {uri}"):
                self._blob(uri).delete()

    def found(self) -> Any:
        """The bucket as it is. Raises UserError when there is none, or it is not ours."""
        try:
            with self._client.explained(f"the bucket {self._needed()}"):
                return self._client.storage.get_bucket(self.name)
        except NotFoundError as error:
            raise UserError(
                f"there is no bucket {self.name}; make it in {self._client.region}: "
                "onstage vertex upload --create-bucket"
            ) from error
        except errors.DeniedError as error:
            raise errors.DeniedError(
                f"{error}\nor the bucket {self.name} belongs to somebody else: choose another name in settings.toml"
            ) from error

    def _list(self, folder: str) -> Iterator[Any]:
        with self._client.explained(f"listing {folder}"):
            prefix = key_of(folder, f"gs://{self._needed()}") + "/"
            yield from self._client.storage.list_blobs(self.name, prefix=prefix)

    def _blob(self, uri: str) -> Any:
        return self._bucket().blob(key_of(uri, f"gs://{self.name}"))

    def _bucket(self) -> Any:
        name = self._needed()
        return self._client.storage.bucket(name)

    def _needed(self) -> str:
        if not self.name:
            raise UserError("settings.toml: [vertex] bucket is empty; name one, also one that is still to be made")
        return self.name
