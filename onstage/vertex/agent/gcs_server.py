"""Cloud Storage's JSON API on this machine, as much as google-cloud-storage and TensorFlow's gs:// file system need.

Source: https://cloud.google.com/storage/docs/json_api/v1 and, for uploads, .../docs/performing-resumable-uploads.
"""

import email.parser
import email.policy
import json
import re
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from onstage.rehearsal import tunnel
from onstage.vertex.agent.gcs_objects import Objects, RefusedError, Stored

PAGE = 1000


class CloudStorageServer(tunnel.Server):
    """gs:// below `root`, on a free port of 127.0.0.1, from its creation to the end of its `with`.

    With a `listener` it is in another network. It has the `objects` of another server that it is given.
    """

    def __init__(
        self,
        root: Path,
        handler: type["Handler"] | None = None,
        *,
        objects: Objects | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        super().__init__(handler or Handler, listener)
        self._owns_objects = objects is None
        self.objects = Objects(root) if objects is None else objects
        # Each request as "GET /path"; what a job read and wrote.
        self.requests: list[str] = []
        # The gs:// URIs of what was written, in its order.
        self.written: list[str] = []
        self.uploads: dict[str, _Upload] = {}
        self.begin()

    def put(self, bucket: str, key: str, content: bytes | Path, generation: str | None) -> Stored:
        """Write an object, and note that. Raises RefusedError."""
        stored = self.objects.put(bucket, key, content, generation)
        if stored.file:
            self.written.append(f"gs://{bucket}/{key}")
        return stored

    def server_close(self) -> None:
        """End it, which `with` does."""
        super().server_close()
        if self._owns_objects:
            self.objects.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what went wrong, except that a client hung up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Upload:
    """A resumable upload: what has come so far."""

    def __init__(self, bucket: str, key: str, generation: str | None, file: Path) -> None:
        self.bucket, self.key, self.generation, self.file = bucket, key, generation, file
        file.touch()


class Handler(BaseHTTPRequestHandler):
    """One connection of a client, and its requests one after the other."""

    protocol_version = "HTTP/1.1"
    # Small answers at once: 40 ms each otherwise.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: CloudStorageServer

    def do_GET(self) -> None:
        self._route("GET")

    def do_HEAD(self) -> None:
        self._route("GET")

    def do_POST(self) -> None:
        self._route("POST")

    def do_PUT(self) -> None:
        self._route("PUT")

    def do_PATCH(self) -> None:
        self._route("PATCH")

    def do_DELETE(self) -> None:
        self._route("DELETE")

    def handle_expect_100(self) -> bool:
        """TensorFlow waits a second for the permission to send a body; it must not stay in the buffer."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def log_message(self, format: str, *args: Any) -> None:
        """The rehearsal has a report of its own."""

    def _route(self, method: str) -> None:
        parts = urlsplit(self.path)
        # An empty value is one: TensorFlow uploads an empty object with `name=` and nothing else.
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        body = self._body()
        self.server.requests.append(f"{method} {unquote(parts.path)}")
        try:
            for verb, pattern, action in _ROUTES:
                # An object's name is one segment of the path, its slashes encoded.
                found = re.fullmatch(pattern, parts.path) if verb == method else None
                if found:
                    action(self, query, body, *(unquote(group) for group in found.groups()))
                    return
            raise RefusedError(404, f"{method} {parts.path} is nothing that this server knows")
        except RefusedError as error:
            details = {"code": error.status, "message": str(error)}
            self._json({"error": details}, error.status)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _create_bucket(self, query: Mapping[str, str], body: bytes) -> None:
        wanted = json.loads(body)
        self.server.objects.create_bucket(wanted["name"])
        self._get_bucket(query, body, wanted["name"], wanted.get("location", "US"))

    def _get_bucket(self, query: Mapping[str, str], body: bytes, bucket: str, location: str = "US") -> None:
        self.server.objects.bucket(bucket)
        self._json({"kind": "storage#bucket", "id": bucket, "name": bucket, "location": location.upper()})

    def _get_layout(self, query: Mapping[str, str], body: bytes, bucket: str) -> None:
        # TensorFlow asks before it renames a folder, which is one request in a bucket that has real folders.
        self.server.objects.bucket(bucket)
        folders = {"enabled": False}
        self._json({"kind": "storage#storageLayout", "bucket": bucket, "hierarchicalNamespace": folders})

    def _list(self, query: Mapping[str, str], body: bytes, bucket: str) -> None:
        found, prefixes = self.server.objects.list(bucket, query.get("prefix", ""), query.get("delimiter", ""))
        names = sorted(name for name in {*found, *prefixes} if name > query.get("pageToken", ""))
        page = names[: int(query.get("maxResults") or PAGE)]
        answer: dict[str, Any] = {"kind": "storage#objects"}
        # TensorFlow takes an empty list amiss.
        answer |= (
            {"items": items} if (items := [_metadata(found[name], query) for name in page if name in found]) else {}
        )
        answer |= {"prefixes": folders} if (folders := [name for name in page if name in prefixes]) else {}
        if len(page) < len(names):
            answer["nextPageToken"] = page[-1]
        self._json(answer)

    def _get_object(self, query: Mapping[str, str], body: bytes, bucket: str, key: str) -> None:
        found = self.server.objects.get(bucket, key)
        if query.get("alt") == "media":
            self._content(found)
        else:
            self._json(_metadata(found, query))

    def _read(self, query: Mapping[str, str], body: bytes, bucket: str, key: str) -> None:
        self._content(self.server.objects.get(bucket, key))

    def _content(self, found: Stored) -> None:
        content = found.content()
        hashes = found.hashes() if "Range" not in self.headers else {}
        headers = {"Content-Type": "application/octet-stream", "X-Goog-Generation": str(found.generation)}
        if hashes:
            headers["X-Goog-Hash"] = ",".join(f"{name.removesuffix('Hash')}={value}" for name, value in hashes.items())
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            self._answer(200, content, headers)
            return
        first, last = int(asked[1]), min(int(asked[2] or found.size), found.size - 1)
        if first > last:
            self._answer(416, b"", {"Content-Range": f"bytes */{found.size}"})
            return
        self._answer(206, content[first : last + 1], {**headers, "Content-Range": f"bytes {first}-{last}/{found.size}"})

    def _start_upload(self, query: Mapping[str, str], body: bytes, bucket: str) -> None:
        kind, generation = query.get("uploadType"), query.get("ifGenerationMatch")
        self.server.objects.bucket(bucket)
        if kind == "media":
            self._json(_metadata(self.server.put(bucket, query["name"], body, generation), {}))
        elif kind == "multipart":
            described, content = _parts(self.headers["Content-Type"], body)
            key = query.get("name") or json.loads(described)["name"]
            self._json(_metadata(self.server.put(bucket, key, content, generation), {}))
        elif kind == "resumable":
            key = query.get("name") or json.loads(body)["name"]
            upload = _Upload(bucket, key, generation, self.server.objects.temporary())
            self.server.uploads[upload.file.name] = upload
            scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
            place = f"{scheme}://{self.headers['Host']}/upload/storage/v1/b/{bucket}/o"
            self._answer(200, b"", {"Location": f"{place}?uploadType=resumable&upload_id={upload.file.name}"})
        else:
            raise RefusedError(400, f"uploadType is {kind}")

    def _continue_upload(self, query: Mapping[str, str], body: bytes, bucket: str) -> None:
        upload = self.server.uploads.get(query.get("upload_id", ""))
        if upload is None:
            raise RefusedError(404, "there is no such upload")
        asked = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", self.headers.get("Content-Range", "bytes 0-0/*"))
        if asked is None:
            raise RefusedError(400, "Content-Range is not understood")
        if body:
            with upload.file.open("r+b") as file:
                file.seek(int(asked[1] or 0))
                file.write(body)
        size = upload.file.stat().st_size
        # Without Content-Range the body is the whole object.
        if "Content-Range" in self.headers and (asked[2] == "*" or size < int(asked[2])):
            self._answer(308, b"", {"Range": f"bytes=0-{size - 1}"} if size else {})
            return
        del self.server.uploads[upload.file.name]
        self._json(_metadata(self.server.put(upload.bucket, upload.key, upload.file, upload.generation), {}))

    def _delete(self, query: Mapping[str, str], body: bytes, bucket: str, key: str) -> None:
        self.server.objects.delete(bucket, key)
        self._answer(204, b"")

    def _rewrite(self, query: Mapping[str, str], body: bytes, bucket: str, key: str, to: str, name: str) -> None:
        found = self.server.objects.get(bucket, key)
        written = self.server.put(to, name, found.content(), query.get("ifGenerationMatch"))
        sizes = {"totalBytesRewritten": str(written.size), "objectSize": str(written.size), "done": True}
        self._json({"kind": "storage#rewriteResponse", **sizes, "resource": _metadata(written, query)})

    def _json(self, content: Mapping[str, Any], status: int = 200) -> None:
        self._answer(status, json.dumps(content).encode(), {"Content-Type": "application/json; charset=UTF-8"})

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()


def _metadata(stored: Stored, query: Mapping[str, str]) -> dict[str, Any]:
    # TensorFlow names the fields that it wants; no time is lost with hashes that nobody reads.
    hashes = {} if "fields" in query and "crc32c" not in query["fields"] else stored.hashes()
    return {
        "kind": "storage#object",
        "id": f"{stored.bucket}/{stored.key}/{stored.generation}",
        "name": stored.key,
        "bucket": stored.bucket,
        "generation": str(stored.generation),
        "metageneration": "1",
        "size": str(stored.size),
        "timeCreated": stored.updated,
        "updated": stored.updated,
        **hashes,
    }


def _parts(content_type: str, body: bytes) -> tuple[bytes, bytes]:
    """The description and the content of a multipart/related upload."""
    header = email.parser.BytesHeaderParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {content_type}\r\n\r\n".encode()
    )
    separator = b"--" + str(header.get_boundary()).encode()
    described, content = body.split(separator)[1:3]
    parts = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in (described, content)]
    return parts[0], parts[1]


_OBJECT = r"/storage/v1/b/([^/]+)/o/([^/]+)"
_ROUTES: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("POST", r"/storage/v1/b", Handler._create_bucket),
    ("GET", r"/storage/v1/b/([^/]+)", Handler._get_bucket),
    ("GET", r"/storage/v1/b/([^/]+)/storageLayout", Handler._get_layout),
    ("GET", r"/storage/v1/b/([^/]+)/o/?", Handler._list),
    ("GET", rf"(?:/download)?{_OBJECT}", Handler._get_object),
    ("DELETE", _OBJECT, Handler._delete),
    ("POST", rf"{_OBJECT}/(?:rewriteTo|copyTo)/b/([^/]+)/o/([^/]+)", Handler._rewrite),
    ("POST", r"(?:/resumable)?/upload/storage/v1/b/([^/]+)/o", Handler._start_upload),
    ("PUT", r"(?:/resumable)?/upload/storage/v1/b/([^/]+)/o", Handler._continue_upload),
    ("GET", r"/(?!storage/|download/|upload/)([^/]+)/(.+)", Handler._read),
)
