"""What is dear to make and that tests of several folders look at; a folder to write to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.onstage.models import export_all
from tests.onstage.once import once


@pytest.fixture(scope="session")
def iris(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What model.tar.gz holds after a training of the default project."""

    def train_model(folder: Path) -> None:
        from trainer import model
        from trainer.run import Run
        from trainer.training import train

        data, rest = project / "data", tmp_path_factory.mktemp("iris")
        folders = (str(place) for place in (folder / "model" / "1", rest / "checkpoints", rest / "logs"))
        train(
            Run(model.Hyperparameters(epochs=10, learning_rate=0.01), str(data / "train"), str(data / "eval"), *folders)
        )

    return once(tmp_path_factory, "iris", train_model)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small hand-made models: name to base path, with version 1."""
    return {path.name: path for path in once(tmp_path_factory, "exports", export_all).iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The working directory, an empty folder beside which a file lies."""
    (tmp_path / "beside").write_text("mine", encoding="utf-8")
    (tmp_path / "here").mkdir()
    yield tmp_path / "here"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beside", "here"]
    assert (tmp_path / "beside").read_text(encoding="utf-8") == "mine"
