"""The default project's trainer in this process: tables to read, a training, hosts that meet, models that are left."""

import importlib.util
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake, Command, copy_repository

# A training of the default project, which the package's tests look at, too.
from tests.onstage.conftest import iris as trained  # noqa: F401
from tests.onstage.once import once
from tests.template.hosts import both, free_ports

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


@pytest.fixture(scope="module")
def table(columns: Any) -> Callable[..., Any]:
    """A table of a number, a category and a label, with these settings."""

    def make(**settings: Any) -> Any:
        label = columns.Classes("y", ["no", "yes"])
        return columns.Table([columns.Numeric("x"), columns.Categorical("c", ["a", "b"]), label], **settings)

    return make


@pytest.fixture
def policy() -> Iterator[Callable[[str], None]]:
    import keras

    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


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


@pytest.fixture
def meet(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Start hosts of one cluster, each in a thread; returns what became of each: its Peers, or an error."""
    from trainer import cluster

    monkeypatch.setenv("TF_CONFIG", "")
    monkeypatch.setattr(cluster, "SECONDS_TO_MEET", 2.0)
    monkeypatch.setattr(cluster, "SECONDS_TO_END", 0.1)
    monkeypatch.setattr(cluster, "SECONDS_BETWEEN", 0.05)
    monkeypatch.setattr(cluster, "SECONDS_OF_SILENCE", 2.0)
    ports, begun = free_ports(3), []
    known = socket.getaddrinfo

    def resolve(name: str, port: int, *more: Any, **options: Any) -> Any:
        number = {"algo-1": 0, "algo-2": 1, "algo-3": 2}.get(name)
        return known(name, port, *more, **options) if number is None else known("127.0.0.1", ports[number], **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    def start(*indices: int, hosts: tuple[str, ...] = ("algo-1", "algo-2"), delay: float = 0) -> list[Any]:
        def join(place: int, index: int) -> Any:
            time.sleep(delay * place)
            try:
                ended: list[str] = []
                peers = cluster.Peers(cluster.Cluster(tuple((host, 2222) for host in hosts), index), ended.append)
            except cluster.UserError as error:
                return str(error)
            peers.ended = ended
            begun.append(peers)
            return peers

        return both(*(partial(join, *pair) for pair in enumerate(indices)))

    start.ports = ports
    yield start
    for one in begun:
        one.close()


def weights(folder: str) -> list:
    """All weights of an export. Sorted by value, because Keras numbers them in another order each time."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(f"{folder}/variables/variables")
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return sorted((reader.get_tensor(name).tolist() for name in names), key=repr)
