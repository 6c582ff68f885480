"""Vertex AI's custom, tuning and batch prediction jobs: sent, found, stopped."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from onstage.cloud import NotFoundError, Plan, Request, State, Step, UnreachableError, ranked
from onstage.settings import Settings
from onstage.vertex.agent.package import build_sdist
from onstage.vertex.client import searches
from onstage.vertex.client.session import Client
from onstage.vertex.client.times import moment
from onstage.vertex.requests import bodies
from onstage.vertex_section import Vertex

Body = dict[str, Any]
# What Vertex AI calls each kind of job, its collection, and the page of the console.
KINDS = {
    "training": ("CustomJob", "customJobs", "training"),
    "tuning": ("HyperparameterTuningJob", "hyperparameterTuningJobs", "training"),
    "batch": ("BatchPredictionJob", "batchPredictionJobs", "batch-predictions"),
}
_STATES = {
    "JOB_STATE_QUEUED": "waiting", "JOB_STATE_PENDING": "waiting", "JOB_STATE_PAUSED": "waiting",
    "JOB_STATE_RUNNING": "running", "JOB_STATE_UPDATING": "running", "JOB_STATE_CANCELLING": "running",
    "JOB_STATE_SUCCEEDED": "succeeded", "JOB_STATE_PARTIALLY_SUCCEEDED": "succeeded", "JOB_STATE_FAILED": "failed",
    "JOB_STATE_EXPIRED": "failed", "JOB_STATE_CANCELLED": "stopped",
}  # fmt: skip
_ATTEMPTS = 4


class Jobs:
    """The jobs of one settings.toml. What they are called is their display name; Vertex AI numbers them."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client, self._slug, self._cloud = client, settings.name, settings.cloud(Vertex)
        self._project = settings.project
        self._resources: dict[tuple[str, str], str] = {}

    def plan(self, body: Body) -> Plan:
        """How a training or tuning job's body is sent, with the source distribution that it names."""
        kind = "training" if "jobSpec" in body else "tuning"
        name = body["displayName"]
        source = bodies.places_of(self._cloud, self._slug).source(name)
        with tempfile.TemporaryDirectory(prefix="sdist-") as folder:
            sdist = build_sdist(Path(folder), self._project).read_bytes()
        each = _cost(self._cloud)
        cost = each if kind == "training" else f"{body['maxTrialCount']} trainings, each {each}"
        return Plan(kind, name, [self.create(kind, body, {source: sdist})], cost)

    def create(self, kind: str, body: Body, uploads: Mapping[str, bytes | Path]) -> Step:
        """The step that sends a job."""
        what, collection, _ = KINDS[kind]
        request = Request(f"{collection}.create", body)
        return Step(f"{what} {body['displayName']}", request, lambda: self._send(kind, body), uploads)

    def find(self, name: str, kind: str = "") -> State:
        """A job by its name; without a kind, of any. Raises NotFoundError."""
        for one in [kind] if kind else KINDS:
            found = self.resource(one, name)
            if found:
                return self._state(one, name, found)
        raise NotFoundError(f"Vertex AI has no job {name!r} in {self._client.region}")

    def resource(self, kind: str, name: str) -> Body | None:
        """The job as Vertex AI has it; None when there is none."""
        known = self._resources.get((kind, name))
        if known:
            return self._client.call("aiplatform", "GET", f"/v1/{known}")
        if '"' in name or "\\" in name:
            return None
        for found in self._list(kind, f'display_name="{name}"'):
            self._resources[kind, name] = found["name"]
            return found
        return None

    def tuning(self, name: str) -> Body:
        """The tuning job of that name. Raises NotFoundError."""
        found = self.resource("tuning", name)
        if found is None:
            raise NotFoundError(f"Vertex AI has no tuning job {name!r} in {self._client.region}")
        return found

    def stop(self, state: State) -> None:
        """End a job."""
        found = self.resource(state.kind, state.name)
        if found:
            self._client.call("aiplatform", "POST", f"/v1/{found['name']}:cancel", {})

    def running(self) -> Iterator[State]:
        """The project's jobs that have not ended."""
        live = " OR ".join(f'state="{name}"' for name, state in _STATES.items() if state in ("waiting", "running"))
        for kind in KINDS:
            for found in self._list(kind, live):
                if found["displayName"].startswith(prefix(self._slug)):
                    yield self._state(kind, found["displayName"], found)

    def _list(self, kind: str, wanted: str) -> Iterator[Body]:
        collection = KINDS[kind][1]
        return self._client.pages(f"/v1/{bodies.parent(self._cloud)}/{collection}", collection, filter=wanted)

    def _send(self, kind: str, body: Body) -> None:
        """Create a job once: names are not unique, so an answer that was lost is looked for before another try."""
        path = f"/v1/{bodies.parent(self._cloud)}/{KINDS[kind][1]}"
        for attempt in range(_ATTEMPTS):
            try:
                made = self._client.call("aiplatform", "POST", path, body, repeat=False)
            except UnreachableError:
                if self.resource(kind, body["displayName"]):
                    return
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.3 * 3**attempt)
            else:
                self._resources[kind, body["displayName"]] = made["name"]
                return

    def _state(self, kind: str, name: str, found: Body) -> State:
        status = found.get("state", "JOB_STATE_UNSPECIFIED")
        state = _STATES.get(status, "waiting")
        detail, place = status, searches.output(found.get("jobSpec"))
        model = f"{place}/model" if place else ""
        metrics: dict[str, float] = {}
        if kind == "tuning":
            detail, metrics, model = _tuned(found, status)
        if kind == "batch" and found.get("completionStats"):
            stats = found["completionStats"]
            detail += f", {stats.get('successfulCount', 0)} rows answered, {stats.get('failedCount', 0)} not"
        return State(
            kind,
            name,
            state,
            detail,
            (found.get("error") or {}).get("message", ""),
            _cost(self._cloud) if state in ("waiting", "running") else "",
            _seconds(found),
            metrics,
            model if model and state == "succeeded" else None,
            address(found["name"], KINDS[kind][2]),
        )


def prefix(slug: str) -> str:
    """How the names of the project's jobs and endpoints begin."""
    return f"{slug.replace('_', '-')}-"


def address(resource: str, page: str) -> str:
    """The page of a job or an endpoint in the console."""
    _, project, _, region, _, number = resource.split("/")
    return f"https://console.cloud.google.com/agent-platform/locations/{region}/{page}/{number}?project={project}"


def machines(count: int, kind: str, accelerators: int, accelerator: str) -> str:
    """What is paid for, in words."""
    return f"{count} x {kind}" + (f" with {accelerators} x {accelerator}" if accelerators else "")


def _cost(cloud: Vertex) -> str:
    what = machines(cloud.replica_count, cloud.machine_type, cloud.accelerator_count, cloud.accelerator_type)
    return f"{what} by the second, for at most {cloud.timeout} s"


def _tuned(found: Body, status: str) -> tuple[str, dict[str, float], str]:
    """How far a tuning job is, the best metric, and the model of the best trial."""
    asked, trials = searches.asked(found), searches.trials(found)
    done = [one for one in trials if one.state == "succeeded" and one.value is not None]
    failed = sum(one.state == "failed" for one in trials)
    detail = f"{status}, {len(done)} of {found.get('maxTrialCount', '?')} trials done"
    detail += f", {failed} failed" if failed else ""
    best = next(iter(ranked(trials, asked.goal)), None)
    if best is None or best.value is None:
        return detail, {}, ""
    tuned = " ".join(f"{name}={value}" for name, value in best.hyperparameters.items())
    detail += f", best: trial {best.name.rpartition('/')[2]} {tuned}".rstrip()
    return detail, {asked.metric: best.value}, best.model or ""


def _seconds(found: Body) -> float | None:
    begun = moment(found.get("startTime") or found.get("createTime"))
    ended = moment(found.get("endTime")) or datetime.now(timezone.utc)
    return (ended - begun).total_seconds() if begun else None
