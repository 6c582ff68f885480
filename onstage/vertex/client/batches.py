"""Vertex AI's batch predictions: a model, and a job that asks it for many rows."""

from pathlib import Path
from typing import Any

from onstage.cloud import Plan, State
from onstage.report import Finding, Report
from onstage.settings import Settings
from onstage.vertex.client.jobs import Jobs
from onstage.vertex.client.models import Models
from onstage.vertex.client.resources import Resources, new_name
from onstage.vertex.requests import bodies
from onstage.vertex_section import Vertex

Body = dict[str, Any]


class Batches:
    """The batch predictions of one settings.toml."""

    def __init__(self, settings: Settings, jobs: Jobs, models: Models, resources: Resources) -> None:
        self._jobs, self._models, self._resources = jobs, models, resources
        self._slug, self._cloud, self._key = settings.name, settings.cloud(Vertex), settings.batch.key

    def plan(self, report: Report, job: State, source: Path | str) -> Plan | None:
        """The bodies for a batch prediction of local JSON lines, or of the .jsonl objects below a gs:// URI."""
        name = new_name(self._slug)
        places = bodies.places_of(self._cloud, self._slug)
        rows = places.batch(name) if isinstance(source, Path) else _objects(source)
        uploads: dict[str, bytes | Path] = {rows: source} if isinstance(source, Path) else {}
        sent: dict[str, Body] = {}

        def check_request() -> list[Finding]:
            sent["UploadModelRequest"] = self._models.body(name, job)
            sent["BatchPredictionJob"] = bodies.batch_prediction_job(
                self._cloud, name, self._resources.path("models", name), [rows], places.predictions(name), self._key
            )
            return self._models.findings(sent)

        report.run("vertex", "image", self._models.check_image)
        if not report.run("vertex", "request", check_request):
            return None
        model, batch = sent.values()
        steps = [self._models.step(name, model, uploads), self._jobs.create("batch", batch, {})]
        return Plan("batch", name, steps, f"{self._models.machines()} by the second, until all rows are answered")

    def answers(self, batch: State) -> str:
        """The URIs of a batch prediction's answers, which lie beside its list of errors."""
        found = self._jobs.resource("batch", batch.name) or {}
        folder = (found.get("outputInfo") or {}).get("gcsOutputDirectory")
        folder = folder or bodies.places_of(self._cloud, self._slug).predictions(batch.name)
        return f"{folder.rstrip('/')}/prediction.results-*"

    def lost_rows(self, batch: State) -> str:
        """How many rows of a batch prediction have no answer, and where the reasons are; empty for none."""
        found = self._jobs.resource("batch", batch.name) or {}
        # Source: CompletionStats; a count that is not known is -1.
        counts = [int((found.get("completionStats") or {}).get(name, 0)) for name in ("failedCount", "incompleteCount")]
        count = sum(one for one in counts if one > 0)
        if not count:
            return ""
        reasons = self.answers(batch).replace("prediction.results-", "prediction.errors_stats-")
        return (
            f"{count} row{'s have' if count != 1 else ' has'} no answer; the reasons, not the rows: {reasons}\n"
            "-> to see which row it is, write the file as rows into [batch] of settings.toml: onstage rehearse vertex "
            "--batch"
        )


def _objects(uri: str) -> str:
    """The .jsonl objects of a folder, or the one object; the service takes a * at the end of a name."""
    return uri if uri.endswith(".jsonl") or "*" in uri else f"{uri.rstrip('/')}/*.jsonl"
