"""HTTP/1.1 on 127.0.0.1 for a function from Request to Response. Standard library only."""

import json
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """`path` is without the query; names of `headers` are looked up in any case."""

    method: str
    path: str
    headers: "Mapping[str, str] | Message[str, str]"
    body: bytes


@dataclass(frozen=True)
class Response:
    """All bodies are JSON."""

    status: int
    body: bytes = b""


def error(status: int, message: str) -> Response:
    """{"error": message}, as all platforms have it."""
    return Response(status, json.dumps({"error": message}, ensure_ascii=False).encode("utf-8", "surrogateescape"))


def listen(answer: Callable[[Request], Response], port: int, limit: int | None = None) -> int:
    """Serve in threads; return the port, which is any free one for 0. Raises OSError when it is taken.

    A body of more than `limit` bytes is refused before `answer` sees it.
    """
    server = _Server(
        ("127.0.0.1", port), type("Handler", (_Handler,), {"answer": staticmethod(answer), "limit": limit})
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    # Another server on the same port would share its requests.
    allow_reuse_address = sys.platform != "win32"

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away is no error of the server.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet an answer, sent at once.
    wbufsize = -1
    disable_nagle_algorithm = True
    answer: Callable[[Request], Response]
    limit: int | None

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(error(411, "a request needs its Content-Length"))
            return
        if self.limit is not None and int(length) > self.limit:
            self._skip(int(length))
            # Source: InvokeEndpoint's answer to a larger body.
            self._send(error(413, f"HTTP content length exceeded {self.limit} bytes."))
            return
        body = self.rfile.read(int(length))
        try:
            answer = self.answer(Request(self.command, urlsplit(self.path).path, self.headers, body))
        except Exception as failure:  # noqa: BLE001 - a fault of this server: the client and the log are told
            traceback.print_exc()
            answer = error(500, f"{type(failure).__name__}: {failure}")
        self._send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = _serve  # noqa: N815

    def _skip(self, length: int) -> None:
        # Read, or the client would see a broken connection and not the answer.
        while length > 0:
            read = len(self.rfile.read(min(length, 2**16)))
            length = length - read if read else 0

    def _send(self, response: Response) -> None:
        self.send_response_only(response.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, *_: Any) -> None:
        """Answered requests are not logged; refused ones are, with what would have been right."""
