"""Both platforms side by side."""

import json
import shutil
from pathlib import Path

import pytest

from onstage.catalogue import of_rehearsal, requested
from onstage.serving import versions
from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import MODEL, Mistake, change, failed, nothing, rehearse


@pytest.mark.long
def test_both_platforms_train_the_same_model_and_answer_alike(bake: Bake, tmp_path: Path) -> None:
    shutil.copytree(bake(platform="both"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    # The version that trains, in a process of its own.
    minor = versions.here().rpartition(".")[0]
    words = ("--tune", "--batch", "--serving-version", minor, "--json", tmp_path / "report.json")
    ended = onstage("rehearse", *words, cwd=tmp_path / "project")
    assert ended.code == 0, ended.said
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    details = {(check["platform"], check["name"]): check["detail"] for check in report["checks"]}
    assert {check["status"] for check in report["checks"]} == {"passed"}
    assert "variables" in details["both", "weights"] and details["both", "answers"] == "3 rows"
    platforms = ["sagemaker", "vertex"]
    asked = requested([], platforms, {"tune": True, "batch": True, "serving_version": True})[1]
    assert {check["id"] for check in report["checks"]} == {*of_rehearsal(platforms, asked)}
    # Each trial of one service trains as that of the other does.
    assert details["sagemaker", "tuning"] == details["vertex", "tuning"]
    assert details["vertex", "tuning"].startswith("3 trials, each with a model of its own; val_accuracy is ")
    begin = "130 rows of the evaluation data in 1 request, each answered as it is alone; with a row among them "
    assert details["sagemaker", "batch"].startswith(begin)
    assert details["vertex", "batch"].startswith(begin.replace("1 request", "3 requests"))
    alike = f"TensorFlow {versions.here()} answers 30 rows and a request to named, serving_default as {versions.here()}"
    assert details["vertex", "serving-version"] == details["sagemaker", "serving-version"] == f"{alike} does"
    names = [name for _, name in details]
    assert names.count("data") == names.count("paths") == 1
    assert names.count("hyperparameters") == 1
    assert names.count("train") == names.count("imports") == 2
    assert f"{len(report['checks'])} checks" in ended.out
    # Nothing but the report: no folder of a build, no model.
    assert not [path for path in (tmp_path / "project").rglob("*") if path.suffix in (".egg-info", ".pb")]


@pytest.mark.long
def test_a_seed_of_the_time_is_seen_with_one_platform_alone(bake: Bake, tmp_path: Path) -> None:
    shutil.copytree(bake(platform="vertex"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    seeded = "import time\n\n    keras.utils.set_random_seed(time.time_ns() % 2**31)\n    hidden = joined("
    change(MODEL, "    hidden = joined(", f"    {seeded}")(tmp_path / "project")
    mistake = Mistake("", "seed", nothing, [
        # Of 30 rows, both may classify as many.
        "two trainings with the same seed go different ways; their first epochs end with ",
        "look for what depends on the time, on a random number without a seed, or on the order of a set",
    ])  # fmt: skip
    report, said = rehearse(mistake, tmp_path / "project", "vertex")
    assert failed(report) == {"seed"}, said
