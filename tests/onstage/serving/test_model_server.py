"""The model server answers as TensorFlow Serving does: what it loads, what it takes, what it says."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT, Command
from tests.template.cpp_loader import error_of

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def iris(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What model.tar.gz holds after a training of the default project."""
    from trainer import model
    from trainer.run import Run
    from trainer.training import train

    base, data = tmp_path_factory.mktemp("job"), project / "data"
    folders = (str(base / name) for name in ("model/1", "checkpoints", "logs"))
    train(Run(model.Hyperparameters(epochs=2), str(data / "train"), str(data / "eval"), *folders))
    return base


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small hand-made models: name to base path, with version 1."""
    import keras
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("exports")

    def save(name: str, *versions: int, **signatures: tuple[Callable, dict[str, Any]]) -> None:
        module = tf.Module()
        module.functions = {
            key: tf.function(function, input_signature=[tf.TensorSpec(shape, dtype, name=each)
                                                        for each, (shape, dtype) in inputs.items()])
            for key, (function, inputs) in signatures.items()
        }  # fmt: skip
        for version in versions or (1,):
            tf.saved_model.save(module, str(folder / name / str(version)), signatures=module.functions)

    dtypes = ("float32", "float64", "int32", "int64", "uint8", "bool", "string", "float16")
    save("types", **{dtype: (lambda x: {"y": x}, {"x": ([None], dtype)}) for dtype in dtypes})
    save(
        "shapes",
        serving_default=(lambda x: {"y": 2 * x}, {"x": ([None, 2, 2], "float32")}),
        scalar=(lambda x: {"y": 2 * x}, {"x": ([], "float32")}),
        sum=(lambda x: {"y": tf.reduce_sum(x)}, {"x": ([None], "float32")}),
        any=(lambda x: {"y": x}, {"x": (None, "float32")}),
        two=(lambda a, b: {"a": a, "b_bytes": b}, {"a": ([None], "int64"), "b": ([None], "string")}),
        uneven=(lambda x: {"a": x, "b": x[:1]}, {"x": ([None], "float32")}),
        ratio=(lambda x, y: {"r": x / y}, {"x": ([None], "float32"), "y": ([None], "float32")}),
    )
    save("versions", 1, 2, 10, serving_default=(lambda x: {"y": x}, {"x": ([None], "float32")}))

    def in_python(x: Any) -> dict[str, Any]:
        return {"y": tf.ensure_shape(tf.py_function(lambda value: value + 1, [x], tf.float32), [None])}

    save("python", serving_default=(in_python, {"x": ([None], "float32")}))

    class Wrapped(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def serve(self, x: Any) -> dict[str, Any]:
            return {"y": self.model(x)}

    wrapped = Wrapped()
    tf.saved_model.save(wrapped, str(folder / "keras" / "1"), signatures={"serving_default": wrapped.serve})
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def server(iris: Path, exports: dict[str, Path]) -> Iterator[Any]:
    from onstage.serving.archive import find_versions
    from onstage.serving.process import ServingProcess

    with ServingProcess() as process:
        models = {"iris": find_versions(iris / "model")}
        process.load_models(models | {name: find_versions(base) for name, base in exports.items()})
        yield process


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.rest_url}/v1/models", timeout=60) as connection:
        yield connection


@pytest.fixture
def ask(client: httpx.Client) -> Ask:
    """POST a body, or these fields as JSON, to `model:predict`."""

    def post(model: str, body: str | None = None, **fields: Any) -> httpx.Response:
        return client.post(f"/{model}:predict", content=json.dumps(fields) if body is None else body)

    return post


def answers(response: httpx.Response, status: int, message: str) -> bool:
    """Whether an error is JSON with exactly one key and `message` in it."""
    content = response.json()
    return (response.status_code, list(content)) == (status, ["error"]) and message in content["error"]


ROW = [5.1, 3.5, 1.4, 0.2]
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
NAMED = dict(zip(NAMES, ROW, strict=True))


def test_rows_and_columns_named_and_unnamed_get_the_trainers_answer(ask: Ask, iris: Path) -> None:
    example = json.loads((iris / "model/1/assets.extra/example.json").read_text())
    expected = example["response"]["predictions"]
    answer = ask("iris", **example["request"]).json()
    assert list(answer) == ["predictions"]
    for row, other in zip(answer["predictions"], expected, strict=True):
        assert row["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
        assert (row["class_id"], row["class_label"]) == (other["class_id"], other["class_label"])
    (row,) = ask("iris", instances=[ROW]).json()["predictions"]
    forms = [
        ask("iris", signature_name="named", instances=[NAMED]),
        ask("iris", inputs=[ROW]),
        ask("iris", inputs={"features": [ROW], "more": "ignored"}),
        ask("iris", signature_name="named", inputs={name: [value] for name, value in NAMED.items()}),
    ]
    assert forms[0].json() == {"predictions": [row]}
    columns = {name: [value] for name, value in row.items()}
    assert [form.json() for form in forms[1:]] == [{"outputs": columns}] * 3


@pytest.mark.parametrize(
    ("dtype", "good", "bad", "message"),
    [
        ("float32", "[1, -2.5, 16777215, 3e38]", "16777216", "Cannot convert JSON value: 16777216 to float"),
        ("float32", "[1e-45]", "1e39", "Cannot convert JSON value: 1e+39 to float without loss of precision"),
        ("float32", "[18446744073709551616]", "18446744073709551615", "to float"),
        ("float32", "[0.2]", '"0.2"', 'JSON Value: "0.2" Type: String is not of expected type: float'),
        ("float32", "[1]", "true", "JSON Value: true Type: True is not of expected type: float"),
        ("float32", "[1]", "null", "JSON Value: null Type: Null is not of expected type: float"),
        ("float32", "[1]", "1e400", "Number too big to be stored in double"),
        ("float64", "[9007199254740991]", "9007199254740992", "to double without loss"),
        ("float64", "[1e308]", '{"b64": "YQ=="}', "Type: Object is not of expected type: double"),
        ("int32", "[2147483647, -2147483648]", "2147483648", "Type: Number is not of expected type: int32"),
        ("int32", "[1]", "1.0", "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("int64", "[9223372036854775807]", "9223372036854775808", "is not of expected type: int64"),
        ("int64", "[1]", "false", "JSON Value: false Type: False is not of expected type: int64"),
        ("uint8", "[255]", "1e2", "is not of expected type: uint8"),
        ("bool", "[true, false]", "1", "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("string", '["a", "\\u00e4", ""]', "1", "JSON Value: 1 Type: Number is not of expected type: string"),
        ("string", '[{"b64": "YWI="}]', '{"b64": "?"}', "Unable to base64 decode"),
        ("string", '["a"]', '"\\ud800"', "The surrogate pair in string is invalid"),
    ],
)  # fmt: skip
def test_a_value_is_taken_or_refused_by_its_type(dtype: str, good: str, bad: str, message: str, ask: Ask) -> None:
    for key, answer in (("instances", "predictions"), ("inputs", "outputs")):
        taken = ask("types", f'{{"signature_name": "{dtype}", "{key}": {good}}}')
        expected = ["ab"] if "b64" in good else json.loads(good)
        assert taken.json()[answer] == (pytest.approx(expected, rel=1e-6) if "float" in dtype else expected)
        refused = ask("types", f'{{"signature_name": "{dtype}", "{key}": [{bad}]}}')
        assert answers(refused, 400, message), refused.text


def test_a_type_that_json_cannot_be_turned_into_is_not_implemented(ask: Ask) -> None:
    message = "Conversion of JSON Value: 1 to type: half"
    assert answers(ask("types", signature_name="float16", inputs=[1]), 501, message)
    assert answers(ask("types", signature_name="float16", instances=[1]), 400, f"Error: UNIMPLEMENTED: {message}")


def test_floats_come_back_in_the_digits_of_their_type(ask: Ask) -> None:
    text = ask("types", signature_name="float32", instances=[0.2, 1 / 3, 16777215, 1e-40, 0, -0.0, 123456.7]).text
    assert json.loads(text)["predictions"][0] == 0.2
    assert text.startswith('{"predictions": [0.2, 0.333333343, 16777215.0, ')
    assert "[0.2, 0.3333333333333333]" in ask("types", signature_name="float64", instances=[0.2, 1 / 3]).text


def test_nan_and_infinity_go_in_and_come_out_bare(ask: Ask) -> None:
    body = '{"signature_name": "float32", "instances": [NaN, Infinity, -Infinity]}'
    response = ask("types", body)
    assert response.text == '{"predictions": [NaN, Infinity, -Infinity]}'
    answer = ask("shapes", signature_name="ratio", inputs={"x": [0, 1], "y": [0, 0]})
    assert (answer.status_code, answer.text) == (200, '{"outputs": [NaN, Infinity]}')
    assert answers(ask("iris", '{"instances": [[1, 2, NaN, 4]]}'), 400, "petal_length must be a finite number")
    assert answers(ask("types", '{"instances": [nan]}'), 400, "JSON Parse error: Invalid value. at offset: 15")


def test_shapes_are_those_of_the_values(ask: Ask) -> None:
    square = [[1, 2], [3, 4]]
    assert ask("shapes", instances=[square, square]).json() == {"predictions": [[[2, 4], [6, 8]]] * 2}
    assert ask("shapes", inputs=[square]).json() == {"outputs": [[[2, 4], [6, 8]]]}
    assert ask("shapes", inputs=[]).json()["outputs"] == []
    assert ask("shapes", signature_name="scalar", inputs=3).json() == {"outputs": 6}
    assert ask("shapes", signature_name="any", instances=[3, 4]).json() == {"predictions": [3, 4]}
    assert ask("shapes", signature_name="any", inputs=3).json() == {"outputs": 3}
    refused = ask("shapes", signature_name="any", instances=[[1], [2, 3]])
    assert answers(refused, 400, "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
                                 "Expecting tensor size: 1 but got: 2")  # fmt: skip


def test_bytes_come_back_as_base64_where_the_outputs_name_says_so(ask: Ask) -> None:
    rows = [{"a": 1, "b": {"b64": "/w=="}}, {"a": 2, "b": "x"}]
    assert ask("shapes", signature_name="two", instances=rows).json()["predictions"] == [
        {"a": 1, "b_bytes": {"b64": "/w=="}},
        {"a": 2, "b_bytes": {"b64": "eA=="}},
    ]
    assert ask("types", signature_name="string", instances=[{"b64": "/w=="}]).content == b'{"predictions": ["\xff"]}'


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("iris", "", "JSON Parse error: The document is empty"),
        ("iris", '{"instances": [', "JSON Parse error: Invalid value. at offset: 15"),
        ("iris", '{"instances": [[1,2,3,4]]} x', "other values. at offset: 27"),
        ("iris", '{"inputs": ' + "[" * 100_000, "JSON Parse error: "),
        ("iris", "[[1, 2, 3, 4]]", "JSON Value: [[1, 2, 3, 4]] Is not object"),
        ("iris", "{}", "Missing 'inputs' or 'instances' key"),
        ("iris", '{"instances": [1], "inputs": [1]}', "expecting only one of 'inputs' or 'instances' keys to exist"),
        ("iris", '{"instances": []}', "No values in 'instances' array"),
        ("iris", '{"instances": {"features": 1}}', "Excepting 'instances' to be an list/array"),
        ("iris", '{"signature_name": 1, "instances": [1]}', "'signature_name' key must be a string value"),
        ("iris", '{"signature_name": "x", "instances": [1]}', 'Serving signature name: "x" not found in signature def'),
        ("iris", '{"signature_name": "__saved_model_init_op", "inputs": 1}', "input map for signature: __saved"),
        ("iris", '{"instances": [[1, 2, 3, 4], [1, 2]]}', "Expecting tensor size: 4 but got: 2"),
        ("iris", '{"instances": [[1, 2, 3, "a"]]}', "element: 0 of 'instances' list. Error: INVALID"),
        ("iris", '{"instances": [[1, 2, 3]]}', "Input shape axis 1 must equal 4, got shape [1,3]"),
        ("iris", '{"instances": [[1, 2, 3, 4], {"features": [1, 2, 3, 4]}]}', "value/list but got object at item 1"),
        ("iris", '{"instances": [{"feature": [1, 2, 3, 4]}]}', "JSON object: does not have named input: feature"),
        ("iris", '{"inputs": {"feature": [[1, 2, 3, 4]]}}', "Missing named input: features in 'inputs' object."),
        ("iris", '{"inputs": [[1, 2], [1]]}', "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ("iris", '{"inputs": [[1, 2], 1]}', "1 found at incorrect level: 2 in the JSON DOM."),
        ("iris", '{"inputs": [1, [1]]}', "Encountered list at unexpected level: 1 expected < 1"),
        ("shapes", '{"signature_name": "two", "instances": [[1, "a"]]}', "instances is a plain list, but"),
        ("shapes", '{"signature_name": "two", "inputs": [[1, "a"]]}', "inputs is a plain value/list, but"),
        ("shapes", '{"signature_name": "two", "instances": [{"a": 1}]}', "keys must be equal to: a,b"),
        ("shapes", '{"signature_name": "two", "instances": [{"a": 1, "b": ""}, 1]}', "object but got list at item 1"),
        ("shapes", '{"signature_name": "two", "instances": [{"a": 1, "b": 2}]}', "element: 0 key: b of 'instances'"),
        ("shapes", '{"signature_name": "uneven", "instances": [1, 2]}', "b has inconsistent batch size: 1"),
        ("shapes", '{"signature_name": "scalar", "instances": [1, 2]}', ""),
        ("shapes", '{"instances": [[[1, 2], [3, 4]], [[1, 2, 3, 4]]]}', "Expecting shape [2,2] but got: [1,4]"),
    ],
)  # fmt: skip
def test_a_wrong_body_gets_the_words_of_tensorflow_serving(model: str, body: str, message: str, ask: Ask) -> None:
    response = ask(model, body)
    if message:
        assert answers(response, 400, message), response.text
    else:
        # Nothing but the type is checked before the graph runs, and this graph does not mind.
        assert response.json() == {"predictions": [2, 4]}


def test_a_scalar_output_cannot_be_a_row(ask: Ask) -> None:
    assert ask("shapes", signature_name="sum", inputs=[1, 2]).json() == {"outputs": 3}
    assert answers(
        ask("shapes", signature_name="sum", instances=[1, 2]), 400, "Tensor name: y has no shape information"
    )


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
        ("POST", "/v1/models/iris/versions/99999999999999999999:predict", 400, "Failed to convert version: 9999"),
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


def test_classify_and_regress_want_a_signature_of_theirs(client: httpx.Client) -> None:
    for method, kind in (("classify", "classification"), ("regress", "regression")):
        refused = client.post(f"/iris:{method}", json={"examples": [{"x": 1}]})
        expected = (
            f"Expected {kind} signature method_name to be tensorflow/serving/{method}. Was: tensorflow/serving/predict"
        )
        assert answers(refused, 400, expected)
        refused = client.post(f"/iris:{method}", json={"signature_name": "x", "examples": [{"x": 1}]})
        assert answers(refused, 400, "No signature was found with the name: x")


def test_outside_of_v1_there_is_nothing(client: httpx.Client) -> None:
    response = client.get(client.base_url.copy_with(path="/ping"))
    assert (response.status_code, response.content) == (404, b"")


def test_status_and_metadata_say_what_tensorflow_serving_says(client: httpx.Client) -> None:
    healthy = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    statuses = client.get("/versions").json()["model_version_status"]
    assert statuses == [{"version": version, **healthy} for version in ("1", "2", "10")]
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


def test_the_log_says_what_would_have_been_right(ask: Ask, server: Any) -> None:
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


def test_a_connection_outlives_errors_and_large_bodies(server: Any) -> None:
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


def test_a_body_without_its_length_is_refused(client: httpx.Client) -> None:
    assert answers(client.post("/iris:predict", content=iter([b"{}"])), 411, "Content-Length")
    assert client.post("/iris:predict", json={"instances": [ROW]}).status_code == 200


def test_threads_get_their_own_answers(client: httpx.Client) -> None:
    def ask_for(number: int) -> bool:
        answer = client.post(
            "/types:predict", json={"signature_name": "int64", "instances": [number] * (number % 7 + 1)}
        )
        return answer.json() == {"predictions": [number] * (number % 7 + 1)}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask_for, range(200)))


def test_an_export_that_only_python_can_serve_is_refused_by_name(
    server: Any, ask: Ask, exports: dict[str, Path]
) -> None:
    import numpy as np
    import tensorflow as tf

    from onstage.errors import UserError

    folder = str(exports["keras"] / "1")
    served = tf.saved_model.load(folder).signatures["serving_default"]
    assert served(x=tf.ones([1, 2]))["y"].shape == (1, 1)
    assert "Could not find variable" in error_of(
        folder, ("serving_default_x:0", np.ones((1, 2), "float32")), "StatefulPartitionedCall:0"
    )
    assert answers(ask("keras", instances=[[1, 2]]), 400, "Could not find variable")
    with pytest.raises(
        UserError, match="(?s)loads model model, but cannot answer.*Could not find variable.*ExportArchive"
    ):
        server.load(exports["keras"])


# The C++ runtime in a process that has not imported TensorFlow's Python part, whose kernels TensorFlow Serving lacks.
WITHOUT_PYTHON = """
import importlib.util, sys, types
origin = importlib.util.find_spec("tensorflow").origin
tensorflow = sys.modules["tensorflow"] = types.ModuleType("tensorflow")
tensorflow.__file__ = origin
import numpy as np
from tests.cpp_loader import error_of
print(error_of(sys.argv[1], ("serving_default_x:0", np.ones(1, "float32")), "StatefulPartitionedCall:0"))
"""


def test_python_code_in_the_graph_is_named(server: Any, ask: Ask, exports: dict[str, Path], command: Command) -> None:
    from onstage.errors import UserError
    from onstage.serving.export_checks import python_only_ops

    folder = exports["python"] / "1"
    (found,) = python_only_ops(folder)
    assert found.startswith("EagerPyFunc (node EagerPyFunc, in __inference_in_python")
    assert python_only_ops(exports["types"] / "1") == []
    oracle = command(sys.executable, "-c", WITHOUT_PYTHON, folder, cwd=ROOT)
    message = "No OpKernel was registered to support Op 'EagerPyFunc'"
    assert message in oracle.stdout, oracle.stderr
    refused = ask("python", instances=[1])
    assert answers(refused, 400, message), refused.text
    with pytest.raises(UserError, match="Python-only code in the graph: EagerPyFunc"):
        server.load(exports["python"])


def damaged(source: Path, folder: Path, what: str) -> Path:
    """A copy of an export with something wrong."""
    import shutil

    version = folder / "model" / "1"
    shutil.copytree(source, version)
    if what == "no variables":
        shutil.rmtree(version / "variables")
    elif what == "cut off":
        file = version / "saved_model.pb"
        file.write_bytes(file.read_bytes()[:-1000])
    elif what == "another tag":
        import tensorflow as tf
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

        content = SavedModel.FromString((version / "saved_model.pb").read_bytes())
        content.meta_graphs[0].meta_info_def.tags[:] = ["train"]
        assert tf.saved_model.SERVING == "serve"
        (version / "saved_model.pb").write_bytes(content.SerializeToString())
    return folder


@pytest.mark.parametrize(
    ("what", "message"),
    [("", ""), ("cut off", "Cannot parse file"), ("another tag", "MetaGraphDef")],
)
def test_what_the_cpp_loader_refuses_is_refused(
    what: str, message: str, server: Any, iris: Path, tmp_path: Path
) -> None:
    from onstage.errors import UserError

    folder = damaged(iris / "model" / "1", tmp_path, what)
    said = error_of(str(folder / "model" / "1"))
    if not what:
        assert said == ""
        assert server.load(folder).version == 1
        return
    assert said != ""
    with pytest.raises(UserError, match=message):
        server.load(folder)


def test_variables_that_are_missing_are_refused_before_the_first_request(
    server: Any, iris: Path, tmp_path: Path
) -> None:
    from onstage.errors import UserError

    folder = damaged(iris / "model" / "1", tmp_path, "no variables")
    # The C++ loader restores nothing and says nothing; an endpoint would fail at every request.
    assert error_of(str(folder / "model" / "1")) == ""
    with pytest.raises(UserError, match="model/1: ValueError: The passed save_path is not a valid checkpoint"):
        server.load(folder)


def test_a_numbered_folder_without_a_model_is_refused_as_a_version(server: Any, iris: Path, tmp_path: Path) -> None:
    from onstage.errors import UserError

    folder = damaged(iris / "model" / "1", tmp_path, "")
    (folder / "model" / "2").mkdir()
    with pytest.raises(UserError, match="model/2: OSError: SavedModel file does not exist"):
        server.load(folder)


def test_the_server_can_import_neither_the_project_nor_keras(project: Path, command: Command) -> None:
    script = """
import runpy, sys
runpy.run_path("rehearse/serving/model_server/main.py", run_name="server")
for name in sys.argv[1:]:
    try:
        __import__(name)
    except ImportError:
        print(name)
"""
    names = ["keras", "tf_keras", "trainer", "cloud", "rehearse", "model"]
    done = command(sys.executable, "-I", "-c", script, *names, cwd=project, environment={"PYTHONPATH": "src"})
    assert done.stdout.split() == names, done.stderr
    open_to_all = command(sys.executable, "-c", script.replace("runpy.run_path", "str"), "trainer", cwd=project,
                          environment={"PYTHONPATH": "src"})  # fmt: skip
    assert open_to_all.stdout.split() == [], open_to_all.stderr


PARENT = """
import sys, time
sys.path[:0] = [".", "src"]
from rehearse.serving.process import ServingProcess
server = ServingProcess()
print(server.pid, server.url, flush=True)
time.sleep(600)
"""


def test_the_server_ends_with_its_parent_and_knows_no_secrets(project: Path) -> None:
    environment = os.environ | {
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "GOOGLE_APPLICATION_CREDENTIALS": "x",
        "PYTHONPATH": "p",
    }
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=project, env=environment, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().split()
    assert httpx.get(f"{url}/ping").status_code == 502
    if Path("/proc").exists():
        names = {entry.partition("=")[0] for entry in Path(f"/proc/{pid}/environ").read_text().split("\0")}
        assert "PATH" in names
        assert not {name for name in names if name.startswith(("AWS_", "GOOGLE_", "PYTHON"))}
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    with pytest.raises(httpx.ConnectError):
        while time.monotonic() < deadline:
            httpx.get(f"{url}/ping")
            time.sleep(0.1)


def test_a_taken_port_is_said_in_one_line(server: Any, iris: Path) -> None:
    from onstage.errors import UserError
    from onstage.serving.process import ServingProcess

    taken = int(server.url.rpartition(":")[2])
    with ServingProcess(port=taken) as second, pytest.raises(UserError, match=f"cannot use port {taken}: "):
        second.load(iris)


def test_an_export_that_names_a_place_on_this_machine_is_found(project: Path, iris: Path, tmp_path: Path) -> None:
    from onstage.serving.export_checks import machine_paths

    assert machine_paths(iris / "model", [project, iris]) == []
    folder = damaged(iris / "model" / "1", tmp_path, "")
    (folder / "model/1/assets/vocabulary.txt").write_text(f"{project}/data\n")
    assert machine_paths(folder / "model", [project, iris]) == [f"1/assets/vocabulary.txt names {project}"]
