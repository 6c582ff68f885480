"""Whoever has had enough is obeyed: nothing runs on, nothing stays behind. And what cannot be written is a sentence."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from onstage import stopping
from onstage.errors import main
from tests.conftest import Bake
from tests.onstage.processes import until

ONSTAGE = [sys.executable, "-m", "onstage"]
# What everybody's folder may be called.
NAME = "Jörg's [1] pröject"
NAMESPACES = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0
needs_namespaces = pytest.mark.skipif(not NAMESPACES, reason="a disk of its own needs namespaces, which are off here")


@pytest.fixture(scope="module")
def project(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopping") / NAME
    return Path(shutil.copytree(bake(), folder, ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def relatives(place: Path) -> list[str]:
    """The command lines of all processes that have `place` in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if str(place).encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found


@pytest.mark.parametrize(
    ("number", "during"),
    [
        (signal.SIGTERM, "trainer.task"),
        pytest.param(signal.SIGHUP, "pip install", marks=pytest.mark.long),
        pytest.param(signal.SIGINT, "sagemaker_entry.py", marks=pytest.mark.long),
    ],
)
def test_a_rehearsal_that_is_stopped_leaves_nothing(
    number: signal.Signals, during: str, project: Path, temporary: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(
        [*ONSTAGE, "rehearse"],
        cwd=project,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        until(lambda: any(during in line for line in relatives(temporary)))
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert said.splitlines()[-1] == "stopped"
    assert "FAILED" not in said
    assert "Traceback" not in said
    until(lambda: not relatives(temporary), 10)
    assert not [one for one in temporary.iterdir() if "autograph" not in one.name]


@pytest.mark.long
def test_two_rehearsals_of_one_project_pass_side_by_side_and_need_no_home(project: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | {"NO_COLOR": "1"}
    words = [*ONSTAGE, "rehearse", "--select=sagemaker.model"]
    both = [
        subprocess.Popen(
            words, cwd=project, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(2)
    ]
    for said in [one.communicate(timeout=200)[0] for one in both]:
        assert "\nPASSED, " in said, said
        assert "\x1b" not in said
    assert [one.returncode for one in both] == [0, 0]


def test_a_reader_that_has_seen_enough_ends_a_command_without_a_traceback(project: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m onstage rehearse --select=project | head -n 1"],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("project.settings")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_an_interrupt_once_and_what_was_before_comes_back(
    number: signal.Signals, capfd: pytest.CaptureFixture
) -> None:
    def run() -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            # A second one does not cut off the cleaning up.
            os.kill(os.getpid(), number)
            print("cleaned up", flush=True)

    assert main(run) == 128 + number
    assert capfd.readouterr() == ("cleaned up\n", "stopped\n")
    assert signal.getsignal(number) == signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_so_as_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(lambda: os.kill(os.getpid(), signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture
def stopped() -> Iterator[None]:
    stopping.STOPPED.set()
    yield
    stopping.STOPPED.clear()


def test_a_call_ends_with_all_that_it_started(stopped: None, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stopping.call(["sh", "-c", "sleep 300 & sleep 300"], env={**os.environ, "PLACE": str(tmp_path)})
    until(lambda: not relatives(tmp_path), 10)


def test_a_call_has_what_was_said_and_a_limit_of_time() -> None:
    done = stopping.call(["sh", "-c", "echo yes; echo no >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "yes\n", "no\n")
    with pytest.raises(subprocess.TimeoutExpired):
        stopping.call(["sleep", "60"], timeout=0.1)


def on_disk(mounts: str, folder: Path, *words: str) -> subprocess.CompletedProcess:
    """A command in a folder, and in a namespace that has these mounts; `$0` in them is the folder."""
    script = f'{mounts} && cd "$0" && exec "$@"'
    return subprocess.run(
        ["unshare", "-rm", "bash", "-c", script, str(folder), *words], capture_output=True, text=True, check=False
    )


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"'


@needs_namespaces
@pytest.mark.long
def test_a_project_that_is_read_only_rehearses_with_a_note(project: Path) -> None:
    done = on_disk(READ_ONLY, project, *ONSTAGE, "rehearse", "vertex")
    assert (done.returncode, done.stdout.splitlines()[-1][:6]) == (0, "PASSED"), done.stdout + done.stderr
    assert done.stderr.count("note: ") == 1
    assert "runs/rehearsed.json cannot be written (Read-only file system): commands that send" in done.stderr


@pytest.mark.long
@needs_namespaces
def test_a_project_that_is_read_only_trains_in_a_temporary_folder(project: Path) -> None:
    done = on_disk(READ_ONLY, project, sys.executable, "train.py", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "note: runs cannot be written (Read-only file system): this training is in " in done.stderr
    place = Path(done.stdout.partition("model: ")[2].partition("\n")[0])
    assert place.joinpath("saved_model.pb").is_file()
    shutil.rmtree(place.parents[1])


@needs_namespaces
@pytest.mark.parametrize(
    "words",
    [
        [*ONSTAGE, "rehearse"],
        [*ONSTAGE, "serve"],
        pytest.param([sys.executable, "train.py"], marks=pytest.mark.long),
    ],
)
def test_a_temporary_folder_that_is_full_is_one_sentence(words: list[str], project: Path, temporary: Path) -> None:
    done = on_disk(f"mount -t tmpfs -o size=4k none '{temporary}' && export TMPDIR='{temporary}'", project, *words)
    assert done.returncode == 2
    told = f"error: the temporary folder {temporary} has 0.0 MB left, of at least 17 MB: remove something, or name"
    assert done.stderr == f"{told} another, TMPDIR=FOLDER before the command\n"
