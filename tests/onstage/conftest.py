"""What is dear to make and that tests of several folders look at."""

from pathlib import Path

import pytest

from tests.onstage.once import once


@pytest.fixture(scope="session")
def iris(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training of the default project leaves: `model`, as model.tar.gz holds it, `checkpoints` and `logs`."""

    def train_model(folder: Path) -> None:
        from trainer import model
        from trainer.run import Run
        from trainer.training import train

        data = project / "data"
        folders = (str(folder / name) for name in ("model/1", "checkpoints", "logs"))
        train(Run(model.Hyperparameters(epochs=2), str(data / "train"), str(data / "eval"), *folders))

    return once(tmp_path_factory, "iris", train_model)
