# Owned by the template.
"""What is wrong with `model.py`, the hyperparameters and the data, seen without TensorFlow."""

import types
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Any

from cloud import ROOT
from cloud.settings import Data
from rehearse.report import Finding
from trainer.columns import Table, local_lines
from trainer.run import UserError, parse_flags

# The training reads every row; here a glance has to do.
ROWS = 1000


def hyperparameters(page: types.ModuleType, argv: Sequence[str], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Every hyperparameter by name: model.py's defaults, `changed` by the rehearsal, and the flags `argv` over both.

    Raises UserError for an unknown name or a value of another type, with the known ones.
    """
    known = page.Hyperparameters
    names = list(known.__dataclass_fields__)
    for name in changed:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UserError(
                f"settings.toml, [rehearsal] hyperparameters: {name} is not known; {meant}Known: {', '.join(names)}"
            )
    flags = [f"--{name}={value}" for name, value in changed.items()]
    chosen, _ = parse_flags(known, [*flags, *argv])
    return {name: getattr(chosen, name) for name in names}


def find_data(location: str) -> dict[str, Path]:
    """The local files of a location of settings.toml, by the names that they have in a bucket.

    A location is a file, a folder, or a pattern. Raises UserError when it has no files, or is not on this machine.
    """
    if "://" in location:
        raise UserError(
            f"settings.toml: {location} is not on this machine; to rehearse, name a small sample that is, in [data]"
        )
    place = ROOT / location
    if place.is_dir():
        files = sorted(path for path in place.rglob("*") if path.is_file() and not path.name.startswith("."))
        found = {path.relative_to(place).as_posix(): path for path in files}
    else:
        matches = [place] if place.is_file() else sorted(Path(path) for path in glob(str(place)))
        found = {path.name: path for path in matches}
    if not found:
        raise UserError(f"settings.toml: there is no data at {location}")
    return found


def check_data(page: types.ModuleType, data: Data) -> list[Finding]:
    """The header and the first rows of every file against the columns of model.py."""
    files = {location: find_data(location) for _, location in data}
    if not isinstance(page.DATA, Table):
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
            if problem := _problem(page.DATA, file):
                shown = problem.replace(f"{ROOT}/", "")
                findings.append(Finding(shown, "correct the file, or the columns in src/trainer/model.py"))
    return findings


def _problem(table: Table, file: Path) -> str | None:
    def first_lines(name: str) -> Iterable[str]:
        return islice(local_lines(name), ROWS)

    if not file.stat().st_size:
        return f"{file} is empty"
    try:
        if table.header:
            table.check_header(str(file), table.split(next(iter(first_lines(str(file)))).removeprefix("\ufeff")))
        return table.find_problem([str(file)], first_lines)
    except UserError as error:
        return str(error)
