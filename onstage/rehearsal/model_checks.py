"""What every platform's rehearsal asks of a job's log and of the model that it left."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onstage.checks import name_checks
from onstage.errors import UserError
from onstage.rehearsal import amounts, sampled
from onstage.rehearsal.metric_checks import Log
from onstage.rehearsal.terms import Terms
from onstage.report import Finding, Report
from onstage.serving.export_checks import file_ops, machine_paths, python_only_ops
from onstage.serving.process import ServedModel

LAST_LINES = 12
# Files of the trainer's that any training passes through.
_BELOW = ("trainer/loop.py", "trainer/training.py", "trainer/run.py", "trainer/task.py")
# What a SavedModel consists of.
SAVED_MODEL = r"(saved_model\.pb|fingerprint\.pb|keras_metadata\.pb|(variables|assets|assets\.extra)/.+)"


def log_end(log: str) -> str:
    """The last lines of a job's log, with a heading; without those that say where each thread was at its end."""
    log = re.split(r"^Timeout \(\d+:", log, maxsplit=1, flags=re.MULTILINE)[0]
    return "\n".join(["the log ends:", *log.splitlines()[-LAST_LINES:]]) if log else "the log is empty"


def never_ended(log: str, lingered: bool, otherwise: str, longer: str) -> Finding:
    """About a program that had to be ended; its project may have said where each of its threads was."""
    files = r'^  File ".*/(code|site-packages)/([^"]+)", line (\d+) in (\S+)'
    places = [
        f"; it was at {file}, line {line}, in {name}"
        for folder, file, line, name in re.findall(files, log, re.MULTILINE)
        if (folder == "code" or file.startswith("trainer/")) and file not in _BELOW
    ]
    place = places[0] if places else ""
    if lingered:
        return Finding(
            f"the training was over, and the program did not end{place}",
            "a thread, a pool or a child keeps it: make threads daemons, close pools, end children",
            otherwise,
        )
    return Finding(
        f"the program had not ended when the rehearsal's time_limit was over{place}",
        f"look for a loop without an end; if it only needs longer, {longer}",
        otherwise,
    )


def ended_itself(report: Report, otherwise: str) -> Finding:
    """About a project's program that ended with 0 and has trained nothing; `otherwise` is what the cloud says of it."""
    calls = [check for check in report.checks if check.id == "project.calls" and name_checks.EXITS in check.detail]
    return Finding(
        "the program ended with exit code 0 before its training was over",
        "look for os._exit, or a signal to itself; raise an exception for what is wrong",
        otherwise,
        file=calls[0].file if calls else "",
        line=calls[0].line if calls else None,
    )


def left_checkpoint(folder: Path | None, place: str) -> str:
    """What a job that was stopped leaves in `folder`, which is `place` in the cloud, in a sentence."""
    states = sorted(folder.rglob("checkpoint")) if folder else []
    # TensorFlow's own note says which one is the newest.
    newest = [re.search(r'^model_checkpoint_path: "([^"]+)"', state.read_text(encoding="utf-8")) for state in states]
    names = [found[1].rpartition("/")[2] for found in newest if found]
    if names:
        return f"the checkpoint {names[-1]} is left in {place}"
    return f"no checkpoint is left{f' in {place}' if folder else ''}: all that was trained is lost"


def missing_module(log: str, terms: Terms) -> str | None:
    """What to do about a module that the job did not find; None if that was not it."""
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", log)
    return terms.missing_module(missing[1]) if missing else None


def at_home(
    answer: list[Finding] | str, log: str, terms: Terms, report: Report, places: Mapping[str, str]
) -> list[Finding] | str:
    """The answer of a check of a job's end, with places as their author knows them; as warnings, a large log, and the
    trainer's notes about the data, unless another check has shown them.

    `places` are folders of this machine, by regular expressions, and what they are in the cloud.
    """
    findings = answer if isinstance(answer, list) else []
    for finding in findings:
        finding.detail = terms.at_home(sampled.rows_at_home(finding.detail, report.samples))
        for here, there in places.items():
            finding.detail, finding.cloud = re.sub(here, there, finding.detail), re.sub(here, there, finding.cloud)
    if terms.of_project and all(finding.warning for finding in findings):
        lines = dict.fromkeys(line for line in log.splitlines() if line.startswith("note: "))
        notes = [terms.at_home(line.removeprefix("note: ")) for line in lines]
        shown = [check.detail for check in report.checks]
        new = [note for note in notes if not any(note in detail for detail in shown)]
        findings += [Finding(note, terms.unless_meant, warning=True) for note in sampled.notes(new, report.samples)]
    return [*findings, *amounts.of_log(log, report)] or answer


def left_behind(files: Sequence[str], where: str) -> list[Finding]:
    """A warning about files in the working directory of a job, which go with it; `where` keeps them."""
    if not files:
        return []
    shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return [
        Finding(
            f"the job wrote {shown} into its working directory, which goes with it", f"write to {where}", warning=True
        )
    ]


def check_metrics(
    patterns: Mapping[str, str], found: Mapping[str, float], otherwise: str, terms: Terms, log: Log
) -> list[Finding] | str:
    """Every metric that the job should print, by its regular expression, was printed; `otherwise` says what follows."""
    findings = [
        Finding(
            "; ".join(
                filter(None, [f"no line of the log has the metric {name}: none matches {pattern}", log.parted(pattern)])
            ),
            "print whole lines such as epoch=1 val_accuracy=0.9"
            f"{terms.example('src/trainer/reporting.py')}, and flush them",
            otherwise,
        )
        for name, pattern in patterns.items()
        if name not in found
    ]
    return findings or ", ".join(f"{name}={value:g}" for name, value in found.items())


def check_files(names: Iterable[str], expected: str, holder: str, fix: str, otherwise: str) -> list[Finding]:
    """Files among the model's `names` that are no part of a model: those that `expected` does not match."""
    junk = [name for name in names if not re.fullmatch(expected, name)]
    shown = ", ".join(junk[:5]) + (f" and {len(junk) - 5} more" if len(junk) > 5 else "")
    return [Finding(f"{holder} holds what is no model: {shown}", fix, otherwise)] if junk else []


def check_readable(model: Path) -> None:
    """Raise UserError for an export below `model` that was not written to its end, or is no SavedModel."""
    for file in model.rglob("saved_model.pb"):
        try:
            python_only_ops(file.parent)
            why = "" if file.stat().st_size else "it is empty"
        except ValueError as error:
            why = str(error)
        if why:
            raise UserError(
                f"{file.relative_to(model).as_posix()} cannot be loaded: {why}\n"
                "the endpoint never is in service: Read less bytes than requested\n"
                "-> let keras.export.ExportArchive or tf.saved_model.save write it, to its end, before the job ends"
            )


def check_export(model: Path, places: Iterable[Path]) -> list[Finding]:
    """Paths of this machine, Python code, and what reads and writes files, in the exports below `model`."""
    findings = [
        Finding(f"the export holds a path of this machine: {place}", "make it a part of the model")
        for place in machine_paths(model, places)
    ]
    for base in model.rglob("saved_model.pb"):
        if operations := python_only_ops(base.parent):
            findings.append(
                Finding(
                    f"the model's graph holds Python code, which TensorFlow Serving has not: {', '.join(operations)}",
                    "replace tf.py_function and tf.numpy_function by TensorFlow operations",
                    "No OpKernel was registered to support Op 'EagerPyFunc'",
                )
            )
        if operations := file_ops(base.parent):
            findings.append(
                Finding(
                    f"the model reads or writes files of the machine that serves it: {', '.join(operations)}",
                    "read files in the reader of the data, and give the model what is in them; where it is meant to, "
                    "the endpoint's container has to have these files",
                    warning=True,
                )
            )
    return findings


def example(model: Path, served: ServedModel) -> dict[str, Any]:
    """The request that the trainer left with its model, and its answer; else one that fits the signature, and none."""
    for file in sorted(model.rglob("assets.extra/example.json"), reverse=True):
        return json.loads(file.read_text(encoding="utf-8"))
    return {"request": served.example, "response": None}
