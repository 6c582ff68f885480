"""No request makes the server fail, hang or print a traceback: whatever it is, it gets an answer or its connection."""

import json
import socket

import httpx
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from onstage.serving.process import ServingProcess
from tests.onstage.serving.asking import ROW

FUZZ = settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
PATHS = ("/invocations", "/ping", "/", "/tfs/v1/models/iris", "/v1/models/iris", "/v1/models/types/metadata")
METHODS = [f"/v1/models/{model}:{method}" for model in ("types", "shapes") for method in ("predict", "classify")]

numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([10**309, -(10**400), 2**63, 2**64, 1e308]))
leaves = st.one_of(
    numbers, st.none(), st.booleans(), st.text(max_size=5), st.builds(lambda text: {"b64": text}, st.text())
)
names = st.sampled_from(["x", "a", "b", "b64", "instances", "inputs", "signature_name", "examples", "serving_default"])
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))
documents = st.dictionaries(names, values | st.sampled_from(["two", "any", "float32", "int64", "string"]), max_size=4)
deep = st.builds(lambda depth, ends: "[" * depth + "]" * (depth if ends else 0), st.integers(1, 5000), st.booleans())
bodies = st.one_of(
    st.binary(max_size=60),
    documents.map(json.dumps).map(str.encode),
    values.map(json.dumps).map(str.encode),
    st.tuples(documents.map(json.dumps), st.binary(max_size=5), st.integers(0, 30)).map(
        lambda parts: parts[0].encode()[: parts[2]] + parts[1] + parts[0].encode()[parts[2] :]
    ),
    deep.map(lambda text: f'{{"inputs": {text}}}'.encode()),
    st.text(alphabet='1.,"\n\r \ufeff\u00a0ae-', max_size=40).map(str.encode),
)
tokens = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
lines = st.one_of(
    st.builds(lambda name, value: f"{name}: {value}", tokens, tokens),
    st.sampled_from(
        ["Content-Length: 3", "Content-Length: x", "Transfer-Encoding: chunked", "Host: y", "Expect: 100-continue",
         "Content-Type: text/csv", "Content-Type: application/json", "Accept: application/json", " folded",
         "X-Amzn-SageMaker-Custom-Attributes: tfs-model-name=types,tfs-method=regress"]
    ),
)  # fmt: skip


def sent(port: int, content: bytes) -> bytes:
    """All that comes back until the server, which is told that nothing follows, closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass  # it had seen enough
        received = b""
        try:
            while part := connection.recv(2**16):
                received += part
        except ConnectionResetError:
            pass
    return received


def check(url: str, content: bytes) -> bytes:
    """Send it, and raise AssertionError where the server is at fault."""
    received = sent(int(url.rpartition(":")[2]), content)
    assert received == b"" or received.startswith(b"HTTP/1.1 "), received[:200]
    assert b"HTTP/1.1 500" not in received, received[:2000]
    return received


@seed(19)
@FUZZ
@given(path=st.sampled_from([*PATHS, *METHODS]), body=bodies, kind=st.sampled_from(["application/json", "text/csv"]))
def test_no_body_makes_the_server_fail(server: ServingProcess, path: str, body: bytes, kind: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for url in (server.url, server.rest_url):
        assert check(url, head + body)


@pytest.mark.long
@seed(19)
@FUZZ
@given(
    first=st.builds(
        lambda method, path, version: f"{method} {path} {version}",
        st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "get", ""]) | tokens,
        st.sampled_from(PATHS) | tokens,
        st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", ""]) | tokens,
    ),
    headers=st.lists(lines, max_size=6),
    body=st.sampled_from([b"", b"[1]", b"3\r\n[1]\r\n0\r\n\r\n", b"x\r\n"]) | st.binary(max_size=20),
    end=st.sampled_from(["\r\n", "\n"]),
)
def test_no_head_makes_the_server_fail(
    server: ServingProcess, first: str, headers: list[str], body: bytes, end: str
) -> None:
    head = end.join([first, "Host: x", *headers, "", ""]).encode("latin-1")
    for url in (server.url, server.rest_url):
        check(url, head + body)


def test_after_all_of_that_a_right_request_is_answered_and_the_log_has_no_traceback(
    server: ServingProcess, client: httpx.Client
) -> None:
    assert "Traceback" not in server.log()
    assert client.post("/iris:predict", json={"instances": [ROW]}).status_code == 200
