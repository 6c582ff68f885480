"""Files to S3: how a file, or a part of one, is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onstage.cloud import Item
from onstage.commands import transfers
from onstage.commands.transfers import key_of, part_size
from onstage.sagemaker.client.contents import md5
from onstage.sagemaker.client.session import CONNECTIONS


class _StoppedError(BaseException):
    """Ends a thread's upload. No Exception, which botocore would take for a broken connection, and try again."""


class Uploads(transfers.Uploads["_Large"]):
    """The uploads of one call, while they run."""

    def __init__(self, client: Any, bucket: str, sent: Callable[[int], None]) -> None:
        from s3transfer.utils import signal_not_transferring, signal_transferring

        super().__init__(CONNECTIONS, sent)
        self._client, self._bucket = client, bucket
        # Signing reads the content too; only what is sent counts.
        client.meta.events.register_first("request-created.s3", signal_not_transferring, unique_id="reading")
        client.meta.events.register_last("request-created.s3", signal_transferring, unique_id="sending")

    def _whole(self, item: Item) -> None:
        with self._content(item, 0, item.size) as body:
            self._client.put_object(Bucket=self._bucket, Key=key_of(item.uri, f"s3://{self._bucket}"), Body=body)

    def _begin(self, item: Item) -> "_Large":
        key = key_of(item.uri, f"s3://{self._bucket}")
        size = part_size(item.size)
        numbers = range(1, -(-item.size // size) + 1)
        for found in self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key).get("Uploads", ()):
            if found["Key"] != key:
                continue
            there = self._there(item, key, found["UploadId"], size)
            self._sent(sum(min(size, item.size - (number - 1) * size) for number in there))
            return _Large(item, key, found["UploadId"], size, there, [one for one in numbers if one not in there])
        made = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ChecksumAlgorithm="CRC32")
        return _Large(item, key, made["UploadId"], size, {}, list(numbers))

    def _there(self, item: Item, key: str, upload_id: str, size: int) -> dict[int, dict[str, Any]]:
        """The parts that arrived, as completing asks for them, unless the file has changed there."""
        pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=upload_id)
        stored = [part for page in pages for part in page.get("Parts", ())]
        return {
            part["PartNumber"]: _named(part["PartNumber"], part)
            for part in stored
            if part["ETag"].strip('"') == md5(item.file, (part["PartNumber"] - 1) * size, size).hexdigest()
        }

    def _part(self, upload: "_Large", number: int) -> None:
        with self._content(upload.item, (number - 1) * upload.size, upload.size) as body:
            answer = self._client.upload_part(
                Bucket=self._bucket, Key=upload.key, UploadId=upload.id, PartNumber=number, Body=body,
                ChecksumAlgorithm="CRC32",
            )  # fmt: skip
        upload.there[number] = _named(number, answer)

    def _complete(self, upload: "_Large") -> None:
        self._client.complete_multipart_upload(
            Bucket=self._bucket,
            Key=upload.key,
            UploadId=upload.id,
            MultipartUpload={"Parts": [upload.there[number] for number in sorted(upload.there)]},
        )

    def _content(self, item: Item, start: int, size: int) -> Any:
        from s3transfer.utils import ReadFileChunk

        return ReadFileChunk.from_filename(str(item.file), start, size, [self._count], enable_callbacks=False)

    def _count(self, bytes_transferred: int) -> None:
        if self._stopped.is_set():
            raise _StoppedError
        self._sent(bytes_transferred)


@dataclass
class _Large:
    """A file that goes in parts of `size` bytes: those that are `there`, as completing names them, and the others."""

    item: Item
    key: str
    id: str
    size: int
    there: dict[int, dict[str, Any]]
    missing: list[int]


def _named(number: int, part: dict[str, Any]) -> dict[str, Any]:
    named = {name: part[name] for name in ("ETag", "ChecksumCRC32") if part.get(name)}
    return {"PartNumber": number, **named}
