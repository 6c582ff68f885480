"""SageMaker's container before TensorFlow Serving: its archive, its formats, its quirks, its limit."""

import csv
import http.client
import io
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onstage.serving.model_server.sagemaker_front import from_csv, from_json
from onstage.serving.process import ServingProcess

Invoke = Callable[..., httpx.Response]

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.5, 3.0, 5.2, 2.0]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a model.tar.gz holds: the sum of a row, the values of named inputs, and the length of a text."""
    import tensorflow as tf

    module, specs = tf.Module(), tf.TensorSpec
    module.functions = {
        "serving_default": tf.function(
            lambda x: {"y": tf.reduce_sum(x, 1)}, input_signature=[specs([None, None], name="x")]
        ),
        "named": tf.function(
            lambda a, b: {"y": a + b}, input_signature=[specs([None], name="a"), specs([None], name="b")]
        ),
    }
    texts = tf.Module()
    texts.length = tf.function(
        lambda t: {"n": tf.strings.length(t)}, input_signature=[specs([None], tf.string, name="t")]
    )
    folder = tmp_path_factory.mktemp("archive")
    for version in (1, 2):
        tf.saved_model.save(module, str(folder / "model" / str(version)), signatures=module.functions)
    tf.saved_model.save(texts, str(folder / "texts" / "7"), signatures=texts.length)
    return folder


@pytest.fixture(scope="module")
def server(archive: Path) -> Iterator[ServingProcess]:
    with ServingProcess() as process:
        assert httpx.get(f"{process.url}/ping").status_code == 502
        process.load(archive)
        yield process


@pytest.fixture(scope="module")
def client(server: ServingProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as connection:
        yield connection


@pytest.fixture
def invoke(client: httpx.Client) -> Invoke:
    def post(content_type: str | None, body: str, **attributes: str) -> httpx.Response:
        headers = {} if content_type is None else {"Content-Type": content_type}
        if attributes:
            pairs = (f"tfs-{name.replace('_', '-')}={value}" for name, value in attributes.items())
            headers["X-Amzn-SageMaker-Custom-Attributes"] = ",".join(pairs)
        return client.post("/invocations", content=body, headers=headers)

    return post


SUMS = {"predictions": pytest.approx([10.2, 16.7])}


@pytest.mark.parametrize(
    ("content_type", "body", "answer"),
    [
        ("application/json", json.dumps({"instances": ROWS}), SUMS),
        ("application/json", json.dumps({"inputs": ROWS}), {"outputs": SUMS["predictions"]}),
        ("application/json", json.dumps({"inputs": {"x": ROWS}}), {"outputs": SUMS["predictions"]}),
        ("application/json", '{"signature_name": "named", "instances": [{"a": 1, "b": 2}]}', {"predictions": [3]}),
        ("application/json", json.dumps(ROWS), SUMS),
        ("application/json", f" [ {ROWS[0]}\n,{ROWS[1]}]", SUMS),
        ("application/json", json.dumps(ROWS[0]), {"predictions": pytest.approx([10.2])}),
        ("application/json", f"{ROWS[0]}\n{ROWS[1]}", SUMS),
        ("application/json", '{"x": [1, 2]}\r\n\r\n{"x": [3, 4]}\n', {"predictions": [3, 7]}),
        ("application/jsonlines", f"{ROWS[0]}\n{ROWS[1]}\n", SUMS),
        ("application/jsons", f"{ROWS[0]}\n{ROWS[1]}", SUMS),
        ("application/jsonlines", '{"x": [1, 2]}', {"predictions": [3]}),
        ("application/json; charset=utf-8", json.dumps(ROWS), SUMS),
        ("Application/JSON", json.dumps(ROWS), SUMS),
        ("text/csv", "5.1,3.5,1.4,0.2\n6.5,3,5.2,2", SUMS),
        ("text/csv", '\r\n5.1, 3.5 ,"1.4",2e-1\r\n\r\n6.5,3,5.2,2\r\n', SUMS),
    ],
)  # fmt: skip
def test_every_form_is_answered(content_type: str, body: str, answer: dict, invoke: Invoke) -> None:
    response = invoke(content_type, body)
    assert response.json() == answer
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize(
    ("content_type", "body", "status", "message"),
    [
        (None, "[[1]]", 415, "Unsupported Media Type: Unknown"),
        ("application/xml", "[[1]]", 415, "Unsupported Media Type: application/xml"),
        # The container wraps it once more: a list of objects is a request only under "instances".
        ("application/json", '[{"x": [1]}, {"x": [2]}]', 400, "Failed to process element: 0"),
        # It splits at line ends, which these do not have.
        ("application/jsonlines", "[1, 2] [3, 4]", 400, "JSON Parse error"),
        ("application/json", "", 400, "No values in 'instances' array"),
        ("text/csv", "1,2\n3", 400, "Failed to process element: 1"),
        ("text/csv", "1,a", 400, 'JSON Value: "a" Type: String is not of expected type: float'),
        ("text/csv", "1,.5", 400, 'JSON Value: ".5" Type: String'),
        ("text/csv", "1,+5", 400, 'JSON Value: "+5" Type: String'),
        ("text/csv", "1,NaN", 400, 'JSON Value: "NaN" Type: String'),
        ("text/csv", "1,", 400, 'JSON Value: "" Type: String'),
        ("text/csv", "1\t,a\tb", 400, "JSON Parse error"),
    ],
)
def test_what_the_container_refuses_is_refused(
    content_type: str | None, body: str, status: int, message: str, invoke: Invoke
) -> None:
    response = invoke(content_type, body)
    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert message in response.json()["error"]


def test_one_column_of_csv_is_a_scalar(invoke: Invoke) -> None:
    lengths = invoke("text/csv", 'a\n"b,""c"\nd e', model_name="texts")
    assert lengths.json() == {"predictions": [1, 4, 3]}
    assert invoke("text/csv", "a,b", model_name="texts").status_code == 200
    assert "Type: Number is not of expected type: string" in invoke("text/csv", "1", model_name="texts").json()["error"]


@pytest.mark.parametrize(
    ("attributes", "status", "message"),
    [
        ({}, 200, ""),
        ({"model_name": "model", "model_version": "1", "method": "predict"}, 200, ""),
        ({"model_version": "2"}, 200, ""),
        ({"model_version": "3"}, 404, "Servable not found for request: Specific(model, 3)"),
        ({"model_name": "other"}, 404, "Servable not found for request: Latest(other)"),
        ({"model_name": "../x"}, 400, "invalid tfs-model-name"),
        ({"model_version": "one"}, 400, "invalid tfs-model-version"),
        ({"method": "explain"}, 400, "invalid tfs-method"),
        ({"method": "classify"}, 400, "key 'examples' is expected"),
        ({"method": "a=b"}, 200, ""),
    ],
)
def test_custom_attributes_choose_model_version_and_method(
    attributes: dict[str, str], status: int, message: str, invoke: Invoke
) -> None:
    response = invoke("application/json", json.dumps({"instances": ROWS}), **attributes)
    assert response.status_code == status
    assert message in response.json().get("error", "")


def test_all_versions_are_served_and_the_highest_by_default(server: ServingProcess, client: httpx.Client) -> None:
    statuses = httpx.get(f"{server.rest_url}/v1/models/model").json()["model_version_status"]
    assert [status["version"] for status in statuses] == ["2", "1"]
    assert client.get("/ping").status_code == 200
    missing = {"X-Amzn-SageMaker-Custom-Attributes": "tfs-model-version=3"}
    assert client.get("/ping", headers=missing).status_code == 502


@pytest.mark.parametrize("path", ["/", "/v1/models/model", "/invocation", "/Ping"])
def test_other_paths_are_not_found(path: str, client: httpx.Client) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()) == (404, {"error": "Not Found"})


def test_a_request_of_more_than_six_megabytes_never_reaches_the_container(
    client: httpx.Client, server: ServingProcess
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=60)
    limit = 6 * 1024 * 1024
    for size, status in ((limit + 1, 413), (limit, 200), (limit + 1, 413)):
        body = '{"instances": [[1]]' + " " * (size - 20) + "}"
        assert len(body) == size
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = json.loads(response.read())
        assert response.status == status
        assert status == 200 or content == {"error": "HTTP content length exceeded 6291456 bytes."}
    connection.close()


def test_the_log_says_what_the_container_made_of_a_body(invoke: Invoke, server: ServingProcess) -> None:
    before = len(server.log())
    assert invoke("text/csv", "1,a").status_code == 400
    said = server.log()[before:]
    assert 'SageMaker\'s container made of the text/csv body: {"instances":[[1,"a"]]}' in said
    assert "signature serving_default takes x: float [-1, -1]" in said


FIELDS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Z")), min_size=1).filter(
    lambda text: not text.lstrip("-")[:1].isdecimal()
)  # fmt: skip
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.one_of(FIELDS, NUMBERS), min_size=2, max_size=4), min_size=1, max_size=4))
def test_csv_as_written_by_the_csv_module_comes_through(rows: list) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    assert json.loads(from_csv(text.getvalue())) == {"instances": rows}


JSON_ROWS = st.lists(st.lists(NUMBERS, min_size=1), min_size=2) | st.lists(
    st.dictionaries(st.sampled_from("abc"), NUMBERS, min_size=1), min_size=2
)


@settings(max_examples=100, deadline=None)
@given(JSON_ROWS)
def test_json_lines_are_rows(rows: list) -> None:
    assert json.loads(from_json("\n".join(map(json.dumps, rows)))) == {"instances": rows}


SERVE = """
import sys
from pathlib import Path
from onstage.errors import main
from onstage.serving.serve import serve
from onstage.settings import Settings
serverless = {"memory_mb": 2048, "max_concurrency": 1}
cloud = dict.fromkeys(("region", "instance_type", "endpoint_instance_type"), "one")
settings = Settings(name="sum", data={"train": "a", "eval": "b"}, sagemaker={**cloud, "serverless": serverless})
sys.exit(main(lambda: serve(Path(sys.argv[1]), 0, "sagemaker", settings)))
"""


def test_serve_prints_a_request_that_works_and_explains_one_that_does_not(archive: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", SERVE, archive], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    assert running.stdout is not None
    shown = [running.stdout.readline() for _ in range(5)]
    assert shown[0].startswith("serving version 2 at http://127.0.0.1:")
    assert shown[3] == "  serving_default: x: float [-1, -1]\n"
    program, *proxy, _, header, _, body, url = shlex.split(shown[4])
    assert (program, proxy) == ("curl", ["--noproxy", "127.0.0.1"])
    name, _, value = header.partition(": ")
    answer = httpx.post(url, content=body, headers={name: value})
    assert answer.json() == {"predictions": [0.0]}
    assert httpx.post(url, content="[[true]]", headers={name: value}).status_code == 400
    limit = 4 * 1024 * 1024
    for size, status in ((limit, 200), (limit + 1, 413)):
        assert httpx.post(url, content=body + " " * (size - len(body)), headers={name: value}).status_code == status
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "signature serving_default takes x: float [-1, -1]" in said
    assert not [greeting for greeting in ("absl", "oneDNN", "CPU instructions", "Traceback") if greeting in said]


def test_serve_says_in_one_line_why_an_endpoint_would_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE, tmp_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ValueError: no SavedModel bundles found!")
    assert "Traceback" not in done.stderr
