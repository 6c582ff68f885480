"""The rows that a rehearsed batch job has: those of the file in settings.toml, or of the evaluation data."""

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from onstage.checks import batch_rows
from onstage.errors import UserError
from onstage.rehearsal.batch_checks import Answered, Rows, check
from onstage.rehearsal.both import Served
from onstage.rehearsal.trained import TrainedNetwork
from onstage.report import Finding, NotDoneError, Report
from onstage.serving.process import ServingProcess
from onstage.settings import Settings

CHECK = "batch"
# More than two requests of Vertex AI's, if need be the same rows again; of a file, as many as take a second or two.
_FROM_DATA, _FROM_FILE = 130, 500


def run(
    report: Report,
    settings: Settings,
    served: Served,
    trained: TrainedNetwork,
    attempt: Callable[[Sequence[str]], Answered],
    refused: str,
) -> None:
    """Report what comes of a batch job that `attempt` runs; `refused` is what the service makes of a refused row."""
    key = settings.batch.key

    def checked() -> list[Finding] | str:
        names = inputs(served.server)
        if key in names:
            what = f"[batch] key of settings.toml is {key!r}, an input of the model, which would not get it"
            return [Finding(what, "name a field that the model does not take")]
        return check(_rows(settings, served, trained, names), key, served.predict_url, attempt, refused)

    report.run(served.platform, CHECK, checked)


def inputs(server: ServingProcess) -> list[str]:
    """The names of what the signature takes that is asked by default; none where there is no such signature."""
    answer = httpx.get(f"{server.model_url}/metadata", timeout=60, trust_env=False).json()
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    return list(signatures.get("serving_default", {}).get("inputs", ()))


def _rows(settings: Settings, served: Served, trained: TrainedNetwork, names: Sequence[str]) -> Rows:
    key, file = settings.batch.key, settings.batch.rows
    example = (served.request.get("instances") or [None])[0]
    if file and "://" not in file:
        named = dict.fromkeys(names) if key or isinstance(example, dict) else None
        return _of_file(settings.project.root / file, file, key, named)
    found, where = _of_data(served, trained)
    if key:
        found = batch_rows.with_keys(found, key, names[0] if names else "")
    return Rows([json.dumps(row) for row in found], where)


def _of_file(path: Path, name: str, key: str, example: Any) -> Rows:
    lines = list(batch_rows.lines_of(path))
    problems = list(batch_rows.problems(lines, name, key, example))
    bad = {one.line for one in problems}
    good = [number for number in range(1, len(lines) + 1) if number not in bad]
    some = good[:_FROM_FILE]
    return Rows([lines[number - 1] for number in some], name, name, some, problems, len(good) - len(some))


def _of_data(served: Served, trained: TrainedNetwork) -> tuple[list[Any], str]:
    try:
        rows = trained.content["rows"]
        return list(itertools.islice(itertools.cycle(rows), _FROM_DATA)), "the evaluation data"
    except NotDoneError:
        instances = served.request.get("instances")
        if not instances:
            raise UserError("the model takes no rows, and a batch job sends nothing else") from None
        return instances, "the model's example"
