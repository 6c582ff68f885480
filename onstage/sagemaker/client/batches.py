"""SageMaker's batch transforms: a model, and a job that asks it for many rows."""

import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from onstage.checks import batch_rows
from onstage.cloud import Plan, State, Step
from onstage.report import Finding, Report
from onstage.sagemaker.client.jobs import create
from onstage.sagemaker.client.models import Models
from onstage.sagemaker.client.session import Clients
from onstage.sagemaker.requests import bodies
from onstage.sagemaker.requests.locations import job_name
from onstage.sagemaker_section import SageMaker
from onstage.settings import Settings

Body = dict[str, Any]


class Batches:
    """The batch transforms of one settings.toml."""

    def __init__(self, clients: Clients, settings: Settings, models: Models) -> None:
        self._clients, self._models = clients, models
        self._slug, self._cloud, self._key = settings.name, settings.cloud(SageMaker), settings.batch.key
        # Until this process ends: what is sent of files on this machine.
        self._made: list[tempfile.TemporaryDirectory[str]] = []

    def plan(self, report: Report, job: State, source: Path | str) -> Plan | None:
        """The bodies for a batch transform of local JSON lines, or of what is below an s3:// URI.

        With a key in settings.toml, lines below a URI have to be what `batch_rows.nested` makes of a row.
        """
        name = job_name(self._slug, datetime.now(timezone.utc))
        places = bodies.places_of(self._cloud, self._slug)
        uploads: dict[str, bytes | Path] = {}
        if isinstance(source, Path):
            uploads[places.batch(name)] = self._nested(source, name) if self._key else source
        rows = next(iter(uploads), str(source))
        sent: dict[str, Body] = {}

        def check_request() -> list[Finding]:
            sent["CreateModel"] = self._models.body(name, job)
            sent["CreateTransformJob"] = bodies.transform_job(
                self._cloud, name, name, rows, places.predictions(name), self._key
            )
            return self._models.findings(sent)

        report.run("sagemaker", "image", self._models.check_image)
        if not report.run("sagemaker", "request", check_request):
            return None
        steps = [create(self._clients, operation, name, body) for operation, body in sent.items()]
        steps[0] = Step(steps[0].what, steps[0].request, steps[0].send, uploads)
        instances = f"{self._cloud.endpoint_instance_count} x {self._cloud.endpoint_instance_type}"
        return Plan("batch", name, steps, f"{instances} by the second, until all rows are answered")

    def answers(self, batch: State) -> str:
        """The URI of the folder of a batch transform's answers."""
        return bodies.places_of(self._cloud, self._slug).predictions(batch.name)

    def lost_rows(self, batch: State) -> str:
        """How many rows have no answer: never any, since one row without an answer fails the job."""
        return ""

    def _nested(self, rows: Path, name: str) -> Path:
        """A file of the same rows as a transform job's filters want them."""
        self._made.append(tempfile.TemporaryDirectory(prefix="batch-"))
        made = Path(self._made[-1].name) / f"{name}.jsonl"
        with made.open("w", encoding="utf-8") as file:
            for line in batch_rows.lines_of(rows):
                file.write(f"{batch_rows.nested(line, self._key, bodies.FEATURES)}\n")
        return made
