"""Amazon SageMaker, as the commands of `onstage sagemaker` need it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onstage import source
from onstage.cloud import AccountFile, Asked, Part, Plan, Search, State, Trial
from onstage.commands import preflight
from onstage.platform import Log, chosen
from onstage.sagemaker.client import accounts, batches, endpoints, jobs, models, searches
from onstage.sagemaker.client.errors import advice
from onstage.sagemaker.client.session import Clients
from onstage.sagemaker.client.storage import S3Bucket
from onstage.sagemaker.requests import bodies, spaces
from onstage.sagemaker_section import SageMaker
from onstage.settings import Settings

if TYPE_CHECKING:
    from onstage.report import Report


class SageMakerPlatform:
    """Amazon SageMaker with one settings.toml. See onstage.platform.Platform for what each method does."""

    name = "sagemaker"
    title = "Amazon SageMaker"

    def __init__(self, settings: Settings) -> None:
        self.project = settings.project
        self.ignore: Mapping[str, str] = settings.rehearsal.ignore
        self.batch = settings.batch
        self._settings, self._cloud = settings, settings.cloud(SageMaker)
        self._clients = Clients(self._cloud.region)
        self.bucket = S3Bucket(self._clients, self._cloud.bucket)
        self._jobs = jobs.Jobs(self._clients, settings)
        self._models = models.Models(settings, self.bucket)
        self._endpoints = endpoints.Endpoints(self._clients, settings, self._models)
        self._batches = batches.Batches(self._clients, settings, self._models)

    def channel(self, name: str) -> str:
        return bodies.places_of(self._cloud, self._settings.name).channel(name)

    def plan_job(self, report: "Report", argv: Sequence[str], search: Search | None) -> Plan | None:
        from onstage.sagemaker.agent.rehearsal import check

        tuning = None if search is None else _tuning(search)
        checked = check(report, self._settings.as_sent(), argv, tuning)
        return self._jobs.plan(checked[1], source.archive(self.project.source)) if checked else None

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
        return searches.asked(self._clients, tuning.name)

    def trials(self, tuning: State) -> list[Trial]:
        return searches.trials(self._clients, tuning.name)

    def running(self) -> list[State]:
        return [*self._endpoints.running(), *self._jobs.running()]

    def log(self, state: State) -> Log:
        return jobs.CloudWatchLog(self._clients, state)

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
        return advice("\n".join([state.detail, state.reason, *log]))

    def check_account(self, report: "Report") -> str:
        return accounts.check(report, self._clients, self._settings, self.bucket)

    def plan_setup(self) -> Plan:
        return accounts.plan(self._clients, self._settings)

    def account_file(self) -> AccountFile:
        return accounts.account_file(self._settings)

    def setup_result(self) -> dict[str, str]:
        return accounts.result(self._clients, self._settings)


def connect(settings: Settings) -> SageMakerPlatform:
    """SageMaker with these settings; asks nobody."""
    return SageMakerPlatform(settings)


def _tuning(search: Search) -> dict[str, Any]:
    """The options of `bodies.tuning_job`. Raises StartError for a strategy that SageMaker does not have."""
    title = SageMakerPlatform.title
    return {
        "max_jobs": search.trials,
        "parallel": search.parallel,
        "strategy": chosen("--strategy", search.strategy or "bayesian", spaces.STRATEGIES, title),
        "early_stopping": chosen("--early-stopping", search.stopping or "off", spaces.STOPPINGS, title),
    }
