"""predict.py answers what an endpoint would answer, and refuses in one line what it cannot."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onstage import errors
from tests.conftest import Bake, Command


@pytest.mark.parametrize(
    ("instances", "signature", "message"),
    [
        ([], None, "at least one row"),
        ([[1, 3]], None, r"input 'features' takes float32 of shape \[None, 4\] .*, not \[\[1, 3\]\]"),
        ([[1, 3, 4], [1, 2]], None, "the rows differ in length"),
        ([["a", "b", "c", "d"]], None, "takes float32"),
        ([[True, 1, 3.0]], "named", "a row is an object with the inputs"),
        (
            [{"sepal_length": 1}],
            "named",
            "missing: .'petal_length', 'petal_width', 'sepal_width'., not known: ..",
        ),
        ([[1, 3, 4]], "other", "there is no signature 'other'; the model has .'named', 'serving_default'."),
    ],
)
def test_a_wrong_request_is_answered_with_what_the_signature_takes(
    instances: list, signature: str | None, message: str, iris: Path, ask: Callable
) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match=message):
        ask(iris, *instances, signature=signature)


REQUEST = {"instances": [[5.1, 3.5, 1.4, 0.2]]}


def assert_setosa(printed: str) -> None:
    shown, answer = printed.splitlines()
    assert json.loads(shown.removeprefix("request: ")) == REQUEST
    assert json.loads(answer.removeprefix("response: "))["predictions"][0]["class_label"] == "setosa"


def test_predict_answers_a_request_from_standard_input(
    project: Path, iris: Path, tmp_path: Path, command: Command
) -> None:
    done = command(sys.executable, project / "predict.py", "-", iris, cwd=tmp_path, input=json.dumps(REQUEST))
    assert done.returncode == 0, done.stderr
    assert_setosa(done.stdout)
    assert done.stderr == ""


def test_predict_answers_a_request_from_a_file(
    project: Path, iris: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    import predict

    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    assert errors.main(lambda: predict.run([str(tmp_path / "request.json"), str(iris)])) == 0
    assert_setosa(capsys.readouterr().out)


def test_predict_refuses_a_folder_without_a_model_in_one_line(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    import predict

    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    assert errors.main(lambda: predict.run([str(tmp_path / "request.json"), str(tmp_path)])) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {tmp_path} holds no model that TensorFlow Serving can load")


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["-"], "no json", "no request in -: "),
        (["-"], "[1]", 'a request is an object: {"instances": [one row, ...]}'),
        (["nowhere.json"], "", "no request in nowhere.json: "),
        ([], "", "there is no trained model in runs/; train one: python {project}/train.py"),
        (["a", "b", "c"], "", "usage: python predict.py"),
        (["--model", "x"], "", "usage: python predict.py"),
    ],
)
def test_predict_refuses_what_it_cannot_answer_in_one_line(
    words: list[str], stdin: str, message: str, bake: Bake, iris: Path, tmp_path: Path, command: Command
) -> None:
    words = [*words, str(iris)] if words == ["-"] or words == ["nowhere.json"] else words
    project = bake(ci="none")
    done = command(sys.executable, project / "predict.py", *words, cwd=tmp_path, input=stdin)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message.replace("{project}", os.path.relpath(project, tmp_path)) in done.stderr
    assert "Traceback" not in done.stderr
