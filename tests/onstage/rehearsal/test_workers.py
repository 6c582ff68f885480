"""`onstage rehearse --workers 2` runs a real cluster of two processes through each platform's agent."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import MODEL, Mistake, change, failed, rehearse

SGD = change(MODEL, "keras.optimizers.Adam(", "keras.optimizers.SGD(")


@pytest.fixture
def copy(bake: Bake, tmp_path: Path) -> Path:
    shutil.copytree(bake(platform="both"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


def looked_at(project: Path, platform: str, *words: str) -> dict[str, Any]:
    """The report of the check of several hosts, and of what that needs."""
    ended = onstage("rehearse", platform, *words, "--json", project / "report.json", cwd=project)
    assert ended.code == 0, ended.said
    return json.loads((project / "report.json").read_text(encoding="utf-8"))


LOST = {"sagemaker": "algo-2", "vertex": "cmle-training-workerpool1-1234567890-0"}


@pytest.mark.long
@pytest.mark.parametrize("platform", LOST)
def test_two_hosts_train_the_model_of_one_and_end_when_one_is_lost(copy: Path, platform: str) -> None:
    # A name that a host looks up, weights that all have, those of one host, and a loss: nothing of it is a script's.
    SGD(copy)
    report = looked_at(copy, platform, "--select", f"{platform}.workers", "--workers", "2")
    (detail,) = [check["detail"] for check in report["checks"] if check["name"] == "workers"]
    assert "one export; " in detail and " variables as of one host (to " in detail
    assert f"; without {LOST[platform]} the job ends within " in detail
    assert f"{LOST[platform]} is lost: its process was killed" in detail
    assert f"{platform}: the job on one host, as settings.toml says; here it had 2" in report["not_seen"]


@pytest.mark.long
@pytest.mark.parametrize("platform", LOST)
def test_as_many_hosts_as_settings_toml_says_are_rehearsed_with_all_that_follows(copy: Path, platform: str) -> None:
    key = {"sagemaker": "instance_count", "vertex": "replica_count"}[platform]
    change("settings.toml", f"[{platform}]\n", f"[{platform}]\n{key} = 3\n")(copy)
    report = looked_at(copy, platform)
    statuses = {check["name"]: check["status"] for check in report["checks"]}
    assert {statuses[name] for name in ("train", "workers", "load", "predictions", "replay")} == {"passed"}
    assert statuses["seed"] == "skipped"
    assert not [line for line in report["not_seen"] if "as settings.toml says" in line]
    assert f"{platform}: the network between 3 machines, which are processes of this one here" in report["not_seen"]


# A callback runs on every host.
FILE = """
class Keep(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        import os
        open(os.environ["SM_MODEL_DIR"] + "/seen.txt", "w").close()


callbacks = [Keep()]
"""
MISTAKES = [
    Mistake("a file of every host in the model's folder", "workers",
            lambda project: (project / MODEL).write_text((project / MODEL).read_text() + FILE),
            ["algo-2, which is not the chief, wrote SM_MODEL_DIR/seen.txt"], ("--workers", "2")),
    Mistake("a seed of the time", "workers",
            change(MODEL, "    hidden = joined(", "    import time\n    keras.utils.set_random_seed(time.time_ns() % "
                   "2**31)\n    hidden = joined("),
            ["hosts train another model than one does"], ("--workers", "2", "--select", "sagemaker.workers")),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_that_only_several_hosts_show_is_named(copy: Path, mistake: Mistake) -> None:
    report, _ = rehearse(mistake, copy)
    assert mistake.check in failed(report)
