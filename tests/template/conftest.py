"""The default project's trainer in this process: tables to read, a training, and the models that trainings left."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake, Command, copy_repository

# A training of the default project, which the package's tests look at, too.
from tests.onstage.conftest import iris as trained  # noqa: F401
from tests.onstage.once import once

Prepare = Callable[..., Any]
Train = Callable[..., Any]


@pytest.fixture(scope="session")
def columns(project: Path) -> Any:
    from trainer import columns

    return columns


@pytest.fixture
def prepare(project: Path, tmp_path: Path) -> Prepare:
    """A CsvReader over a table and the text of its training file (and evaluation file), prepared."""
    from trainer.data import CsvReader

    def run(table: Any, train: str | bytes, evaluation: str | bytes | None = None) -> Any:
        files = []
        for name, text in (("train", train), ("eval", train if evaluation is None else evaluation)):
            files.append(tmp_path / f"{name}.csv")
            files[-1].write_bytes(text.encode() if isinstance(text, str) else text)
        reader = CsvReader(table)
        reader.prepare(*(str(file) for file in files))
        return reader

    return run


@pytest.fixture
def simple(columns: Any) -> Any:
    return columns.Table(
        [columns.Numeric("x"), columns.Categorical("c", ["a", "b"]), columns.Classes("y", ["no", "yes"])]
    )


@pytest.fixture
def model(project: Path) -> Any:
    from trainer import model

    return model


@pytest.fixture
def make_run(project: Path, tmp_path: Path) -> Callable[..., Any]:
    """A Run over the project's data into `tmp_path`, with these hyperparameters."""
    from trainer import model
    from trainer.run import Run

    def make(folder: Path | None = None, data: Path | None = None, **hyperparameters: object) -> Any:
        base, data = folder or tmp_path / "job", data or project / "data"
        return Run(
            model.Hyperparameters(**hyperparameters),
            train_data=str(data / "train"),
            eval_data=str(data / "eval"),
            export_dir=str(base / "model" / "1"),
            checkpoint_dir=str(base / "checkpoints"),
            log_dir=str(base / "logs"),
        )

    return make


@pytest.fixture
def train(make_run: Callable[..., Any]) -> Train:
    from trainer.training import train

    return lambda **options: train(make_run(**options))


def use_model(project: Path, patch: pytest.MonkeyPatch) -> Path:
    """Put the model.py of another project in the place of the default one; its data."""
    from trainer import model

    spec = importlib.util.spec_from_file_location("another_model", project / "src" / "trainer" / "model.py")
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    for name in ("DATA", "OBJECTIVE", "Hyperparameters", "build_model"):
        patch.setattr(model, name, getattr(module, name))
    return project / "data"


def use_table(columns: list, patch: pytest.MonkeyPatch) -> None:
    """A model of these columns, which become one-hot or numbers, and the target y, "a" or "b"."""
    import keras

    from trainer import model
    from trainer.columns import Classes, Table

    def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        hidden = keras.layers.Dense(8)(keras.layers.Concatenate()(list(inputs.values())))
        network = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden))
        network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
        return network

    patch.setattr(model, "DATA", Table([*columns, Classes("y", ["a", "b"])]))
    patch.setattr(model, "build_model", build_model)


@pytest.fixture
def regression(bake: Bake, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The regression project's model in place of the default one; the fixture is its data."""
    return use_model(bake(problem="regression"), monkeypatch)


@pytest.fixture(scope="session")
def iris(trained: Path) -> Path:  # noqa: F811 - the fixture imported above
    """The default project's model, as TensorFlow Serving loads it."""
    return trained / "model" / "1"


@pytest.fixture(scope="session")
def penguins(bake: Bake, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The regression project's model: numbers, categories and missing values."""

    def train_model(folder: Path) -> None:
        from trainer import model
        from trainer.run import Run
        from trainer.training import train

        with pytest.MonkeyPatch.context() as patch:
            data = use_model(bake(problem="regression"), patch)
            folders = (str(folder / name) for name in ("model/1", "checkpoints", "logs"))
            train(Run(model.Hyperparameters(epochs=3), str(data / "train"), str(data / "eval"), *folders))

    return once(tmp_path_factory, "penguins", train_model) / "model" / "1"


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """A copy of the repository in which `python start.py` ran; what it printed is in `said.txt` beside the copy."""

    def start(folder: Path) -> None:
        done = command(sys.executable, "start.py", cwd=copy_repository(folder / "repository"))
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "said.txt").write_text(done.stdout, encoding="utf-8")

    return once(tmp_path_factory, "started", start) / "repository"


@pytest.fixture(scope="session")
def project_python(started: Path) -> Path:
    """The interpreter of an environment with the default project's requirements.txt and nothing else."""
    folder = started / "build" / "iris_classifier-venv"
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture
def ask(project: Path) -> Callable[..., Any]:
    """One request to the model in a folder, through the project's own predictor."""
    from trainer.export import Predictor

    def run(folder: Path, *instances: object, signature: str | None = None) -> list:
        request: dict[str, object] = {"instances": list(instances)}
        named = {"signature_name": signature} if signature else {}
        return Predictor(str(folder)).predict(request | named)["predictions"]

    return run


def weights(folder: str) -> list:
    """All weights of an export. Sorted by value, because Keras numbers them in another order each time."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(f"{folder}/variables/variables")
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return sorted((reader.get_tensor(name).tolist() for name in names), key=repr)
