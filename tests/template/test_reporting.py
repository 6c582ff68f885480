"""The metrics of a training: for people, for SageMaker's regular expressions, TensorBoard and Vertex AI's tuning."""

import contextlib
import io
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def reported(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, str]:
    """A training of three epochs: its result, its folder of logs, and what it printed."""
    from trainer import model
    from trainer.run import Run
    from trainer.training import train

    folder, data = tmp_path_factory.mktemp("reported"), project / "data"
    folders = (str(folder / name) for name in ("model/1", "checkpoints", "logs"))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        result = train(Run(model.Hyperparameters(epochs=3), str(data / "train"), str(data / "eval"), *folders))
    return result, folder / "logs", printed.getvalue()


def test_an_epoch_is_one_line_that_a_metric_definition_can_read(reported: tuple[Any, Path, str]) -> None:
    result, _, printed = reported
    lines = [line for line in printed.splitlines() if line.startswith("epoch=")]
    assert len(lines) == 3
    assert "val_loss" in result.metrics
    for name, value in result.metrics.items():
        found = re.findall(rf"(?<!\w){name}=([0-9.eE+-]+)", "\n".join(lines))
        assert float(found[-1]) == pytest.approx(value, rel=1e-5)


def test_tensorboard_reads_the_scalars_of_every_epoch(reported: tuple[Any, Path, str]) -> None:
    """TensorBoard's own reader; the trainer writes without that package, which the training images do not hold."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    result, logs, _ = reported
    events = EventAccumulator(str(logs))
    events.Reload()
    assert set(events.Tags()["tensors"]) == set(result.metrics)
    assert events.SummaryMetadata("val_loss").plugin_data.plugin_name == "scalars"
    last = events.Tensors("val_loss")[-1]
    assert (last.step, float(make_ndarray(last.tensor_proto))) == (3, pytest.approx(result.metrics["val_loss"]))


def test_vertex_tuning_reads_the_objective_as_cloudml_hypertune_writes_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is the oracle: the same 120 epochs give the same file."""
    import hypertune

    from trainer.reporting import Reporter
    from trainer.run import Objective, Run

    @dataclass(frozen=True)
    class Nothing:
        pass

    run = Run(Nothing(), "", "", "", "", str(tmp_path / "logs"), str(tmp_path / "ours" / "metrics"), trial="7")
    reporter = Reporter(run, Objective("val_accuracy", "maximize"))
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "theirs" / "metrics"))
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "7")
    monkeypatch.setattr(time, "time", lambda: 1234.5)
    theirs = hypertune.HyperTune()
    for epoch in range(1, 121):
        reporter.report(epoch, {"val_accuracy": epoch / 120})
        theirs.report_hyperparameter_tuning_metric("val_accuracy", epoch / 120, epoch)
    ours = (tmp_path / "ours" / "metrics").read_text()
    assert ours == (tmp_path / "theirs" / "metrics").read_text()
    assert json.loads(ours.splitlines()[-1])["val_accuracy"] == "1.0"
