"""The same job once more, alongside: with the same seed its first epoch has to end with the same numbers."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from onstage.errors import UserError
from onstage.rehearsal.metric_checks import Log, Match
from onstage.report import Finding, Report
from onstage.serving.answers import TOLERANCE

# In seconds, or as a part of what the rehearsal has taken so far: how long its end waits for the twin.
_PATIENCE, _SHARE = 60.0, 0.2
_GPUS = ("/dev/nvidia0", "/dev/kfd")


class Twin:
    """A job that runs in a thread, with what the machine has left over, until it has printed every metric once.

    `patterns` are the metrics' regular expressions. `run` runs the job: it gives each line of the log to the first of
    its arguments, and raises UserError soon after the second one is set.
    """

    def __init__(self, patterns: Mapping[str, str], run: Callable[[Callable[[str], None], threading.Event], object]):
        self._patterns, self._run = patterns, run
        self._lines: list[str] = []
        self._enough, self._failure = threading.Event(), ""
        self._thread = threading.Thread(target=self._train, daemon=True)
        # Two trainings do not fit into the memory of one GPU, of which TensorFlow takes all.
        self._has_gpu = any(Path(place).exists() for place in _GPUS)
        if not self._has_gpu:
            self._thread.start()

    def stop(self) -> None:
        """End the job, if it runs still."""
        self._enough.set()
        if not self._has_gpu:
            self._thread.join()

    def compare(self, report: Report, platform: str, log: str) -> None:
        """Report whether the first values of the metrics are those in `log`, the other job's."""
        if not report.wants(platform, "seed"):
            return
        theirs = self._first(log.split("\n"))
        if self._has_gpu:
            report.skip(platform, "seed", "a second training does not fit beside the job: it has the GPU for itself")
        elif len(theirs) < len(self._patterns):
            report.skip(platform, "seed", "without the metrics in the job's log there is nothing to compare")
        else:
            patience = max(_PATIENCE, _SHARE * report.seconds)
            self._thread.join(patience)
            if self._thread.is_alive():
                late = f"the first epoch of a second training, alongside, was not over {patience:.0f} s after all else"
                report.skip(platform, "seed", late)
            else:
                report.run(platform, "seed", lambda: self._check(theirs))

    def _check(self, theirs: Mapping[str, Match]) -> list[Finding] | str:
        ours = self._first(self._lines)
        if len(ours) < len(self._patterns):
            said = [line for line in self._lines if line.strip()]
            ended = self._failure or (said[-1] if said else "it printed nothing")
            what = f"the same job ran a second time, alongside, and did not come as far: {ended}"
            return [Finding(what, "rehearse again; if it stays so, look for what both share, such as a port or a file")]
        other = [name for name in self._patterns if not _close(theirs[name].value, ours[name].value)]
        if other:
            seen = ", ".join(f"{name}={theirs[name].text} and {ours[name].text}" for name in other)
            return [
                Finding(
                    f"two trainings with the same seed go different ways; their first epochs end with {seen}",
                    "look for what depends on the time, on a random number without a seed, or on the order of a set",
                    "no job in the cloud can be repeated, and a resumed one is not the one that was stopped",
                )
            ]
        return "a second training began alike: " + ", ".join(f"{name}={one.text}" for name, one in ours.items())

    def _first(self, lines: list[str]) -> dict[str, Match]:
        log = Log("\n".join(lines))
        found = {name: log.matches(pattern, first=True) for name, pattern in self._patterns.items()}
        return {name: matches[0] for name, matches in found.items() if matches}

    def _train(self) -> None:
        try:
            self._run(self._add, self._enough)
        except UserError as error:
            self._failure = str(error)
        except KeyboardInterrupt:
            # This thread's own end: the main one has been told.
            self._failure = "stopped"

    def _add(self, line: str) -> None:
        self._lines.append(line)
        if len(self._first([line])) and len(self._first(self._lines)) == len(self._patterns):
            self._enough.set()


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE * max(1.0, abs(one))
