"""How everything ends when somebody has had enough: Ctrl-C, a closed terminal, a cancelled job of CI, `timeout`."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

# Set by whoever has had enough, for what runs in other threads: signals reach the main one only.
STOPPED = threading.Event()
# How often a thread looks whether it is to end.
_SECONDS = 0.2
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_came: list[int] = []


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do as Ctrl-C does, unless somebody ignores them, as nohup does."""
    is_main = threading.current_thread() is threading.main_thread()
    heard = [number for number in _SIGNALS if is_main and signal.getsignal(number) == signal.SIG_DFL]
    for number in heard:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)
        _came.clear()


def exit_code() -> int:
    """What a shell says of a process that was stopped so: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + (_came[0] if _came else signal.SIGINT)


def refuse_to_go_on() -> None:
    """Raise KeyboardInterrupt where everything was stopped."""
    if STOPPED.is_set():
        raise KeyboardInterrupt


def call(
    command: Sequence[str], *, timeout: float = float("inf"), cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """As subprocess.run, with what the command says as texts; it ends, with all it started, when this is stopped.

    Raises subprocess.TimeoutExpired after `timeout` seconds, and KeyboardInterrupt where everything was stopped.
    """
    group: dict[str, Any] = {"start_new_session": True} if os.name != "nt" else {}
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    until = time.monotonic() + timeout
    with subprocess.Popen(command, cwd=cwd, env=env, text=True, errors="replace", **streams, **group) as process:
        try:
            while True:
                refuse_to_go_on()
                try:
                    out, err = process.communicate(timeout=_SECONDS)
                    return subprocess.CompletedProcess(command, process.returncode, out, err)
                except subprocess.TimeoutExpired:
                    if time.monotonic() > until:
                        raise
        except BaseException:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
            raise


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Another one would cut off what cleans up.
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    _came.append(number)
    raise KeyboardInterrupt
