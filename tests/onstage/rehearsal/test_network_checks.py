"""What the trainer answers about its network, in the job and in the project's folder, is told."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from onstage.checks.source_checks import Source
from onstage.rehearsal import network_checks
from onstage.report import Check, Report
from tests.conftest import Bake

JOB = {"dense/kernel has": "(4, 16) float32", "dense: activation is": "'relu'", "dense: bias: config: seed is": "1"}


def told(folder: Path, answer: dict[str, Any] | None) -> Check:
    (folder / "src").mkdir()
    (folder / "src" / "model.py").write_text(
        'import os\n\nUNITS = os.environ.get("MY_UNITS", "16")\n', encoding="utf-8"
    )
    variables = network_checks.asked(folder, Source(folder / "src", folder))
    if answer is not None:
        Path(variables["ONSTAGE_HOME"]).write_text(json.dumps(answer), encoding="utf-8")
    with Report(Console(quiet=True)) as report:
        network_checks.check(report, "vertex", folder)
    return report.checks[0]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"job": JOB, "home": JOB, "reads": []}, "passed: 1 weights, in the job as in the project's folder"),
        ({"job": JOB, "home": {**JOB, "dense: bias: config: seed is": "2"}, "reads": []}, "passed: 1 weights"),
        ({"error": "KeyError: 'SM_X'"}, "skipped: it cannot be built in the project's folder: KeyError: 'SM_X'"),
        (None, "skipped: the project's src/trainer/training.py is of a time before this check"),
    ],
)
def test_the_same_network_passes_and_one_that_is_not_known_is_skipped(
    tmp_path: Path, answer: dict[str, Any] | None, said: str
) -> None:
    found = told(tmp_path, answer)
    assert f"{found.verdict}: {found.text}".startswith(said)


def test_another_network_is_named_with_what_the_code_asked_for(tmp_path: Path) -> None:
    home = {**JOB, "dense: activation is": "'tanh'", "dense/more has": "(1,) float32"}
    reads = [["src/trainer/model.py", 7, "asks for the variable MY_UNITS"], ["src/trainer/model.py", 9, "lists data"]]
    found = told(tmp_path, {"job": JOB, "home": home, "reads": reads})
    assert (found.verdict, found.file, found.line) == ("FAILED", "src/trainer/model.py", 7)
    assert "dense: activation is 'tanh' here and 'relu' in the job" in found.detail
    assert "dense/more has (1,) float32 here and nothing in the job" in found.detail
    assert "line 7, asks for the variable MY_UNITS; src/trainer/model.py, line 9, lists data" in found.detail


def test_only_the_variables_that_the_code_names_are_given_to_a_job(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MY_UNITS", "20")
    monkeypatch.setenv("MY_PASSWORD", "secret")
    told(tmp_path, None)
    said = json.loads((tmp_path / "home.json").read_text(encoding="utf-8"))
    assert said["variables"]["MY_UNITS"] == "20" and "MY_PASSWORD" not in said["variables"]
    assert said["variables"]["PATH"] == os.environ["PATH"]


NETWORK = """import os

import keras

DATA = None


class Scaled(keras.layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        raise NotImplementedError


def build_model(hyperparameters, inputs):
    scaled = Scaled(2.0)(inputs["x"])
    return keras.Model(inputs, keras.layers.Dense(1, os.environ.get("MY_ACTIVATION", "relu"), name="last")(scaled))
"""
# The end of a job, as `trainer.training` has it.
END = """
import os, runpy
from types import SimpleNamespace
import keras
from trainer import loop, model

reader = SimpleNamespace(train_rows=8, inputs=lambda: {"x": keras.Input((4,), name="x")})
hyperparameters = SimpleNamespace(epochs=1, batch_size=4, seed=1)
runpy.run_path(os.environ["ONSTAGE_LOOK"])["look"](hyperparameters, reader)
"""


@pytest.mark.long
def test_a_layer_that_cannot_say_its_configuration_hides_no_other(
    bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("home", "job"):
        shutil.copytree(bake() / "src", tmp_path / place / "src")
        (tmp_path / place / "src" / "trainer" / "model.py").write_text(NETWORK, encoding="utf-8")
    job = {**os.environ, "PYTHONPATH": "src", "TF_CPP_MIN_LOG_LEVEL": "3"}
    monkeypatch.setenv("MY_ACTIVATION", "tanh")
    told = network_checks.asked(tmp_path, Source(tmp_path / "home" / "src", tmp_path / "home"))
    subprocess.run([sys.executable, "-c", END], cwd=tmp_path / "job", env={**job, **told}, check=True, timeout=300)
    with Report(Console(quiet=True)) as report:
        network_checks.check(report, "vertex", tmp_path)
    (found,) = report.checks
    assert found.verdict == "FAILED", found.text
    assert "last: activation is 'tanh' here and 'relu' in the job" in found.text
    assert "scaled" not in found.text
