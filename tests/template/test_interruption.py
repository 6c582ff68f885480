"""A training that is killed, or told to end, in the middle of an epoch ends as one that nobody has disturbed."""

import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.template.conftest import Train, weights

# A checkpoint after every few steps, and a line for each.
SCRIPT = """
import os, sys
sys.path[:0] = ["src", "."]
from trainer import checkpoints, loop
loop.STEPS_PER_CALL = 7
save = checkpoints.Checkpoints.save_within
def watched(self, epoch, step, loss):
    print("tick", epoch, step, flush=True)
    save(self, epoch, step, loss)
checkpoints.Checkpoints.save_within = watched
from trainer import task
from trainer.run import main
sys.exit(main(lambda: task.run(sys.argv[1:], os.environ)))
"""
OPTIONS = {"epochs": 6, "batch_size": 2, "dropout": 0.3}
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
# Of the 54 of all epochs, so that there are some left.
TICKS = 40


@pytest.fixture(scope="module")
def undisturbed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from trainer import model
    from trainer.run import Run
    from trainer.training import train

    base = tmp_path_factory.mktemp("undisturbed")
    folders = (str(base / name) for name in ("model/1", "checkpoints", "logs"))
    data = (str(project / "data" / name) for name in ("train", "eval"))
    return train(Run(model.Hyperparameters(**OPTIONS), *data, *folders))


def start(project: Path, folder: Path, seconds: str) -> subprocess.Popen[str]:
    data = [f"--{channel}-data={project / 'data' / channel}" for channel in ("train", "eval")]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *data, *FLAGS, "--job-dir", str(folder)],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PATH": "/usr/bin:/bin", "CHECKPOINT_SECONDS": seconds},
    )  # fmt: skip


def after(process: subprocess.Popen[str], ticks: int) -> None:
    """Wait for so many ticks, or the end."""
    for line in process.stdout or ():
        ticks -= line.startswith("tick")
        if not ticks:
            return


def kill_at_random(project: Path, folder: Path, kills: int, chance: random.Random) -> None:
    for _ in range(kills):
        process = start(project, folder, "1e-9")
        after(process, chance.randint(1, TICKS // kills))
        # Between two lines, too, as while a checkpoint is written.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(chance.random() / 50)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_a_job_that_is_killed_at_random_ends_with_the_weights_of_an_undisturbed_one(
    kills: int, project: Path, undisturbed: Any, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    seed = random.randrange(1000)
    print("seed", seed)
    kill_at_random(project, tmp_path, kills, random.Random(seed))
    result = train(folder=tmp_path, **OPTIONS)
    assert result.history == undisturbed.history
    assert weights(result.export_dir) == weights(undisturbed.export_dir)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
def test_sigterm_saves_in_the_middle_of_an_epoch_and_ends_with_143(
    project: Path, undisturbed: Any, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    process = start(project, tmp_path, "0")
    after(process, 12)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 143, said
    assert said.endswith("stopped by SIGTERM; the same job goes on from its checkpoint\n")
    assert not (tmp_path / "model").exists()
    capsys.readouterr()
    result = train(folder=tmp_path, **OPTIONS)
    assert re.search(
        r"^goes on in epoch \d at step \d+ of 60, from |^resuming after epoch", capsys.readouterr().out, re.MULTILINE
    )
    assert result.history == undisturbed.history
    assert weights(result.export_dir) == weights(undisturbed.export_dir)


@pytest.mark.long
def test_a_callback_goes_on_in_the_middle_of_an_epoch(
    train: Train, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """One that changes the learning rate when an epoch begins, from what it was."""
    import keras

    from trainer import checkpoints, loop

    class Less(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) * 0.5

    class StoppedError(Exception):
        pass

    monkeypatch.setattr(model, "callbacks", lambda: [Less()], raising=False)
    monkeypatch.setattr(loop, "STEPS_PER_CALL", 1)
    options = {"epochs": 3, "batch_size": 8}
    whole = train(folder=tmp_path / "whole", **options)
    save = checkpoints.Checkpoints.save_within

    def stop(self: Any, epoch: int, step: int, loss: float) -> None:
        self._seconds = 1e-9
        save(self, epoch, step, loss)
        if (epoch, step) == (2, 8):
            raise StoppedError

    monkeypatch.setattr(checkpoints.Checkpoints, "save_within", stop)
    with pytest.raises(StoppedError):
        train(folder=tmp_path / "parts", **options)
    monkeypatch.setattr(checkpoints.Checkpoints, "save_within", save)
    shutil.copytree(tmp_path / "parts", tmp_path / "less")
    capsys.readouterr()
    parts = train(folder=tmp_path / "parts", **options)
    assert f"goes on in epoch 2 at step 8 of 15, from {tmp_path}/parts/checkpoints/ckpt-" in capsys.readouterr().out
    assert parts.history == whole.history
    assert weights(parts.export_dir) == weights(whole.export_dir)
    # Of fewer epochs nothing is left, and what is exported is told apart from the first epoch's.
    less = train(folder=tmp_path / "less", **{**options, "epochs": 1})
    said = (
        "nothing left to train: the checkpoint has seen 1 epochs and 8 steps of another, with whose weights it is exp"
    )
    assert said in capsys.readouterr().out
    assert less.metrics["val_loss"] != whole.history[0]["val_loss"]


def test_an_order_begins_anywhere_without_reading_what_comes_before(project: Path, monkeypatch: Any) -> None:
    """In memory, and in files of which some are shorter; in the first pass and in later ones."""
    from trainer import store

    monkeypatch.setattr(store, "BLOCK_BYTES", 4 * 3 * 10)
    for budget, way in ((1 << 20, "memory"), (4 * 3 * 25, "files")):
        one = store.Store(3, budget)
        rows = np.arange(3 * 217, dtype=np.int32).reshape(-1, 3)
        for start_at in range(0, 217, 17):
            one.add(rows[start_at : start_at + 17])
        one.finish({})
        assert one.way == way
        assert len(one._sizes) == 0 or min(one._sizes) < max(one._sizes)
        whole = [batch.numpy().tolist() for batch in one.shuffled(8, 5).take(90)]
        assert sorted(row for batch in whole for row in batch)[:3] == [[0, 1, 2]] * 3
        for skip in (0, 1, 9, 10, 11, 26, 27, 28, 55, 81):
            part = [batch.numpy().tolist() for batch in one.shuffled(8, 5, skip).take(3)]
            assert part == whole[skip : skip + 3], (way, skip)


def test_a_reader_that_cannot_begin_anywhere_leaves_batches_out(
    project: Path, tmp_path: Path, prepare: Any, simple: Any
) -> None:
    import tensorflow as tf

    from trainer.loop import _from

    text = "x,c,y\n" + "".join(f"{n},a,{'yes' if n % 2 else 'no'}\n" for n in range(50))
    reader = prepare(simple, text)
    reader._stores[True].way = "again"

    class Own:
        def batches(self, training: bool, batch_size: int, seed: Any = 0) -> tf.data.Dataset:
            rows = tf.data.Dataset.range(50).shuffle(50, seed=seed)
            return rows.repeat().batch(batch_size).map(lambda value: ({"x": value}, value, value))

    for one in (reader, Own()):
        whole = [batch[0]["x"].numpy().ravel().tolist() for batch in one.batches(True, 8, seed=3).take(9)]
        found = _from(one, 8, tf.constant(3, tf.int64), tf.constant(6, tf.int64)).take(3)
        assert [batch[0]["x"].numpy().ravel().tolist() for batch in found] == whole[6:]


@pytest.mark.long
def test_a_loss_does_not_depend_on_how_many_steps_a_call_has(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import loop

    losses = []
    for steps in (1, 4, 500):
        monkeypatch.setattr(loop, "STEPS_PER_CALL", steps)
        monkeypatch.setattr(loop, "FIRST_STEPS", steps)
        losses.append(train(folder=tmp_path / str(steps), epochs=2, batch_size=8).history)
    assert losses[0] == losses[1] == losses[2]
