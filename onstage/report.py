"""What was checked, how long it took, and what to do about what failed: for people, for logs and for machines."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typing_extensions import Self

from onstage.errors import UserError

_COLOURS = {"passed": "green", "warning": "yellow", "FAILED": "bold red"}


@dataclass(frozen=True)
class Check:
    """One line of the report. `status` is passed, warning or failed; `fix` is what to do next."""

    name: str
    platform: str
    status: str
    seconds: float
    detail: str = ""
    fix: str = ""

    @property
    def verdict(self) -> str:
        """The status as it is printed: nobody should overlook a failure."""
        return "FAILED" if self.status == "failed" else self.status

    @property
    def text(self) -> str:
        """Detail and fix, one below the other."""
        return "\n".join(filter(None, [self.detail, self.fix and f"-> {self.fix}"]))


@dataclass
class Finding:
    """What a check found: what is wrong and where, what to do next, what the cloud would have said."""

    detail: str
    fix: str = ""
    cloud: str = ""
    warning: bool = False


class Report:
    """Collects checks and shows each as it ends: as a table's rows in a terminal, as plain lines in a log."""

    def __init__(self, console: Console) -> None:
        self.checks: list[Check] = []
        # What no platform has a part in is checked for the first one only: model.py and the hyperparameters.
        self.project: tuple[Any, dict[str, Any]] | None = None
        self._console = console
        self._started = time.monotonic()
        # In a log it would be noise.
        self._status = console.status("") if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    @property
    def passed(self) -> bool:
        """Whether no check has failed; warnings do not count."""
        return all(check.status != "failed" for check in self.checks)

    @property
    def seconds(self) -> float:
        """Seconds since the report was opened."""
        return time.monotonic() - self._started

    def run(self, platform: str, name: str, check: Callable[[], Any]) -> bool:
        """Run one check; return whether it did not fail.

        A check answers with findings (a list), with a detail (a text) or with nothing, or raises UserError.
        """
        started = time.monotonic()
        if self._status:
            self._status.update(f"{platform}: {name}")
        try:
            answer = check()
        except UserError as error:
            answer = [Finding(str(error))]
        findings = answer if isinstance(answer, list) else []
        seconds = time.monotonic() - started
        if not findings:
            self._add(Check(name, platform, "passed", seconds, answer if isinstance(answer, str) else ""))
        for finding in findings:
            status = "warning" if finding.warning else "failed"
            detail = f"{finding.detail}\n{finding.cloud}" if finding.cloud else finding.detail
            self._add(Check(name, platform, status, seconds, detail, finding.fix))
            seconds = 0.0
        return all(finding.warning for finding in findings)

    def finish(self, file: Path | None) -> None:
        """Print the verdict; write the report as JSON to `file`. Raises UserError when it cannot be written."""
        self.__exit__()
        failed = sum(check.status == "failed" for check in self.checks)
        warned = sum(check.status == "warning" for check in self.checks)
        verdict = f"[bold red]{failed} FAILED[/]" if failed else "[bold green]PASSED[/]"
        warnings = f", {warned} warning{'s' if warned > 1 else ''}" if warned else ""
        self._print(f"{verdict}{warnings}, {len(self.checks)} checks in {self.seconds:.1f} s")
        if file is None:
            return
        content = {"checks": [asdict(check) for check in self.checks], "passed": self.passed, "seconds": self.seconds}
        try:
            file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"the report cannot be written: {error}") from error

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        text = escape(check.text)
        verdict = f"[{_COLOURS[check.verdict]}]{check.verdict}[/]{' ' * (7 - len(check.verdict))}"
        cells = (f"{check.platform:9}", f"{check.name:15}", f"{check.seconds:5.1f} s", verdict)
        if self._console.is_terminal:
            row = Table.grid(padding=(0, 2))
            row.add_row(*cells, text)
            self._console.print(row)
        elif check.status == "passed":
            self._print(f"{'  '.join(cells)}  {text}".rstrip())
        else:
            self._print("\n    ".join(["  ".join(cells).rstrip(), *text.splitlines()]))

    def _print(self, text: str) -> None:
        # No wrapping: a line of a log stays one line.
        self._console.print(text, highlight=False, soft_wrap=True)
