"""Runs the trials of a tuning job one after the other, and knows what each one wrote and how it is repeated here."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onstage import flags, progress
from onstage.checks.model_page import ModelPage
from onstage.corners import Parameter
from onstage.errors import UserError
from onstage.rehearsal import trial_checks
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.trial_checks import Outcome, Trial, Words
from onstage.report import Finding, Report

CHECK = "tuning"
# Values of a list that were not tried: so many are named.
_MOST = 5


def is_due(report: Report, platform: str) -> bool:
    """Whether trials are wanted, and the job has gone well."""
    own = [check for check in report.checks if check.platform == platform]
    has_trained = any(check.name == "train" for check in own)
    return report.wants(platform, CHECK) and has_trained and all(check.status != "failed" for check in own)


def run(
    report: Report,
    platform: str,
    source: Path,
    trials: Sequence[Trial],
    parameters: Sequence[Parameter],
    attempt: Callable[[Trial], Outcome],
    words: Words,
) -> None:
    """Report what comes of all `trials`, each of which `attempt` runs; `parameters` are what is searched.

    `source` is the project's src/.
    """
    report.not_seen.append(f"{platform}: of the search, {_left_out(parameters, trials)}")

    def check() -> list[Finding] | str:
        outcomes = []
        for trial in trials:
            with progress.doing(f"{platform}, trial {trial.number} of {len(trials)}, {trial.corner}"):
                outcomes.append(attempt(trial))
        return trial_checks.findings(outcomes, words, source)

    report.run(platform, CHECK, check)


def repeated(page: ModelPage, hyperparameters: Mapping[str, Any], chosen: Mapping[str, str]) -> str:
    """The flags with which train.py does what a trial does: those of hyperparameters that are not model.py's defaults.

    `hyperparameters` are those of the rehearsed job, `chosen` what the trial changes, as words of a command line.
    """
    values: Mapping[str, Any] = chosen
    # Where model.py refuses a value, the trial says it, and so does train.py.
    with contextlib.suppress(UserError):
        found, usual = page.parse_flags(flags.of_values(chosen)), page.parse_flags([])
        own = {**hyperparameters, **{name: getattr(found, name) for name in chosen}}
        names = [item.name for item in dataclasses.fields(page.hyperparameters)]
        values = {name: own[name] for name in names if own[name] != getattr(usual, name)}
    return flags.for_people(flags.of_values(values))


class Buckets:
    """What is written into the folders that stand for buckets, from one look to the next."""

    def __init__(self, store: LocalStore, scheme: str) -> None:
        self._root, self._scheme = store.root.resolve(), scheme
        self._seen = self._look()

    def written(self, own: Path) -> frozenset[str]:
        """The URIs of what was written since the last look, but for what is below `own`."""
        before, self._seen = self._seen, self._look()
        new = (path for path, seen in self._seen.items() if before.get(path) != seen)
        return frozenset(
            f"{self._scheme}://{path.relative_to(self._root).as_posix()}"
            for path in new
            if not path.is_relative_to(own.resolve())
        )

    def _look(self) -> dict[Path, tuple[int, int]]:
        found = ((path, path.stat()) for path in self._root.rglob("*") if path.is_file())
        return {path: (seen.st_mtime_ns, seen.st_size) for path, seen in found}


def _left_out(parameters: Sequence[Parameter], trials: Sequence[Trial]) -> str:
    """What is not tried of the search space, in words."""
    left = []
    for one in parameters:
        tried = {trial.chosen.get(one.name) for trial in trials}
        if others := [text for text in one.values if text not in tried]:
            more = f" and {len(others) - _MOST} more" if len(others) > _MOST else ""
            left.append(f"{one.name}={', '.join(others[:_MOST])}{more}")
    values = f"{'; '.join(left)}, and " if left else ""
    return f"{values}all between the ends and the middle of its ranges; {len(trials)} trials ran"
