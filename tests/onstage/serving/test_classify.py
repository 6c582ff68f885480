"""`classify` and `regress`: tf.Examples made of JSON, and results or refusals in TensorFlow Serving's words."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from onstage.serving.process import ServingProcess
from tests.onstage.serving.asking import answers


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model with a signature of each kind, which read the features `x` (two numbers) and `word`."""
    import tensorflow as tf

    module = tf.Module()

    def parsed(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        features = {
            "x": tf.io.FixedLenFeature([2], tf.float32),
            "word": tf.io.FixedLenFeature([], tf.string, default_value="none"),
        }
        return tf.io.parse_example(inputs, features)

    def scored(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": parsed(inputs)["x"]}

    def labelled(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        found = parsed(inputs)
        return {"scores": found["x"], "classes": tf.stack([found["word"], found["word"]], axis=1)}

    def summed(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": tf.reduce_sum(parsed(inputs)["x"], axis=1, keepdims=True)}

    def wide(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": parsed(inputs)["x"]}

    specs = {"serving_default": labelled, "scored": scored, "summed": summed, "wide": wide}
    module.functions = {
        name: tf.function(function, input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        for name, function in specs.items()
    }
    module.functions["predict"] = tf.function(
        lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")]
    )
    module.functions["numbers"] = tf.function(
        lambda inputs: {"scores": inputs[:, None]}, input_signature=[tf.TensorSpec([None], tf.float32, name="inputs")]
    )
    folder = tmp_path_factory.mktemp("examples")
    tf.saved_model.save(module, str(folder / "model" / "1"), signatures=module.functions)
    with ServingProcess() as process:
        process.load(folder)
        yield f"{process.rest_url}/v1/models/model"


ONE, TWO = {"x": [0.25, 0.5], "word": "a"}, {"x": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("method", "fields", "text"),
    [
        ("classify", {"examples": [ONE]}, '{\n    "results": [[["a", 0.25], ["a", 0.5]]\n    ]\n}'),
        (
            "classify",
            {"examples": [ONE, TWO], "signature_name": "scored"},
            '{\n    "results": [[["", 0.25], ["", 0.5]], [["", 1.0], ["", 2.0]]\n    ]\n}',
        ),
        ("regress", {"examples": [ONE, TWO], "signature_name": "summed"}, '{\n    "results": [0.75, 3.0]\n}'),
        (
            "classify",
            {"examples": [TWO], "context": {"word": {"b64": "Yg=="}}},
            '{\n    "results": [[["b", 1.0], ["b", 2.0]]\n    ]\n}',
        ),
    ],
)
def test_examples_are_answered(method: str, fields: dict[str, Any], text: str, url: str) -> None:
    response = httpx.post(f"{url}:{method}", json=fields)
    assert (response.status_code, response.text) == (200, text)


@pytest.mark.parametrize(
    ("method", "fields", "message"),
    [
        ("classify", {}, "When method is classify, key 'examples' is expected and was not found"),
        ("regress", {"instances": [ONE]}, "When method is classify, key 'examples' is expected and was not found"),
        ("classify", {"examples": ONE}, "Expecting 'examples' value to be an list/array"),
        ("classify", {"examples": []}, "'examples' value is an empty array"),
        ("classify", {"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ("classify", {"examples": [ONE], "context": None}, "Example must be JSON object but got JSON Null"),
        ("classify", {"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ("classify", {"examples": [{"x": [[1.5]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ("classify", {"examples": [{"x": {"y": 1}}]}, "Feature: x has element with unexpected JSON type: Object"),
        ("classify", {"examples": [{"x": [1.5, 2]}]}, "Unexpected element type in feature: x expecting type: float"),
        ("classify", {"examples": [{"x": [True, "a"]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ("classify", {"examples": [{"x": 2**63}]}, "Feature: x has uint64_t element. Only int64_t is supported."),
        ("classify", {"examples": [{"x": {"b64": "?"}}]}, "Unable to base64 decode"),
        ("classify", {"examples": [ONE], "signature_name": "x"}, "No signature was found with the name: x"),
        ("classify", {"examples": [ONE], "signature_name": 1}, "'signature_name' key must be a string value."),
        ("classify", {"examples": [ONE], "signature_name": "predict"}, "No classification inputs found in Signature"),
        ("classify", {"examples": [ONE], "signature_name": "summed"}, "at least one of \"classes\" or \"scores\"."),
        ("regress", {"examples": [ONE], "signature_name": "predict"}, "No regression inputs found in SignatureDef: "),
        ("regress", {"examples": [ONE]}, "Expected one output Tensor."),
        ("regress", {"examples": [ONE], "signature_name": "scored"}, "No regression outputs found in SignatureDef: "),
        ("regress", {"examples": [ONE], "signature_name": "wide"}, "either [batch_size] or [batch_size, 1] but got [1"),
        ("classify", {"examples": [{"word": "a"}]}, "Name: <unknown>, Feature: x (data type: float) is required"),
        ("classify", {"examples": [ONE], "signature_name": "numbers"}, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused(method: str, fields: dict[str, Any], message: str, url: str) -> None:
    response = httpx.post(f"{url}:{method}", json=fields)
    assert answers(response, 400, message), response.text
