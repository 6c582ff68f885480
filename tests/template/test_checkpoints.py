"""Checkpoints by themselves: broken ones, other models', other tables'. No training."""

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

DATA = "ckpt-{}.data-00000-of-00001"


@pytest.fixture
def saved(project: Path, tmp_path: Path) -> Any:
    """A function that makes Checkpoints of a network of so many units; the folder has those of epochs 1 to 3."""
    import keras

    from trainer import model
    from trainer.checkpoints import Checkpoints
    from trainer.run import Run

    def make(units: int = 2, reader: Any = None, **hyperparameters: Any) -> Any:
        inputs = keras.Input((3,))
        network = keras.Model(inputs, keras.layers.Dense(units)(keras.layers.Dropout(0.5)(inputs)))
        network.compile("adam", "mse")
        network.optimizer.build(network.trainable_variables)
        folders = (str(tmp_path / name) for name in ("model", "checkpoints", "logs"))
        return Checkpoints(Run(model.Hyperparameters(**hyperparameters), "", "", *folders), network, reader, steps=9)

    one = make()
    assert one.restore() == 0
    one.prepare()
    for epoch in (1, 2, 3):
        one._network.layers[-1].bias.assign([epoch, epoch])
        one.add({"loss": float(epoch)}, model.OBJECTIVE)
        one.save(epoch, last=True)
    return make


def folder_of(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def test_two_checkpoints_are_kept_and_the_newest_is_gone_on_with(
    saved: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    names = sorted(path.name for path in folder_of(tmp_path).iterdir())
    assert names == [
        "checkpoint",
        DATA.format(2),
        "ckpt-2.index",
        DATA.format(3),
        "ckpt-3.index",
        "hyperparameters.json",
    ]
    again = saved()
    assert again.restore() == 3
    assert again._network.layers[-1].bias.numpy().tolist() == [3, 3]
    assert [metrics["loss"] for metrics in again.history] == [1, 2, 3]
    assert capsys.readouterr().out == f"resuming after epoch 3 from {folder_of(tmp_path)}/ckpt-3\n"


BREAK = {
    "truncated": lambda folder: (folder / DATA.format(3)).write_bytes((folder / DATA.format(3)).read_bytes()[:-9]),
    "empty": lambda folder: (folder / DATA.format(3)).write_bytes(b""),
    "one byte flipped": lambda folder: flip(folder / DATA.format(3), -5),
    "one byte of the index flipped": lambda folder: flip(folder / "ckpt-3.index", 40),
    "index cut": lambda folder: (folder / "ckpt-3.index").write_bytes((folder / "ckpt-3.index").read_bytes()[:50]),
    "data missing": lambda folder: (folder / DATA.format(3)).unlink(),
    "index missing": lambda folder: (folder / "ckpt-3.index").unlink(),
}


@pytest.mark.parametrize("how", BREAK)
def test_a_broken_checkpoint_is_skipped_with_a_warning_and_the_one_before_is_used(
    how: str, saved: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = folder_of(tmp_path)
    BREAK[how](folder)
    one = saved()
    assert one.restore() == 2
    assert one._network.layers[-1].bias.numpy().tolist() == [2, 2]
    warning, said = capsys.readouterr().out.splitlines()
    assert warning.startswith(f"warning: the checkpoint {folder}/ckpt-3 is broken (")
    assert warning.endswith("; ckpt-2 is used")
    assert said == f"resuming after epoch 2 from {folder}/ckpt-2"
    # What follows takes its place.
    one._network.layers[-1].bias.assign([7, 7])
    one.save(3, last=True)
    assert saved().restore() == 3
    assert "warning" not in capsys.readouterr().out


def test_whatever_byte_is_flipped_nothing_wrong_is_restored(saved: Any, tmp_path: Path) -> None:
    """A byte between two tensors is nobody's; else the one before is used."""
    folder, chance, used = folder_of(tmp_path), random.Random(0), []
    one = saved()
    files = {file: file.read_bytes() for file in (folder / DATA.format(3), folder / "ckpt-3.index")}
    state = (folder / "checkpoint").read_bytes()
    for _ in range(40):
        file, content = chance.choice([*files.items()])
        flip(file, chance.randrange(len(content)))
        used.append(one.restore())
        assert one._network.layers[-1].bias.numpy().tolist() == [used[-1]] * 2
        file.write_bytes(content)
        (folder / "checkpoint").write_bytes(state)
    assert used.count(2) > 30


def test_where_all_are_broken_the_folder_is_named(saved: Any, tmp_path: Path) -> None:
    from trainer.run import UserError

    for number in (2, 3):
        flip(folder_of(tmp_path) / DATA.format(number), -5)
    with pytest.raises(
        UserError, match=rf"every checkpoint in {folder_of(tmp_path)} is broken; ckpt-3: .*; use another"
    ):
        saved().restore()


@pytest.mark.parametrize("content", [None, b"", b"model_checkpoint", b"\xff\xfe"])
def test_a_list_of_checkpoints_that_says_nothing_is_made_anew(
    content: bytes | None, saved: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    import tensorflow as tf

    state = folder_of(tmp_path) / "checkpoint"
    state.unlink()
    if content is not None:
        state.write_bytes(content)
    one = saved()
    assert one.restore() == 3
    how = "is missing" if content is None else "is empty or broken"
    assert f"warning: {state} {how}, and made anew: ckpt-3 is the newest one\n" in capsys.readouterr().out
    assert tf.train.latest_checkpoint(str(folder_of(tmp_path))).endswith("ckpt-3")
    one.save(4, last=True)
    assert not (folder_of(tmp_path) / "ckpt-2.index").exists()


def test_a_job_that_was_killed_while_it_wrote_its_first_checkpoint_begins_anew(
    saved: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = folder_of(tmp_path)
    half = (folder / DATA.format(3)).read_bytes()[:60]
    shutil.rmtree(folder)
    (folder / "ckpt-1_temp").mkdir(parents=True)
    (folder / DATA.format(1)).write_bytes(half)
    one = saved()
    assert one.restore() == 0
    said = f"warning: the checkpoint {folder}/ckpt-1 was not written to its end; the training begins anew\n"
    assert capsys.readouterr().out == said
    one.save(1, last=True)
    assert not (folder / "ckpt-1_temp").exists()
    assert saved().restore() == 1


def test_the_newest_is_the_one_with_the_most_steps_whatever_clocks_say(saved: Any, tmp_path: Path) -> None:
    for number, when in ((2, 2_000_000_000), (3, 1_000_000_000)):
        os.utime(folder_of(tmp_path) / f"ckpt-{number}.index", (when, when))
    (folder_of(tmp_path) / "checkpoint").unlink()
    assert saved().restore() == 3


def test_hyperparameters_that_were_cut_are_written_anew(
    saved: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The checkpoint has them, too: the file is for people."""
    from trainer.run import UserError

    note = folder_of(tmp_path) / "hyperparameters.json"
    whole = note.read_text(encoding="utf-8")
    note.write_text(whole[:20], encoding="utf-8")
    one = saved()
    assert one.restore() == 3
    one.prepare()
    assert f"warning: {note} was missing or broken, and is made anew\n" in capsys.readouterr().out
    assert note.read_text(encoding="utf-8") == whole
    with pytest.raises(UserError, match="was made with seed=0 then, 5 now"):
        saved(seed=5).restore()


def test_another_network_is_no_broken_checkpoint(saved: Any) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match="ckpt-3 belongs to another build_model; use another folder"):
        saved(units=4).restore()


def test_a_folder_that_cannot_be_written_is_named_before_the_first_step(
    project: Path, saved: Any, tmp_path: Path
) -> None:
    from trainer.run import UserError

    shutil.rmtree(folder_of(tmp_path))
    folder_of(tmp_path).write_text("in the way")
    one = saved()
    with pytest.raises(UserError, match=rf"no checkpoint can be written to {folder_of(tmp_path)}: "):
        one.prepare()


class Taught:
    """What a reader of a table says of it."""

    train_rows, order = 90, "memory"

    def __init__(self, learned: str = "mean 1, deviation 2", total: int = 7, **columns: str) -> None:
        self.about = {"columns": columns or {"a": "Numeric", "b": "Numeric"}, "learned": {"a": learned}, "total": total}


def test_a_table_with_other_columns_does_not_fit_old_weights(saved: Any, capsys: pytest.CaptureFixture) -> None:
    from trainer.run import UserError

    one = saved(reader=Taught())
    one.restore()
    one.save(4, last=True)
    capsys.readouterr()
    for columns, said in [
        ({"b": "Numeric", "a": "Numeric"}, "the order is b, a now, and was a, b"),
        ({"a": "Numeric", "b": "Hashed size 9"}, "b: Numeric then, Hashed size 9 now"),
        ({"a": "Numeric", "c": "Numeric"}, "c is new; b is gone"),
    ]:
        with pytest.raises(UserError, match=f"made of another table: {said}; its weights do not fit"):
            saved(reader=Taught(**columns)).restore()
    assert saved(reader=Taught()).restore() == 4
    assert "note" not in capsys.readouterr().out
    # More rows of the same kind are right, and said.
    assert saved(reader=Taught("mean 3, deviation 2", total=8)).restore() == 4
    said = "note: the data has changed since the checkpoint: a: mean 1, deviation 2 then, mean 3, deviation 2 now\n"
    assert said in capsys.readouterr().out


def test_within_an_epoch_of_other_rows_the_epoch_begins_again(saved: Any, capsys: pytest.CaptureFixture) -> None:
    one = saved(reader=Taught())
    one.restore()
    one._seconds = 1e-9
    one.save_within(4, 5, 2.5)
    for total, place in ((7, (5, 2.5)), (8, (0, 0.0))):
        capsys.readouterr()
        again = saved(reader=Taught(total=total))
        assert again.restore() == 3
        assert (again.step, again.loss) == place
    said = "epoch 4 begins again, with the weights of step 5: its rows are not those of then\n"
    assert said in capsys.readouterr().out


def test_checkpoint_seconds_are_a_number(project: Path) -> None:
    from trainer.run import UserError, checkpoint_seconds

    assert [checkpoint_seconds({"CHECKPOINT_SECONDS": text} if text else {}) for text in ("", "0", "2.5")] == [
        60,
        0,
        2.5,
    ]
    for text in ("soon", "-1", "nan"):
        with pytest.raises(UserError, match=f"CHECKPOINT_SECONDS is '{text}': a number of seconds, or 0"):
            checkpoint_seconds({"CHECKPOINT_SECONDS": text})
