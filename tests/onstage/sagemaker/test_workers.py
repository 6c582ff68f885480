"""A job of several hosts is looked at: the scripts do what a trainer does there, and make its mistakes."""

from pathlib import Path

import pytest
from rich.console import Console

from onstage.rehearsal import worker_checks
from onstage.rehearsal.terms import Terms
from onstage.report import Check, Report
from onstage.sagemaker.agent import workers
from tests.onstage.clusters import SETUP
from tests.onstage.sagemaker.bench import Bench

TERMS = Terms(60, (), "onstage rehearse sagemaker")
GOOD = f"""{SETUP}
hosts, own = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
links = train(hosts, own, json.loads(os.environ["SM_HPS"])["epochs"])
open(os.environ["SM_OUTPUT_DATA_DIR"] + f"/{{own}}.txt", "w").close()
if own == hosts[0]:
    open(os.environ["SM_MODEL_DIR"] + "/model", "w").close()
"""


def looked_at(bench: Bench, script: str, hosts: int = 2) -> list[Check]:
    """What the check says of a script on several hosts."""
    body = bench.body(script, hosts=hosts)
    body["HyperParameters"]["epochs"] = "2"
    result = bench.run(body, weights=True)
    assert result.status == "Completed", result.failure_reason
    with Report(Console(quiet=True)) as report:
        workers.check(report, body, bench.store, bench.folder / "workers", TERMS, result)
    return report.checks


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.long
def test_three_hosts_that_train_together_and_notice_a_loss_pass(bench: Bench) -> None:
    (check,) = looked_at(bench, GOOD, hosts=3)
    assert (check.id, check.status) == ("sagemaker.workers", "passed"), check.text
    same, ends = "3 hosts, one export; 2 variables as of one host (to 0)", "algo-3 is lost: see its log, exit code: 1"
    assert check.detail.startswith(f"{same}; without algo-3 the job ends within ")
    assert check.detail.endswith(ends)
    assert {path.name for path in (bench.folder / "workers").iterdir()} == {"one", "lost"}


def test_one_host_alone_is_not_looked_at(bench: Bench) -> None:
    assert looked_at(bench, GOOD, hosts=1) == []


def test_a_script_that_ignores_its_hosts_and_writes_on_all_of_them_fails(bench: Bench) -> None:
    found = looked_at(bench, "import os; open(os.environ['SM_MODEL_DIR'] + '/weights', 'w').close()")
    assert [check.status for check in found] == ["failed", "failed"]
    assert "algo-1 and algo-2 never looked for the other hosts" in found[0].detail
    assert "algo-2, which is not the chief, wrote SM_MODEL_DIR/weights" in found[1].detail
    assert found[1].fix.endswith('os.environ["SM_CURRENT_HOST"] == json.loads(os.environ["SM_HOSTS"])[0]')
    assert "keeps one file of each name" in found[1].cloud


@pytest.mark.long
def test_a_script_that_waits_for_a_lost_host_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_checks, "SECONDS", 2.0)
    (check,) = looked_at(bench, GOOD.replace("links = train", "lost = lambda links: None\nlinks = train"))
    assert check.status == "failed"
    assert check.detail == (
        "algo-2 was killed in the middle of the training, and 2 s later the others still wait for it"
    )
    assert check.cloud == "every instance is paid for, until its limit"


@pytest.mark.long
def test_a_script_that_fails_on_one_host_alone_is_named(bench: Bench) -> None:
    alone = "if len(hosts) == 1:\n    raise SystemExit('error: it needs two')\nlinks = train"
    (check,) = looked_at(bench, GOOD.replace("links = train", alone))
    assert check.detail.startswith(
        "the same job on one host, to compare with, fails: AlgorithmError: ExecuteUserScriptError: ExitCode 1"
    )
    assert check.fix == "correct it and rehearse again: onstage rehearse sagemaker"
