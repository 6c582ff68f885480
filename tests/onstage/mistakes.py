"""Mistakes to plant in a rendered project, and what the rehearsal has to say about them."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.onstage.commands import onstage
from tests.onstage.guide import assert_has

MODEL = "src/trainer/model.py"


@dataclass
class Mistake:
    """`plant` breaks a project; the report then names `check` and says each of `said`."""

    name: str
    check: str
    plant: Callable[[Path], object]
    said: list[str]
    argv: tuple[str, ...] = ()


def add(file: str, text: str) -> Callable[[Path], object]:
    """Append lines to a file, which is made if it is not there."""

    def plant(project: Path) -> None:
        path = project / file
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(f"{before}{text}\n", encoding="utf-8")

    return plant


def change(file: str, old: str, new: str) -> Callable[[Path], object]:
    """Replace a text that stands in a file."""

    def plant(project: Path) -> None:
        path = project / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    return plant


def write(file: str, text: str) -> Callable[[Path], object]:
    """Replace a whole file."""
    return lambda project: (project / file).write_text(text, encoding="utf-8")


def both(*plants: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda project: [plant(project) for plant in plants]


def some_long(mistakes: Sequence[Mistake], *kept: str) -> list[Any]:
    """The mistakes as parameters of a test; all but those `kept`, by their names, are long."""
    assert {*kept} <= {mistake.name for mistake in mistakes}
    marks = {name: () for name in kept}
    return [pytest.param(one, id=one.name, marks=marks.get(one.name, pytest.mark.long)) for one in mistakes]


def nothing(project: Path) -> None:
    """The mistake is on the command line."""


def rehearse(mistake: Mistake, project: Path, platform: str = "sagemaker") -> tuple[dict[str, Any], str]:
    """Plant the mistake, rehearse, and look for every word in the failed checks and on the screen.

    Returns the report, and what was printed.
    """
    mistake.plant(project)
    ended = onstage("rehearse", platform, "--json", project / "report.json", *mistake.argv, cwd=project)
    assert ended.code == 1, ended.said
    report = json.loads((project / "report.json").read_text(encoding="utf-8"))
    assert not report["passed"]
    found = [check for check in report["checks"] if check["status"] == "failed"]
    text = "\n".join(f"{check['detail']}\n{check['cloud']}\n{check['fix']}" for check in found)
    for check in found:
        assert_has(check)
    for words in mistake.said:
        assert words in text, ended.out
    for line in text.splitlines():
        assert line.strip() in ended.out
    assert re.search(rf"^{len(found)} FAILED", ended.out, re.MULTILINE)
    assert not ended.err
    return report, ended.out


def failed(report: dict[str, Any]) -> set[str]:
    """The names of the checks that failed."""
    return {check["name"] for check in report["checks"] if check["status"] == "failed"}


def names(report: dict[str, Any]) -> list[str]:
    """The names of all checks."""
    return [check["name"] for check in report["checks"]]
