"""`onstage rehearse vertex --kill`: the checkpoints of a killed job stay in its bucket."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import MODEL, change


@pytest.mark.long
def test_a_killed_job_ends_with_the_weights_of_the_undisturbed_one(bake: Bake, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(bake(platform="vertex"), copy, ignore=shutil.ignore_patterns("__pycache__"))
    noise = "keras.layers.GaussianNoise(0.1)"
    change(MODEL, "hidden = joined(DATA, inputs)", f"hidden = {noise}(joined(DATA, inputs))")(copy)
    words = ("rehearse", "vertex", "--select", "vertex.kill", "--json", copy / "report.json", "--dropout", "0.3")
    ended = onstage(*words, cwd=copy)
    assert ended.code == 0, ended.said
    details = {one["id"]: one["detail"] for one in json.loads((copy / "report.json").read_text("utf-8"))["checks"]}
    killed = "killed in epoch 2 after step 5 of 8, it went on from step 4, to the same weights; SIGTERM saves at once; "
    lost = "without it, an interruption loses at most 60 s of training (checkpoint_seconds)"
    assert details["vertex.kill"] == killed + lost
