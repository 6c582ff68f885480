"""The head of an HTTP/1.1 request, taken and refused as nginx does.

Source: nginx 1.30.3, ngx_http_parse.c and ngx_http_request.c, seen by asking it.
"""

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

# Source: large_client_header_buffers (four of 8 kB) and max_headers (1000).
MOST_BYTES = 32 * 1024
_MOST_OF_LINE = 8 * 1024
_MOST_LINES = 1000
_LINE = re.compile(rb"([A-Z_-]+) +([^\x00-\x20\x7f]+)(?: +HTTP/([0-9]+)\.([0-9]{1,2}))? *")
_NEWER = re.compile(rb"[A-Z_-]+ +/[^\x00-\x20\x7f]* +HTTP/(?:[2-9]|1[0-9])[0-9.]*")
_ABSOLUTE = re.compile(rb"[A-Za-z]+://([A-Za-z0-9._~%!$&'()*+,;=\[\]:-]+)(.*)")
# Of a name only these characters count; a header with another is not looked at.
_NAME = re.compile(rb"[A-Za-z0-9-]+")
_UNPRINTABLE = re.compile(rb"[\x00-\x20\x7f]")
_HOST = re.compile(r"(?:\[[0-9A-Za-z:.]+\]|[A-Za-z0-9!$%&'()*+,;=._~-]+)(?::[0-9]*)?")
# Those of which a second one is refused.
_SINGLE = frozenset({"host", "content-length", "transfer-encoding", "authorization", "expect"})
_PHRASES = {405: "Not Allowed", 414: "Request-URI Too Large", 505: "HTTP Version Not Supported"}


@dataclass(frozen=True)
class Response:
    """An answer; a page of nginx's is HTML. `closes` ends the connection."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    closes: bool = False

    @property
    def phrase(self) -> str:
        """The status in words."""
        return _PHRASES.get(self.status) or HTTPStatus(self.status).phrase


class BadRequestError(Exception):
    """A request after which the connection cannot be used."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass
class Head:
    """`target` is as it was sent, without scheme and host; names of `headers` are lower-case, values Latin-1."""

    method: str
    target: str
    keeps: bool
    length: int | None = 0
    expects: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def error_page(status: int) -> Response:
    """The page that nginx sends for a status of its own."""
    title = f"{status} {Response(status).phrase}"
    return Response(
        status,
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx/1.30.3</center>\r\n</body>\r\n</html>\r\n".encode(),
        "text/html",
        closes=status == 400,
    )


def normal_path(target: str) -> str | None:
    """The path of a target as nginx compares it with its locations; None for one that it refuses."""
    raw = re.split("[?#]", target, maxsplit=1)[0].encode("latin-1")
    if re.search(rb"%(?![0-9A-Fa-f]{2})|%00", raw):
        return None
    parts: list[bytes] = []
    *folders, last = unquote_to_bytes(raw).split(b"/")[1:]
    for part in folders:
        if part == b".." and not parts:
            return None
        if part == b"..":
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    if last == b"..":
        if not parts:
            return None
        parts.pop()
    end = b"" if last in (b".", b"..") else last
    return (b"/" + b"".join(part + b"/" for part in parts) + end).decode("utf-8", "surrogateescape")


def parse(content: bytes) -> Head:
    """The head before the first empty line, which is left out. Raises BadRequestError, as nginx would refuse it.

    A Transfer-Encoding other than chunked is 400 here, 501 there: in both cases nothing of the body is read.
    """
    first, *lines = content.replace(b"\r\n", b"\n").split(b"\n")
    if len(first) > _MOST_OF_LINE:
        raise BadRequestError(414, "the request line is too long")
    if b"\r" in content.replace(b"\r\n", b"") or b"\0" in content:
        raise BadRequestError(400, "a control character")
    head, is_1_0 = _first(first)
    _headers(head, lines)
    _check_host(head, is_1_0)
    _check_length(head, is_1_0)
    connection = head.headers.get("connection", "").lower()
    head.keeps = "close" not in connection and (not is_1_0 or "keep-alive" in connection)
    head.expects = head.headers.get("expect", "").lower() == "100-continue" and not is_1_0
    return head


def _first(line: bytes) -> tuple[Head, bool]:
    if _NEWER.fullmatch(line):
        raise BadRequestError(505, "not HTTP/1")
    found = _LINE.fullmatch(line)
    if found is None or found[3] is None or found[3] == b"0":
        raise BadRequestError(400, "not a request line of HTTP/1")
    method, target = found[1].decode(), found[2]
    if int(found[3]) > 1:
        raise BadRequestError(400, "not HTTP/1")
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute:
        target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    if method == "TRACE" or (method == "CONNECT" and not target.startswith(b"/")):
        raise BadRequestError(405, f"{method} is not allowed")
    if method == "CONNECT" or not target.startswith(b"/"):
        raise BadRequestError(400, "the target is no path")
    return Head(method, target.decode("latin-1"), keeps=True), int(found[4]) == 0


def _headers(head: Head, lines: list[bytes]) -> None:
    if len(lines) > _MOST_LINES or any(len(line) > _MOST_OF_LINE for line in lines):
        raise BadRequestError(400, "a header is too long, or there are too many")
    for line in lines:
        name, colon, value = line.partition(b":")
        if not name or _UNPRINTABLE.search(name):
            raise BadRequestError(400, "a header without a name, or on two lines")
        if not colon or not _NAME.fullmatch(name):
            continue
        key, text = name.decode().lower(), value.strip(b" ").decode("latin-1")
        if key in head.headers and key in _SINGLE:
            raise BadRequestError(400, f"{name.decode()} twice")
        if key not in head.headers or key == "connection":
            head.headers[key] = text
        elif key != "content-type":
            head.headers[key] += f", {text}"


def _check_host(head: Head, is_1_0: bool) -> None:
    host = head.headers.get("host")
    if host is None and is_1_0:
        return
    if host is None or not _HOST.fullmatch(host) or ".." in host:
        raise BadRequestError(400, "no Host, or one that is no host")


def _check_length(head: Head, is_1_0: bool) -> None:
    length, encoding = head.headers.get("content-length"), head.headers.get("transfer-encoding")
    if encoding is not None:
        if length is not None or is_1_0 or encoding.lower() != "chunked":
            raise BadRequestError(400, "a Transfer-Encoding other than chunked, or beside Content-Length")
        head.length = None
    elif length is not None:
        if not re.fullmatch("[0-9]{1,18}", length):
            raise BadRequestError(400, "Content-Length is no number")
        head.length = int(length)
