"""What cannot be trained is refused: in one line, with its place, before the first step where that can be known."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onstage import errors
from tests.conftest import Bake, Command
from tests.template.conftest import Train


def test_a_loss_that_is_not_finite_stops_the_training(train: Train, regression: Path, tmp_path: Path) -> None:
    from trainer.run import UserError

    with pytest.raises(
        UserError, match=r"loss is (nan|inf) after epoch \d+: the training diverged; try --learning-rate 0.01"
    ):
        train(data=regression, learning_rate=1e30)
    assert not (tmp_path / "job" / "model").exists()


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [({"epochs": 0}, "epochs must be a whole number, 1 or more, not 0"), ({"batch_size": -1}, "batch_size must be"),
     ({"seed": -1}, "seed must be a whole number, 0 or more")],
)  # fmt: skip
def test_hyperparameters_that_cannot_train_are_refused(hyperparameters: dict, message: str, train: Train) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match=message):
        train(**hyperparameters)


def test_a_mistake_in_model_py_is_named_before_the_first_step(
    train: Train, model: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import keras

    from trainer.run import Objective, UserError

    def network(units: int, compiled: bool = True) -> Callable[..., keras.Model]:
        def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
            made = keras.Model(inputs, keras.layers.Dense(units)(keras.layers.Concatenate()(list(inputs.values()))))
            if compiled:
                made.compile("sgd", "sparse_categorical_crossentropy")
            return made

        return build_model

    for build, message in (
        (network(2), r"the model's output has the shape .'batch', 2., not .batch, 3.: one probability for each label"),
        (network(3), "the model's output is no probability; end in softmax, or in sigmoid where there is one unit"),
        (network(3, compiled=False), "build_model must compile its model with an optimizer and a loss"),
        (lambda hyperparameters, inputs: None, "build_model must return a keras.Model, not NoneType"),
    ):
        monkeypatch.setattr(model, "build_model", build)
        with pytest.raises(UserError, match=message):
            train(epochs=1)
    monkeypatch.undo()
    monkeypatch.setattr(model, "OBJECTIVE", Objective("val_acc", "maximize"))
    with pytest.raises(UserError, match="OBJECTIVE names 'val_acc'; the metrics are loss, val_loss, val_accuracy"):
        train(epochs=1)
    assert "epoch=" not in capsys.readouterr().out


@pytest.fixture
def train_with(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """train.py, in this process, over another text of model.py; its exit code."""
    import train
    import trainer.training

    def run(text: str) -> int:
        (tmp_path / "model.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(trainer, "__path__", [str(tmp_path), *trainer.__path__])
        # Both are imported anew, the latter because it holds the former.
        for name in ("model", "training"):
            monkeypatch.delitem(sys.modules, f"trainer.{name}")
            monkeypatch.delattr(trainer, name)
        return errors.main(lambda: train.run(["--epochs", "1", "--job-dir", str(tmp_path / "job")]))

    return run


SLIPS = [
    ("hidden = joined(", 'x = inputs["petal"]; hidden = joined(',
     r"model.py, line \d+: KeyError: 'petal'. build_model gets the inputs .'sepal_length', "),
    ("sparse_categorical_crossentropy", "categorical_crossentropy",
     "model.py: .*The loss and the metrics must fit the target and the output of build_model"),
    ("sparse_categorical_crossentropy", "sparse_crossentropy", "model.py: .*sparse_crossentropy"),
    ("keras.Model(inputs, keras", "keras.Model(keras.Input((4,)), keras", "model.py.*build_model gets the inputs"),
    ("@dataclass(frozen=True)", "", "model.py: Hyperparameters must be a dataclass: write @dataclass"),
    ("OBJECTIVE =", "OBJECT =", "model.py has no OBJECTIVE"),
    ('Numeric("sepal_length"),', 'Numeric("sepal_length")', r"model.py, line \d+: SyntaxError: "),
    ("from trainer.columns import Classes, ", "from trainer.columns import ", r"model.py, line \d+: NameError: "),
]  # fmt: skip


def with_slip(project: Path, old: str, new: str) -> str:
    text = (project / "src" / "trainer" / "model.py").read_text(encoding="utf-8")
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(("old", "new", "message"), SLIPS)
def test_a_slip_in_model_py_is_one_line_with_its_place(
    old: str, new: str, message: str, project: Path, train_with: Callable[[str], int], capsys: pytest.CaptureFixture
) -> None:
    assert train_with(with_slip(project, old, new)) == 1
    said = capsys.readouterr().err
    assert re.search(f"^error: {message}", said, re.MULTILINE), said
    assert "Traceback" not in said


def test_a_model_without_slips_trains(project: Path, train_with: Callable[[str], int]) -> None:
    assert train_with(with_slip(project, "epochs: int = 40", "epochs: int = 41")) == 0


def test_a_slip_ends_the_process_in_one_line(bake: Bake, tmp_path: Path, command: Command) -> None:
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    old, new, message = SLIPS[-2]
    (project / "src" / "trainer" / "model.py").write_text(with_slip(bake(), old, new), encoding="utf-8")
    done = command(sys.executable, "train.py", "--epochs", "1", cwd=project)
    assert done.returncode == 1
    assert re.match(f"error: {message}", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
