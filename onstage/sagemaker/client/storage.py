"""The S3 bucket: parallel uploads that skip what is there and go on where they were cut off."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from onstage.cloud import Item, NotFoundError
from onstage.commands.transfers import key_of, part_size
from onstage.errors import UserError
from onstage.sagemaker.client import errors
from onstage.sagemaker.client.contents import crc32, md5, md5_of_parts
from onstage.sagemaker.client.session import Clients, explained
from onstage.sagemaker.client.transfers import Uploads

# Source: DeleteObjects.
_MOST_DELETED = 1000


class S3Bucket:
    """The bucket of settings.toml in the region of the jobs. An empty name is refused when it is used."""

    def __init__(self, clients: Clients, name: str) -> None:
        self.name = name
        self._clients = clients

    def require(self) -> None:
        """Raise UserError unless the bucket exists, can be used, and lies in the job's region."""
        try:
            region = self._region()
        except NotFoundError as error:
            raise UserError(
                f"there is no bucket {self._needed()}; make it in {self._clients.region}: "
                "onstage sagemaker upload --create-bucket"
            ) from error
        if region != self._clients.region:
            raise UserError(
                f"the bucket {self.name} is in {region}, the jobs are in {self._clients.region}; they must be "
                "together: change bucket or region in settings.toml, [sagemaker]"
            )

    def create(self) -> bool:
        """Make the bucket: private, encrypted by S3, versioned, in the job's region. False when it is ours already."""
        region = self._clients.region
        # Source: CreateBucket: us-east-1 is no LocationConstraint, every other region has to be one.
        constraint = {"LocationConstraint": region}
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": constraint}
        try:
            self._call("create_bucket", Bucket=self._needed(), **place)
        except UserError as error:
            if errors.code(error.__cause__) != "BucketAlreadyOwnedByYou":
                raise
            self.require()
            return False
        everything = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        self._call(
            "put_public_access_block",
            Bucket=self.name,
            PublicAccessBlockConfiguration=dict.fromkeys(everything, True),
        )
        self._call("put_bucket_versioning", Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        return True

    def unchanged(self, items: Sequence[Item]) -> set[str]:
        """The URIs of the items whose object has the file's size and checksum."""
        there: dict[str, dict[str, Any]] = {}
        for folder in _tops({item.uri.rpartition("/")[0] for item in items}):
            there.update((f"s3://{self.name}/{one['Key']}", one) for one in self._list(folder))
        same_size = [item for item in items if item.uri in there and there[item.uri]["Size"] == item.size]
        with ThreadPoolExecutor(8) as pool:
            same = pool.map(lambda item: self._is_same(item, there[item.uri]["ETag"].strip('"')), same_size)
            return {item.uri for item, equal in zip(same_size, same, strict=True) if equal}

    def upload(self, items: Sequence[Item], sent: Callable[[int], None]) -> None:
        """Send files in parallel, parts of large ones too. What was cut off goes on with the parts that arrived."""
        with explained("uploading", self._clients.region):
            Uploads(self._clients.of("s3"), self._needed(), sent).run(items)

    def write(self, uri: str, content: bytes) -> None:
        """Make a small object."""
        self._call("put_object", Bucket=self.name, Key=self._key(uri), Body=content)

    def read(self, uri: str, file: Path) -> None:
        """Fetch an object. Raises NotFoundError."""
        self._call("download_file", Bucket=self.name, Key=self._key(uri), Filename=str(file))

    def names(self, uri: str) -> list[str]:
        """The URIs of the objects below a folder."""
        return [f"s3://{self.name}/{one['Key']}" for one in self._list(uri.rstrip("/"))]

    def delete(self, uris: Sequence[str]) -> None:
        """Remove objects; in a bucket with versions their contents stay as old versions."""
        for start in range(0, len(uris), _MOST_DELETED):
            keys = [{"Key": self._key(uri)} for uri in uris[start : start + _MOST_DELETED]]
            answer = self._call("delete_objects", Bucket=self.name, Delete={"Objects": keys, "Quiet": True})
            if failed := answer.get("Errors"):
                raise UserError(
                    f"{failed[0]['Key']} was not removed: {failed[0].get('Message', failed[0].get('Code'))}"
                )

    def _region(self) -> str:
        try:
            with explained(f"the bucket {self._needed()}", self._clients.region):
                found = self._clients.of("s3").head_bucket(Bucket=self.name)
        except UserError as error:
            # A HEAD request has no body: only its status says what is wrong. A listing says more.
            if errors.code(error.__cause__) in ("400", "403"):
                self._call("list_objects_v2", Bucket=self.name, MaxKeys=1)
            raise
        headers = found["ResponseMetadata"]["HTTPHeaders"]
        return found.get("BucketRegion") or headers.get("x-amz-bucket-region") or self._clients.region

    def _list(self, folder: str) -> Iterator[dict[str, Any]]:
        return self._clients.pages(
            "s3", "list_objects_v2", "Contents", Bucket=self._needed(), Prefix=f"{self._key(folder)}/"
        )

    def _is_same(self, item: Item, tag: str) -> bool:
        """Whether an object of the file's size has its content: by its tag or, if a key encrypts it, its checksum."""
        # Source: S3, "Checking object integrity": the tag is the content's MD5; of parts, the MD5 of theirs.
        in_parts = "-" in tag
        if tag == (md5_of_parts(item.file, part_size(item.size)) if in_parts else md5(item.file).hexdigest()):
            return True
        stored = self._call("head_object", Bucket=self.name, Key=self._key(item.uri), ChecksumMode="ENABLED")
        return stored.get("ChecksumCRC32") is not None and stored["ChecksumCRC32"] == crc32(item.file)

    def _call(self, operation: str, **members: Any) -> Any:
        return self._clients.call("s3", operation, **members)

    def _key(self, uri: str) -> str:
        return key_of(uri, f"s3://{self._needed()}")

    def _needed(self) -> str:
        if not self.name:
            raise UserError("settings.toml: [sagemaker] bucket is empty; name one, also one that is still to be made")
        return self.name


def _tops(folders: set[str]) -> set[str]:
    """The folders that lie in no other one."""
    return {one for one in folders if not any(one.startswith(f"{other}/") for other in folders)}
