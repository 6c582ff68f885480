"""HTTP/1.1 on 127.0.0.1 for a function from Request to Response. Standard library only.

A request that is framed badly is answered with 400, and its connection closed; one that is cut off is closed without an
answer. No connection lives longer than the times below without sending a whole request.
"""

import contextlib
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .http_head import MOST_BYTES, BadRequestError, Head, Response, error_page, parse
from .json_text import error
from .refusal import log

__all__ = ["Request", "Response", "listen"]

# Seconds: from one request to the next; for all of a head; for all of a body, or for a client to read its answer.
IDLE, HEAD, BODY = 15, 10, 60
# Connections, each with a thread, on one port. More wait until one of these has ended.
CONNECTIONS = 128
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_LONGEST_CHUNK_LINE = 4096
_END_OF_HEAD = re.compile(rb"\n\r?\n")
# What a request line may begin with: anything else will never become one.
_FIRST_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_-")


@dataclass(frozen=True)
class Request:
    """`path` is with the query, as it was sent; names of `headers` are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class _LeftError(Exception):
    """The client has gone, or is too slow."""


def listen(answer: Callable[[Request], Response], port: int, limit: int | None = None) -> int:
    """Serve in threads; return the port, which is any free one for 0. Raises OSError when it is taken.

    A body of more than `limit` bytes is refused before `answer` sees it.
    """
    # Another server on the same port would share its requests.
    listener = socket.create_server(("127.0.0.1", port), backlog=128, reuse_port=False)
    threading.Thread(target=_accept, args=(listener, answer, limit), daemon=True).start()
    return listener.getsockname()[1]


def _accept(listener: socket.socket, answer: Callable[[Request], Response], limit: int | None) -> None:
    free = threading.BoundedSemaphore(CONNECTIONS)
    while True:
        free.acquire()
        try:
            connected, _ = listener.accept()
        except OSError:
            # Gone before it was taken, or no file handle is left: the next one may be luckier.
            free.release()
            continue
        connection = _Connection(connected, answer, limit)
        name = f"connection to {listener.getsockname()[1]}"
        threading.Thread(target=connection.serve, args=(free.release,), name=name, daemon=True).start()


class _Connection:
    def __init__(self, connected: socket.socket, answer: Callable[[Request], Response], limit: int | None) -> None:
        self._socket = connected
        self._answer = answer
        self._limit = limit
        self._read = b""
        self._deadline = 0.0

    def serve(self, end: Callable[[], None]) -> None:
        """Answer requests until the client has none, then call `end`."""
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._serve_one():
                pass
        except (_LeftError, OSError):
            pass  # nobody is there to be told
        finally:
            self._socket.close()
            end()

    def _serve_one(self) -> bool:
        try:
            head = self._head()
            too_long = self._limit is not None and head.length is not None and head.length > self._limit
            if head.expects and not too_long:
                self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = None if head.expects and too_long else self._body(head)
        except BadRequestError as refused:
            log(f"{refused.status}: {refused}")
            self._respond(error_page(refused.status), keeps=False, head_only=self._read.startswith(b"HEAD "))
            self._linger()
            return False
        if body is None:
            # Source: InvokeEndpoint's answer to a larger body.
            response = Response(413, error(f"HTTP content length exceeded {self._limit} bytes."))
            head.keeps = head.keeps and not head.expects
        else:
            response = self._ask(Request(head.method, head.target, head.headers, body))
        head.keeps = head.keeps and not response.closes
        self._respond(response, head.keeps, head.method == "HEAD")
        if body is None and not head.keeps:
            self._linger()
        return head.keeps

    def _ask(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except Exception as failure:  # noqa: BLE001 - a fault of this server: the client and the log are told
            traceback.print_exc(file=sys.stderr)
            return Response(500, error(f"{type(failure).__name__}: {failure}"))

    def _head(self) -> Head:
        self._within(IDLE)
        while not self._read.lstrip(b"\r\n"):
            self._more()
        self._within(HEAD)
        while True:
            self._read = self._read.lstrip(b"\r\n")
            end = _END_OF_HEAD.search(self._read)
            if end:
                head = parse(self._read[: end.start()].removesuffix(b"\r"))
                self._read = self._read[end.end() :]
                return head
            line, newline, _ = self._read.partition(b"\n")
            if self._read[:1] and (self._read[0] not in _FIRST_BYTES or (newline and b"HTTP/" not in line)):
                raise BadRequestError(400, "not a request line of HTTP/1")
            if len(self._read) > MOST_BYTES:
                raise BadRequestError(400 if newline else 414, "the head is too long")
            self._more()

    def _body(self, head: Head) -> bytes | None:
        """The body; None for one of more than the limit, which is read and dropped."""
        self._within(BODY)
        if head.length is None:
            return self._chunks()
        if self._limit is None or head.length <= self._limit:
            return self._exactly(head.length)
        # Read, or the client would see a broken connection and not the answer.
        left = head.length
        while left > 0:
            left -= len(self._exactly(min(left, 2**16)))
        return None

    def _chunks(self) -> bytes | None:
        parts: list[bytes] = []
        total = 0
        while True:
            size = self._chunk_size()
            if size == 0:
                break
            total += size
            while size > 0:
                part = self._exactly(min(size, 2**16))
                size -= len(part)
                if self._limit is None or total <= self._limit:
                    parts.append(part)
            if self._exactly(2) != b"\r\n":
                raise BadRequestError(400, "a chunk is not as long as it says")
        # Trailers: nothing in them counts.
        while self._line() != b"\r\n":
            pass
        return None if self._limit is not None and total > self._limit else b"".join(parts)

    def _chunk_size(self) -> int:
        found = _CHUNK_LINE.fullmatch(self._line())
        if found is None:
            raise BadRequestError(400, "a chunk without its size")
        return int(found[1], 16)

    def _line(self) -> bytes:
        while b"\n" not in self._read:
            if len(self._read) > _LONGEST_CHUNK_LINE:
                raise BadRequestError(400, "the line before a chunk is too long")
            self._more()
        end = self._read.index(b"\n") + 1
        line, self._read = self._read[:end], self._read[end:]
        return line

    def _exactly(self, size: int) -> bytes:
        if len(self._read) < size:
            parts, found = [self._read], len(self._read)
            self._read = b""
            while found < size:
                parts.append(self._received())
                found += len(parts[-1])
            self._read = b"".join(parts)
        content, self._read = self._read[:size], self._read[size:]
        return content

    def _more(self) -> None:
        self._read += self._received()

    def _received(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _LeftError
        self._socket.settimeout(left)
        content = self._socket.recv(2**16)
        if not content:
            raise _LeftError
        return content

    def _within(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def _respond(self, response: Response, keeps: bool, head_only: bool = False) -> None:
        head = (
            f"HTTP/1.1 {response.status} {response.phrase}\r\nContent-Type: {response.content_type}\r\n"
            f"Content-Length: {len(response.body)}\r\nConnection: {'keep-alive' if keeps else 'close'}\r\n\r\n"
        ).encode()
        # One packet, sent at once.
        self._send(head if head_only else head + response.body)

    def _send(self, content: bytes) -> None:
        self._socket.settimeout(BODY)
        self._socket.sendall(content)

    def _linger(self) -> None:
        """Let the client read its answer: what it sends still would otherwise break the connection."""
        with contextlib.suppress(_LeftError, OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._within(2)
            while True:
                self._received()
