"""What goes on, for whoever waits: after a second a line that moves in a terminal, every half minute a line in a log.

All of it is on standard error: standard output belongs to results.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from onstage import verbosity

# Seconds: before anything is shown in a terminal, between two lines in a log, between two looks at what goes on.
FIRST, EVERY, TICK = 1.0, 30.0, 0.2


@dataclass(eq=False)
class Work:
    """Something that takes its time; whoever does it may change `what`. `timed`: how long it has taken is shown."""

    what: str
    timed: bool = True
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        return f"{self.what} {int(time.monotonic() - self.started)} s" if self.timed else self.what


_lock = threading.RLock()
_works: list[Work] = []
_ended = threading.Event()
# What moves now, and its text.
_live: Any = None


@contextlib.contextmanager
def doing(what: str, *, timed: bool = True) -> Iterator[Work]:
    """Show `what` as long as this lasts, beside what other threads do; nothing with --quiet."""
    global _ended
    work = Work(what, timed)
    with _lock:
        _works.append(work)
        if len(_works) == 1 and not verbosity.is_quiet():
            _ended = threading.Event()
            threading.Thread(target=_tick, args=(sys.stderr, _ended), daemon=True).start()
    try:
        yield work
    finally:
        with _lock:
            _works.remove(work)
            if not _works:
                _ended.set()
                _clear()


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Print something that stays: what moves is out of its way."""
    with _lock:
        _clear()
        yield


def _tick(stream: Any, ended: threading.Event) -> None:
    said = time.monotonic()
    while not ended.wait(TICK):
        with _lock:
            if ended.is_set():
                return
            now = time.monotonic()
            shown = [str(work) for work in _works if work.what and now - work.started >= FIRST]
            if shown and stream.isatty():
                _move(", ".join(shown))
            elif shown and now - said >= EVERY:
                said = now
                print(f"... {', '.join(shown)}", file=stream, flush=True)


def _move(text: str) -> None:
    global _live
    # Slow to import, for commands that are done at once.
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    if _live is None:
        # What is printed elsewhere stays on the stream that it was printed on.
        spinner = Spinner("dots")
        _live = (Live(spinner, console=Console(stderr=True), transient=True, redirect_stdout=False), spinner)
        _live[0].start()
    # One row is taken back whole, however narrow the terminal becomes.
    line = Text(text, no_wrap=True, overflow="ellipsis")
    line.truncate(max(1, _live[0].console.width - 3), overflow="ellipsis")
    _live[1].update(text=line)


def _clear() -> None:
    global _live
    if _live:
        _live[0].stop()
        _live = None
