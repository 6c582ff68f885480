"""Files to Cloud Storage: how a file, or a part of one, is sent.

The parts are those of https://cloud.google.com/storage/docs/multipart-uploads, of which the service itself keeps the
list: nothing has to be remembered here. A resumable session's address, the other way, would let anybody write.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from onstage.cloud import Item, NotFoundError
from onstage.commands import transfers
from onstage.commands.transfers import blocks, key_of, part_size
from onstage.errors import UserError
from onstage.vertex.client.session import CONNECTIONS, Client

# Seconds that a small file may need with its repetitions; the library's own two minutes would hold up Ctrl-C.
_PATIENCE = 30


def checksum(file: Path, start: int = 0, size: int | None = None) -> str:
    """The CRC32C of `size` bytes (None: all) from `start`, as Cloud Storage writes it."""
    from google_crc32c import Checksum

    digest = Checksum()
    for block in blocks(file, start, size):
        digest.update(block)
    return base64.b64encode(digest.digest()).decode()


class Uploads(transfers.Uploads["_Large"]):
    """The uploads of one call, while they run; `bucket` is google-cloud-storage's."""

    def __init__(self, client: Client, bucket: Any, sent: Callable[[int], None]) -> None:
        super().__init__(CONNECTIONS, sent)
        self._client, self._bucket = client, bucket
        self._address = f"{client.address('storage')}/{bucket.name}"

    def _whole(self, item: Item) -> None:
        if self._stopped.is_set():
            return
        from google.cloud.storage.retry import DEFAULT_RETRY

        with self._client.explained(f"sending {item.file.name}"):
            blob = self._bucket.blob(key_of(item.uri, f"gs://{self._bucket.name}"))
            blob.upload_from_filename(str(item.file), checksum="crc32c", retry=DEFAULT_RETRY.with_timeout(_PATIENCE))
        self._sent(item.size)

    def _begin(self, item: Item) -> "_Large":
        key, size = key_of(item.uri, f"gs://{self._bucket.name}"), part_size(item.size)
        url = f"{self._address}/{quote(key)}"
        numbers = range(1, -(-item.size // size) + 1)
        # Source: storage/docs/xml-api/get-bucket-list-multipart-uploads
        for found in self._ask("GET", f"{self._address}?uploads", prefix=key).findall("{*}Upload"):
            if found.findtext("{*}Key") == key:
                upload = _Large(item, url, found.findtext("{*}UploadId") or "", size)
                upload.there.update(self._there(upload))
                upload.missing += [number for number in numbers if number not in upload.there]
                missing = sum(upload.bytes_of(number) for number in upload.missing)
                self._sent(item.size - missing)
                return upload
        made = self._ask("POST", f"{url}?uploads").findtext("{*}UploadId") or ""
        return _Large(item, url, made, size, missing=list(numbers))

    def _there(self, upload: "_Large") -> Iterator[tuple[int, str]]:
        """Number and tag of the parts that arrived, unless the file has changed there."""
        marker = "0"
        while marker:
            page = self._ask("GET", upload.url, **{"uploadId": upload.id, "part-number-marker": marker})
            for part in page.findall("{*}Part"):
                number, tag = int(part.findtext("{*}PartNumber") or 0), part.findtext("{*}ETag") or ""
                # It protects nothing: it finds changes.
                digest = hashlib.md5(usedforsecurity=False)
                for block in blocks(upload.item.file, (number - 1) * upload.size, upload.size):
                    digest.update(block)
                if tag.strip('"') == digest.hexdigest():
                    yield number, tag
            more = page.findtext("{*}IsTruncated") == "true"
            marker = page.findtext("{*}NextPartNumberMarker", "") if more else ""

    def _part(self, upload: "_Large", number: int) -> None:
        start, size = (number - 1) * upload.size, upload.bytes_of(number)
        content = _Content(upload.item.file, start, size, self._count)
        crc = checksum(upload.item.file, start, size)
        answer = self._client.send(
            "PUT", upload.url, content, {"x-goog-hash": f"crc32c={crc}"},
            doing=f"sending {upload.item.file.name}", query={"partNumber": number, "uploadId": upload.id},
        )  # fmt: skip
        upload.there[number] = answer.headers["ETag"]

    def _complete(self, upload: "_Large") -> None:
        whole = ElementTree.Element("CompleteMultipartUpload")
        for number in sorted(upload.there):
            part = ElementTree.SubElement(whole, "Part")
            ElementTree.SubElement(part, "PartNumber").text = str(number)
            ElementTree.SubElement(part, "ETag").text = upload.there[number]
        doing = f"sending {upload.item.file.name}"
        try:
            self._client.send(
                "POST", upload.url, ElementTree.tostring(whole), {"Content-Type": "application/xml"}, doing=doing,
                query={"uploadId": upload.id},
            )  # fmt: skip
        except NotFoundError:
            # The answer to an earlier attempt may have been lost: the object tells.
            pass
        with self._client.explained(doing):
            stored = self._bucket.get_blob(key_of(upload.item.uri, f"gs://{self._bucket.name}"))
        if stored is None or stored.crc32c != checksum(upload.item.file):
            raise UserError(f"{upload.item.file} is not in the bucket as it is here: did it change? send it again")

    def _ask(self, method: str, url: str, **query: str) -> ElementTree.Element:
        answer = self._client.send(method, url, doing=f"uploading to {self._bucket.name}", query=query)
        return ElementTree.fromstring(answer.content)

    def _count(self, count: int) -> None:
        if self._stopped.is_set():
            raise UserError("the upload was stopped")
        self._sent(count)


@dataclass
class _Large:
    """A file that goes in parts of `size` bytes: the tags of those that are `there`, and the numbers of the others."""

    item: Item
    url: str
    id: str
    size: int
    there: dict[int, str] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)

    def bytes_of(self, number: int) -> int:
        """The size of a part, which is less for the last one."""
        return min(self.size, self.item.size - (number - 1) * self.size)


class _Content:
    """A part of a file that is counted as it goes, and read anew when it is sent again."""

    def __init__(self, file: Path, start: int, size: int, count: Callable[[int], None]) -> None:
        self._file, self._start, self._size, self._count = file, start, size, count
        self._sent = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        self._count(-self._sent)
        self._sent = 0
        for block in blocks(self._file, self._start, self._size):
            yield block
            self._sent += len(block)
            self._count(len(block))
