"""predict.py answers what an endpoint would answer, and refuses in one line what it cannot."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Bake, Command


@pytest.mark.parametrize(
    ("instances", "signature", "message"),
    [
        ([], None, "at least one row"),
        ([[1, 2, 3]], None, r"input 'features' takes float32 of shape \[None, 4\] .*, not \[\[1, 2, 3\]\]"),
        ([[1, 2, 3, 4], [1, 2]], None, "the rows differ in length"),
        ([["a", "b", "c", "d"]], None, "takes float32"),
        ([[True, 1, 2, 3.0]], "named", "a row is an object with the inputs"),
        (
            [{"sepal_length": 1}],
            "named",
            "missing: .'petal_length', 'petal_width', 'sepal_width'., not known: ..",
        ),
        ([[1, 2, 3, 4]], "other", "there is no signature 'other'; the model has .'named', 'serving_default'."),
    ],
)
def test_a_wrong_request_is_answered_with_what_the_signature_takes(
    instances: list, signature: str | None, message: str, iris: Path, ask: Callable
) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match=message):
        ask(iris, *instances, signature=signature)


def test_predict_answers_a_request_from_a_file_and_from_standard_input(
    project: Path, iris: Path, tmp_path: Path, command: Command
) -> None:
    request = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
    (tmp_path / "request.json").write_text(json.dumps(request))
    for source, options in ((tmp_path / "request.json", {}), ("-", {"input": json.dumps(request)})):
        done = command(sys.executable, project / "predict.py", source, iris, cwd=tmp_path, **options)
        assert done.returncode == 0, done.stderr
        shown, answer = done.stdout.splitlines()
        assert json.loads(shown.removeprefix("request: ")) == request
        assert json.loads(answer.removeprefix("response: "))["predictions"][0]["class_label"] == "setosa"
        assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "stdin", "code", "message"),
    [
        (["-"], "no json", 2, "no request in -: "),
        (["-"], "[1]", 2, 'a request is an object: {"instances": [one row, ...]}'),
        (["nowhere.json"], "", 2, "no request in nowhere.json: "),
        ([], "", 2, "there is no trained model in runs/; train one: python {project}/train.py"),
        (["a", "b", "c"], "", 2, "usage: python predict.py"),
        (["--model", "x"], "", 2, "usage: python predict.py"),
        (["-", "."], '{"instances": [[1]]}', 1, ". holds no model that TensorFlow Serving can load"),
    ],
)
def test_predict_refuses_what_it_cannot_answer_in_one_line(
    words: list[str], stdin: str, code: int, message: str, bake: Bake, iris: Path, tmp_path: Path, command: Command
) -> None:
    words = [*words, str(iris)] if words == ["-"] or words == ["nowhere.json"] else words
    project = bake(ci="none")
    done = command(sys.executable, project / "predict.py", *words, cwd=tmp_path, input=stdin)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert message.replace("{project}", os.path.relpath(project, tmp_path)) in done.stderr
    assert "Traceback" not in done.stderr
