"""Waiting for processes that a test started."""

import subprocess
import time
from collections.abc import Callable


def is_running(pid: int) -> bool:
    """Whether a process exists and is not just waiting for its parent to notice that it ended."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def all_end(pids: list[int]) -> bool:
    """Whether all of them end; a killed process takes a moment."""
    for _ in range(200):
        if not any(map(is_running, pids)):
            return True
        time.sleep(0.05)
    return False


def until(seen: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until `seen` says so."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
