"""Runs the trials of a search, as many at a time as asked: until all are done, time is up, or all fail alike."""

import math
import queue
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from onstage import stopping
from onstage.errors import UserError
from onstage.flags import of_values
from onstage.project import path_for_people
from onstage.rehearsal import watchdog
from onstage.rehearsal.processes import Said
from onstage.search import draws, journal
from onstage.search.running import MARKER, RunningTrial
from onstage.space import Space

# So many failures, and nothing else, are enough: with one cause, or with any.
SAME, ANY = 3, 10
# Trials that are drawn at random before a sampler or a pruner knows anything.
STARTUP = 5
STRATEGIES, PRUNERS = ("tpe", "random"), ("none", "median", "hyperband")


@dataclass(frozen=True)
class Options:
    """How much is searched, and how. `trials` are those of the journal in all; times are seconds."""

    trials: int
    parallel: int
    timeout: float
    trial_timeout: float
    strategy: str
    pruner: str
    seed: int
    name: str


@dataclass(frozen=True)
class Plan(Options):
    """What a search does."""

    root: Path
    space: Space
    metric: str
    goal: str
    fixed: Mapping[str, Any]
    epochs: int
    cores: Sequence[int]


class Watcher(Protocol):
    """Shows what goes on."""

    def now(self, running: Sequence[RunningTrial]) -> None:
        """What runs at this moment."""

    def over(self, trial: FrozenTrial) -> None:
        """A trial that is over."""


class Driver:
    """The one process that draws, starts, and notes what became of it."""

    def __init__(self, plan: Plan, study: optuna.Study, folder: Path, watcher: Watcher) -> None:
        self._plan, self._study, self._folder, self._watcher = plan, study, folder, watcher
        self._said: queue.Queue[Said] = queue.Queue()
        self._running: list[RunningTrial] = []
        self._marker = f"{folder.resolve()}"
        self._done = len(journal.counted(study))
        study.pruner = _pruner(plan)
        # Of this run, for the end that comes early.
        self._failures: list[str] = []
        self._has_result = any(one.state in (TrialState.COMPLETE, TrialState.PRUNED) for one in study.get_trials())

    def run(self) -> str:
        """Run what remains. Why it ended before that was done; empty otherwise.

        Raises UserError where all trials fail. Whatever happens, no process is left.
        """
        ends_at = time.monotonic() + self._plan.timeout
        dog = subprocess.Popen(
            [sys.executable, "-I", watchdog.__file__, f"{MARKER}={self._marker}"],
            stdin=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert dog.stdin, "it is a pipe"
        self._tell = dog.stdin
        try:
            while True:
                late = time.monotonic() >= ends_at
                if late:
                    for one in self._running:
                        one.end("--timeout")
                while not late and len(self._running) < self._plan.parallel and self._remaining > 0:
                    self._start()
                if not self._running:
                    break
                self._listen()
                self._watcher.now(self._running)
                self._refuse_to_fail_on()
            return f"{self._plan.timeout:.0f} s are over" if self._remaining > 0 else ""
        finally:
            # It ends what is left, also where this is interrupted once more.
            for one in self._running:
                one.process.end(kill=True)
            self._tell.close()
            dog.wait()
            self._abandon()

    @property
    def _remaining(self) -> int:
        return self._plan.trials - self._done - len(self._running)

    def _start(self) -> None:
        plan = self._plan
        # A search that goes on would otherwise draw again what it drew at first.
        self._study.sampler = _sampler(plan, plan.seed + len(self._study.get_trials(deepcopy=False)))
        trial = self._study.ask()
        values = draws.draw(trial, plan.space)
        folder = self._folder / "trials" / f"{trial.number:04d}"
        if folder.exists():
            raise UserError(f"{path_for_people(folder)} is there, and the journal does not know of it: remove it")
        trial.set_user_attr(journal.VALUES, values)
        slot = min(set(range(plan.parallel)) - {one.slot for one in self._running})
        one = RunningTrial(trial, values, folder, slot)
        command = [
            sys.executable, str(plan.root / "train.py"), *of_values({**plan.fixed, **values}), "--job-dir", str(folder),
        ]  # fmt: skip
        cores = list(plan.cores[slot :: plan.parallel]) or [plan.cores[slot % len(plan.cores)]]
        one.start(command, plan.root, self._marker, cores, self._said)
        self._tell.write(f"+{one.process.pid}\n")
        self._tell.flush()
        self._running.append(one)

    def _listen(self) -> None:
        stopping.refuse_to_go_on()
        for one in self._running:
            one.look(self._plan.trial_timeout)
        try:
            process, stream, content = self._said.get(timeout=0.2)
        except queue.Empty:
            return
        one = next(found for found in self._running if found.process is process)
        if stream == "end":
            process.note_end(content)
            self._over(one)
            return
        value = one.line(content, self._plan.metric)
        if value is not None and math.isfinite(value) and not one.ended_for:
            one.trial.report(value, one.epoch)
            if one.epoch < self._plan.epochs and one.trial.should_prune():
                one.end("pruned")

    def _over(self, one: RunningTrial) -> None:
        """Note what became of a trial."""
        one.close()
        self._tell.write(f"-{one.process.pid}\n")
        self._tell.flush()
        self._running.remove(one)
        one.trial.set_user_attr(journal.SECONDS, round(one.seconds, 3))
        reason = one.failure(self._plan.metric)
        if reason == "--timeout":
            journal.give_up(self._study, one.trial, "the search's time was over", uncounted=True)
        elif reason == "pruned":
            self._study.tell(one.trial, state=TrialState.PRUNED)
        elif reason:
            journal.give_up(self._study, one.trial, reason)
            self._failures.append(reason)
        else:
            self._study.tell(one.trial, one.value)
        if reason != "--timeout":
            self._done += 1
            self._has_result |= reason in ("", "pruned")
        self._watcher.over(self._study.get_trials(deepcopy=False)[one.trial.number])

    def _refuse_to_fail_on(self) -> None:
        if self._has_result:
            return
        causes = Counter(re.sub(r"[\d.]+", "N", reason) for reason in self._failures)
        most = max(causes.values(), default=0)
        if most >= SAME or len(self._failures) >= ANY:
            cause = max(self._failures, key=lambda reason: causes[re.sub(r"[\d.]+", "N", reason)])
            raise UserError(
                f"all of the first {len(self._failures)} trials failed, {most} of them for one cause: {cause}"
            )

    def _abandon(self) -> None:
        """Trials that run when the search is stopped are done again by the next one."""
        for one in self._running:
            try:
                one.close()
                journal.give_up(self._study, one.trial, "stopped", uncounted=True)
            except OSError:
                # The journal cannot be written: the next driver finds these running, and does them again.
                return


def _sampler(plan: Plan, seed: int) -> optuna.samplers.BaseSampler:
    if plan.strategy == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=plan.parallel > 1)


def _pruner(plan: Plan) -> optuna.pruners.BasePruner:
    if plan.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(max_resource=max(plan.epochs, 1))
    if plan.pruner == "median":
        # A third of the epochs at least: at the beginning a small learning rate is always behind.
        return optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=plan.epochs // 3)
    return optuna.pruners.NopPruner()
