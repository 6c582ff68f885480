"""Clients that are slow, rude or gone get what nginx would give them, and none takes the server from the others."""

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from onstage.serving.model_server import http_server
from onstage.serving.model_server.http_server import Request, Response, listen
from onstage.serving.process import ServingProcess
from tests.onstage.serving.asking import ROW

HEAD = b"POST /v1/models/iris:predict HTTP/1.1\r\nHost: x\r\n"


def echo(request: Request) -> Response:
    return Response(200, request.body)


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        yield connection


def read_until_closed(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(2**16):
        received += part
    return received


@pytest.fixture
def rest_port(server: ServingProcess) -> int:
    return int(server.rest_url.rpartition(":")[2])


def test_a_large_body_is_asked_for_at_once(rest_port: int) -> None:
    body = json.dumps({"instances": [ROW] * 50_000}).encode()
    with connected(rest_port) as connection:
        connection.sendall(
            HEAD + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_until_closed(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_that_is_expected_and_too_large_is_refused_before_it_is_sent() -> None:
    port = listen(echo, 0, limit=10)
    with connected(port) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 11\r\n\r\n")
        assert connection.recv(2**16).startswith(b"HTTP/1.1 413 ")
    answer = httpx.post(f"http://127.0.0.1:{port}", content=iter([b"123456", b"78901"]))
    assert (answer.status_code, answer.json()) == (413, {"error": "HTTP content length exceeded 10 bytes."})
    assert httpx.post(f"http://127.0.0.1:{port}", content=iter([b"12345", b"67890"])).content == b"1234567890"


@pytest.mark.parametrize(
    ("limit", "sent"),
    [
        ("IDLE", b""),
        ("HEAD", b"POST / HTTP/1.1\r\n"),
        ("BODY", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n123"),
        ("BODY", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123"),
    ],
)
def test_a_connection_that_sends_no_whole_request_is_closed(
    limit: str, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (http_server.IDLE, http_server.HEAD, http_server.BODY) == (15, 10, 60)
    monkeypatch.setattr(http_server, limit, 0.2)
    with connected(listen(echo, 0)) as connection:
        connection.sendall(sent)
        assert read_until_closed(connection) == b""


def test_connections_are_bounded_and_the_next_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "CONNECTIONS", 3)
    seen: list[int] = []

    def count(_: Request) -> Response:
        seen.append(sum(thread.name.startswith("connection to") for thread in threading.enumerate()))
        return Response(200, b"{}")

    before = sum(thread.name.startswith("connection to") for thread in threading.enumerate())
    port = listen(count, 0)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(6)]
    for connection in sockets:
        connection.sendall(request)
    # The first three keep their threads; each that leaves lets another one in.
    for connection in sockets:
        assert connection.recv(2**16).startswith(b"HTTP/1.1 200 OK")
        connection.close()
    assert max(seen) - before <= 3
    assert len(seen) == 6


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"Content-Length: 100\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\n{",
        HEAD[:30],
        b"",
    ],
)
def test_a_client_that_leaves_is_no_error(sent: bytes, server: ServingProcess, rest_port: int) -> None:
    before = len(server.log())
    with connected(rest_port) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert read_until_closed(connection) == b""
    assert server.log()[before:] == ""


def said_of(server: ServingProcess, ask: Callable[[], httpx.Response]) -> tuple[httpx.Response, str]:
    before = len(server.log())
    response = ask()
    return response, server.log()[before:]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"instances": ["x" * 5_000_000]}),
        json.dumps({"x" * 5_000_000: 1}),
        json.dumps({"instances": [{"x" * 5_000_000: 1}]}),
        json.dumps({"signature_name": "x" * 5_000_000, "instances": [1]}),
        json.dumps({"instances": [ROW, [1] * 1_000_000]}),
        "x" * 5_000_000,
    ],
)
def test_megabytes_are_not_sent_back(body: str, server: ServingProcess) -> None:
    url = f"{server.rest_url}/v1/models/iris:predict"
    response, said = said_of(server, lambda: httpx.post(url, content=body))
    assert response.status_code == 400
    assert len(response.content) < 5_000
    assert 0 < len(said) < 10_000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("9" * 310, "Number too big to be stored in double. at offset: 44"),
        ("9" * 10_000, "Number too big to be stored in double. at offset: 44"),
        ("[" * 65 + "]" * 65, "tensor parsing error: "),
        ("[" * 5000 + "]" * 5000, "tensor parsing error: "),
        ("[" * 100_000, "Missing a comma or ']' after an array element. at offset: 100045"),
    ],
)
def test_huge_numbers_and_deep_lists_are_refused(value: str, message: str, server: ServingProcess) -> None:
    url = f"{server.rest_url}/v1/models/types:predict"
    refused = httpx.post(url, content=f'{{"signature_name": "float32", "instances": [{value}]}}')
    assert (refused.status_code, message in refused.json()["error"]) == (400, True), refused.text[:300]
    taken = httpx.post(url, content='{"signature_name": "float32", "instances": [%s]}' % ("9" * 30))
    assert taken.status_code == 200


def test_only_the_first_of_several_requests_is_answered_and_the_log_says_so(server: ServingProcess) -> None:
    url = f"{server.rest_url}/v1/models/iris:predict"
    one = json.dumps({"instances": [ROW]})
    response, said = said_of(server, lambda: httpx.post(url, content=f"{one}\n{one}\n"))
    assert len(response.json()["predictions"]) == 1
    assert "warning: " in said and "TensorFlow Serving answers one request a body" in said
    response, said = said_of(server, lambda: httpx.post(url, content=f"{one}\n"))
    assert (response.status_code, said) == (200, "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of this machine")
def test_only_this_machine_s_own_address_is_answered(server: ServingProcess) -> None:
    for url in (server.url, server.rest_url):
        port = int(url.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=30)
