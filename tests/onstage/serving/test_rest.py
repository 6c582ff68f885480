"""The routes of TensorFlow Serving, its connections, and what the server's log adds."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from onstage.serving.process import ServingProcess
from tests.onstage.serving.asking import NAMED, ROW, Ask, answers


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/models/iris", 200, ""),
        ("GET", "/V1/MODELS/iris/VERSIONS/1", 200, ""),
        ("GET", "/v1/models/none", 404, "Could not find any versions of model none"),
        ("GET", "/v1/models/iris/versions/2", 404, "Could not find version 2 of model iris"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/iris/metadata", 200, ""),
        ("GET", "/v1/models/none/metadata", 404, "Servable not found for request: Latest(none)"),
        ("GET", "/v1/models/iris:predict", 400, "Malformed request: GET /v1/models/iris:predict"),
        ("PUT", "/v1/models/iris:predict", 400, "Malformed request: PUT /v1/models/iris:predict"),
        ("POST", "/v1/models/iris:predict", 200, ""),
        ("POST", "/v1/models/iris/versions/1:predict", 200, ""),
        ("POST", "/v1/models/%69ris:predict", 200, ""),
        ("POST", "/v1/models/iris/versions/2:predict", 404, "Servable not found for request: Specific(iris, 2)"),
        ("POST", "/v1/models/iris/versions/x:predict", 400, "Malformed request: POST"),
        ("POST", "/v1/models/iris/labels/stable:predict", 400, "Unrecognized servable version label: stable"),
        ("POST", "/v1/models/none:predict", 404, "Servable not found for request: Latest(none)"),
        ("POST", "/v1/models/iris:predicts", 400, "Malformed request: POST /v1/models/iris:predicts"),
        ("POST", "/v1/models/iris", 400, "Malformed request: POST /v1/models/iris"),
        ("POST", "/v1/models/iris:classify", 400, "key 'examples' is expected and was not found"),
    ],
)
def test_a_route_has_its_status(method: str, path: str, status: int, message: str, client: httpx.Client) -> None:
    root = client.base_url.copy_with(path="")
    response = client.request(method, f"{root}{path}", content=json.dumps({"instances": [ROW]}))
    assert response.headers["Content-Type"] == "application/json"
    assert response.status_code == 200 if status == 200 else answers(response, status, message), response.text


def test_outside_of_v1_there_is_nothing(client: httpx.Client) -> None:
    response = client.get(client.base_url.copy_with(path="/ping"))
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/html")
    assert "<H1>Not Found</H1>" in response.text


def test_a_version_that_is_no_64_bit_number_gets_no_words(client: httpx.Client) -> None:
    response = client.post(f"/iris/versions/{'9' * 5000}:predict", json={"instances": [ROW]})
    assert (response.status_code, response.content) == (400, b"")
    assert client.post("/iris/versions/0001:predict", json={"instances": [ROW]}).status_code == 200


def test_status_and_metadata_say_what_tensorflow_serving_says(client: httpx.Client) -> None:
    healthy = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    statuses = client.get("/versions").json()["model_version_status"]
    assert statuses == [{"version": version, **healthy} for version in ("10", "2", "1")]
    assert client.get("/versions/versions/2").json()["model_version_status"] == [{"version": "2", **healthy}]
    content = client.get("/iris/metadata").json()
    assert content["model_spec"] == {"name": "iris", "signature_name": "", "version": "1"}
    signature = content["metadata"]["signature_def"]["signature_def"]["serving_default"]
    dims = [{"size": "-1", "name": ""}, {"size": "4", "name": ""}]
    assert signature["inputs"] == {
        "features": {
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": dims, "unknown_rank": False},
            "name": "serving_default_features:0",
        }
    }
    assert sorted(signature["outputs"]) == ["class_id", "class_label", "probabilities"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert client.get("/versions/metadata").json()["model_spec"]["version"] == "10"


def test_the_log_says_what_would_have_been_right(ask: Ask, server: ServingProcess) -> None:
    def said_of(**fields: Any) -> str:
        before = len(server.log())
        assert ask("iris", **fields).status_code >= 400
        return server.log()[before:]

    said = said_of(instances=[[1, 2, 3, "four"]])
    assert "at fault: features" in said
    assert "signature serving_default takes features: float [-1, 4]" in said
    copied = json.loads(said.split("a correct request: ")[1].splitlines()[0])
    assert ask("iris", **copied).status_code == 200
    assert len(copied["instances"]) == 3
    said = said_of(signature_name="named", instances=[NAMED | {"petal_size": 1}])
    assert "at fault: petal_size" in said
    copied = json.loads(said.split("a correct request: ")[1].splitlines()[0])
    assert copied["signature_name"] == "named"
    assert ask("iris", **copied).status_code == 200
    assert "at fault: features, of shape [1, 3]" in said_of(instances=[[1, 2, 3]])
    said = said_of(signature_name="nmaed", instances=[NAMED])
    assert "signature named takes petal_length: float [-1]" in said
    assert "signature serving_default takes features" in said


def test_a_connection_outlives_errors_and_large_bodies(server: ServingProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.rest_url.rpartition(":")[2]), timeout=60)
    for body, status in (
        (json.dumps({"instances": [ROW]}), 200),
        ("{", 400),
        (json.dumps({"instances": [ROW] * 20_000}), 200),
        (json.dumps({"instances": [ROW[:2]]}), 400),
        (json.dumps({"instances": [ROW]}), 200),
    ):
        connection.request("POST", "/v1/models/iris:predict", body)
        response = connection.getresponse()
        response.read()
        assert response.status == status
        socket = connection.sock
        assert socket is not None
    connection.close()


def test_a_body_in_chunks_is_a_body(client: httpx.Client) -> None:
    rows = json.dumps({"instances": [ROW] * 1000}).encode()
    parts = (rows[start : start + 999] for start in range(0, len(rows), 999))
    answer = client.post("/iris:predict", content=parts)
    assert answer.json() == client.post("/iris:predict", content=rows).json()


def test_threads_get_their_own_answers(client: httpx.Client) -> None:
    def ask_for(number: int) -> bool:
        answer = client.post(
            "/types:predict", json={"signature_name": "int64", "instances": [number] * (number % 7 + 1)}
        )
        return answer.json() == {"predictions": [number] * (number % 7 + 1)}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask_for, range(200)))
