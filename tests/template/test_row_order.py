"""Where rows are kept once they are read, and the order in which each epoch has them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Prepare
from tests.template.test_reading import numbered

ROWS = 30_000
WAYS = {"memory": 1024, "files": 0}


def seen(dataset: Any, rows: int) -> list[int]:
    """The numbers of the first `rows` rows of a training whose x counts them, before they were normalised."""
    found: list[float] = []
    for features, _, _ in dataset:
        found += features["x"].numpy()[:, 0].tolist()
        if len(found) >= rows:
            break
    deviation = ((ROWS**2 - 1) / 12) ** 0.5
    return [round(value * deviation + (ROWS - 1) / 2) for value in found[:rows]]


@pytest.fixture
def without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk on which nothing is free."""
    full = shutil.disk_usage("/")._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)


@pytest.mark.few(1)
@pytest.mark.parametrize("way", WAYS)
def test_every_pass_has_every_row_once_in_an_order_of_its_own(way: str, table: Callable, prepare: Prepare) -> None:
    reader = prepare(table(memory_mb=WAYS[way]), numbered(ROWS))
    assert reader.order == way
    both = seen(reader.batches(True, 256, 7), 2 * ROWS)
    assert sorted(both[:ROWS]) == sorted(both[ROWS:]) == list(range(ROWS))
    assert both[:ROWS] != both[ROWS:] != sorted(both[ROWS:])
    assert both == seen(reader.batches(True, 1024, 7), 2 * ROWS)
    assert both != seen(reader.batches(True, 256, 8), 2 * ROWS)
    assert seen(reader.batches(False, 100), ROWS) == list(range(ROWS))


def test_without_room_in_memory_and_on_the_disk_the_data_is_read_again(
    table: Callable, prepare: Prepare, without_room: None, capsys: pytest.CaptureFixture
) -> None:
    reader = prepare(table(memory_mb=0), numbered(ROWS))
    assert reader.order == "again"
    assert "train: the decoded rows take more than memory_mb of the Table in model.py, and files have no room" in (
        capsys.readouterr().out
    )
    both = seen(reader.batches(True, 256, 7), 2 * ROWS)
    assert sorted(both[:ROWS]) == sorted(both[ROWS:]) == list(range(ROWS))
    assert both == seen(reader.batches(True, 1024, 7), 2 * ROWS)
    assert seen(reader.batches(False, 100), ROWS) == list(range(ROWS))


def test_a_disk_that_fills_is_said_and_the_training_goes_on(
    table: Callable, prepare: Prepare, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from trainer import store

    monkeypatch.setattr(store, "BLOCK_BYTES", 10_000)
    free = iter([1 << 40] * 5 + [0] * 99)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 0, next(free)))
    reader = prepare(table(memory_mb=0), numbered(ROWS), numbered(10))
    assert reader.order == "again"
    assert "files have no room (the disk is full): every epoch reads the data again" in capsys.readouterr().out
    assert sorted(seen(reader.batches(True, 256, 7), ROWS)) == list(range(ROWS))


def test_blocks_of_files_are_mixed_over_the_whole(
    table: Callable, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import store

    monkeypatch.setattr(store, "BLOCK_BYTES", 10_000)
    reader = prepare(table(memory_mb=0), numbered(ROWS))
    order = seen(reader.batches(True, 256, 3), ROWS)
    assert sorted(order) == list(range(ROWS))
    # The mean of a tenth of the rows: of a tenth that stands together it would differ by thousands.
    assert abs(sum(order[: ROWS // 10]) / (ROWS // 10) - ROWS / 2) < 4000


@pytest.mark.long
def test_what_was_read_once_is_kept_by_content(
    table: Callable, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import store
    from trainer.data import CsvReader

    monkeypatch.setattr(store, "KEPT_FROM_BYTES", 100)
    file, rows = tmp_path / "a.csv", tmp_path / "rows"
    file.write_text(numbered(ROWS))

    def prepared(**settings: Any) -> tuple[list, str]:
        reader = CsvReader(table(**settings), str(rows))
        reader.prepare(str(file), str(file))
        said = capsys.readouterr().out
        return seen(reader.batches(True, 256, 1), 100), said

    first, said = prepared()
    assert "as they were read the last time" not in said
    again, said_again = prepared()
    assert again == first
    known = [f"{channel}: {ROWS} rows, as they were read the last time" for channel in ("train", "eval")]
    assert said_again.splitlines() == [*known, *said.splitlines()]
    # In less memory the kept files are read.
    assert "they are in files in" in prepared(memory_mb=0)[1]
    # A damaged one is made anew, and so is one of other content.
    for kept in rows.iterdir():
        block = kept / "0"
        block.write_bytes(block.read_bytes()[:-4] + b"\1\2\3\4")
    assert prepared() == (first, said)
    for kept in rows.iterdir():
        about = json.loads((kept / "first_pass.json").read_text())
        del about["about"]["normal"]
        (kept / "first_pass.json").write_text(json.dumps(about))
    assert prepared() == (first, said)
    file.write_text(numbered(ROWS - 1))
    assert "the last time" not in prepared()[1]
    assert len(list(rows.iterdir())) <= store.MOST_KEPT


@pytest.mark.long
def test_a_resumed_training_says_that_the_order_of_rows_differs(project: Path, tmp_path: Path, model: Any) -> None:
    import dataclasses

    script = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); from trainer import model; import dataclasses\n"
        "from trainer.run import Run; from trainer.training import train\n"
        "object.__setattr__(model.DATA, 'memory_mb', int(sys.argv[2]))\n"
        "train(Run(model.Hyperparameters(epochs=int(sys.argv[3])), *sys.argv[4:]))\n"
    )
    assert dataclasses.is_dataclass(model.DATA)
    data = [str(next((project / "data" / channel).glob("*.csv"))) for channel in ("train", "eval")]
    places = [*data, *(str(tmp_path / name) for name in ("model/1", "checkpoints", "logs"))]

    def run(memory: int, epochs: int) -> str:
        command = [sys.executable, "-c", script, project / "src", str(memory), str(epochs), *places]
        home = {**os.environ, "KERAS_HOME": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=home).stdout

    run(1024, 1)
    assert "order" not in run(1024, 2)
    assert "rows come from files now, not from memory: their order differs from here on" in run(0, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.unlink(), "is gone: somebody took it away while it was read"),
        (lambda file: file.write_text(file.read_text() + "1,a,no\n"), "somebody writes to it while it is read"),
        (lambda file: file.touch(), None),
    ],
)
def test_a_file_that_changes_while_epochs_read_it_ends_the_training(
    change: Callable,
    said: str | None,
    table: Callable,
    prepare: Prepare,
    without_room: None,
    columns: Any,
    tmp_path: Path,
) -> None:
    import contextlib

    import tensorflow as tf

    from trainer.training import _checked

    reader = prepare(table(memory_mb=0), numbered(100), numbered(10, 1))
    epochs = ((number, len(list(reader.batches(True, 10, number).take(10)))) for number in range(3))
    checked = _checked(epochs, reader)
    assert next(checked) == (0, 10)
    change(tmp_path / "train.csv")
    with pytest.raises(columns.DataError, match=said) if said else contextlib.nullcontext():
        assert list(checked) == [(1, 10), (2, 10)]
    assert issubclass(tf.errors.NotFoundError, tf.errors.OpError)
