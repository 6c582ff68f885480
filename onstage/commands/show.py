"""What people see: bodies as JSON, a line that says where things are, bytes that have gone. Plain lines in a log."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

from onstage import outcome, progress, verbosity

if TYPE_CHECKING:
    from onstage.cloud import Plan, State
    from onstage.report import Report


def say(text: str) -> None:
    """A message for people."""
    with progress.aside():
        print(text, flush=True)


def aside(text: str) -> None:
    """A message for people that must not get into what standard output is piped to."""
    with progress.aside():
        print(text, file=sys.stderr, flush=True)


def requests(plan: "Plan") -> None:
    """The exact bodies on standard output, each as JSON; what they are on standard error."""
    for step in plan.steps:
        print(step.request.operation, file=sys.stderr, flush=True)
        print(json.dumps(step.request.body, indent=2), flush=True)
    outcome.note(requests=[{"operation": step.request.operation, "body": step.request.body} for step in plan.steps])
    print("not sent: --dry-run", file=sys.stderr, flush=True)


def report(dry_run: bool = False, ignore: Mapping[str, str] | None = None) -> "Report":
    """A report of checks, away from standard output when that has the bodies; `ignore` as for Report."""
    from rich.console import Console

    from onstage.report import Report

    return Report(Console(stderr=dry_run), ignore=ignore)


def state(found: "State") -> str:
    """A job or an endpoint in one line."""
    seconds = "" if found.seconds is None else clock(found.seconds)
    numbers = " ".join(f"{name}={value:.6g}" for name, value in found.metrics.items())
    return "  ".join(filter(None, [found.name, found.kind, found.detail or found.state, seconds, numbers]))


def clock(seconds: float) -> str:
    """Seconds as 1:02:03 or 02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


class Waiting:
    """What is waited for: it moves in a terminal; a log gets what is new, and every half minute where it is."""

    def __init__(self) -> None:
        self._stack, self._shown = contextlib.ExitStack(), ""

    def __enter__(self) -> Self:
        self._work = self._stack.enter_context(progress.doing("", timed=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def line(self, text: str) -> None:
        """A line that stays, such as one of a log."""
        say(text)

    def now(self, text: str, moving: str = "") -> None:
        """What goes on: `text` is printed once in a log; `moving` (a clock, a metric) only moves."""
        self._work.what = f"{text}  {moving}".rstrip()
        if text != self._shown and not sys.stdout.isatty() and not verbosity.is_quiet():
            say(text)
        self._shown = text


class Bytes:
    """How many bytes of a whole have gone, in a terminal and in a log; how many it were, when they have.

    A `patient` one leaves standard output to what is printed there, and says nothing of what is done in a second.
    """

    def __init__(self, what: str, total: int, *, patient: bool = False) -> None:
        self._what, self._total, self._gone = what, total, 0
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._stream, self._least = (sys.stderr, 1.0) if patient else (sys.stdout, 0.0)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._work = self._stack.enter_context(progress.doing(self._what, timed=False))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stack.close()
        seconds = max(time.monotonic() - self._started, 1e-3)
        if verbosity.is_quiet() or seconds < self._least:
            return
        done = "done" if error is None else "not finished"
        said = f"{self._what}: {size(self._gone)} in {seconds:.1f} s, {size(self._gone / seconds)}/s, {done}"
        print(said, file=self._stream, flush=True)

    def add(self, count: int) -> None:
        """`count` bytes more have gone; fewer than none before a repetition."""
        with self._lock:
            self._gone += count
            each = size(self._gone / max(time.monotonic() - self._started, 1e-3))
            self._work.what = f"{self._what}: {size(self._gone)} of {size(self._total)}, {each}/s"


def size(count: float) -> str:
    """Bytes in the unit that suits."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def pauses() -> Iterable[float]:
    """Seconds to wait between questions: short at first, never more than five."""
    seconds = 0.3
    while True:
        yield seconds
        seconds = min(seconds * 1.3, 5.0)


def listed(lines: Iterable[str]) -> str:
    """Lines below each other, indented."""
    return "\n".join(f"  {line}" for line in lines)
