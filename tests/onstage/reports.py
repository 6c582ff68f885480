"""A rehearsal and its report as JSON, which fits the schema in docs/."""

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema

from tests.conftest import Bake
from tests.onstage.mistakes import add
from tests.onstage.small import ROOT, Done, forked

SCHEMA = ROOT / "docs" / "report.schema.json"
UNDEFINED = add("src/trainer/extra.py", "print(undefined)")


def copied(bake: Bake, folder: Path) -> Path:
    """A copy of the default project in `folder`, which a test may change."""
    shutil.copytree(bake(), folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "project"


def fitting(text: str) -> dict[str, Any]:
    """The report in `text`; it fits the schema."""
    report = json.loads(text)
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return report


def rehearse(project: Path, *words: str) -> tuple[dict[str, Any], Done]:
    """A rehearsal with its report as JSON, and what it printed on standard error."""
    done = forked("rehearse", *words, "--format", "json", folder=project)
    report = fitting(done.stdout)
    assert report["passed"] == (done.returncode == 0)
    return report, done


def statuses(report: dict[str, Any]) -> dict[str, str]:
    """What came of each check, by its id."""
    return {one["id"]: one["status"] for one in report["checks"]}
