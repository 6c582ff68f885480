"""Google Vertex AI, as the commands of `onstage vertex` need it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onstage.cloud import AccountFile, Asked, Part, Plan, Search, State, Trial
from onstage.commands import preflight
from onstage.platform import Log, chosen
from onstage.settings import Settings
from onstage.vertex.client import accounts, batches, endpoints, jobs, logs, models, resources, searches
from onstage.vertex.client.errors import advice
from onstage.vertex.client.session import Client
from onstage.vertex.client.setup import Setup, account_file
from onstage.vertex.client.storage import GoogleBucket
from onstage.vertex.requests import bodies, hosts, spaces
from onstage.vertex_section import Vertex

if TYPE_CHECKING:
    from onstage.report import Report


class VertexPlatform:
    """Google Vertex AI with one settings.toml. See onstage.platform.Platform for what each method does."""

    name = "vertex"
    title = "Google Vertex AI"

    def __init__(self, settings: Settings) -> None:
        self.project = settings.project
        self.ignore: Mapping[str, str] = settings.rehearsal.ignore
        self.batch = settings.batch
        self._settings, self._cloud = settings, settings.cloud(Vertex)
        self._client = Client(self._cloud)
        self.bucket = GoogleBucket(self._client, self._cloud.bucket)
        self._jobs = jobs.Jobs(self._client, settings)
        named = resources.Resources(self._client, self._cloud)
        self._models = models.Models(self._client, settings, self.bucket, named)
        self._endpoints = endpoints.Endpoints(self._client, settings, self._models, named)
        self._batches = batches.Batches(settings, self._jobs, self._models, named)

    def channel(self, name: str) -> str:
        return bodies.places_of(self._cloud, self._settings.name).channel(name)

    def plan_job(self, report: "Report", argv: Sequence[str], search: Search | None) -> Plan | None:
        from onstage.vertex.agent.rehearsal import check

        checked = check(report, self._settings.as_sent(), argv, None if search is None else _tuning(search))
        plans: list[Plan] = []
        if checked and report.run(self.name, "package", lambda: plans.append(self._jobs.plan(checked[1]))):
            return plans[0]
        return None

    def check_job(self, report: "Report") -> None:
        preflight.check_job(report, self, self._settings)

    def plan_endpoint(self, report: "Report", job: State, name: str | None) -> Plan | None:
        return self._endpoints.plan(report, job, name)

    def example(self, job: State) -> dict[str, Any] | None:
        return self._models.example(job)

    def plan_batch(self, report: "Report", job: State, source: Path | str) -> Plan | None:
        return self._batches.plan(report, job, source)

    def find(self, name: str, kind: str = "") -> State:
        return self._endpoints.find(name) if kind == "endpoint" else self._jobs.find(name, kind)

    def asked(self, tuning: State) -> Asked:
        return searches.asked(self._jobs.tuning(tuning.name))

    def trials(self, tuning: State) -> list[Trial]:
        return searches.trials(self._jobs.tuning(tuning.name))

    def running(self) -> list[State]:
        return [*self._endpoints.running(), *self._jobs.running()]

    def log(self, state: State) -> Log:
        if state.kind == "endpoint":
            return logs.CloudLog(self._client, logs.endpoint_filter(state.name))
        found = self._jobs.resource(state.kind, state.name)
        if not found:
            return logs.CloudLog(self._client, "")
        number, replicas = found["name"].rpartition("/")[2], hosts.count_of(found) if "jobSpec" in found else 1
        return logs.CloudLog(self._client, logs.job_filter(number), replicas)

    def stop(self, state: State) -> None:
        self._jobs.stop(state)

    def parts(self, endpoint: str) -> Iterator[Part]:
        return self._endpoints.parts(endpoint)

    def predict(self, endpoint: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._endpoints.predict(endpoint, request)

    def answers(self, batch: State) -> str:
        return self._batches.answers(batch)

    def lost_rows(self, batch: State) -> str:
        return self._batches.lost_rows(batch)

    def advice(self, state: State, log: Sequence[str]) -> str:
        return advice("\n".join([state.reason, *log]))

    def check_account(self, report: "Report") -> str:
        return accounts.Account(self._client, self._settings, self.bucket).check(report)

    def plan_setup(self) -> Plan:
        return Setup(self._client, self._settings).plan()

    def account_file(self) -> AccountFile:
        return account_file(self._settings)

    def setup_result(self) -> dict[str, str]:
        return Setup(self._client, self._settings).result()


def connect(settings: Settings) -> VertexPlatform:
    """Vertex AI with these settings; asks nobody."""
    return VertexPlatform(settings)


def _tuning(search: Search) -> dict[str, Any]:
    """The options of `bodies.tuning_job`. Raises StartError for a strategy that Vertex AI does not have."""
    title = VertexPlatform.title
    return {
        "max_trials": search.trials,
        "parallel": search.parallel,
        "algorithm": chosen("--strategy", search.strategy or "bayesian", spaces.STRATEGIES, title),
        "early_stopping": chosen("--early-stopping", search.stopping or "off", spaces.STOPPINGS, title),
    }
