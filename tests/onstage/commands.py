"""`onstage` as a process of its own: an ordinary one, or one that is forked from a process with all imports done.

The latter takes a second less. Working directory, environment, streams and exit code are those of any process.
"""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.onstage.processes import until

ROOT = Path(__file__).resolve().parents[2]
# Where there is no forking, each imports for itself.
_CONTEXT = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
_CONTEXT.set_forkserver_preload(
    [
        "tests.onstage.commands", "onstage.cli", "onstage.commands.endpoints", "onstage.commands.accounts",
        "onstage.commands.tune",
        "onstage.rehearsal.both", "onstage.sagemaker.client.platform", "onstage.sagemaker.agent.rehearsal",
        "onstage.vertex.client.platform", "onstage.vertex.agent.rehearsal", "packaging.requirements", "rich.console",
        "boto3", "s3transfer.manager", "google.auth.transport.requests", "google.cloud.storage", "numpy",
    ]
)  # fmt: skip
_UNWANTED = ("PYTEST", "PYTHON", "COV", "AWS_", "CLOUDSDK", "GOOGLE", "STORAGE_EMULATOR")
Environment = Mapping[str, str]


@dataclass(frozen=True)
class Ended:
    """The exit code of a process, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """All of it."""
        return self.out + self.err


def onstage(*words: str | Path, cwd: Path, environment: Environment | None = None, text: str = "") -> Ended:
    """Run `onstage` with these words, a forked one; `text` is its standard input.

    It gets this process's environment without what belongs to a cloud, and `environment`.
    """
    with tempfile.TemporaryDirectory(prefix="onstage-") as folder:
        streams = [Path(folder, name) for name in ("in", "out", "err")]
        for stream in streams:
            stream.write_text(text if stream is streams[0] else "", encoding="utf-8")
        arguments = (list(map(str, words)), str(cwd), _variables(environment), list(map(str, streams)))
        process = _CONTEXT.Process(target=_run, args=arguments)
        here = Path.cwd()
        # The server that it is forked from starts with the first, and has to find these modules.
        os.chdir(ROOT)
        try:
            process.start()
        finally:
            os.chdir(here)
        process.join(600)
        if process.is_alive():
            process.kill()
            process.join()
        out, err = (stream.read_text(encoding="utf-8") for stream in streams[1:])
        # Every 30 seconds, which a loaded machine comes to, what it does.
        return Ended(process.exitcode, out, re.sub(r"^\.\.\. .*\n", "", err, flags=re.MULTILINE))


def start(*words: str, cwd: Path, environment: Environment | None = None) -> subprocess.Popen[str]:
    """An ordinary `onstage` that runs while the test goes on; both its streams are in `stdout`."""
    return subprocess.Popen(
        [sys.executable, "-m", "onstage", *words], cwd=cwd, env=_variables(environment),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def stop_when(
    seen: Callable[[], bool], *words: str, how: int = signal.SIGINT, cwd: Path, environment: Environment | None = None
) -> str:
    """What an `onstage` prints that gets a signal as soon as `seen` says so; Ctrl-C has to end it with 130."""
    process = start(*words, cwd=cwd, environment=environment)
    until(lambda: seen() or process.poll() is not None)
    process.send_signal(how)
    said = process.communicate(timeout=60)[0]
    if how == signal.SIGINT:
        assert "Traceback" not in said, said
        assert (process.returncode, said) == (130, said)
    return said


def _variables(more: Environment | None) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(_UNWANTED)}
    return {**own, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1", **(more or {})}


def _run(words: list[str], folder: str, environment: dict[str, str], streams: list[str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, file in enumerate(streams):
        opened = os.open(file, os.O_WRONLY if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, "w" if number else "r") for number in range(3))
    sys.argv = ["onstage", *words]
    from onstage.cli import run

    run()
