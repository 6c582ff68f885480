"""A training that was stopped, killed or finished goes on; one that is another's is refused."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Bake, Command
from tests.template.conftest import Train, weights

PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def test_a_resumed_training_ends_as_an_uninterrupted_one(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    whole = train(folder=tmp_path / "whole", epochs=6, dropout=0.3)
    train(folder=tmp_path / "parts", epochs=2, dropout=0.3)
    capsys.readouterr()
    parts = train(folder=tmp_path / "parts", epochs=6, dropout=0.3)
    said = capsys.readouterr().out
    assert "resuming after epoch 2" in said
    assert re.findall(r"^epoch=(\d+)", said, re.MULTILINE) == ["3", "4", "5", "6"]
    assert parts.metrics == whole.metrics
    assert weights(parts.export_dir) == weights(whole.export_dir)


def test_a_finished_training_is_only_exported_again(train: Train, capsys: pytest.CaptureFixture) -> None:
    first = train(epochs=2)
    capsys.readouterr()
    again = train(epochs=2)
    said = capsys.readouterr().out
    assert "nothing left to train: the checkpoint has seen 2 epochs, of 2\n" in said
    assert re.findall(r"^epoch=(\d+)", said, re.MULTILINE) == ["2"]
    assert again.metrics == first.metrics
    assert weights(again.export_dir) == weights(first.export_dir)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
@pytest.mark.parametrize("name", ["old [1]", pytest.param("a*b?", marks=pytest.mark.long), "[", "it's"])
def test_a_folder_whose_name_looks_like_a_pattern_is_trained_in(
    name: str, make_run: Any, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture, ask: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from trainer import checkpoints
    from trainer.training import train

    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0)
    # Which a pattern would match, and whose checkpoints are not this training's to delete.
    other = tmp_path / "a-bc" / "job" / "checkpoints" / "ckpt-1.index"
    other.parent.mkdir(parents=True)
    other.write_text("another training's")
    shutil.copytree(project / "data", tmp_path / name / "data")
    for epochs in (3, 5):
        result = train(make_run(folder=tmp_path / name / "job", data=tmp_path / name / "data", epochs=epochs))
    said = capsys.readouterr().out
    assert f"resuming after epoch 3 from {tmp_path / name / 'job' / 'checkpoints'}/ckpt-3\n" in said
    files = sorted(path.name for path in (tmp_path / name / "job" / "checkpoints").iterdir())
    assert files == ["checkpoint", "ckpt-4.data-00000-of-00001", "ckpt-4.index", "ckpt-5.data-00000-of-00001",
                     "ckpt-5.index", "hyperparameters.json"]  # fmt: skip
    assert other.exists()
    assert ask(Path(result.export_dir), [5.1, 3.5, 1.4, 0.2])


@pytest.mark.long
def test_a_killed_training_goes_on(project: Path, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """SIGKILL between two epochs, then the same training again: the weights equal those of one left alone."""
    script = "import trainer.checkpoints, train, sys; trainer.checkpoints.SECONDS_BETWEEN = 0; train.run(sys.argv[1:])"
    arguments = ["--epochs", "25", "--dropout", "0.2", "--job-dir", tmp_path / "killed"]
    killed = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:0] = ['src', '.']; {script}", *arguments],
        cwd=project, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in killed.stdout:
        if line.startswith("epoch=8 "):
            killed.send_signal(signal.SIGKILL)
            break
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model").exists()
    again = train(folder=tmp_path / "killed", epochs=25, dropout=0.2)
    assert re.search(r"resuming after epoch (7|8|9|1\d) ", capsys.readouterr().out)
    alone = train(folder=tmp_path / "alone", epochs=25, dropout=0.2)
    assert again.metrics == alone.metrics
    assert weights(again.export_dir) == weights(alone.export_dir)


@pytest.mark.long
def test_a_training_with_everything_goes_on_after_it_was_killed(bake: Any, command: Any, tmp_path: Path) -> None:
    """The page's model.py: patience, a callback, a schedule, two outputs, label weights; SIGKILL between two epochs."""
    project = Path(shutil.copytree(bake(), tmp_path / "project"))
    (project / "src" / "trainer" / "model.py").write_text(PAGE.partition("```python\n")[2].partition("```")[0])
    with (project / "src" / "requirements.txt").open("a") as file:
        file.write("tensorboard==2.21.*\n")
    script = "import trainer.checkpoints, train; trainer.checkpoints.SECONDS_BETWEEN = 0; train.run(sys.argv[1:])"
    python = [sys.executable, "-c", f"import sys; sys.path[:0] = ['src', '.']; {script}"]
    killed = subprocess.Popen(
        [*python, "--job-dir", str(tmp_path / "killed")], cwd=project, stdout=subprocess.PIPE, text=True
    )
    for line in killed.stdout:
        if line.startswith("epoch=5 "):
            killed.send_signal(signal.SIGKILL)
            break
    assert killed.wait(timeout=60) == -signal.SIGKILL
    said = []
    for folder in ("killed", "alone"):
        done = command(*python, "--job-dir", str(tmp_path / folder), cwd=project)
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
    assert re.search(r"resuming after epoch ([4-9]|1\d) ", said[0])
    ends = [re.findall(r"^(?:ended after|epoch \d+ was).*|^result: .*", text, re.MULTILINE) for text in said]
    assert len(ends[0]) == 3
    assert ends[0] == ends[1]
    assert weights(str(tmp_path / "killed" / "model" / "1")) == weights(str(tmp_path / "alone" / "model" / "1"))


@pytest.mark.long
def test_a_job_killed_while_it_saves_leaves_no_half_note(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hyperparameters are noted before the first checkpoint, and then never again."""
    from trainer import checkpoints

    note, written = tmp_path / "job" / "checkpoints" / "hyperparameters.json", []
    save = checkpoints.Checkpoints.save

    def watched(self: Any, epoch: int, last: bool) -> None:
        save(self, epoch, last)
        written.append(note.stat().st_mtime_ns)

    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0)
    monkeypatch.setattr(checkpoints.Checkpoints, "save", watched)
    note.parent.mkdir(parents=True)
    note.write_text("{", encoding="utf-8")
    train(epochs=2)
    train(epochs=4)
    assert len(written) == 4
    assert len(set(written)) == 1


def test_a_checkpoint_of_other_hyperparameters_is_refused(train: Train, project: Path) -> None:
    from trainer.run import UserError

    train(epochs=1)
    with pytest.raises(
        UserError, match=r"was made with learning_rate=0.01 then, 0.02 now; use another folder, or delete"
    ):
        train(epochs=2, learning_rate=0.02)
    assert train(epochs=2).metrics["val_loss"] > 0


def test_a_checkpoint_of_another_network_is_refused(train: Train, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from trainer.run import UserError

    train(epochs=1)
    build = model.build_model

    def deeper(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        return build(model.Hyperparameters(hidden_units=7), inputs)

    monkeypatch.setattr(model, "build_model", deeper)
    with pytest.raises(UserError, match="belongs to another build_model; use another folder"):
        train(epochs=2)


@pytest.mark.long
def test_a_failed_export_keeps_the_trained_model_and_says_how_to_export_it(
    bake: Bake, command: Command, tmp_path: Path
) -> None:
    """A file stands where the model's folder should be: the command that the error names then exports it."""
    project, job, script = bake(), tmp_path / "a job", "import train; train.run_script(lambda: train.run(sys.argv[1:]))"
    python = [sys.executable, "-c", f"import sys; sys.path[:0] = ['src', '.']; {script}"]
    job.mkdir()
    (job / "model").write_text("in the way")
    done = command(*python, "--epochs", "3", "--job-dir", str(job), cwd=project)
    assert done.returncode == 1
    assert "epoch=3 " in done.stdout
    assert "Traceback" not in done.stderr
    said = f"error: the model is trained, and its weights are in {job}/checkpoints, but its export failed: "
    (message,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert message.startswith(said)
    _, again = message.split(" This exports them again, without training: python ")
    words = shlex.split(again)
    assert Path(project, words[0]) == project / "train.py"
    (job / "model").unlink()
    done = command(*python, *words[1:], cwd=project)
    assert done.returncode == 0, done.stderr
    assert "nothing left to train" in done.stdout
    assert re.findall(r"^epoch=(\d+)", done.stdout, re.MULTILINE) == ["3"]
    assert (job / "model" / "1" / "saved_model.pb").exists()


@pytest.mark.long
def test_a_network_that_cannot_be_exported_is_trained_once(
    train: Train, model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A table that no layer tracks trains well and cannot be exported; a list in its place can."""
    import keras
    import tensorflow as tf

    from trainer.run import UserError

    def build_with(look_up: Any) -> Any:
        def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
            hidden = keras.layers.Concatenate()(list(inputs.values()))
            hidden = keras.layers.Lambda(lambda value: value + look_up(value), output_shape=(4,))(hidden)
            network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
            network.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
            return network

        return build_model

    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1], tf.int64), tf.constant([0.5, 1.5]))
    table = tf.lookup.StaticHashTable(pairs, 0.0)
    monkeypatch.setattr(model, "build_model", build_with(lambda value: table.lookup(tf.cast(value, tf.int64))))
    with pytest.raises(UserError, match="its export failed: AssertionError: .*untracked") as caught:
        train(epochs=2)
    assert f"its weights are in {tmp_path / 'job' / 'checkpoints'}, " in str(caught.value)
    assert "The same job on these checkpoints exports them again, without training." in str(caught.value)
    before = len(re.findall(r"^epoch=", capsys.readouterr().out, re.MULTILINE))
    plain = lambda value: tf.gather([0.5, 1.5], tf.clip_by_value(tf.cast(value, tf.int64), 0, 1))
    monkeypatch.setattr(model, "build_model", build_with(plain))
    result = train(epochs=2)
    assert before == 2
    assert "nothing left to train" in capsys.readouterr().out
    assert len(result.response["predictions"]) == 3
