"""The front, the HTTP and the JSON are the vendors' own: what theirs answered stands in vendor_cases.json."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onstage.serving.model_server.http_server import Request, Response, listen
from onstage.serving.model_server.json_reader import read
from onstage.serving.model_server.json_text import shown
from onstage.serving.model_server.refusal import RefusedError
from onstage.serving.model_server.sagemaker_front import Front

GROUPS = {
    group["group"]: group["cases"]
    for group in json.loads(Path(__file__).with_name("vendor_cases.json").read_text(encoding="utf-8"))
}


def named(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case.get("name", ascii(case["sent"][:40]))) for case in cases]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The front, before something that says what TensorFlow Serving would be asked."""

    def asked(request: Request) -> Response:
        said = {"path": request.path, "body": request.body.decode("latin-1")}
        return Response(200, json.dumps(said).encode())

    front = Front(asked)
    front.default_model = "model"
    yield listen(front, 0, front.limit)


def exchange(port: int, sent: bytes) -> tuple[bytes, bool]:
    """What comes back, and whether the connection was closed then."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        received = b""
        while b"\r\n\r\n" not in received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"):
            received += connection.recv(2**16)
        head, _, body = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        while len(body) < length and not sent.startswith(b"HEAD"):
            body += connection.recv(2**16)
        if b"Connection: close" in head:
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
        return head + b"\r\n\r\n" + body, b"Connection: close" in head


@pytest.mark.few(20)
@pytest.mark.parametrize("case", named(GROUPS["front"]))
def test_tensorflow_serving_is_asked_what_the_container_asks_it(case: dict[str, Any], port: int) -> None:
    method, path = case["request"]
    sent = case["sent"].encode("latin-1")
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(": ".join(header) for header in case["headers"])]
    head = "\r\n".join([*lines, f"Content-Length: {len(sent)}", "", ""]).encode("latin-1")
    received, _ = exchange(port, head + sent)
    head, _, body = received.partition(b"\r\n\r\n")
    assert int(head.split(b" ")[1]) == case["status"]
    if "answer" in case:
        assert body.decode().split("\r\n")[0] == case["answer"]
    else:
        assert json.loads(body) == {"path": case["path"], "body": case["body"]}


@pytest.mark.parametrize("case", named(GROUPS["http"]))
def test_a_request_is_taken_or_refused_as_nginx_does(case: dict[str, Any], port: int) -> None:
    received, closed = exchange(port, case["sent"].encode("latin-1"))
    assert (int(received.split(b" ")[1]), closed) == (case.get("ours", case["status"]), case["closed"])


@pytest.mark.parametrize("case", named(GROUPS["json"]))
def test_a_body_is_read_or_refused_as_rapidjson_does(case: dict[str, Any]) -> None:
    sent = case["sent"].encode("latin-1")
    if "read" in case:
        assert shown(read(sent)[0]).encode("utf-8", "surrogateescape").decode("latin-1") == case["read"]
        return
    with pytest.raises(RefusedError) as refused:
        read(sent)
    assert refused.value.message == f"JSON Parse error: {case['refused']}"
