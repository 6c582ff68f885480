"""What is wrong with `model.py`, the hyperparameters and the data, seen without TensorFlow."""

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from onstage.checks import row_checks
from onstage.checks.model_page import ModelPage
from onstage.checks.row_checks import ChannelRows, look_at_rest
from onstage.errors import UserError
from onstage.project import path_for_people
from onstage.report import Finding
from onstage.sections import Data
from onstage.source import find_data
from onstage.tables import files as kinds
from onstage.tables import sample
from onstage.tables.sample import Sample

# Lines are counted up to so many bytes of a channel, and estimated beyond.
COUNTED_BYTES = 64 * 2**20
COMPARED_BYTES = 8 * 2**20
# So few that stand in train, too, may do so by chance.
ENOUGH_ROWS = 10
MOST_PROBLEMS = 10
CORRECT = "correct the file, or the columns in src/trainer/model.py"
FROM_ONE_FILE = "of a CSV file of yours: onstage columns FILE.csv --write, then onstage split FILE.csv"
ONE_KIND = "name one kind by a pattern in settings.toml, or move the other out"
ONLY_CSV = "rename the files: a job gets them in a folder, and reads every *.csv of it but those that begin with . or _"
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


def check_data(page: ModelPage, data: Data, most: int, samples: dict[str, Sample]) -> list[Finding] | str:
    """The rows against the columns of model.py, and what is odd about them: the first of every file, then all in time.

    `samples` gets, by channel, what a rehearsed job has of its data: at most `most` rows, all where that is 0.
    """
    findings: list[Finding] = []
    found: dict[str, dict[str, Path]] = {}
    for channel, location in data:
        try:
            found[channel] = find_data(page.project, location)
        except UserError as error:
            findings.append(Finding(str(error)))
    if not found and page.is_table and all("there is no data at" in finding.detail for finding in findings):
        return [Finding(f"settings.toml: there is no data at {data.train} and none at {data.eval}", FROM_ONE_FILE)]
    if findings:
        return findings
    damaged = []
    for channel, files in found.items():
        try:
            samples[channel] = sample_of(page, files, most)
        except UserError as error:
            damaged.append(str(error))
            samples[channel] = sample.whole(files, tables(page, files))
    if not page.is_table:
        whole = " (whole: DATA is no Table)" if most else ""
        return ", ".join(f"{channel} {_files(len(files))}{whole}" for channel, files in found.items())
    read = {channel: tables(page, files) for channel, files in found.items()}
    shards = {channel for channel, files in read.items() if any(map(page.notes.is_records, files))}
    if mixed := [channel for channel in shards if not all(map(page.notes.is_records, read[channel]))]:
        return [
            Finding(f"{' and '.join(mixed)}: text and TFRecord shards side by side, the same rows twice?", ONE_KIND)
        ]
    looks: dict[str, ChannelRows] = {}
    for channel, location in data:
        left = page.notes.left_out(found[channel], page.table.delimiter)
        if not read[channel]:
            what = f"settings.toml: {location} has no *.csv file, the first is {next(iter(found[channel]))}"
            said = f"{what}. {page.notes.say_left_out(channel, left)}" if left else what
            findings.append(Finding(said, _ways_in(left) if left else ONLY_CSV))
        elif left:
            findings.append(Finding(page.notes.say_left_out(channel, left), _ways_in(left), warning=True))
        if channel in shards:
            continue
        looks[channel] = ChannelRows(page, channel, read[channel], samples[channel])
        looks[channel].look_at_starts(sum(map(len, read.values())), looks.get("train"))
    problems = _problems(looks)
    if not problems and all(read.values()):
        look_at_rest(list(looks.values()))
        problems = _problems(looks) + damaged
    correct = f"{CORRECT}: onstage columns {path_for_people(page.project.root / data.train)} says what they are"
    findings += [Finding(problem, correct) for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        findings[-1].detail += f"\nand {len(problems) - MOST_PROBLEMS} more in these files"
    if problems or damaged or not all(read.values()):
        return findings
    counts = {
        channel: _rows(page, look.seen, list(read[channel].values()), samples[channel])
        for channel, look in looks.items()
    }
    samples.update({channel: look.sample.with_count(look.looked, counts[channel]) for channel, look in looks.items()})
    if shards:
        # Which takes TensorFlow: the job's first pass does it.
        return findings or f"{_line(samples, looks)}; TFRecord shards, which are not looked at before the job"
    try:
        notes = page.find_notes(looks["train"].seen, looks["eval"].seen)
    except UserError as error:
        return [*findings, Finding(str(error), correct)]
    notes += _same_rows(page, looks, *(list(files.values()) for files in read.values()))
    findings += [Finding(note, UNLESS_MEANT, warning=True) for note in notes]
    if findings:
        findings[0].cloud = "a job reads " + ", ".join(
            f"{channel} {rows} of {_files(len(read[channel]))}" for channel, rows in counts.items()
        )
        return findings
    return _line(samples, looks)


def sample_of(page: ModelPage, files: Mapping[str, Path], most: int) -> Sample:
    """What a rehearsed job has of a channel's files: at most `most` rows of a table's, all where that is 0."""
    if not page.is_table:
        return sample.whole(files)
    own = tables(page, files)
    return sample.take(files, own, most, header=page.has_header, delimiter=page.table.delimiter)


def _line(samples: Mapping[str, Sample], looks: Mapping[str, ChannelRows]) -> str:
    """How many rows there are, are in the sample, and were looked at."""
    said = ", ".join(f"{channel} {taken.in_words}" for channel, taken in samples.items())
    if not all(taken.is_all for taken in samples.values()):
        said += " (a sample; --all-rows takes all)"
    looked = [f"{taken.looked:,} of {channel}" for channel, taken in samples.items() if taken.looked is not None]
    if looked:
        said += f"; rows looked at in {row_checks.SECONDS:g} s: {', '.join(looked)}"
    lacking = [
        f"{look.lacking[0][1]!r}{f' and {len(look.lacking) - 1} more labels' * (len(look.lacking) > 1)} of {channel}"
        for channel, look in looks.items()
        if look.lacking and look.looked is not None
    ]
    return said + (f"; not found in that time, nor in the sample: {', '.join(lacking)}" if lacking else "")


def _problems(looks: Mapping[str, ChannelRows]) -> list[str]:
    return list(dict.fromkeys(problem for look in looks.values() for problem in look.problems))


def tables(page: ModelPage, files: Mapping[str, Path]) -> dict[str, Path]:
    """Those of a channel's files that the trainer reads of a folder, which is what a job gets."""
    return {
        name: file
        for name, file in files.items()
        if page.notes.is_data(name, page.table.delimiter) and not kinds.is_hidden(name)
    }


def _ways_in(names: Sequence[str]) -> str:
    """What to do about files that are not read."""
    return "; ".join(f"{name}: {_way_in(name.lower())}" for name in names[:5])


def _way_in(name: str) -> str:
    ways = {
        (".zip", ".bz2", ".xz", ".zst", ".7z", ".tar", ".tgz", ".rar"): "unpack it",
        (".tsv", ".tab", ".tsv.gz"): 'write delimiter="\\t" in the Table of model.py',
        (".xlsx", ".xls", ".ods", ".parquet", ".json", ".jsonl", ".feather"): "save it as CSV",
    }
    fits = (way for ends, way in ways.items() if name.endswith(ends))
    return next(fits, "name it .csv if it is a part of the table, or move it out")


def _files(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"


def _rows(page: ModelPage, seen: Any, files: Sequence[Path], taken: Sample) -> str:
    """How many rows there are, counted by lines where not all were looked at, and estimated where that takes long."""
    left_out = f" ({seen.without_target} more without {page.target})" if seen.without_target else ""
    if seen.whole:
        return f"{seen.rows:,} row{'s' * (seen.rows != 1)}{left_out}"
    if any(kinds.is_packed(file.name) for file in files):
        return taken.estimated
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
    return f"{lines:,} rows" if read == size else f"about {float(f'{lines * size / read:.3g}'):,.0f} rows"


def _same_rows(
    page: ModelPage, looks: Mapping[str, ChannelRows], train: Sequence[Path], evaluation: Sequence[Path]
) -> list[str]:
    """Whether eval is train, where all rows were looked at, or a part of it, where the files are quickly read."""
    ours, theirs = looks["train"], looks["eval"]
    if (
        ours.looked is None
        and theirs.looked is None
        and (ours.seen.rows, ours.total) == (theirs.seen.rows, theirs.total)
    ):
        return [page.notes.SAME_ROWS]
    if max(sum(file.stat().st_size for file in files) for files in (train, evaluation)) > COMPARED_BYTES:
        return []
    known, asked = (
        Counter(
            line.strip() for file in files for line in _content(file).splitlines()[page.has_header :] if line.strip()
        )
        for files in (train, evaluation)
    )
    total = sum(asked.values())
    if total >= ENOUGH_ROWS and asked.keys() <= known.keys():
        return [f"each of the {total} eval rows is a row of train, too: the metrics will say what the model remembers"]
    return []


def _content(file: Path) -> bytes:
    with kinds.unpacked(file, file.name) as content:
        return content.read()
