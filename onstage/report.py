"""What was checked, how long it took, and what to do about what failed: for people, for logs and for machines."""

import contextlib
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from onstage import progress, stopping, verbosity
from onstage.catalogue import ESSENTIAL
from onstage.errors import UserError
from onstage.tables.sample import Sample

# Below it, what a check says would stand in a column of a few words.
_WIDE = 90
_COLOURS = {
    "passed": "green",
    "warning": "yellow",
    "FAILED": "bold red",
    "ignored": "yellow",
    "skipped": "cyan",
}


class NotDoneError(Exception):
    """Why a check could not be done here, which it found out on its way."""


@dataclass(frozen=True)
class Check:
    """One line of the report, or of several findings of a check each one.

    `status` is passed, warning, failed, ignored (whatever it found does not count) or skipped (it cannot be done here).
    `detail` is what was found, in `file` at `line` where that is known, or why the check is ignored or skipped; `cloud`
    what the cloud would have said; `fix` what to do next.
    """

    platform: str
    name: str
    status: str
    seconds: float
    detail: str = ""
    cloud: str = ""
    fix: str = ""
    file: str = ""
    line: int | None = None

    @property
    def id(self) -> str:
        """The check's stable name, as `--select` and `--ignore` take it."""
        return f"{self.platform}.{self.name}"

    @property
    def verdict(self) -> str:
        """The status as it is printed: nobody should overlook a failure."""
        return "FAILED" if self.status == "failed" else self.status

    @property
    def text(self) -> str:
        """Detail, what the cloud would have said, and fix, one below the other."""
        return "\n".join(filter(None, [self.detail, self.cloud, self.fix and f"-> {self.fix}"]))


@dataclass
class Finding:
    """What a check found: what is wrong and where, what to do next, what the cloud would have said."""

    detail: str
    fix: str = ""
    cloud: str = ""
    warning: bool = False
    file: str = ""
    line: int | None = None

    @property
    def text(self) -> str:
        """`detail` after its place."""
        place = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{place}: {self.detail}" if place else self.detail


class Report:
    """Collects checks and shows each as it ends: as a table's rows in a terminal, as plain lines in a log.

    With `select`, ids, all other checks are not done; what those in `ignore`, ids with a reason each, find does not
    count.
    """

    def __init__(
        self, console: Console, *, select: Collection[str] = (), ignore: Mapping[str, str] | None = None
    ) -> None:
        self.checks: list[Check] = []
        self.ignore = dict(ignore or {})
        # What a rehearsal of just these jobs cannot know.
        self.not_seen: list[str] = []
        # What no platform has a part in is checked for the first one only: model.py and the hyperparameters.
        self.project: tuple[Any, dict[str, Any]] | None = None
        # By channel: what the rehearsed jobs get of the data, as the check of the data has found it.
        self.samples: dict[str, Sample] = {}
        # Of TensorFlow, a version that serves what a job left, beside the one here; empty for none.
        self.serving_version = ""
        self._select = frozenset(select)
        self._console = console
        self._started = time.monotonic()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(progress.doing("so far"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def passed(self) -> bool:
        """Whether no check has failed; warnings do not count."""
        return all(check.status != "failed" for check in self.checks)

    @property
    def seconds(self) -> float:
        """Seconds since the report was opened."""
        return time.monotonic() - self._started

    def wants(self, platform: str, name: str) -> bool:
        """Whether a check is to be done."""
        return self.wants_id(f"{platform}.{name}")

    def wants_id(self, one: str) -> bool:
        """Whether the check with this id is to be done."""
        return not self._select or one in self._select

    def run(self, platform: str, name: str, check: Callable[[], Any]) -> bool:
        """Run one check; return whether what comes after it can be done.

        A check answers with findings (a list), with a detail (a text) or with nothing, or raises UserError; with
        NotDoneError it is skipped.
        """
        if not self.wants(platform, name):
            return f"{platform}.{name}" not in ESSENTIAL
        started = time.monotonic()
        try:
            with progress.doing(f"{platform}.{name}"):
                answer = check()
        except UserError as error:
            answer = [Finding(str(error))]
            if verbosity.is_verbose():
                self._print(escape(traceback.format_exc()))
        except NotDoneError as undone:
            self._add(Check(platform, name, "skipped", time.monotonic() - started, str(undone)))
            return True
        # What was stopped has not failed.
        stopping.refuse_to_go_on()
        findings = answer if isinstance(answer, list) else []
        seconds = time.monotonic() - started
        reason = self.ignore.get(f"{platform}.{name}")
        if reason is not None:
            found = "; ".join(finding.text.partition("\n")[0] for finding in findings)
            why = f"{reason}; found: {found}" if found else f"{reason}; it passes, so nothing needs to be ignored"
            self._add(Check(platform, name, "ignored", seconds, why))
            return True
        if not findings:
            self._add(Check(platform, name, "passed", seconds, answer if isinstance(answer, str) else ""))
        for finding in findings:
            status = "warning" if finding.warning else "failed"
            what = (finding.text, finding.cloud, finding.fix, finding.file, finding.line)
            self._add(Check(platform, name, status, seconds, *what))
            seconds = 0.0
        return all(finding.warning for finding in findings)

    def skip(self, platform: str, name: str, reason: str) -> None:
        """Say why a check cannot be done here."""
        if self.wants(platform, name):
            self._add(Check(platform, name, "skipped", 0.0, reason))

    def line(self, platform: str, text: str) -> None:
        """A line of the log of a platform's job, which --verbose shows; behind the platform where two jobs run."""
        if verbosity.is_verbose():
            several = len({check.platform for check in self.checks} - {"project"}) > 1
            self._print(escape(f"{platform}: {text}" if several else text))

    def finish(self) -> None:
        """Print what was not seen, then the verdict."""
        self.__exit__()
        # Platforms add theirs side by side; what is of none of them comes last.
        places = {line: line.partition(": ")[0] for line in self.not_seen}
        self.not_seen.sort(key=lambda line: places[line] if places[line] in ("sagemaker", "vertex") else "~")
        if self.not_seen and not verbosity.is_quiet():
            self._print("\n    ".join(["not seen here:", *map(escape, self.not_seen)]))
        failed = sum(check.status == "failed" for check in self.checks)
        verdict = f"[bold red]{failed} FAILED[/]" if failed else "[bold green]PASSED[/]"
        others = [
            (name, sum(check.status == name for check in self.checks)) for name in ("warning", "ignored", "skipped")
        ]
        counts = "".join(
            f", {count} {name}{'s' * (name == 'warning' and count > 1)}" for name, count in others if count
        )
        self._print(f"{verdict}{counts}, {len(self.checks)} checks in {self.seconds:.1f} s")

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        if verbosity.is_quiet() and check.status != "failed":
            return
        with progress.aside():
            self._show(check)

    def _show(self, check: Check) -> None:
        text = escape(check.text)
        verdict = f"[{_COLOURS[check.verdict]}]{check.verdict}[/]{' ' * (7 - len(check.verdict))}"
        cells = (f"{check.id:25}", f"{check.seconds:5.1f} s", verdict)
        if self._console.is_terminal and self._console.width < _WIDE:
            self._print("  ".join(cells).rstrip())
            if text:
                self._console.print(Padding(Text.from_markup(text), (0, 0, 0, 4)), highlight=False)
        elif self._console.is_terminal:
            row = Table.grid(padding=(0, 2))
            row.add_row(*cells, text)
            self._console.print(row)
        elif check.status == "passed":
            self._print(f"{'  '.join(cells)}  {text}".rstrip())
        else:
            self._print("\n    ".join(["  ".join(cells).rstrip(), *text.splitlines()]))

    def _print(self, text: str) -> None:
        # No wrapping: a line of a log stays one line.
        with progress.aside():
            self._console.print(text, highlight=False, soft_wrap=True)
