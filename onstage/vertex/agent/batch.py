"""Rehearses the batch prediction that `onstage vertex batch` sends, against the container of the rehearsed model."""

import json
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from onstage.errors import UserError
from onstage.rehearsal import batch_runs
from onstage.rehearsal.batch_checks import Answered
from onstage.rehearsal.both import Served
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.trained import TrainedNetwork
from onstage.report import Report
from onstage.settings import Settings
from onstage.vertex.agent.batch_job import DEFAULT_BATCH, BatchResult, run_batch_prediction_job
from onstage.vertex.requests import bodies, validate
from onstage.vertex.requests.locations import job_name
from onstage.vertex_section import Vertex

REFUSED = (
    f"prediction.errors_stats counts it: up to {DEFAULT_BATCH} rows, those of its request, have no answer, and nothing "
    "says which"
)


def rehearse_batch(report: Report, settings: Settings, served: Served, trained: TrainedNetwork) -> None:
    """Run the job over rows of settings.toml or of the data, and one more time with a row that is refused."""

    def attempt(lines: Sequence[str]) -> Answered:
        return run(settings, f"{served.server.model_url}:predict", lines)

    batch_runs.run(report, settings, served, trained, attempt, REFUSED)


def run(settings: Settings, url: str, lines: Sequence[str]) -> Answered:
    """What comes of the job with these rows. Raises UserError for a request that the service would refuse."""
    cloud, key = settings.cloud(Vertex), settings.batch.key
    places, name = bodies.places_of(cloud, settings.name), job_name(settings.name, datetime.now(timezone.utc))
    uri, model = places.batch(name), f"{bodies.parent(cloud)}/models/{name}"
    body = bodies.batch_prediction_job(cloud, name, model, [uri], places.predictions(name), key)
    if problems := validate.problems("BatchPredictionJob", body, cloud.region):
        raise UserError(f"BatchPredictionJob, {problems[0]}\n-> {problems[0].fix}")
    with tempfile.TemporaryDirectory(prefix="batch-") as folder:
        store = LocalStore(Path(folder))
        file = store.path(uri)
        file.parent.mkdir(parents=True)
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        result = run_batch_prediction_job(body, store, url)
        return Answered(_answers(result, lines, key), result.requests, result.refusals, _lost(result))


def _answers(result: BatchResult, lines: Sequence[str], key: str) -> dict[int, Any]:
    """The answers by the numbers of their rows: by the key, or by the instance, equal ones in turn."""
    waiting: dict[str, list[int]] = {}
    for number, line in enumerate(lines, 1):
        row = json.loads(line)
        waiting.setdefault(json.dumps(row[key] if key else row), []).append(number)
    # An instance may hold NaN, as the data does for what is missing.
    found = [json.loads(line) for file in result.results for line in file.read_text(encoding="utf-8").splitlines()]
    return {waiting[json.dumps(one["key" if key else "instance"])].pop(0): one["prediction"] for one in found}


def _lost(result: BatchResult) -> str:
    rows = ", ".join(f"{one.first} to {one.last}" for one in result.refusals)
    if not rows:
        return f"the job is {result.state}"
    why = "prediction.errors_stats does not say which"
    return f"the rows of its request, {rows}, have no answer, and {why}; {result.successful} others have one"
