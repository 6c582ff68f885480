"""`onstage columns`: the `Table(...)` of CSV files, printed or written into model.py."""

import re
import sys
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from onstage.commands import model_file, show
from onstage.errors import StartError, UserError
from onstage.project import MODEL_FILE, Project, path_for_people
from onstage.tables import files as kinds
from onstage.tables import table
from onstage.tables.profile import Profile, profile
from onstage.tables.table import Written

# Kinds that trainers of older projects lack.
_LATER = ("Text", "Date")


def columns(project: Project | None, places: Sequence[Path], target: str, *, write: bool) -> None:
    """Print the table of CSV files, or `write` it into the project's model.py.

    Raises StartError where there is no table or it cannot be written, and UserError for rows that a job refuses, or a
    model.py whose build_model does not fit.
    """
    found = text_files(places)
    if write and project is None:
        raise StartError("--write: no project here; go to its folder, or print the table without --write")
    model = _read(project.root / MODEL_FILE) if project else ""
    known = {*table.KINDS, *(_later(project) if project else _LATER)}
    names = [path_for_people(file) for file in found]
    what = names[0] if len(names) == 1 else f"{len(names)} files"
    total = sum(file.stat().st_size for file in found)
    with show.Bytes(what, total, patient=True) as progress:
        read = profile(list(zip(found, names, strict=True)), progress.add)
    prefers = bool(model) and model_file.predicts_number(model) is True
    wrong = _wrong_rows(read)
    try:
        written = table.write(read, [file.name for file in found], target, kinds=known, prefers_number=prefers)
    except StartError as error:
        raise StartError("\n".join(filter(None, [str(error), wrong]))) from error
    text = model_file.laid_out(written.text)
    if write and project:
        _write(project.root / MODEL_FILE, model, text, written, names[0])
    else:
        show.say(f"from trainer.columns import {', '.join(sorted(written.kinds))}\n\n{text}".rstrip())
    for note in written.notes:
        print(f"note: {note}", file=sys.stderr, flush=True)
    problems = [problem for problem in (_unfit(model, written) if model else "", wrong) if problem]
    if problems:
        raise UserError("\n".join(problems))


def _wrong_rows(read: Profile) -> str:
    """The rows that a job refuses; "" where there are none."""
    if not read.wrong_rows:
        return ""
    more = [f"and {read.wrong_rows - len(read.wrong)} more rows"] * (read.wrong_rows > len(read.wrong))
    return "\n".join(["rows that a job refuses: correct or delete them", *read.wrong, *more])


def text_files(places: Sequence[Path]) -> list[Path]:
    """The inputs, what patterns match, and the CSV files of folders. Raises StartError where there is none."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            files = kinds.below(place).values()
            inside = [file for file in files if file.is_file() and kinds.kind(file.name) == kinds.TEXT]
            if not inside:
                raise StartError(f"{path_for_people(place)} has no CSV file: *.csv, *.tsv, or those with .gz")
            found += inside
        elif not place.exists() and (matching := sorted(map(Path, glob(str(place))))):
            found += [file for file in matching if file.is_file()]
        elif not place.exists():
            raise StartError(f"there is no {path_for_people(place)}")
        else:
            found.append(place)
    return found


def _write(file: Path, model: str, text: str, written: Written, name: str) -> None:
    plain = model.replace("\r\n", "\n")
    try:
        changed = model_file.replaced(plain, text, written.kinds)
    except model_file.NotOwnedError as error:
        show.say(f"from trainer.columns import {', '.join(sorted(written.kinds))}\n\n{model_file.owned(text)}".rstrip())
        raise StartError(
            f"{MODEL_FILE}: {error}. Nothing is written; put the text above in its place, with both comments, by hand"
        ) from error
    model_file.write(file, changed.replace("\n", "\r\n") if "\r\n" in model else changed)
    left = written.text.count("Dropped(")
    show.say(
        f"{MODEL_FILE}: the table of {name} is written; it predicts {written.target_name!r}, {written.target.kind}"
    )
    show.say(
        f"next: onstage split {name}, or look at what is left out in {MODEL_FILE}"
        if left
        else f"next: onstage split {name}"
    )


def _unfit(model: str, written: Written) -> str:
    """What else in model.py is made for another target."""
    is_number, kind = model_file.predicts_number(model), written.target.kind
    if is_number is not None and is_number != (kind == "Number"):
        is_for, wanted = ("numbers", "classification") if is_number else ("classes", "regression")
        return (
            f"{MODEL_FILE}: build_model and OBJECTIVE are for {is_for}, and the target {written.target_name!r} is "
            f"{kind}: its loss, last layer and metrics do not fit. Render a project with problem={wanted} and take "
            "build_model and OBJECTIVE from its model.py, or name another target by --target"
        )
    if "Text" in written.kinds and not {"joined", "Embedding"} & model_file.names_in(model, "build_model"):
        return (
            f"{MODEL_FILE}: build_model has to embed the words of Text columns: hidden = joined(DATA, inputs), of "
            "trainer.encoding, does"
        )
    units, labels = model_file.outputs(model), written.labels
    if kind == "Classes" and units is not None and units != labels:
        return (
            f"{MODEL_FILE}: build_model ends in Dense({units}), and {written.target_name!r} has {labels} labels: write "
            "Dense(len(DATA.target.labels), ...)"
        )
    return ""


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{path_for_people(file)} cannot be read: {error}") from error


def _later(project: Project) -> list[str]:
    source = _read(project.source / "trainer" / "columns.py")
    return [kind for kind in _LATER if re.search(rf"^class {kind}\(", source, re.MULTILINE)]
