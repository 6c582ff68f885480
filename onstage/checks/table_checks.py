"""What is wrong with `model.py`, the hyperparameters and the data, seen without TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from onstage.checks.model_page import ModelPage
from onstage.errors import UserError
from onstage.report import Finding
from onstage.sections import Data
from onstage.source import find_data

# The training reads every row; here a glance has to do.
ROWS = 1000


def hyperparameters(page: ModelPage, argv: Sequence[str], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Every hyperparameter by name: model.py's defaults, `changed` by the rehearsal, and the flags `argv` over both.

    Raises UserError for an unknown name or a value of another type, with the known ones.
    """
    names = [field.name for field in dataclasses.fields(page.hyperparameters)]
    for name in changed:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UserError(
                f"settings.toml, [rehearsal] hyperparameters: {name} is not known; {meant}Known: {', '.join(names)}"
            )
    flags = [f"--{name}={value}" for name, value in changed.items()]
    chosen = page.parse_flags([*flags, *argv])
    return {name: getattr(chosen, name) for name in names}


def check_data(page: ModelPage, data: Data) -> list[Finding]:
    """The header and the first rows of every file against the columns of model.py."""
    files = {location: find_data(page.project, location) for _, location in data}
    if not page.is_table:
        return []
    findings = []
    for location, found in files.items():
        # As the trainer reads a folder, which is what a job gets.
        tables = [file for name, file in found.items() if name.endswith(".csv") and "/" not in name]
        if not tables:
            first = next(iter(found))
            findings.append(
                Finding(
                    f"settings.toml: {location} has no *.csv file, the first is {first}",
                    "rename the files: a job gets them in a folder, and reads every *.csv of it",
                )
            )
        for file in tables:
            if problem := _problem(page, file):
                shown = problem.replace(f"{page.project.root}/", "")
                findings.append(Finding(shown, "correct the file, or the columns in src/trainer/model.py"))
    return findings


def _problem(page: ModelPage, file: Path) -> str | None:
    if not file.stat().st_size:
        return f"{file} is empty"
    try:
        return page.find_problem(file, lambda lines: islice(lines, ROWS))
    except UserError as error:
        return str(error)
