"""What a cloud is told and tells: what is to be made of which requests, what there is, how it fares."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onstage.errors import UserError


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


def ranked(trials: Iterable[Trial], goal: str) -> list[Trial]:
    """The trials with the best first; after those that succeeded with a number of the objective come the others."""

    def place(trial: Trial) -> tuple[bool, float]:
        if trial.state != "succeeded" or trial.value is None or not math.isfinite(trial.value):
            return True, 0.0
        return False, -trial.value if goal == "maximize" else trial.value

    return sorted(trials, key=place)
