"""Mistakes to plant in a rendered project, and what the rehearsal has to say about them."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Command

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


def nothing(project: Path) -> None:
    """The mistake is on the command line."""


def rehearse(
    mistake: Mistake, project: Path, command: Command, platform: str = "sagemaker"
) -> tuple[dict, subprocess.CompletedProcess]:
    """Plant the mistake, rehearse, and look for every word in the failed checks and on the screen."""
    mistake.plant(project)
    words = ["-m", "rehearse", platform, "--json", project / "report.json", *mistake.argv]
    done = command(sys.executable, *words, cwd=project)
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((project / "report.json").read_text(encoding="utf-8"))
    assert not report["passed"]
    failed = [check for check in report["checks"] if check["status"] == "failed"]
    text = "\n".join(f"{check['detail']}\n{check['fix']}" for check in failed)
    for words in mistake.said:
        assert words in text, done.stdout
    for line in text.splitlines():
        assert line.strip() in done.stdout
    assert re.search(rf"^{len(failed)} FAILED", done.stdout, re.MULTILINE)
    assert not done.stderr
    return report, done
