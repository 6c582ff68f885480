"""A trial that runs: `train.py` as a process of its own, what it says of its epochs, and why it ended."""

import math
import os
import queue
import re
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from onstage.rehearsal.processes import Launch, Process, Said

# In the environment of all that a search starts.
MARKER = "ONSTAGE_SEARCH"
# Seconds in which a process that says nothing and computes nothing has hung.
IDLE = 120.0
# Seconds from being asked to end to being made to.
GRACE = 5.0
_LAST_LINES = 20


class RunningTrial:
    """A trial of Optuna's with its process. `values` are its hyperparameters, `slot` says which cores it has.

    `value` is the objective of its last epoch line, `epoch` that epoch, `best` the best one so far.
    """

    def __init__(self, trial: optuna.Trial, values: Mapping[str, Any], folder: Path, slot: int) -> None:
        self.trial, self.values, self.folder, self.slot = trial, values, folder, slot
        self.value: float | None = None
        self.epoch = 0
        self.started = time.monotonic()
        # Why it was made to end; empty when it ended by itself.
        self.ended_for = ""
        self._kill_at = float("inf")
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._spoke, self._computed, self._cpu = self.started, self.started, 0.0

    def start(
        self, command: Sequence[str], root: Path, marker: str, cores: Sequence[int], said: queue.Queue[Said]
    ) -> None:
        """Start the process on these cores. Raises OSError where that cannot be."""
        self.folder.mkdir(parents=True)
        self._log = (self.folder / "log.txt").open("w", encoding="utf-8")
        threads = str(len(cores))
        told = {
            MARKER: marker,
            "PYTHONUNBUFFERED": "1",
            **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), threads),
            # Else the first trial takes all of a GPU.
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        }
        launch = Launch(self.folder.name, command, root, {**os.environ, **told}, is_container=True)
        self.process = Process(launch, said)
        if hasattr(os, "sched_setaffinity"):
            try:
                os.sched_setaffinity(self.process.pid, cores)
            except ProcessLookupError:
                pass  # It is over, and its exit code says why.

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self.started

    def line(self, text: str, objective: str) -> float | None:
        """Note a line that it printed; the objective's value if it is a new epoch's."""
        self._spoke = time.monotonic()
        self._log.write(text + "\n")
        self._log.flush()
        if text.strip():
            self._last.append(text.strip())
        epoch = re.match(r"epoch=(\d+) ", text)
        found = re.search(rf"\s{re.escape(objective)}=(\S+)", text) if epoch else None
        if not (epoch and found):
            return None
        try:
            self.value = float(found[1])
        except ValueError:
            self.value = math.nan
        is_new, self.epoch = int(epoch[1]) > self.epoch, max(self.epoch, int(epoch[1]))
        return self.value if is_new else None

    def end(self, why: str) -> None:
        """Ask it to end, and make it when GRACE is over."""
        if not self.ended_for:
            self.ended_for = why
            self._kill_at = time.monotonic() + GRACE
            self.process.end()

    def look(self, limit: float) -> None:
        """End it where it takes more than `limit` seconds, or has hung; make it end where it does not when asked."""
        now = time.monotonic()
        if now >= self._kill_at:
            self.process.end(kill=True)
        elif self.seconds > limit:
            self.end(f"no end after {limit:.0f} s: --trial-timeout S allows more")
        elif now - self._spoke > IDLE and sys.platform.startswith("linux"):
            cpu = _cpu_seconds(self.process.pid)
            if cpu > self._cpu + 0.5:
                self._cpu, self._computed = cpu, now
            elif now - max(self._computed, self._spoke) > IDLE:
                self.end(f"it has hung: for {IDLE:.0f} s it said nothing and computed nothing")

    def close(self) -> None:
        """Its log is whole."""
        self._log.close()

    def failure(self, objective: str) -> str:
        """Why it has no result; empty when it has one."""
        if self.ended_for:
            return self.ended_for
        if code := self.process.exit_code:
            named = next((line for line in reversed(self._last) if re.match(r"(error|[\w.]+Error)\b", line)), "")
            if not named and code < 0:
                return f"ended by signal {-code}{', as by a machine out of memory' * (code == -9)}"
            return (named or (self._last[-1] if self._last else f"exit code {code}")).removeprefix("error: ")
        if self.value is None:
            return f"it printed no {objective}: no line such as epoch=1 {objective}=0.9"
        return f"{objective} is {self.value} in epoch {self.epoch}" if not math.isfinite(self.value) else ""


def _cpu_seconds(session: int) -> float:
    """Seconds of processor time of all processes of a session, as /proc has them."""
    total = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                # What follows the command's name, which may have blanks: state, parent, group, session ...
                fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue  # Gone meanwhile.
            if int(fields[3]) == session:
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")
