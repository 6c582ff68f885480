"""Whether a job makes the network that the researcher's machine makes: her folder and her shell are not there."""

import ast
import json
import os
from collections.abc import Mapping
from pathlib import Path

from onstage.checks.source_checks import Source
from onstage.project import MODEL_FILE
from onstage.rehearsal import look
from onstage.report import Finding, Report

# Of her shell, what any program may ask for.
_ALWAYS = ("HOME", "PATH", "USER", "LANG", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE")
_MOST = 3
_ANSWER = "home.json"


def asked(folder: Path, code: Source) -> dict[str, str]:
    """Variables for a job, which let the trainer compare when it is done; `folder` gets its answer."""
    names = {
        node.value
        for tree in code.trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    variables = {name: value for name, value in os.environ.items() if name in names or name in _ALWAYS}
    place = folder / _ANSWER
    place.write_text(json.dumps({"root": str(code.root), "variables": variables}), encoding="utf-8")
    return {"ONSTAGE_LOOK": look.__file__, "ONSTAGE_HOME": str(place)}


def check(report: Report, platform: str, folder: Path) -> None:
    """Report what the trainer's answer says."""
    answer = json.loads((folder / _ANSWER).read_text(encoding="utf-8"))
    if "root" in answer:
        report.skip(platform, "network", "the project's src/trainer/training.py is of a time before this check")
    elif "error" in answer:
        report.skip(platform, "network", f"it cannot be built in the project's folder: {answer['error']}")
    else:
        report.run(platform, "network", lambda: _compare(answer["job"], answer["home"], answer["reads"]))


def _compare(job: Mapping[str, str], home: Mapping[str, str], reads: list[tuple[str, int, str]]) -> list[Finding] | str:
    weights = sum(key.endswith(" has") for key in job)
    # A seed of the time is another one in the same place, too: other checks are for that.
    keys = [key for key in dict.fromkeys([*home, *job]) if not key.endswith(": seed is")]
    other = [key for key in keys if home.get(key) != job.get(key)]
    if not other:
        return f"{weights} weights, in the job as in the project's folder"
    shown = [f"{key} {home.get(key, 'nothing')} here and {job.get(key, 'nothing')} in the job" for key in other[:_MOST]]
    if len(other) > _MOST:
        shown.append(f"and {len(other) - _MOST} more")
    asks = [f"{file}, line {line}, {what}" for file, line, what in reads[:_MOST]]
    file, line, _ = reads[0] if reads else (MODEL_FILE, None, "")
    return [
        Finding(
            f"the job makes another network than this machine does: {'; '.join(shown)}"
            + (f". Here {'; '.join(asks)}" if asks else ""),
            "make it a hyperparameter, which the job is told, or write the value into the code",
            "the job has neither this folder nor this shell, and trains what it makes without them",
            file=file,
            line=line,
        )
    ]
