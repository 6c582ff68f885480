"""Rehearses the transform job that `onstage sagemaker batch` sends, against the endpoint of the rehearsed model."""

import json
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from onstage.checks import batch_rows
from onstage.errors import UserError
from onstage.rehearsal import batch_runs
from onstage.rehearsal.batch_checks import Answered
from onstage.rehearsal.both import Served
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.trained import TrainedNetwork
from onstage.report import Report
from onstage.sagemaker.agent.transform import FAILURE_REASON, TransformResult, run_transform_job
from onstage.sagemaker.requests import bodies, validate
from onstage.sagemaker.requests.locations import job_name
from onstage.sagemaker_section import SageMaker
from onstage.serving.answers import parse, rows
from onstage.settings import Settings

REFUSED = f"TransformJobStatus Failed, {FAILURE_REASON}: no row of its file has an answer"


def rehearse_batch(report: Report, settings: Settings, served: Served, trained: TrainedNetwork) -> None:
    """Run the job over rows of settings.toml or of the data, and one more time with a row that is refused."""

    def attempt(lines: Sequence[str]) -> Answered:
        return run(settings, served.server.url, lines)

    batch_runs.run(report, settings, served, trained, attempt, REFUSED)


def run(settings: Settings, url: str, lines: Sequence[str]) -> Answered:
    """What comes of the job with these rows. Raises UserError for a request that the service would refuse."""
    cloud, key = settings.cloud(SageMaker), settings.batch.key
    places, name = bodies.places_of(cloud, settings.name), job_name(settings.name, datetime.now(timezone.utc))
    body = bodies.transform_job(cloud, name, name, places.batch(name), places.predictions(name), key)
    if problems := validate.problems("CreateTransformJob", body, cloud.region):
        raise UserError(f"CreateTransformJob, {problems[0]}\n-> {problems[0].fix}")
    with tempfile.TemporaryDirectory(prefix="batch-") as folder:
        store = LocalStore(Path(folder))
        file = store.path(places.batch(name))
        file.parent.mkdir(parents=True)
        sent = [batch_rows.nested(line, key, bodies.FEATURES) for line in lines] if key else lines
        file.write_text("".join(f"{line}\n" for line in sent), encoding="utf-8")
        result = run_transform_job(body, store, f"{url}/invocations")
        return Answered(_answers(result, lines, key), result.requests, result.refusals, _lost(result, len(lines)))


def _answers(result: TransformResult, lines: Sequence[str], key: str) -> dict[int, Any]:
    """The answers by the numbers of their rows: by the key, or by their order."""
    found = [
        parse(line)
        for file in result.outputs.values()
        for line in file.read_text(encoding="utf-8").splitlines()
    ]  # fmt: skip
    if not key:
        return dict(enumerate((answer for one in found for answer in rows(one)), 1))
    numbers = {json.dumps(json.loads(line)[key]): number for number, line in enumerate(lines, 1)}
    answers = ((numbers[json.dumps(one[key])], rows(one[bodies.OUTPUT])) for one in found)
    return {number: some[0] for number, some in answers if len(some) == 1}


def _lost(result: TransformResult, count: int) -> str:
    if result.status == "Completed":
        return "the job is Completed"
    return f"the job is {result.status}, {result.failure_reason}: none of the {count} rows has an answer"
