"""Objectives against the metrics of compile(), seen without running model.py."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from onstage.checks.objective_checks import check_objective
from onstage.checks.source_checks import Source


def found(folder: Path, compiled: str, metric: str, goal: str) -> list[tuple[str, bool]]:
    (folder / "trainer").mkdir()
    (folder / "trainer" / "model.py").write_text(f"def build_model():\n    {compiled}\n", encoding="utf-8")
    answer = check_objective(Source(folder, folder), SimpleNamespace(metric=metric, goal=goal))
    return [(one.detail, one.warning) for one in answer] if isinstance(answer, list) else []


RIGHT = [
    ('m.compile(loss="mse", weighted_metrics=["accuracy"])', "val_accuracy", "maximize"),
    ('m.compile(metrics=["acc"])', "val_accuracy", "maximize"),
    ('m.compile(metrics=["mse"])', "val_mean_squared_error", "minimize"),
    ("m.compile(metrics=[keras.metrics.RootMeanSquaredError()])", "val_root_mean_squared_error", "minimize"),
    ("m.compile(metrics=[keras.metrics.AUC()])", "val_auc", "maximize"),
    ('m.compile(metrics=[keras.metrics.AUC(name="area")])', "val_area", "maximize"),
    ("m.compile(metrics=[Own()])", "val_own", "maximize"),
    ("m.compile(metrics=METRICS)", "val_anything", "minimize"),
    ("m.compile(**options)", "val_anything", "minimize"),
    ("compiled(m)", "val_anything", "minimize"),
    ('m.compile(metrics=["accuracy"])', "val_loss", "minimize"),
    ('m.compile(metrics=["accuracy"])', "loss", "minimize"),
]


@pytest.mark.parametrize(("compiled", "metric", "goal"), RIGHT)
def test_an_objective_that_may_be_logged_is_not_judged(tmp_path: Path, compiled: str, metric: str, goal: str) -> None:
    assert found(tmp_path, compiled, metric, goal) == []


@pytest.mark.parametrize(
    ("compiled", "metric"),
    [('m.compile(weighted_metrics=["accuracy"])', "val_acc"), ('m.compile(loss="mse")', "val_accuracy"),
     ("m.compile(metrics=[keras.metrics.AUC()])", "auc")],
)  # fmt: skip
def test_an_objective_that_nothing_logs_is_named(tmp_path: Path, compiled: str, metric: str) -> None:
    ((said, is_warning),) = found(tmp_path, compiled, metric, "maximize")
    assert said.startswith(f"OBJECTIVE names {metric!r}; compile() names loss, val_loss")
    assert not is_warning


@pytest.mark.parametrize(
    ("metric", "goal", "better"),
    [("val_loss", "maximize", "less"), ("val_rmse", "maximize", "less"), ("val_accuracy", "minimize", "more")],
)
def test_an_objective_against_its_own_direction_is_a_warning(
    tmp_path: Path, metric: str, goal: str, better: str
) -> None:
    ((said, is_warning),) = found(tmp_path, "m.compile(metrics=METRICS)", metric, goal)
    assert said == f"OBJECTIVE is to {goal} {metric}, of which {better} is better"
    assert is_warning
