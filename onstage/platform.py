"""What the commands need of a cloud. `onstage.<name>.client.platform.connect(settings)` makes the one called <name>."""

import importlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from onstage.errors import StartError, UserError
from onstage.project import Project
from onstage.sections import Batch
from onstage.settings import Settings

if TYPE_CHECKING:
    # It brings rich, which few commands need.
    from onstage.report import Report


class UnreachableError(UserError):
    """No answer: no connection, or a service that is down. What was begun in the cloud goes on; ask again."""


class NotFoundError(UserError):
    """The cloud has nothing of that name."""


@dataclass(frozen=True)
class Request:
    """An operation by the cloud's own name, and the exact body that it receives."""

    operation: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One thing to make: `what` in words; `send` sends `request` and returns at once.

    `uploads`, contents or files by their URI, go before it. `last`: the endpoint has to serve first.
    """

    what: str
    request: Request
    send: Callable[[], None]
    uploads: Mapping[str, bytes | Path] = field(default_factory=dict)
    last: bool = False


@dataclass(frozen=True)
class Part:
    """One thing that exists in the cloud, and how to remove it; removing what is gone already is no error."""

    what: str
    remove: Callable[[], None]


@dataclass(frozen=True)
class Plan:
    """Something to make in the cloud: a job of a kind (training, tuning, batch) or an endpoint.

    `cost` is what costs money while it exists, in words.
    """

    kind: str
    name: str
    steps: Sequence[Step]
    cost: str


@dataclass(frozen=True)
class State:
    """What the cloud says of a job or an endpoint.

    `state` is waiting, running, succeeded, failed or stopped, of an endpoint: waiting, serving, failed or removing;
    `detail` the cloud's own words for it, `reason` why it failed; `model` the URI of what a job left; `address` a page
    in the cloud's console.
    """

    kind: str
    name: str
    state: str
    detail: str = ""
    reason: str = ""
    cost: str = ""
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    model: str | None = None
    address: str = ""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more by itself."""
        return self.state not in ("waiting", "running", "removing")


@dataclass(frozen=True)
class Search:
    """How a tuning job searches: trials in all (None: the cloud's default), at a time, and names of `--strategy` and
    `--early-stopping` (empty: the cloud's default).
    """

    trials: int | None
    parallel: int
    strategy: str
    stopping: str = ""


@dataclass(frozen=True)
class Trial:
    """A training of a search. `state` as in State; `value` is the objective's, None where there is none.

    `hyperparameters` are those that were searched, with values as model.py has them; `seconds` is how long it took;
    `model` is the URI or the folder of what it left, None for nothing.
    """

    name: str
    state: str
    value: float | None
    hyperparameters: Mapping[str, Any]
    seconds: float | None = None
    model: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Asked:
    """What a search looks for: the best of `metric` by `goal`, "maximize" or "minimize".

    `fixed` are the hyperparameters that every trial has, as the request has them.
    """

    metric: str
    goal: str
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """A file of this machine and its place in the bucket."""

    uri: str
    file: Path
    size: int


@dataclass(frozen=True)
class AccountFile:
    """What makes a cloud account ready, as a file for an administrator: its name and content.

    `command` are the words that use it, in which `{file}` stands for its path; `notes` are lines to print below it.
    """

    name: str
    content: str
    command: Sequence[str]
    notes: Sequence[str]


class Bucket(Protocol):
    """The bucket of settings.toml. Whatever a cloud refuses is raised as UserError."""

    name: str

    def require(self) -> None:
        """Raise UserError unless the bucket exists, can be used, and lies in the job's region."""

    def create(self) -> bool:
        """Make the bucket, private, in the job's region; return False when it is there already and ours."""

    def unchanged(self, items: Sequence[Item]) -> set[str]:
        """The URIs of the items whose object has the file's size and checksum."""

    def upload(self, items: Sequence[Item], sent: Callable[[int], None]) -> None:
        """Send files in parallel; `sent` is told how many bytes more (or, before a repetition, fewer) have gone."""

    def write(self, uri: str, content: bytes) -> None:
        """Make a small object."""

    def read(self, uri: str, file: Path) -> None:
        """Fetch an object. Raises NotFoundError."""

    def names(self, uri: str) -> list[str]:
        """The URIs of the objects below a folder."""

    def delete(self, uris: Sequence[str]) -> None:
        """Remove objects; one that is gone already is no error."""


class Log(Protocol):
    """The log of a job, as it grows."""

    def new(self) -> list[str]:
        """The lines that have come since the last call."""


class Platform(Protocol):
    """One cloud. Nothing is sent before a method of a command that changes something is called."""

    name: str
    title: str
    project: Project
    # Checks whose findings do not count, by their ids, with the reasons of settings.toml.
    ignore: Mapping[str, str]
    # [batch] of settings.toml.
    batch: Batch

    @property
    def bucket(self) -> Bucket:
        """The bucket of settings.toml."""

    def channel(self, name: str) -> str:
        """The URI of the folder of a channel's data, such as "train"."""

    def plan_job(self, report: "Report", argv: Sequence[str], search: Search | None) -> Plan | None:
        """The training job, or with `search` the tuning job, checked as the rehearsal does; None when a check failed.

        Asks nobody: works without account and network.
        """

    def check_job(self, report: "Report") -> None:
        """Check what only the cloud knows: credentials, bucket and region, the data in it."""

    def plan_endpoint(self, report: "Report", job: State, name: str | None) -> Plan | None:
        """An endpoint (None: with a new name) for the model that `job` left, checked; None when a check failed."""

    def example(self, job: State) -> dict[str, Any] | None:
        """The `request` that the trainer left with the model and its `response`; None when there is none.

        Raises UserError for a model that no endpoint can serve.
        """

    def plan_batch(self, report: "Report", job: State, source: Path | str) -> Plan | None:
        """A batch prediction of `source`, a local file of JSON lines or the URI of a folder; None: a check failed."""

    def find(self, name: str, kind: str = "") -> State:
        """A job or, with kind "endpoint", an endpoint. Raises NotFoundError and UnreachableError."""

    def asked(self, tuning: State) -> Asked:
        """What a tuning job looks for. Raises NotFoundError and UnreachableError."""

    def trials(self, tuning: State) -> list[Trial]:
        """All trials of a tuning job so far. Raises NotFoundError and UnreachableError."""

    def running(self) -> list[State]:
        """The project's endpoints and unfinished jobs: what costs money now."""

    def log(self, state: State) -> Log:
        """The log of a job."""

    def stop(self, state: State) -> None:
        """End a job; what it has trained so far may be lost."""

    def parts(self, endpoint: str) -> Iterator[Part]:
        """What exists of an endpoint, in the order in which it has to be removed."""

    def predict(self, endpoint: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The endpoint's answer to `{"instances": [...]}`, as `{"predictions": [...]}`."""

    def answers(self, batch: State) -> str:
        """The URI of the folder of a batch prediction's answers."""

    def lost_rows(self, batch: State) -> str:
        """How many rows of a batch prediction that has succeeded have no answer, in words; empty for none."""

    def advice(self, state: State, log: Sequence[str]) -> str:
        """The likely cause of a failure and what to do, in words; empty when nothing is known."""

    def check_account(self, report: "Report") -> str:
        """What setup looks at: each missing thing a finding. Returns the policy to ask an administrator for."""

    def plan_setup(self) -> Plan:
        """What setup creates when asked: bucket and identity of the jobs; its steps wait until they are done."""

    def account_file(self) -> AccountFile:
        """What setup creates, for an administrator to read, to change and to run. Asks nobody."""

    def setup_result(self) -> dict[str, str]:
        """The lines of settings.toml that what setup created is called by."""


def ranked(trials: Iterable[Trial], goal: str) -> list[Trial]:
    """The trials with the best first; after those that succeeded with a number of the objective come the others."""

    def place(trial: Trial) -> tuple[bool, float]:
        if trial.state != "succeeded" or trial.value is None or not math.isfinite(trial.value):
            return True, 0.0
        return False, -trial.value if goal == "maximize" else trial.value

    return sorted(trials, key=place)


def chosen(option: str, word: str, known: Mapping[str, str], title: str) -> str:
    """What a word of an option such as --strategy stands for: one of `known`, or a value of it, in any case.

    Raises StartError for another word, with the known ones.
    """
    for name, value in known.items():
        if word.lower() in (name, value.lower()):
            return value
    near = get_close_matches(word.lower(), known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise StartError(f"{option} {word}: {meant}{title} has {', '.join(known)}")


def connect(name: str, settings: Settings) -> Platform:
    """The platform `name`, with settings.toml. Raises StartError when it has no section of that name."""
    platform: Platform = importlib.import_module(f"onstage.{name}.client.platform").connect(settings)
    return platform
