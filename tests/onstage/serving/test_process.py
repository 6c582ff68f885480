"""The model server's process: what it can import, what it knows, when it ends."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from onstage.errors import UserError
from onstage.serving import process
from onstage.serving.process import ServingProcess
from tests.conftest import Command

PARENT = """
import sys, time
from onstage.serving.process import ServingProcess
server = ServingProcess()
print(server.pid, server.url, flush=True)
time.sleep(600)
"""


# Loads the server as its process does, and then says what cannot be imported.
IMPORTS = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="server")
for name in sys.argv[2:]:
    try:
        __import__(name)
    except ImportError:
        print(name)
"""


def test_the_server_can_import_neither_the_project_nor_keras(tmp_path: Path, command: Command) -> None:
    (tmp_path / "src" / "trainer").mkdir(parents=True)
    names, own = ["keras", "tf_keras", "trainer", "onstage", "model"], {"PYTHONPATH": "src"}
    done = command(sys.executable, "-I", "-c", IMPORTS, process.MAIN, *names, cwd=tmp_path, environment=own)
    assert done.stdout.split() == names, done.stderr
    anybody = IMPORTS.replace("runpy.run_path", "str").replace(', run_name="server"', "")
    done = command(sys.executable, "-c", anybody, "", "trainer", "onstage", cwd=tmp_path, environment=own)
    assert done.stdout.split() == [], done.stderr


def test_the_server_ends_with_its_parent_and_knows_no_secrets(tmp_path: Path) -> None:
    environment = os.environ | {
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "GOOGLE_APPLICATION_CREDENTIALS": "x",
        "PYTHONPATH": "p",
        "TMPDIR": str(tmp_path),
    }
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().split()
    assert httpx.get(f"{url}/ping").status_code == 502
    if Path("/proc").exists():
        names = {
            entry.partition("=")[0] for entry in Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")
        }
        assert "PATH" in names
        assert not {name for name in names if name.startswith(("AWS_", "GOOGLE_", "PYTHON"))}
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    # A connection that the dying process had taken already is broken, a later one refused.
    with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
        while time.monotonic() < deadline:
            httpx.get(f"{url}/ping")
            time.sleep(0.1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_is_killed_leaves_nothing_and_is_named(
    sent: signal.Signals, tmp_path: Path, iris: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with ServingProcess() as server:
        server.load(iris)
        os.kill(server.pid, sent)
        with pytest.raises(UserError, match=f"the model server ended with code {-sent}"):
            server.wait()
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_said_in_one_line(server: ServingProcess, iris: Path) -> None:
    taken = int(server.url.rpartition(":")[2])
    with ServingProcess(port=taken) as second, pytest.raises(UserError, match=f"cannot use port {taken}: "):
        second.load(iris)
