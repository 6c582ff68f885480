"""What is wrong with `model.py`, the hyperparameters and the data, seen without TensorFlow."""

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from onstage.checks.model_page import ModelPage
from onstage.errors import UserError
from onstage.report import Finding
from onstage.sections import Data
from onstage.source import find_data

# The training reads every row; here a glance has to do: at so many of a file, and of all files together.
ROWS, LEAST_ROWS, MOST_ROWS = 1000, 20, 20_000
# Lines are counted up to so many bytes of a channel, and estimated beyond.
COUNTED_BYTES = 64 * 2**20
COMPARED_BYTES = 8 * 2**20
# So few that stand in train, too, may do so by chance.
ENOUGH_ROWS = 10
MOST_PROBLEMS = 10
CORRECT = "correct the file, or the columns in src/trainer/model.py"
ONLY_CSV = "rename the files: a job gets them in a folder, and reads every *.csv of it"
UNLESS_MEANT = "unless it is meant, correct the data, or src/trainer/model.py"


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


def check_data(page: ModelPage, data: Data) -> list[Finding] | str:
    """The header and the first rows of every file against the columns of model.py, and what is odd about them."""
    findings: list[Finding] = []
    found: dict[str, dict[str, Path]] = {}
    for channel, location in data:
        try:
            found[channel] = find_data(page.project, location)
        except UserError as error:
            findings.append(Finding(str(error)))
    if findings:
        return findings
    if not page.is_table:
        return ", ".join(f"{channel} {_files(len(files))}" for channel, files in found.items())
    read = {channel: tables(files) for channel, files in found.items()}
    most = rows_of_each(sum(map(len, read.values())))
    seen: dict[str, Any] = {}
    problems: list[str] = []
    for channel, location in data:
        left = page.notes.left_out(found[channel])
        if not read[channel]:
            what = f"settings.toml: {location} has no *.csv file, the first is {next(iter(found[channel]))}"
            said = f"{what}. {page.notes.say_left_out(channel, left)}" if left else what
            findings.append(Finding(said, _ways_in(left) if left else ONLY_CSV))
        elif left:
            findings.append(Finding(page.notes.say_left_out(channel, left), _ways_in(left), warning=True))
        named = {_named(page, file): file for file in read[channel].values()}
        seen[channel], wrong = page.look(channel, named, most, seen.get("train"))
        problems += [problem for problem in wrong if problem not in problems]
    findings += [Finding(problem, CORRECT) for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        findings[-1].detail += f"\nand {len(problems) - MOST_PROBLEMS} more in these files"
    if problems or not all(read.values()):
        return findings
    try:
        notes = page.find_notes(seen["train"], seen["eval"])
    except UserError as error:
        return [*findings, Finding(str(error), CORRECT)]
    notes += _same_rows(page, *(list(files.values()) for files in read.values()))
    findings += [Finding(note, UNLESS_MEANT, warning=True) for note in notes]
    counts = ", ".join(
        f"{channel} {_rows(page, seen[channel], list(files.values()))} of {_files(len(files))}"
        for channel, files in read.items()
    )
    if findings:
        findings[0].cloud = f"a job reads {counts}"
    return findings or counts


def tables(files: Mapping[str, Path]) -> dict[str, Path]:
    """Those of a channel's files that the trainer reads of a folder, which is what a job gets."""
    return {name: file for name, file in files.items() if name.endswith(".csv") and "/" not in name}


def _ways_in(names: Sequence[str]) -> str:
    """What to do about files that are not read."""
    return "; ".join(f"{name}: {_way_in(name.lower())}" for name in names[:5])


def _way_in(name: str) -> str:
    ways = {
        ("/",): "folders in it are not read: move their files up",
        (".csv",): "end its name in .csv, small letters",
        (".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".tar", ".tgz", ".rar"): "unpack it",
        (".tsv", ".tab"): 'name it .csv, with delimiter="\\t" in the Table of model.py',
        (".xlsx", ".xls", ".ods", ".parquet", ".json", ".jsonl", ".feather", ".tfrecord"): "save it as CSV",
    }
    fits = (way for ends, way in ways.items() if name.endswith(ends))
    return next(fits, "name it .csv if it is a part of the table, or move it out")


def rows_of_each(files: int) -> int:
    """How many rows of each of so many files are looked at."""
    return max(LEAST_ROWS, min(ROWS, MOST_ROWS // max(1, files)))


def _files(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"


def _named(page: ModelPage, file: Path) -> str:
    """`file` as its author knows it, wherever it is."""
    return page.project.name(file) if file.is_relative_to(page.project.root) else str(file)


def _rows(page: ModelPage, seen: Any, files: Sequence[Path]) -> str:
    """How many rows there are, counted by lines where not all were looked at, and estimated where that takes long."""
    left_out = f" ({seen.without_target} more without {page.target})" if seen.without_target else ""
    if seen.whole:
        return f"{seen.rows} row{'s' * (seen.rows != 1)}{left_out}"
    size, lines, read = sum(file.stat().st_size for file in files), 0, 0
    for file in files:
        with file.open("rb") as content:
            part = content.read(COUNTED_BYTES - read)
        # A last line may lack its end, and lines of nothing are no rows.
        lines += part.count(b"\n") + (not part.endswith(b"\n")) - len(re.findall(rb"\n[ \r]*(?=\n)", part))
        lines -= page.has_header
        read += len(part)
        if read == COUNTED_BYTES:
            break
    return f"{lines} rows" if read == size else f"about {float(f'{lines * size / read:.2g}'):.0f} rows"


def _same_rows(page: ModelPage, train: Sequence[Path], evaluation: Sequence[Path]) -> list[str]:
    """Whether eval is train, or a part of it, by the lines of files that are quickly read."""
    if max(sum(file.stat().st_size for file in files) for files in (train, evaluation)) > COMPARED_BYTES:
        return []
    known, asked = (
        Counter(
            line.strip() for file in files for line in file.read_bytes().splitlines()[page.has_header :] if line.strip()
        )
        for files in (train, evaluation)
    )
    if known == asked:
        return [page.notes.SAME_ROWS]
    total = sum(asked.values())
    if total >= ENOUGH_ROWS and asked.keys() <= known.keys():
        return [f"each of the {total} eval rows is a row of train, too: the metrics will say what the model remembers"]
    return []
