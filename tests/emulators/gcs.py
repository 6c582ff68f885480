"""Cloud Storage on loopback for the commands: buckets with a region and an owner, uploads in parts, and troubles."""

import base64
import hashlib
import json
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

from google_crc32c import Checksum

from onstage.vertex.agent.gcs_server import CloudStorageServer, Handler
from tests.emulators.faults import Troubles, answer


class StorageServer(CloudStorageServer):
    """The bucket of a test is a folder of `root` with an entry in `buckets`; another folder is somebody else's.

    `parts` has what arrived of uploads in parts: by bucket, key and upload, number and content.
    """

    def __init__(self, root: Path) -> None:
        self.buckets: dict[str, dict[str, Any]] = {}
        self.policies: dict[str, dict[str, Any]] = {}
        self.granted: set[str] | None = None
        self.parts: dict[tuple[str, str, str], dict[int, bytes]] = {}
        self.troubles = Troubles()
        self.guard = threading.Lock()
        super().__init__(root, _Handler)


class _Handler(Handler):
    server: StorageServer

    def _route(self, method: str) -> None:
        if self.server.troubles.meets(self):
            return
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        for verb, pattern, action in _ROUTES:
            found = re.fullmatch(pattern, parts.path) if verb == method else None
            if found and action(self, query, *(unquote(group) for group in found.groups())):
                self.server.requests.append(f"{method} {self.path}")
                return
        super()._route(method)

    def _insert(self, query: dict[str, list[str]]) -> bool:
        wanted = json.loads(self._body())
        name = wanted["name"]
        if (self.server.objects.root / name).exists():
            text = "Your previous request to create the named bucket succeeded and you already own it."
            taken = "The requested bucket name is not available. The bucket namespace is shared by all users."
            error = {"code": 409, "message": text if name in self.server.buckets else taken}
            answer(self, 409, {"error": error})
            return True
        self.server.objects.create_bucket(name)
        self.server.buckets[name] = {"kind": "storage#bucket", "id": name, **wanted}
        answer(self, 200, self.server.buckets[name])
        return True

    def _bucket(self, query: dict[str, list[str]], name: str) -> bool:
        if name in self.server.buckets:
            answer(self, 200, self.server.buckets[name])
        elif (self.server.objects.root / name).exists():
            said = f"you@proj.com does not have storage.buckets.get access to the Google Cloud Storage bucket {name}."
            answer(self, 403, {"error": {"code": 403, "message": said}})
        else:
            answer(self, 404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})
        return True

    def _policy(self, query: dict[str, list[str]], name: str) -> bool:
        if self.command == "PUT":
            self.server.policies[name] = json.loads(self._body())
        answer(self, 200, self.server.policies.get(name, {"kind": "storage#policy", "etag": "CAE="}))
        return True

    def _test(self, query: dict[str, list[str]], name: str) -> bool:
        asked, granted = query["permissions"], self.server.granted
        answer(self, 200, {"permissions": [one for one in asked if granted is None or one in granted]})
        return True

    def _uploads(self, query: dict[str, list[str]], bucket: str) -> bool:
        if "uploads" not in query:
            return False
        root = ElementTree.Element("ListMultipartUploadsResult", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
        for owner, key, number in self.server.parts:
            if owner == bucket and key.startswith(query.get("prefix", [""])[0]):
                upload = ElementTree.SubElement(root, "Upload")
                ElementTree.SubElement(upload, "Key").text = key
                ElementTree.SubElement(upload, "UploadId").text = number
        self._xml(root)
        return True

    def _begin(self, query: dict[str, list[str]], bucket: str, key: str) -> bool:
        content = self._body()
        if "uploads" in query:
            with self.server.guard:
                number = f"upload-{len(self.server.requests)}-{len(self.server.parts)}"
                self.server.parts[bucket, key, number] = {}
            root = ElementTree.Element("InitiateMultipartUploadResult")
            ElementTree.SubElement(root, "UploadId").text = number
            self._xml(root)
            return True
        name = (bucket, key, query["uploadId"][0])
        if name not in self.server.parts:
            return self._no_upload()
        wanted = ElementTree.fromstring(content)
        there = self.server.parts.pop(name)
        numbers = [int(part.findtext("PartNumber") or 0) for part in wanted]
        tags = [part.findtext("ETag") for part in wanted]
        assert tags == [_tag(there[number]) for number in numbers]
        self.server.objects.put(bucket, key, b"".join(there[number] for number in numbers))
        self._xml(ElementTree.Element("CompleteMultipartUploadResult"))
        return True

    def _part(self, query: dict[str, list[str]], bucket: str, key: str) -> bool:
        content = self._body()
        name = (bucket, key, query["uploadId"][0])
        if name not in self.server.parts:
            return self._no_upload()
        crc = base64.b64encode(Checksum(content).digest()).decode()
        assert self.headers["x-goog-hash"] == f"crc32c={crc}"
        self.server.parts[name][int(query["partNumber"][0])] = content
        self._answer(200, b"", {"ETag": _tag(content)})
        return True

    def _list_parts(self, query: dict[str, list[str]], bucket: str, key: str) -> bool:
        if "uploadId" not in query:
            return False
        there = self.server.parts.get((bucket, key, query["uploadId"][0]))
        if there is None:
            return self._no_upload()
        root = ElementTree.Element("ListPartsResult", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
        # Pages of three: a client that reads one only would send the others again.
        after = int(query["part-number-marker"][0])
        numbers = sorted(number for number in there if number > after)
        ElementTree.SubElement(root, "IsTruncated").text = "true" if len(numbers) > 3 else "false"
        for number in numbers[:3]:
            ElementTree.SubElement(root, "NextPartNumberMarker").text = str(numbers[:3][-1])
            part = ElementTree.SubElement(root, "Part")
            ElementTree.SubElement(part, "PartNumber").text = str(number)
            ElementTree.SubElement(part, "ETag").text = _tag(there[number])
        self._xml(root)
        return True

    def _gcloud(self, query: dict[str, list[str]], bucket: str) -> bool:
        """An object with its description, in the form that gcloud's commands, and no other client, give them."""
        boundary = re.search("boundary='(.+)'", self.headers["Content-Type"] or "")
        if boundary is None:
            return False
        described, content = self._body().split(f"--{boundary[1]}".encode())[1:3]
        key = json.loads(described.partition(b"\n\n")[2])["name"]
        self.server.objects.put(bucket, key, content.partition(b"\n\n")[2].removesuffix(b"\n"))
        self._get_object({}, b"", bucket, key)
        return True

    def _no_upload(self) -> bool:
        self._answer(404, b"<Error><Code>NoSuchUpload</Code><Message>The upload does not exist.</Message></Error>")
        return True

    def _xml(self, root: ElementTree.Element) -> None:
        self._answer(200, ElementTree.tostring(root), {"Content-Type": "application/xml"})


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


_OBJECT = r"/(?!storage/|download/|upload/|resumable/)([^/]+)/(.+)"
_ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("POST", r"/storage/v1/b", _Handler._insert),
    ("GET", r"/storage/v1/b/([^/]+)", _Handler._bucket),
    ("GET", r"/storage/v1/b/([^/]+)/iam", _Handler._policy),
    ("PUT", r"/storage/v1/b/([^/]+)/iam", _Handler._policy),
    ("GET", r"/storage/v1/b/([^/]+)/iam/testPermissions", _Handler._test),
    ("GET", r"/(?!storage|download|upload|resumable)([^/]+)/?", _Handler._uploads),
    ("POST", r"(?:/resumable)?/upload/storage/v1/b/([^/]+)/o", _Handler._gcloud),
    ("POST", _OBJECT, _Handler._begin),
    ("PUT", _OBJECT, _Handler._part),
    ("GET", _OBJECT, _Handler._list_parts),
)
