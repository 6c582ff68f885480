"""A job of several replicas is looked at: the scripts do what a trainer does there, and make its mistakes."""

from pathlib import Path

import pytest
from rich.console import Console

from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.report import Check, Report
from onstage.vertex.agent import workers
from onstage.vertex.agent.agent import run_custom_job
from tests.onstage.clusters import SETUP

TERMS = Terms(60, (), "onstage rehearse vertex")
WRITE = """
import urllib.request
base = os.environ['AIP_MODEL_DIR'].removeprefix('gs://bucket/').removesuffix('model/')
def write(name):
    where = f"{os.environ['STORAGE_EMULATOR_HOST']}/upload/storage/v1/b/bucket/o?uploadType=media&name={base}{name}"
    urllib.request.urlopen(urllib.request.Request(where, b"x", method="POST")).close()
"""
GOOD = f"""{SETUP}{WRITE}
config = json.loads(os.environ.get("TF_CONFIG") or ALONE)
roles, task = config["cluster"], config["task"]
hosts = [host.partition(":")[0] for role in ("chief", "worker") for host in roles.get(role, ())]
own = roles[task["type"]][task["index"]].partition(":")[0]
epochs = int([arg for arg in sys.argv if arg.startswith("--epochs=")][-1].partition("=")[2])
links = train(hosts, own, epochs)
is_chief = task["type"] == "chief"
if is_chief:
    write("model/1/saved_model.pb")
write(f"logs/{{own}}")
if is_chief and links:
    # The job ends with its chief: let the others have written.
    links[0][1].settimeout(60)
    links[0][1].recv(1)
"""


def looked_at(folder: Path, script: str) -> list[Check]:
    """What the check says of a script on two replicas."""
    store = LocalStore(folder / "store")
    (folder / "store" / "bucket").mkdir(parents=True)
    container = {
        "imageUri": "tensorflow/tensorflow:2.21.0",
        "command": ["python", "-c", script],
        "args": ["--epochs=2"],
    }
    pool = {"containerSpec": container, "replicaCount": 1}
    output = {"outputUriPrefix": "gs://bucket/jobs/a"}
    body = {"displayName": "a", "jobSpec": {"workerPoolSpecs": [pool, pool], "baseOutputDirectory": output}}
    result = run_custom_job(body, store, folder / "job", grace=1, weights=True)
    assert result.state == "JOB_STATE_SUCCEEDED", result.log
    with Report(Console(quiet=True)) as report:
        workers.check(report, body, store, folder / "workers", TERMS, result)
    return report.checks


def test_two_replicas_that_train_together_and_notice_a_loss_pass(tmp_path: Path) -> None:
    (check,) = looked_at(tmp_path, GOOD)
    assert (check.id, check.status) == ("vertex.workers", "passed"), check.text
    name = "cmle-training-workerpool1-1234567890-0"
    assert check.detail.startswith(
        f"2 replicas, one export; 2 variables as of one host (to 0); without {name} the job ends within "
    )
    assert check.detail.endswith(f"{name} is lost: see its log")
    written = sorted(path.name for path in (tmp_path / "store" / "bucket" / "jobs").iterdir())
    assert written == ["a", "a-one"]


@pytest.mark.long
@pytest.mark.parametrize("place", ["model/worker.txt", "checkpoints/1"])
def test_a_replica_that_writes_what_is_the_chiefs_fails(tmp_path: Path, place: str) -> None:
    (check,) = looked_at(tmp_path, GOOD.replace("\nwrite(f", f"\nwrite('{place}') if not is_chief else None\nwrite(f"))
    assert check.status == "failed"
    assert check.detail == f"workerpool1-0, which is not the chief, wrote gs://bucket/jobs/a/{place}"
    assert "the last one stays" in check.cloud


@pytest.mark.long
def test_replicas_that_write_one_object_fail(tmp_path: Path) -> None:
    (check,) = looked_at(tmp_path, GOOD.replace('write(f"logs/{own}")', 'write("logs/all")'))
    assert check.detail == "workerpool1-0, which is not the chief, wrote gs://bucket/jobs/a/logs/all"
