"""A host of a job that is killed, stopped, silent or late: what becomes of the others, and of the next try."""

import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.template.hosts import PATIENCE, Job
from tests.template.test_hosts import FLAGS

MANY = ["--epochs=2000", "--batch-size=16"]


@pytest.mark.long
def test_a_host_that_is_killed_ends_the_job_with_its_name_and_all_go_on_together(project: Path, tmp_path: Path) -> None:
    job = Job(project, tmp_path, 2, {"CHECKPOINT_SECONDS": "1"})
    for name in job.names:
        job.start(name, MANY)
    job.wait_for("algo-1", "epoch=3 ")
    job.running["algo-2"].kill()
    assert job.wait() == {"algo-1": 1, "algo-2": -9}
    assert "error: algo-2 is lost: its process was killed" in job.log("algo-1")
    assert (tmp_path / "algo-1" / "output" / "failure").read_text().startswith("algo-2 is lost")
    # As the service does: only the chief's folder has checkpoints.
    for name in job.names:
        job.start(name, MANY)
    job.wait_for("algo-1", "epoch=")
    assert re.search(r"^(resuming after|goes on in) epoch", job.log("algo-1"), re.MULTILINE)
    job.running["algo-1"].kill()
    assert job.wait() == {"algo-1": -9, "algo-2": 1}
    assert "error: algo-1 is lost: its process was killed" in job.log("algo-2")


@pytest.mark.long
def test_a_host_that_answers_no_more_is_named(project: Path, tmp_path: Path) -> None:
    job = Job(project, tmp_path, 2)
    for name in job.names:
        job.start(name, MANY)
    job.wait_for("algo-1", "epoch=3 ")
    # As of a machine that is gone: nothing is closed, and nothing said.
    job.running["algo-2"].send_signal(signal.SIGSTOP)
    assert job.running["algo-1"].wait(PATIENCE) == 1
    job.running["algo-2"].kill()
    assert job.wait() == {"algo-1": 1, "algo-2": -9}
    assert "error: algo-2 is lost: its process was killed, or the host does not answer any more" in job.log("algo-1")


@pytest.mark.long
def test_hosts_that_were_killed_within_an_epoch_end_with_the_weights_of_an_undisturbed_job(
    project: Path, tmp_path: Path
) -> None:
    def run(job: Job, weights: Path, kill: str = "") -> dict[str, int]:
        weights.mkdir()
        for name in job.names:
            told = {"ONSTAGE_WEIGHTS": str(weights / f"{name}.npz"), **({"ONSTAGE_KILL": kill} if kill else {})}
            job.start(name, ["--epochs=3", "--batch-size=16"], f"os.environ.update({told})\n")
        return job.wait()

    undisturbed, killed = Job(project, tmp_path / "a", 2), Job(project, tmp_path / "b", 2)
    assert run(undisturbed, tmp_path / "whole") == {"algo-1": 0, "algo-2": 0}
    assert run(killed, tmp_path / "none", str(tmp_path / "kill.json")) == {"algo-1": -9, "algo-2": 1}
    assert run(killed, tmp_path / "resumed") == {"algo-1": 0, "algo-2": 0}
    assert "goes on in epoch 2 at step 4 of 8" in killed.log("algo-1")
    for name in killed.names:
        whole, resumed = (np.load(tmp_path / folder / f"{name}.npz") for folder in ("whole", "resumed"))
        assert sorted(whole) == sorted(resumed)
        assert all(np.array_equal(whole[key], resumed[key]) for key in whole)


@pytest.mark.long
@pytest.mark.parametrize("told", ["algo-1", "algo-2"])
def test_sigterm_of_one_host_ends_all_after_a_checkpoint(project: Path, tmp_path: Path, told: str) -> None:
    job = Job(project, tmp_path, 2)
    for name in job.names:
        job.start(name, MANY)
    job.wait_for("algo-1", "epoch=3 ")
    job.running[told].terminate()
    assert job.wait() == {"algo-1": 143, "algo-2": 143}
    assert "checkpoints/checkpoint" in job.files("algo-1")
    assert not job.files("algo-2")


@pytest.mark.long
def test_a_host_that_starts_late_joins(project: Path, tmp_path: Path) -> None:
    job = Job(project, tmp_path, 2)
    job.start("algo-2", FLAGS)
    time.sleep(60)
    job.start("algo-1", FLAGS)
    assert job.wait() == {"algo-1": 0, "algo-2": 0}
