"""Processes that end: all of a job's containers at once, within a time limit, with everything they started."""

import contextlib
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import onstage
from onstage import stopping
from onstage.errors import UserError
from onstage.rehearsal.watchdog import end_strays

# What a process needs of this machine, beside its PATH; nothing else of the caller's environment goes in.
_KEPT = ("LD_LIBRARY_PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS", "TZ")


# How long a program may go on when its training is over: a thread, a pool or a child may keep it. TensorFlow's own end
# takes a second, and as many times that as there are processes for each processor, up to a limit.
LINGERING, _MOST_BUSY = 12.0, 5.0
# How long the end of a line may take, for who reads what is there: between two writes of one `print` nothing goes by.
PAUSE = 0.05
_ENDED = "onstage-ended"
# As `nice` counts: a higher one would get nothing on a busy machine.
_BEHIND = 5


@dataclass(frozen=True)
class Launch:
    """A command to start: its name in the log, its working directory and its whole environment.

    `is_container`: what it started ends with it, as in a container whose first process it is; else children that keep
    its streams open are waited for. `cut`, a list: a line that is not written at once is cut where its writer paused,
    and what it began with is added there. `is_background`: it has what others leave of the processor.
    """

    name: str
    command: Sequence[str]
    folder: Path
    environment: dict[str, str]
    is_container: bool = False
    cut: list[str] | None = None
    is_background: bool = False


@dataclass
class Loss:
    """The end of a machine in the middle of a job: the launch `name` is killed when `due` is set, and nobody tells its
    peers, who have `seconds` to end by themselves. `at` is when that was, and `over` when all had ended, of
    time.monotonic().
    """

    name: str
    seconds: float
    due: threading.Event
    at: float | None = None
    over: float | None = None

    @property
    def seconds_after(self) -> float | None:
        """How long all the others took to end; None where nothing was lost."""
        return None if self.at is None or self.over is None else self.over - self.at


# What a process has said: the stream's name and a line, or "end" and its exit code.
Said = tuple["Process", str, Any]


class Process:
    """A started Launch, in a process group of its own. `exit_code` stays None when it was made to end."""

    def __init__(self, launch: Launch, said: queue.Queue[Said]) -> None:
        self.launch = launch
        self.exit_code: int | None = None
        self.over = False
        self._told_to_end = False
        own_group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self._process = subprocess.Popen(
            launch.command,
            cwd=launch.folder,
            env=launch.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **own_group,
        )
        if launch.is_background and os.name != "nt":
            _hold_back(self._process.pid)
        threading.Thread(target=self._watch, args=(said,), daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number, and that of its group."""
        return self._process.pid

    def end(self, *, kill: bool = False) -> None:
        """Ask the process and all it started to end, or make them; after its own end, what it left behind."""
        self._told_to_end = True
        if os.name != "nt":
            self._signal_group(signal.SIGKILL if kill else signal.SIGTERM)
        elif not self.over:
            command = ["taskkill", "/T", "/F", "/PID", str(self._process.pid)]
            subprocess.run(command, capture_output=True, check=False)

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # Nobody of the group is left, which macOS calls EPERM.

    def note_end(self, exit_code: int) -> None:
        """Keep the exit code of a process that ended by itself."""
        self.over = True
        self.exit_code = None if self._told_to_end else exit_code

    def _watch(self, said: queue.Queue[Said]) -> None:
        # SageMaker's toolkit waits for the pipes first: a child that keeps them open keeps the job running.
        streams = (("stdout", self._process.stdout), ("stderr", self._process.stderr))
        readers = [threading.Thread(target=self._read, args=(*stream, said), daemon=True) for stream in streams]
        for reader in readers:
            reader.start()
        if self.launch.is_container:
            self._process.wait()
            if os.name != "nt":
                self._signal_group(signal.SIGKILL)
        for reader in readers:
            reader.join()
        said.put((self, "end", self._process.wait()))

    def _read(self, name: str, stream: IO[bytes], said: queue.Queue[Said]) -> None:
        cut = self.launch.cut
        with stream:
            # Windows cannot wait for a pipe.
            lines: Iterable[bytes] = stream if cut is None or os.name == "nt" else _as_it_comes(stream, cut)
            for line in lines:
                said.put((self, name, line.decode("utf-8", "replace").rstrip("\r\n")))


def run(
    launches: Sequence[Launch],
    line: Callable[[str, str, str], None],
    *,
    deadline: float,
    grace: float,
    marker: str,
    first_leads: bool = False,
    background: threading.Event | None = None,
    loss: Loss | None = None,
) -> tuple[list[int | None], bool]:
    """Run all launches at once; return their exit codes and whether the deadline (of time.monotonic) ended them.

    When one fails, or with `first_leads` when the first one ends, its peers are ended: SIGTERM and, `grace` seconds
    later, SIGKILL. Whatever happens, an interrupt included, nothing is left running: neither in the process groups nor,
    on Linux, outside of them with `marker` in the environment. `line` gets a launch's name, the stream's name and the
    text of each line, in this thread. With `background`, all have what others leave of the processor, and end when it
    is set; UserError is raised then, and for a command that cannot be started, KeyboardInterrupt where all was stopped.
    `loss` ends one of them, if that comes to pass.
    """
    said: queue.Queue[Said] = queue.Queue()
    processes: list[Process] = []
    late, lingering, kill_at, give_up_at = False, False, float("inf"), float("inf")
    try:
        for launch in launches:
            try:
                asked = _asked(launch, deadline - time.monotonic())
                processes.append(Process(replace(asked, is_background=background is not None), said))
            except OSError as error:
                raise UserError(f"{launch.command[0]} cannot be started: {error}") from error
        while not all(process.over for process in processes) and time.monotonic() < give_up_at:
            now = time.monotonic()
            stopping.refuse_to_go_on()
            if background and background.is_set():
                raise UserError("stopped")
            if loss and loss.at is None and loss.due.is_set():
                loss.at, deadline = now, min(deadline, now + loss.seconds)
                next(process for process in processes if process.launch.name == loss.name).end(kill=True)
            if not lingering and all(process.over or _has_ended(process.launch) for process in processes):
                lingering, deadline = True, min(deadline, now + LINGERING * _business())
            if now >= deadline and kill_at == float("inf"):
                late, kill_at = True, now + grace
                _end(processes)
            if now >= kill_at and give_up_at == float("inf"):
                # A process out of reach may hold a pipe open for ever.
                give_up_at = now + 2
                _end(processes, kill=True)
                end_strays(marker)
            try:
                process, stream, content = said.get(timeout=max(0.0, min(deadline, kill_at, now + 0.2) - now) or 0.05)
            except queue.Empty:
                continue
            if stream != "end":
                line(process.launch.name, stream, content)
                continue
            process.note_end(content)
            decides = process.exit_code or (first_leads and process is processes[0])
            if decides and kill_at == float("inf"):
                kill_at = time.monotonic() + grace
                _end(processes)
    finally:
        for process in processes:
            process.end(kill=True)
        end_strays(marker)
        if loss:
            loss.over = time.monotonic()
    return [process.exit_code for process in processes], late


def lingered(root: Path) -> bool:
    """Whether the training of a process with this `root` was over, as the template's projects say."""
    return (root / "tmp" / _ENDED).exists()


def _business() -> float:
    """How many processes each processor has to do with, from 1 on."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 1.0
    return min(max(1.0, load / (os.cpu_count() or 1)), _MOST_BUSY)


def _hold_back(group: int) -> None:
    """Let a process group, which is a session, have a third of what others get."""
    priority = min(19, os.getpriority(os.PRIO_PROCESS, 0) + _BEHIND)
    os.setpriority(os.PRIO_PGRP, group, priority)
    # Where Linux shares the processor out among sessions first, that counts within one only.
    with contextlib.suppress(OSError):
        Path(f"/proc/{group}/autogroup").write_text(str(priority), encoding="utf-8")


def _as_it_comes(stream: IO[bytes], cut: list[str]) -> Iterator[bytes]:
    """The lines of a stream, and what there is of one when its writer pauses; blanks around a pause are lost."""
    begun, paused = b"", True
    while True:
        if not paused and not select.select([stream], [], [], PAUSE)[0]:
            paused = True
            if begun:
                cut.append(begun.decode("utf-8", "replace").strip())
                yield begun.rstrip()
                begun = b""
        read = os.read(stream.fileno(), 65536)
        *whole, begun = (begun + (read.lstrip() if paused else read)).split(b"\n")
        paused = False
        yield from whole
        if not read:
            break
    if begun:
        yield begun


def _asked(launch: Launch, seconds: float) -> Launch:
    """With what the template's projects read: when to say where the program is, where to note that it is over, and
    what more to say of a table.
    """
    place = launch.environment.get("TMPDIR")
    told = {"ONSTAGE_SECONDS": f"{max(0.5, seconds - 1):.1f}"} if seconds < threading.TIMEOUT_MAX / 1000 else {}
    told |= {"ONSTAGE_ENDED": str(Path(place, _ENDED))} if place else {}
    told["ONSTAGE_ADVICE"] = onstage.ADVICE
    return replace(launch, environment={**told, **launch.environment})


def _has_ended(launch: Launch) -> bool:
    return Path(launch.environment.get("ONSTAGE_ENDED", os.devnull)).is_file()


def environment(root: Path, python: str) -> dict[str, str]:
    """What a process gets before the platform says anything: no credentials, no home, settings for Python as in images.

    `python`, a path, comes first on PATH.
    """
    home, temporary = str(root / "home"), str(root / "tmp")
    return {
        **{name: value for name, value in os.environ.items() if name.upper() in _KEPT},
        "PATH": os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", os.defpath)]),
        **dict.fromkeys(("HOME", "USERPROFILE"), home),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary),
        "LANG": "C.UTF-8",
        "PYTHONIOENCODING": "UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _end(processes: Sequence[Process], *, kill: bool = False) -> None:
    for process in processes:
        if not process.over:
            process.end(kill=kill)
