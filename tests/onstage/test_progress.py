"""What goes on is shown on standard error: it moves in a terminal, and is a line now and then in a log."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from rich.console import Console

from onstage import progress, verbosity
from onstage.commands.show import Waiting
from onstage.report import Report

LONG = 'import time\nfrom onstage import progress\nprogress.FIRST = 0.2\nwith progress.doing("a job"):\n    '
WAITS = threading.Event()


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, seconds in (("FIRST", 0.05), ("EVERY", 0.1), ("TICK", 0.02)):
        monkeypatch.setattr(progress, name, seconds)
    yield
    assert not progress._works


def test_a_log_has_a_line_now_and_then_of_all_that_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.doing("one"), progress.doing("other", timed=False) as work:
        WAITS.wait(0.15)
        work.what = "other, half"
        WAITS.wait(0.15)
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0] == "... one 0 s, other"
    assert lines[-1] == "... one 0 s, other, half"
    assert len(lines) <= 3


def test_what_is_done_at_once_and_what_is_quiet_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.doing("one"):
        pass
    monkeypatch.setattr(verbosity, "_level", verbosity.QUIET)
    with progress.doing("other"):
        WAITS.wait(0.2)
    assert capsys.readouterr() == ("", "")


def test_a_check_and_a_cloud_that_are_waited_for_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    text = io.StringIO()
    with Report(Console(file=text)) as report:
        report.run("vertex", "package", lambda: WAITS.wait(0.2) or None)
    with Waiting() as waiting:
        waiting.now("job: running", "00:31")
        WAITS.wait(0.2)
    said = capsys.readouterr()
    assert text.getvalue().startswith("vertex.package")
    assert "... so far 0 s, vertex.package 0 s" in said.err
    assert said.out == "job: running\n"
    assert "... job: running  00:31" in said.err


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals here")
def test_a_terminal_has_one_line_that_is_gone_in_the_end_and_never_in_a_pipe() -> None:
    import pty

    ours, theirs = pty.openpty()
    code = f'{LONG}time.sleep(0.8)\n    print("a result", flush=True)\n    time.sleep(0.5)'
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                read = os.read(ours, 4096)
            except OSError:
                # Linux's way to say that the other side is closed.
                break
            shown += read
            if not read:
                break
        assert process.stdout
        assert process.stdout.read() == "a result\n"
    os.close(ours)
    assert process.returncode == 0
    assert b"a job 0 s" in shown
    # The last of it takes the line back, and shows the cursor again.
    assert b"\x1b[2K" in shown[shown.rindex(b"a job") :]
    assert b"\x1b[?25h" in shown[shown.rindex(b"a job") :]
