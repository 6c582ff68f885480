"""What the commands need of a cloud. `onstage.<name>.client.platform.connect(settings)` makes the one called <name>."""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from onstage.cloud import AccountFile, Asked, Item, Part, Plan, Search, State, Trial
from onstage.errors import StartError
from onstage.project import Project
from onstage.sections import Batch
from onstage.settings import Settings

if TYPE_CHECKING:
    # It brings rich, which few commands need.
    from onstage.report import Report


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
