"""Ends what a process has started when that is gone, however it ended: run as a script, in a session of its own.

Standard input says what is there: a line `+GROUP` for a process group, `-GROUP` when it is over. At its end, all that
is left is killed, and on Linux every process with the given text in its environment, whatever group it has made itself.
Standard library only.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path


def main(marker: str) -> None:
    """Wait for the end of standard input, then end what is left."""
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        _end_group(group)
    end_strays(marker)


def _end_group(group: int) -> None:
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(group)], capture_output=True, check=False)
        return
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass  # It is over.


def end_strays(marker: str) -> None:
    """Kill every process of this machine that has `marker` in its environment; only Linux says which."""
    if not sys.platform.startswith("linux"):
        return
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if marker.encode() in (folder / "environ").read_bytes():
                    os.kill(int(folder.name), signal.SIGKILL)
            except OSError:
                continue  # Another user's, or gone meanwhile.


if __name__ == "__main__":
    main(sys.argv[1])
