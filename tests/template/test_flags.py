"""Flags are generated from the hyperparameters; every platform's spelling is understood, all else is refused."""

import gc
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def run(project: Path) -> Any:
    from trainer import run

    return run


@pytest.fixture(scope="module")
def hyperparameters(run: Any) -> type:
    @dataclass(frozen=True)
    class Hyperparameters:
        epochs: int = 3
        learning_rate: float = run.tunable(0.1, low=1e-4, high=1.0, scale="log", help="the step, in %")
        shuffle: bool = True
        clip_norm: float | None = 1.0
        activation: str = run.tunable("relu", values=["relu", "tanh"])
        note: str = ""
        k: int = 1

    return Hyperparameters


def parse(run: Any, hyperparameters: type, *argv: str) -> Any:
    return run.parse_flags(hyperparameters, argv)[0]


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        ([], "epochs", 3),
        (["--epochs", "256.0"], "epochs", 256),
        (["--epochs=1e2"], "epochs", 100),
        (["--epochs", "9007199254740993"], "epochs", 9007199254740993),
        (["--learning-rate", "0.5"], "learning_rate", 0.5),
        (["--learning_rate", "0.5"], "learning_rate", 0.5),
        (["--learning_rate=5e-1"], "learning_rate", 0.5),
        (["--learning-rate", "-1e-5"], "learning_rate", -1e-5),
        (["--learning-rate", "0.5", "--learning_rate", "0.25"], "learning_rate", 0.25),
        (["--shuffle", "True"], "shuffle", True),
        (["--shuffle", "true"], "shuffle", True),
        (["--shuffle", "1"], "shuffle", True),
        (["--shuffle", "False"], "shuffle", False),
        (["--shuffle", "false"], "shuffle", False),
        (["--shuffle", "0"], "shuffle", False),
        (["--clip-norm", "2"], "clip_norm", 2.0),
        (["--clip-norm", "null"], "clip_norm", None),
        (["--clip-norm", "None"], "clip_norm", None),
        (["--clip-norm", ""], "clip_norm", None),
        (["--clip-norm="], "clip_norm", None),
        (["--activation", "tanh"], "activation", "tanh"),
        (["--note", "it's = a -- note\nof two lines"], "note", "it's = a -- note\nof two lines"),
        (["--note", "--epochs"], "note", "--epochs"),
        (["--note", "null"], "note", "null"),
        (["--note", "x" * 2500], "note", "x" * 2500),
        (["-k", "7"], "k", 7),
        (["--k", "7"], "k", 7),
    ],
)
def test_a_value_is_read_as_the_platforms_write_it(
    argv: list[str], name: str, value: object, run: Any, hyperparameters: type
) -> None:
    got = getattr(parse(run, hyperparameters, *argv), name)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--learnin-rate", "1"], "unknown flag --learnin-rate; did you mean --learning-rate? Known flags: --epochs, "),
        (["--learn", "1"], "unknown flag --learn"),
        (["--banana", "1"], "unknown flag --banana; Known flags: --epochs, --learning-rate, --shuffle"),
        (["stray"], "unknown flag stray"),
        (["--epochs", "0.5"], "--epochs: '0.5' is not a whole number"),
        (["--epochs", "many"], "--epochs: 'many' is not a whole number"),
        (["--epochs", ""], "--epochs: needs a value"),
        (["--epochs"], "--epochs: needs a value"),
        (["--epochs", "inf"], "--epochs: 'inf' is not a whole number"),
        (["--learning-rate", "nan"], "'nan' is not a finite number"),
        (["--learning-rate", "null"], "'null' is not a finite number"),
        (["--shuffle", "yes"], "--shuffle: 'yes' is not true or false"),
        (["--shuffle", "--epochs", "3"], "--shuffle: '--epochs' is not true or false"),
    ],
)
def test_a_wrong_flag_is_refused_by_name(argv: list[str], message: str, run: Any, hyperparameters: type) -> None:
    with pytest.raises(run.UserError) as refused:
        parse(run, hyperparameters, *argv)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "argv",
    [
        ["--model_dir", "None/job/model"],
        ["--model_dir", "s3://bucket/model"],
        ["--model-dir", "gs://bucket/model"],
        ["--job-dir", "gs://bucket/job"],
        ["--job_dir", ""],
        ["--_tuning_objective_metric", "val_accuracy"],
    ],
)
def test_the_flags_that_platforms_add_are_no_hyperparameters(argv: list[str], run: Any, hyperparameters: type) -> None:
    parsed, flags = run.parse_flags(hyperparameters, argv)
    assert parsed == hyperparameters()
    assert (
        flags[argv[0].strip("-").replace("-", "_") if "tuning" not in argv[0] else "_tuning_objective_metric"]
        == argv[1]
    )


def test_help_shows_every_flag_with_its_default(run: Any, hyperparameters: type, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(run, hyperparameters, "--help")
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "--learning-rate FLOAT" in said
    assert "the step, in % (default: 0.1)" in said
    assert "_tuning_objective_metric" not in said


def test_hyperparameters_may_refuse_values_themselves(run: Any) -> None:
    @dataclass(frozen=True)
    class Checked:
        depth: int = 1

        def __post_init__(self) -> None:
            if self.depth > 9:
                raise ValueError("depth is 9 at most")

    assert parse(run, Checked, "--depth", "9").depth == 9
    with pytest.raises(run.UserError, match="model.py refuses the hyperparameters: depth is 9 at most"):
        parse(run, Checked, "--depth", "10")


def test_a_hyperparameter_with_the_name_of_a_platforms_flag_is_refused(run: Any) -> None:
    @dataclass(frozen=True)
    class Taken:
        model_dir: str = ""

    @dataclass(frozen=True)
    class Help:
        help: str = ""

    with pytest.raises(run.UserError, match="a hyperparameter cannot be called 'help'"):
        parse(run, Help)
    with pytest.raises(run.UserError, match="a hyperparameter cannot be called 'model_dir'"):
        parse(run, Taken)


def test_a_hyperparameter_of_another_type_is_refused(run: Any) -> None:
    @dataclass(frozen=True)
    class Listed:
        layers: list = None

    with pytest.raises(run.UserError, match="layers must be a bool, int, float or str"):
        parse(run, Listed)


def test_an_objective_has_a_goal(run: Any) -> None:
    assert run.Objective("val_loss", "minimize").goal == "minimize"
    with pytest.raises(run.UserError, match="'maximize' or 'minimize', not 'Maximize'"):
        run.Objective("val_loss", "Maximize")


def test_a_users_mistake_is_one_line_and_a_bug_has_its_traceback(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def fail(error: Exception) -> int:
        def raising() -> None:
            raise error

        return run.main(raising, tmp_path / "output" / "failure")

    assert fail(run.UserError("no such column")) == 1
    assert capsys.readouterr().err == "error: no such column\n"
    assert fail(ZeroDivisionError("by zero")) == 1
    assert "Traceback" in capsys.readouterr().err
    written = (tmp_path / "output" / "failure").read_text(encoding="utf-8")
    assert written.startswith("ZeroDivisionError: by zero\n\nTraceback")
    assert run.main(lambda: None, tmp_path / "none") == 0
    assert not (tmp_path / "none").exists()


def test_locations_are_joined_for_folders_and_uris(run: Any) -> None:
    assert run.join("gs://bucket/base/", "model", "1") == "gs://bucket/base/model/1"
    assert run.join("/opt/ml", "model") == "/opt/ml/model"
    assert run.join("/", "model") == "/model"


def test_garbage_is_collected_again_when_model_py_is_there_and_when_it_cannot_be_imported(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trainer

    assert run.load_model().OBJECTIVE
    assert gc.isenabled()
    monkeypatch.delattr(trainer, "model")
    monkeypatch.setitem(sys.modules, "trainer.model", None)
    with pytest.raises(run.UserError):
        run.load_model()
    assert gc.isenabled()
