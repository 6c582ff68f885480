"""The model server takes and refuses the bodies of `predict` as TensorFlow Serving does, in its words."""

import json
from pathlib import Path

import pytest

from tests.onstage.serving.asking import NAMED, ROW, Ask, answers


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
        ("float32", "[1, -2.5, 16777216, 3e38]", "1e309", "JSON Parse error: Number too big to be stored in double."),
        ("float32", "[1e-45, 16777217]", "9" + "0" * 309, "Number too big to be stored in double. at offset: "),
        ("float32", "[18446744073709551616]", "+1", "JSON Parse error: Invalid value."),
        ("float32", "[0.2]", '"0.2"', 'JSON Value: "0.2" Type: String is not of expected type: float'),
        ("float32", "[1]", "true", "JSON Value: true Type: True is not of expected type: float"),
        ("float32", "[1]", "null", "JSON Value: null Type: Null is not of expected type: float"),
        ("float32", "[1]", "1e400", "Number too big to be stored in double"),
        ("float64", "[9007199254740993]", "1.", "Miss fraction part in number. at offset: "),
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
    assert text == '{\n    "predictions": [0.2, 0.333333343, 16777215.0, 9.99995e-41, 0.0, -0.0, 123456.703\n    ]\n}'
    assert "[0.2, 0.33333333333333331\n    ]" in ask("types", signature_name="float64", instances=[0.2, 1 / 3]).text


def test_nan_and_infinity_go_in_and_come_out_bare(ask: Ask) -> None:
    body = '{"signature_name": "float32", "instances": [NaN, Infinity, -Infinity]}'
    response = ask("types", body)
    assert response.text == '{\n    "predictions": [NaN, Infinity, -Infinity\n    ]\n}'
    answer = ask("shapes", signature_name="ratio", inputs={"x": [0, 1], "y": [0, 0]})
    assert (answer.status_code, answer.text) == (200, '{\n    "outputs": [\n        NaN,\n        Infinity\n    ]\n}')
    assert answers(ask("iris", '{"instances": [[1, 2, NaN, 4]]}'), 400, "petal_length must be a finite number")
    assert answers(ask("types", '{"instances": [nan]}'), 400, "JSON Parse error: Invalid value. at offset: 16")


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
    assert (
        ask("types", signature_name="string", instances=[{"b64": "/w=="}]).content
        == b'{\n    "predictions": ["\xff"\n    ]\n}'
    )


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("iris", "", "JSON Parse error: The document is empty"),
        ("iris", '{"instances": [', "JSON Parse error: Invalid value. at offset: 15"),
        ("iris", '{"inputs": ' + "[" * 100_000, "JSON Parse error: "),
        ("iris", "[[1, 2, 3, 4]]", "JSON Value: [[1, 2, 3, 4]] Is not object"),
        ("iris", "{}", "Missing 'inputs' or 'instances' key"),
        ("iris", '{"instances": [1], "inputs": [1]}', "expecting only one of 'inputs' or 'instances' keys to exist"),
        ("iris", '{"instances": []}', "No values in 'instances' array"),
        ("iris", '{"instances": {"features": 1}}', "Expecting 'instances' to be an list/array"),
        ("iris", '{"signature_name": 1, "instances": [1]}', "'signature_name' key must be a string value"),
        ("iris", '{"signature_name": "x", "instances": [1]}', 'Serving signature name: "x" not found in signature def'),
        ("iris", '{"signature_name": "__saved_model_init_op", "inputs": 1}', "input map for signature: __saved"),
        ("iris", '{"instances": [[1, 2, 3, 4], [1, 2]]}', "Expecting tensor size: 4 but got: 2"),
        ("iris", '{"instances": [[1, 2, 3, "a"]]}', "element: 0 of 'instances' list. Error: INVALID"),
        ("iris", '{"instances": [[1, 2, 3]]}', "[1,3] is not compatible with expected shape [?,4]"),
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
