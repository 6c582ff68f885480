"""What is exported is what TensorFlow Serving needs: its loader, its names, its request forms, its refusals."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command
from tests.template.cpp_loader import error_of

FRESH = """
import json, sys
sys.modules["keras"] = None  # an import of Keras fails, as in TensorFlow Serving, which has no Python at all
import numpy as np, tensorflow as tf
folder, name, values = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    loaded = tf.compat.v1.saved_model.load(session, ["serve"], folder)
    signature = loaded.signature_def[name]
    feeds = {signature.inputs[key].name: np.array(value) for key, value in values.items()}
    answers = session.run({key: tensor.name for key, tensor in signature.outputs.items()}, feeds)
print(json.dumps({key: [v.decode() if isinstance(v, bytes) else v for v in a.tolist()] for key, a in answers.items()}))
"""


def described(folder: Path) -> dict[str, tuple[dict, dict]]:
    """Signature to (inputs, outputs), each name to (dtype, shape)."""
    import tensorflow as tf

    from trainer.export import Predictor

    def tensors(infos: Any) -> dict[str, tuple[str, list]]:
        shapes = {name: [size.size for size in info.tensor_shape.dim] for name, info in infos.items()}
        return {
            name: (tf.as_dtype(infos[name].dtype).name, [None if size < 0 else size for size in shape])
            for name, shape in shapes.items()
        }

    return {
        name: (tensors(signature.inputs), tensors(signature.outputs))
        for name, signature in Predictor(str(folder)).signatures.items()
    }


def test_a_model_of_numbers_takes_lists_and_by_name_objects(iris: Path) -> None:
    outputs = {
        "class_id": ("int64", [None]),
        "class_label": ("string", [None]),
        "probabilities": ("float32", [None, 3]),
    }
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    assert described(iris) == {
        "serving_default": ({"features": ("float32", [None, 4])}, outputs),
        "named": ({name: ("float32", [None]) for name in names}, outputs),
    }


def test_a_model_with_texts_takes_objects(penguins: Path) -> None:
    inputs = {name: ("float32", [None]) for name in ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "year")}
    inputs |= {name: ("string", [None]) for name in ("species", "island", "sex")}
    expected = (inputs, {"value": ("float32", [None])})
    assert described(penguins) == {"serving_default": expected, "named": expected}


def test_the_cpp_loader_of_tensorflow_serving_loads_and_answers(project: Path, iris: Path, penguins: Path) -> None:
    import numpy as np

    from trainer.export import Predictor

    signature = Predictor(str(iris)).signatures["serving_default"]
    feed = (signature.inputs["features"].name, np.float32([[5.1, 3.5, 1.4, 0.2]]))
    assert error_of(str(iris), feed, signature.outputs["probabilities"].name) == ""
    refused = error_of(str(iris), (feed[0], feed[1] * np.nan), signature.outputs["probabilities"].name)
    assert "sepal_length must be a finite number" in refused
    assert error_of(str(penguins)) == ""


def test_an_export_that_only_python_can_serve_is_refused(project: Path, tmp_path: Path) -> None:
    """`tf.saved_model.save` of what holds a Keras 3 model: Python serves it, TensorFlow Serving cannot."""
    import keras
    import numpy as np
    import tensorflow as tf

    from trainer.export import Predictor
    from trainer.run import UserError

    class Wrapped(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": self.model(x)}

    module, folder = Wrapped(), str(tmp_path / "1")
    tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})
    assert tf.saved_model.load(folder).signatures["serving_default"](x=tf.ones([1, 2]))["y"].shape == (1, 1)
    predictor = Predictor(folder)
    signature = predictor.signatures["serving_default"]
    said = error_of(folder, (signature.inputs["x"].name, np.ones((1, 2), "float32")), signature.outputs["y"].name)
    assert "Could not find variable" in said
    with pytest.raises(UserError, match="Could not find variable"):
        predictor.predict({"instances": [[1.0, 2.0]]})


@pytest.mark.long
def test_a_process_without_keras_and_the_project_gives_the_same_answers(
    iris: Path, ask: Callable, tmp_path: Path, command: Command
) -> None:
    row = [5.1, 3.5, 1.4, 0.2]
    done = command(
        sys.executable, "-I", "-c", FRESH, iris, "serving_default", json.dumps({"features": [row]}), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    fresh = json.loads(done.stdout)
    (here,) = ask(iris, row)
    assert fresh["class_label"] == [here["class_label"]]
    assert fresh["probabilities"][0] == pytest.approx(here["probabilities"], abs=1e-6)


def test_lists_and_objects_get_the_same_answer(iris: Path, ask: Callable) -> None:
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    rows = [[5, 3.5, 1.4, 0.2], [6.5, 3.0, 5.2, 2.0]]
    as_objects = [dict(zip(names, row, strict=True)) for row in rows]
    assert ask(iris, *rows) == ask(iris, *as_objects, signature="named")
    assert [answer["class_label"] for answer in ask(iris, *rows)] == ["setosa", "virginica"]


def container_rows(body: str, content_type: str) -> dict:
    """What SageMaker's TensorFlow Serving container makes of a body (contracts: its tensorflowServing.js)."""
    if content_type == "text/csv":
        return {"instances": [[json.loads(field) for field in line.split(",")] for line in body.splitlines()]}
    if content_type == "application/jsonlines":
        return {"instances": [json.loads(line) for line in body.splitlines()]}
    value = json.loads(body)
    if isinstance(value, dict) and {"instances", "inputs"} & set(value):
        return value
    return {"instances": value if isinstance(value, list) and isinstance(value[0], list) else [value]}


ROW = {"species": "Adelie", "island": "Dream", "bill_length_mm": 44.0, "bill_depth_mm": 18.8,
       "flipper_length_mm": 190, "sex": "male", "year": 2008}  # fmt: skip


FORMS = [
    ("iris", "text/csv", "5.1,3.5,1.4,0.2\n6.5,3,5.2,2", 2),
    ("iris", "application/jsonlines", "[5.1, 3.5, 1.4, 0.2]\n[6.5, 3, 5.2, 2]", 2),
    ("iris", "application/json", "[[5.1, 3.5, 1.4, 0.2], [6.5, 3, 5.2, 2]]", 2),
    ("iris", "application/json", "[5.1, 3.5, 1.4, 0.2]", 1),
    ("iris", "application/json", '{"inputs": [[5.1, 3.5, 1.4, 0.2], [6.5, 3, 5.2, 2]]}', 2),
    ("penguins", "application/jsonlines", json.dumps(ROW) + "\n" + json.dumps(ROW), 2),
    ("penguins", "application/json", json.dumps(ROW), 1),
    ("penguins", "application/json", json.dumps({"instances": [ROW, ROW]}), 2),
    ("penguins", "application/json", json.dumps({"inputs": {key: [value] * 2 for key, value in ROW.items()}}), 2),
]


@pytest.mark.parametrize(("model", "content_type", "body", "rows"), FORMS)
def test_every_form_of_a_sagemaker_request_fits_the_default_signature(
    model: str, content_type: str, body: str, rows: int, iris: Path, penguins: Path, ask: Callable
) -> None:
    folder = {"iris": iris, "penguins": penguins}[model]
    request = container_rows(body, content_type)
    if columns := request.get("inputs"):
        # Columns are rows turned round; a signature with one input takes them without its name.
        turned = zip(*columns.values(), strict=True) if isinstance(columns, dict) else columns
        instances = [dict(zip(columns, row, strict=True)) if isinstance(columns, dict) else row for row in turned]
    else:
        instances = request["instances"]
    answers = ask(folder, *instances)
    assert len(answers) == rows
    assert answers[0]["class_label"] == "setosa" if model == "iris" else 2000 < answers[0] < 7000


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused_in_the_graph(bad: float, iris: Path, ask: Callable) -> None:
    from trainer.run import UserError

    assert len(ask(iris, [5.1, 3.5, 1.4, 0.2])) == 1
    with pytest.raises(UserError, match="petal_length must be a finite number"):
        ask(iris, [5.1, 3.5, bad, 0.2])


def test_a_prediction_that_is_not_finite_is_refused(iris: Path, ask: Callable) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match="the prediction is not finite"):
        ask(iris, [3e38, 3e38, -3e38, 3e38])


def test_a_missing_value_means_the_stated_default(penguins: Path, ask: Callable) -> None:
    from trainer.run import UserError

    row = {"species": "Adelie", "island": "Dream", "bill_length_mm": 44.0, "bill_depth_mm": 18.8,
           "flipper_length_mm": 190, "sex": "unknown", "year": 2008}  # fmt: skip
    assert ask(penguins, row) == ask(penguins, row | {"bill_length_mm": float("nan"), "sex": ""})
    assert ask(penguins, row) != ask(penguins, row | {"bill_length_mm": 30.0})
    assert ask(penguins, row | {"island": "Atlantis"}) == ask(penguins, row | {"island": "elsewhere"})
    with pytest.raises(UserError, match="year must be a finite number"):
        ask(penguins, row | {"year": float("nan")})


def test_whole_numbers_are_checked_in_the_graph(project: Path) -> None:
    import tensorflow as tf

    from trainer.columns import Categorical, Classes, Identity, Table
    from trainer.encoding import Encoder

    code = Categorical("c", [10, 20], missing=10)
    encoder = Encoder(Table([Identity("m", 3), code, Classes("y", ["a", "b"])]))
    signatures, _ = encoder.signatures(lambda features: features["m"][:, :2])
    packed = tf.function(signatures["serving_default"][0])
    assert packed(tf.constant([[1.0, 10.0]]))["class_label"].numpy().tolist() == [b"b"]
    assert packed(tf.constant([[1.0, float("nan")]]))["class_id"].numpy().tolist() == [1]
    for row, message in (
        ([1.5, 10.0], "m must be a whole number"),
        ([3.0, 10.0], "m must be between 0 and 2"),
        ([1.0, 2.0**24], "c must be a whole number below 2.24; use the signature named for a larger one"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            packed(tf.constant([row]))


def test_the_export_names_no_folder_of_this_machine(project: Path, iris: Path) -> None:
    files = [file for file in iris.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"saved_model.pb", "variables.index"}
    for file in files:
        content = file.read_bytes()
        for place in (project, iris, Path.home(), Path(sys.prefix)):
            assert str(place).encode() not in content, file
