"""Whether processes have ended that a test started."""

import subprocess
import time


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
