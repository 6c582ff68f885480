"""`onstage rehearse sagemaker --kill`: what of a model is not in its checkpoint, and what is."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import MODEL, Mistake, add, both, change, failed, rehearse, some_long

HIDDEN = "    hidden = joined(DATA, inputs)\n"
KILL = ("--select", "sagemaker.kill")
KILLED = "killed in epoch 2 after step 5 of 8"
MISTAKES = [
    Mistake(
        "noise without a seed generator", "kill",
        both(
            change(MODEL, "import keras\n", "import keras\nimport tensorflow as tf\n"),
            change(MODEL, HIDDEN, f"{HIDDEN}    hidden = Noise()(hidden)\n"),
            add(MODEL, """

class Noise(keras.layers.Layer):
    def call(self, inputs, training=False):
        return inputs + 0.1 * tf.random.normal(tf.shape(inputs)) if training else inputs
"""),
        ),
        [f"{KILLED} and started again, the job ends with other weights than an undisturbed one: ",
         "draw random numbers with keras.random and a SeedGenerator of the layer"], KILL,
    ),
    Mistake(
        "a callback that remembers weights", "kill",
        add(MODEL, """

class Mean(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        now = self.model.get_weights()
        if epoch:
            self.model.set_weights([(one + other) / 2 for one, other in zip(self.before, now)])
        self.before = now


def callbacks():
    return [Mean()]
"""),
        ["the job ends with other weights than an undisturbed one",
         "let what a callback does follow from the epochs that it is shown, in src/trainer/model.py"], KILL,
    ),
    Mistake(
        "a model that takes the checkpoints away", "kill",
        change(MODEL, HIDDEN, "    import os\n    import shutil\n\n"
               "    base = os.environ.get('SAGEMAKER_BASE_DIR', '.')\n"
               f"    shutil.rmtree(base + '/checkpoints', ignore_errors=True)\n{HIDDEN}"),
        [f"{KILLED}, the job did not go on from its checkpoint of step 4",
         "let CheckpointConfig.LocalPath be where the trainer saves, /opt/ml/checkpoints, and let nothing del"], KILL,
    ),
]  # fmt: skip


@pytest.fixture
def copy(bake: Bake, tmp_path: Path) -> Path:
    shutil.copytree(bake(platform="sagemaker"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


@pytest.mark.long
@pytest.mark.parametrize("mistake", some_long(MISTAKES, "noise without a seed generator"))
def test_what_is_not_in_a_checkpoint_is_found_by_a_kill(mistake: Mistake, copy: Path) -> None:
    report, said = rehearse(mistake, copy)
    assert failed(report) == {"kill"}, said


@pytest.mark.long
def test_what_a_checkpoint_holds_is_right(copy: Path) -> None:
    """Dropout, patience, a callback that is shown epochs, noise of Keras' own, another time between checkpoints."""
    change(MODEL, HIDDEN, f"{HIDDEN}    hidden = keras.layers.GaussianNoise(0.1)(hidden)\n")(copy)
    plateau = 'keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, min_delta=9.0)'
    add(MODEL, f"\n\ndef callbacks():\n    return [{plateau}]")(copy)
    change("settings.toml", "max_runtime = 3600", "max_runtime = 3600\ncheckpoint_seconds = 7")(copy)
    flags = ("--dropout", "0.3", "--patience", "3", "--epochs", "3")
    ended = onstage("rehearse", "sagemaker", "--kill", *flags, "--json", copy / "report.json", cwd=copy)
    assert ended.code == 0, ended.said
    details = {one["id"]: one["detail"] for one in json.loads((copy / "report.json").read_text("utf-8"))["checks"]}
    said = (
        f"{KILLED}, it went on from step 4, to the same weights; the service's SIGTERM does not reach the script, and "
    )
    assert details["sagemaker.kill"] == f"{said}an interruption loses at most 7 s of training (checkpoint_seconds)"
