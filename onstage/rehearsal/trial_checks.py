"""What came of the trials of a tuning job: how each one ended, its objective, its model, and where it wrote."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onstage.corners import Corner
from onstage.project import MODEL_FILE
from onstage.rehearsal.terms import Terms
from onstage.report import Finding

_SIGKILL = "killed by SIGKILL"
# TensorFlow's words, Python's, C++'s, and those for what the kernel has ended.
_MEMORY = re.compile(
    r"ResourceExhausted|RESOURCE_EXHAUSTED|OOM when allocating|[Oo]ut of memory|MemoryError|bad_alloc|"
    rf"Cannot allocate memory|{_SIGKILL}"
)
# As a process has it, and a container.
_KILLED = {-9, 137}
_NOT_FINITE = re.compile(r"(?<![\w.-])[+-]?(nan|inf)(?![\w.-])|diverged", re.IGNORECASE)
# As the trainer begins a message about code of the researcher's, and as Python writes a frame.
_SAID = re.compile(r"(?P<file>[\w./-]+\.py), line (?P<line>\d+)")
_FRAME = re.compile(r'^  File ".*/(?:code|site-packages)/(?P<file>[^"]+\.py)", line (?P<line>\d+)', re.MULTILINE)
# What TensorFlow adds about an operation.
_OPERATION = re.compile(r"\{\{function_node [^}]*\}\} ?|( \[Op:\w+\])? name:\s*$")
_OWNED = "# Owned by the template"
_SAVED = "saved_model.pb"


@dataclass(frozen=True)
class Words:
    """What a platform calls things.

    `looked` says where the objective was looked for, `report_it` how it is reported, `unused` what the service makes of
    a trial without it, and `failed` of one that failed. `model_dir` is the variable that says where the model goes,
    `apart` what each trial has of its own.
    """

    objective: str
    looked: str
    report_it: str
    unused: str
    failed: str
    model_dir: str
    apart: str


@dataclass(frozen=True)
class Trial:
    """A trial to run: its number, from 1, its place in the ranges, and the body of its job.

    `chosen` is what the service adds, as words of a command line; with `flags`, train.py does the same.
    """

    number: int
    corner: Corner
    body: dict[str, Any]
    chosen: Mapping[str, str]
    flags: str


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    `failure` says how it failed, None: it went well. `values` are the objective's, as the service finds them. `written`
    are URIs of files that it wrote outside of its own place, `stray` names of models that nobody collects.
    """

    trial: Trial
    log: str
    failure: Finding | None
    values: Sequence[float]
    has_model: bool
    written: frozenset[str] = frozenset()
    stray: Sequence[str] = ()


def failure(answer: list[Finding] | str, prefix: str, terms: Terms, exit_codes: Iterable[int | None]) -> Finding | None:
    """How a job failed, of the answer of a check of its end: the reason first, without `prefix`, a regular expression.

    Its `fix` stays where it is a particular one. `exit_codes` are those of its containers.
    """
    found = next((one for one in answer if not one.warning), None) if isinstance(answer, list) else None
    if found:
        found.detail, found.fix = re.sub(f"^{prefix}", "", found.detail), found.fix if found.fix != terms.again else ""
        if _KILLED & {*exit_codes}:
            found.detail = f"{_SIGKILL}, as by a machine without memory; before that: {found.detail}"
    return found


def findings(outcomes: Sequence[Outcome], words: Words, source: Path) -> list[Finding] | str:
    """What is wrong with the trials; those that have the same fault share a finding. `source` is the project's src/."""
    found: dict[tuple[Any, ...], tuple[Finding, list[Outcome]]] = {}
    overwritten = _overwritten(outcomes)
    for one in outcomes:
        for finding in _of(one, words, source, overwritten):
            # In one line of code, the numbers of a shape need not be the same.
            said = finding.detail.rpartition("Error: ")[0] if finding.file else finding.detail
            found.setdefault((said, finding.file, finding.line), (finding, []))[1].append(one)
    told = [_told(finding, those, outcomes, source.parent) for finding, those in found.values()]
    if overwritten:
        told.append(_shared(overwritten, words))
    values = ", ".join(f"{one.values[-1]:g} at {one.trial.corner}" for one in outcomes if one.values)
    return told or f"{len(outcomes)} trials, each with a model of its own; {words.objective} is {values}"


def _of(one: Outcome, words: Words, source: Path, overwritten: Mapping[str, Sequence[Outcome]]) -> Iterator[Finding]:
    if one.failure:
        yield _failed(one.failure, one.log, words, source)
        return
    if not one.values:
        printed = re.search(rf"(?<!\w){re.escape(words.objective)}=([+-]?(?:nan|inf)\b)", one.log, re.IGNORECASE)
        why = f"; its log says {printed[0]}" if printed else ""
        yield Finding(f"has no objective: {words.looked}{why}", words.report_it, words.unused)
    elif not math.isfinite(one.values[-1]):
        fix = f"narrow the range to where it is a number, in {MODEL_FILE}"
        yield Finding(f"ends with the objective {words.objective}={one.values[-1]:g}", fix, words.unused)
    if not one.has_model and not any(uri.endswith(_SAVED) and one in overwritten[uri] for uri in overwritten):
        elsewhere = [*sorted(one.written, key=_models_first), *one.stray]
        wrote = f"; it wrote {_some(elsewhere)}" if elsewhere else ""
        fix = f"export to os.environ[{words.model_dir!r}]"
        yield Finding(f"leaves no model in {words.model_dir}{wrote}", fix, "the search may choose it: nothing to serve")


def _failed(failure: Finding, log: str, words: Words, source: Path) -> Finding:
    reason, file, line = _placed(_OPERATION.sub("", failure.detail), log, source)
    if failure.fix:
        fix = failure.fix
    elif _MEMORY.search(f"{failure.detail}\n{failure.cloud}"):
        fix = f"narrow what it grows by in {MODEL_FILE}, or let the job have a machine with more memory"
    elif _NOT_FINITE.search(reason):
        fix = f"narrow the range to where a training stays finite, in {MODEL_FILE}"
    else:
        fix = f"let the code take these values, or narrow the ranges in {MODEL_FILE}"
    cloud = "\n".join(filter(None, [words.failed, failure.cloud]))
    return Finding(f"fails: {reason}", fix, cloud, file=file, line=line)


def _placed(reason: str, log: str, source: Path) -> tuple[str, str, int | None]:
    """A reason without its place, the researcher's file and its line; no file where that is not known."""
    said = _SAID.match(reason)
    for found in [said] if said else reversed(list(_FRAME.finditer(log))):
        name = "trainer/model.py" if found["file"] == "model.py" else found["file"]
        file = source / name
        if file.is_file() and not file.read_text(encoding="utf-8", errors="replace").startswith(_OWNED):
            rest = reason[said.end() :].removeprefix(": ").removeprefix(", ") if said else reason
            return rest, f"{source.name}/{name}", int(found["line"])
    return reason, "", None


def _alone(one: Outcome, outcomes: Sequence[Outcome]) -> str:
    """The one value of a trial that no trial has which went well, if there is just one."""
    well = [other for other in outcomes if not other.failure]
    chosen = one.trial.chosen
    new = [name for name, text in chosen.items() if all(other.trial.chosen.get(name) != text for other in well)]
    return f" (only {new[0]}={chosen[new[0]]} is in no trial that went well)" if well and len(new) == 1 else ""


def _in_line(one: Outcome, file: Path, line: int | None) -> str:
    """What is searched and stands in the line that failed, if that is one thing."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if line else []
    code = lines[line - 1] if line and line <= len(lines) else ""
    chosen = one.trial.chosen
    names = [name for name in chosen if re.search(rf"\b{re.escape(name)}\b", code)]
    return f" (the line asks for {names[0]}, which is {chosen[names[0]]})" if len(names) == 1 else ""


def _told(finding: Finding, those: Sequence[Outcome], outcomes: Sequence[Outcome], root: Path) -> Finding:
    """A finding of some of the trials, which says of which, and the flags of the first one."""
    places, first = [str(one.trial.corner) for one in those], those[0]
    which = " and ".join(filter(None, [", ".join(places[:-1]), places[-1]]))
    each, hint = "each trial", ""
    if len(places) == 1:
        each, hint = "the trial", _alone(first, outcomes) or _in_line(first, root / finding.file, finding.line)
    finding.detail = f"{each} at {which} {finding.detail}{hint if first.failure else ''}"
    again = "to see it again: python train.py" if first.failure else "its flags:"
    finding.fix = f"{finding.fix}; {again} {first.trial.flags}".rstrip()
    return finding


def _overwritten(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The files that several trials wrote, and which did."""
    found: dict[str, list[Outcome]] = {}
    for one in outcomes:
        for uri in sorted(one.written, key=_models_first):
            found.setdefault(uri, []).append(one)
    return {uri: those for uri, those in found.items() if len(those) > 1}


def _shared(overwritten: Mapping[str, Sequence[Outcome]], words: Words) -> Finding:
    uris = sorted(overwritten, key=_models_first)
    return Finding(
        f"{len(overwritten[uris[0]])} trials write the same files, each over those of the one before: {_some(uris)}",
        f"write below {words.apart}",
        "what the best trial left is gone as soon as another one ends",
    )


def _models_first(uri: str) -> tuple[bool, str]:
    return not uri.endswith(_SAVED), uri


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
