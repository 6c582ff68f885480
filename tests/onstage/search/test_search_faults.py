"""What goes wrong in a search: a trial, all trials, the driver, the disk. Nothing is lost, and nothing stays behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onstage.project import Project
from onstage.search import journal, running
from onstage.search.results import folder_of, local
from tests.onstage.commands import onstage, start, stop_when
from tests.onstage.processes import until
from tests.onstage.search.conftest import Stub
from tests.onstage.test_stopping import READ_ONLY, needs_namespaces, on_disk, relatives

BAD_TRIALS = """
if number == 0:
    print("loading", flush=True)
    sys.exit("error: model.py, line 12: ValueError: no such optimizer")
if number == 1:
    say(float("nan"))
    sys.exit()
if number == 2:
    print("nothing to say")
    sys.exit()
if number == 3:
    time.sleep(600)
if number == 4:
    os.kill(os.getpid(), 9)
if number == 5:
    raise MemoryError("too much")
"""


def test_a_bad_trial_has_its_reason_and_the_search_goes_on(stub: Stub) -> None:
    project = stub(BAD_TRIALS)
    # Two at a time: so many failures before a result would end it.
    ended = onstage("tune", "--trials", "9", "--parallel", "4", "--trial-timeout", "4", cwd=project)
    assert ended.code == 0, ended.said
    reasons = {int(one.name.partition("/")[2]): one.reason for one in local(Project(project))}
    assert reasons[0] == "model.py, line 12: ValueError: no such optimizer"
    assert reasons[1] == "val_accuracy is nan in epoch 3"
    assert reasons[2] == "it printed no val_accuracy: no line such as epoch=1 val_accuracy=0.9"
    assert reasons[3] == "no end after 4 s: --trial-timeout S allows more"
    assert reasons[4] == "ended by signal 9, as by a machine out of memory"
    assert reasons[5] == "MemoryError: too much"
    assert [reasons[number] for number in (6, 7, 8)] == ["", "", ""]
    assert "9 of 9 trials: 3 done, 6 failed" in ended.out


def test_trials_that_all_fail_end_the_search_with_their_cause(stub: Stub) -> None:
    project = stub("sys.exit(f'error: model.py, line 7: ValueError: {number} units')")
    ended = onstage("tune", "--trials", "50", cwd=project)
    assert ended.code == 1
    said = "error: all of the first 3 trials failed, 3 of them for one cause: model.py, line 7: ValueError: 0 units"
    assert said in ended.err
    assert len(local(Project(project))) == 3


@pytest.mark.long
def test_a_trial_that_neither_says_nor_computes_anything_has_hung(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    from onstage.commands.tune import tune
    from onstage.search.driver import Options

    busy = "end = time.monotonic() + 3\nwhile number == 1 and time.monotonic() < end: pass\n"
    project = stub(busy + "if number == 0: time.sleep(600)")
    monkeypatch.setattr(running, "IDLE", 1.5)
    tune(Project(project), [], Options(2, 1, float("inf"), 600, "tpe", "median", 0, "search"))
    first, second = local(Project(project))
    assert first.reason == "it has hung: for 2 s it said nothing and computed nothing"
    assert second.state == "succeeded"


@pytest.mark.long
def test_time_that_is_over_ends_the_search_and_it_goes_on_later(stub: Stub) -> None:
    project = stub("if number == 1: time.sleep(600)")
    ended = onstage("tune", "--trials", "3", "--timeout", "4", cwd=project)
    assert ended.code == 0, ended.said
    assert "1 of 3 trials: 1 done; 4 s are over\nthe same command goes on\n" in ended.out
    assert relatives(folder_of(Project(project), "search")) == []
    ended = onstage("tune", "--trials", "3", cwd=project)
    assert (ended.code, "3 of 3 trials: 3 done" in ended.out) == (0, True)
    assert [one.state for one in local(Project(project))] == ["succeeded", "failed", "succeeded", "succeeded"]


SLOW = "time.sleep(0.3)\nif number == 2 and not os.path.exists('go'):\n    open('here', 'w')\n    CHILDtime.sleep(600)"
CHILD = "__import__('subprocess').Popen(['sleep', '601'], start_new_session=True)\n    "


def test_ctrl_c_leaves_nothing_and_loses_nothing(stub: Stub) -> None:
    project = stub(SLOW.replace("CHILD", CHILD))
    folder = folder_of(Project(project), "search")
    said = stop_when((project / "here").exists, "tune", "--trials", "4", cwd=project)
    assert "stopped; no trial that is over is lost: the same command goes on in runs/tune/search" in said
    until(lambda: relatives(folder) == [])
    (project / "go").touch()
    ended = onstage("tune", "--trials", "4", cwd=project)
    assert (ended.code, "goes on after 2 trials: 2 trials of" in ended.out) == (0, True), ended.said
    assert [one.reason for one in local(Project(project))] == ["", "", "stopped", "", ""]


@pytest.mark.long
def test_a_driver_that_is_killed_leaves_nothing_and_loses_nothing(stub: Stub) -> None:
    project = stub(SLOW.replace("CHILD", CHILD))
    folder = folder_of(Project(project), "search")
    driver = start("tune", "--trials", "4", cwd=project)
    until((project / "here").exists)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    until(lambda: relatives(folder) == [])
    # As a disk that was full, or another kill, would have left it.
    file = folder / journal.FILE
    with file.open("ab") as content:
        content.write(b'{"op_code":8,"worker_id":"')
    (folder / f"{journal.FILE}.lock").touch()
    (project / "go").touch()
    before = time.monotonic()
    ended = onstage("tune", "--trials", "4", cwd=project)
    assert ended.code == 0, ended.said
    assert time.monotonic() - before < 30, "a stale lock was waited for"
    assert "journal.log: cut its last line, which was not finished (26 bytes)" in ended.out
    assert "goes on after 2 trials: 2 trials of" in ended.out
    found = local(Project(project))
    assert [one.reason for one in found] == ["", "", "driver died", "", ""]
    assert found[2].hyperparameters not in [one.hyperparameters for one in found[3:]]


@pytest.mark.long
def test_a_second_driver_is_refused_by_name(stub: Stub) -> None:
    project = stub("while not os.path.exists('go'): time.sleep(0.05)")
    driver = start("tune", "--trials", "1", cwd=project)
    until(lambda: (folder_of(Project(project), "search") / "trials").exists())
    ended = onstage("tune", "--trials", "1", cwd=project)
    said = (
        "error: another onstage tune works on runs/tune/search: wait for it, or --name OTHER starts a search beside it"
    )
    assert (ended.code, ended.err.strip()) == (2, said)
    (project / "go").touch()
    assert onstage("tune", "--trials", "1", "--name", "other", cwd=project).code == 0
    driver.communicate(timeout=60)
    assert driver.returncode == 0


@pytest.mark.long
@needs_namespaces
def test_a_full_disk_is_said_and_what_is_over_is_not_lost(stub: Stub, tmp_path: Path) -> None:
    # The disk has room for a few trials, and is kept when its namespace ends: its content is copied out.
    project = stub("open(folder + '/fill', 'wb').write(b'x' * 200_000)")
    kept = tmp_path / "kept"
    script = (
        'mkdir -p runs/tune && mount -t tmpfs -o size=1m none runs/tune && "$@"; code=$?; '
        f"cp -r runs/tune '{kept}'; exit $code"
    )
    words = [sys.executable, "-m", "onstage", "tune", "--trials", "40"]
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", script, "-", *words], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    said = "No space left on device: make room, and the same command goes on; no trial that is over is lost"
    assert ("Traceback" in done.stderr, said in done.stderr) == (False, True), done.stderr
    over = [line for line in done.stdout.splitlines() if re.match(r"trial \d+ done", line)]
    assert over
    shutil.copytree(kept, project / "runs" / "tune", dirs_exist_ok=True)
    (project / "train.py").write_text((project / "train.py").read_text().replace("200_000", "2"), encoding="utf-8")
    ended = onstage("tune", "--trials", str(len(over) + 1), cwd=project)
    assert ended.code == 0, ended.said
    assert sum(one.state == "succeeded" for one in local(Project(project))) == len(over) + 1


@pytest.mark.long
def test_trials_without_a_journal_are_not_trained_over(stub: Stub) -> None:
    project = stub("")
    assert onstage("tune", "--trials", "1", cwd=project).code == 0
    (folder_of(Project(project), "search") / journal.FILE).unlink()
    ended = onstage("tune", "--trials", "1", cwd=project)
    assert (ended.code, "runs/tune/search has trials and no journal" in ended.err) == (2, True)
    assert onstage("tune", "--trials", "1", "--name", "other", cwd=project).code == 0


@pytest.mark.long
def test_a_damaged_journal_is_named_and_left_as_it_is(stub: Stub) -> None:
    project = stub("")
    assert onstage("tune", "--trials", "1", cwd=project).code == 0
    file = folder_of(Project(project), "search") / journal.FILE
    lines = file.read_bytes().splitlines(keepends=True)
    for damaged in (b"no line of Optuna's\n", b'{"op_code":77}\n', b"[]\n"):
        content = b"".join([*lines[:3], damaged, *lines[3:]])
        file.write_bytes(content)
        ended = onstage("tune", "--trials", "2", cwd=project)
        assert (ended.code, "Traceback" in ended.err) == (2, False), ended.err
        assert re.search(
            "runs/tune/search/journal.log is damaged .*: --name OTHER starts a search beside it", ended.err
        )
        assert file.read_bytes() == content
    file.write_bytes(b"".join(lines))
    assert onstage("tune", "--trials", "2", cwd=project).code == 0


@needs_namespaces
def test_a_project_that_is_read_only_has_no_search(stub: Stub) -> None:
    done = on_disk(READ_ONLY, stub(""), sys.executable, "-m", "onstage", "tune", "--trials", "1")
    assert (done.returncode, done.stderr) == (1, "error: runs/tune/search cannot be written: Read-only file system\n")
