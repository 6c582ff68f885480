"""`onstage tune`: the trials of a search, what they come to, and what to type next."""

import contextlib
import dataclasses
import errno
import hashlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from onstage import flags, outcome, source, space
from onstage.checks.model_page import ModelPage, read_model
from onstage.cloud import Trial
from onstage.commands import show
from onstage.errors import StartError, UserError
from onstage.project import Project, path_for_people
from onstage.search import draws, journal, live, pictures
from onstage.search.driver import Driver, Options, Plan
from onstage.search.results import as_trial, folder_of
from onstage.settings import load

REPORT, BEST = "report.html", "best.txt"
# Of the trials, at the end.
_SHOWN = 5


def tune(project: Project, argv: Sequence[str], options: Options) -> None:
    """Search, or go on. Raises StartError for what cannot begin, UserError for a search without a result."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", options.name):
        raise StartError(f"--name is a folder's name of letters, digits, _ . and -, not {options.name}")
    page = read_model(project)
    plan, definition = _plan(project, page, argv, options)
    folder = folder_of(project, options.name)
    with _quiet_optuna(), _room(folder), journal.opened(folder, definition) as study:
        over = study.get_trials()
        done = len(journal.counted(study))
        _begin(plan, folder, done)
        early = ""
        if done < plan.trials:
            with live.Watch(plan, over, _console()) as watch:
                early = _run(Driver(plan, study, folder, watch), folder)
        _end(project, plan, study, folder, early)


def _run(driver: Driver, folder: Path) -> str:
    try:
        return driver.run()
    except KeyboardInterrupt:
        show.say(f"stopped; no trial that is over is lost: the same command goes on in {path_for_people(folder)}")
        raise


def _plan(project: Project, page: ModelPage, argv: Sequence[str], options: Options) -> tuple[Plan, journal.Definition]:
    chosen, given = page.parse_flags(argv), space.given(page.hyperparameters, argv)
    ranges = space.of(page.hyperparameters, given)
    fixed = {name: value for name, value in dataclasses.asdict(chosen).items() if name not in ranges.names}
    settings, objective = load(project), page.objective
    plan = Plan(
        **vars(options), root=project.root, space=ranges, metric=objective.metric, goal=objective.goal,
        fixed={name: fixed[name] for name in given}, epochs=getattr(chosen, "epochs", 0), cores=_cores(),
    )  # fmt: skip
    definition = journal.Definition(
        f"{objective.goal} {objective.metric}",
        ranges.described(),
        {name: flags.text(value) for name, value in fixed.items()},
        {f"[data] {name}": place for name, place in settings.data},
        given,
        hashlib.sha256(source.archive(project.source)).hexdigest()[:12],
    )
    return plan, definition


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _begin(plan: Plan, folder: Path, done: int) -> None:
    for note in draws.notes(plan.space):
        show.say(note)
    if done >= plan.trials:
        more = f"--trials {done * 2} goes on, --name OTHER begins anew"
        show.say(f"{path_for_people(folder)} has {done} trials already: {more}")
        return
    goes_on = f"goes on after {done} trials: " if done else ""
    show.say(
        f"{path_for_people(folder)}: {goes_on}{plan.trials - done} trials of {', '.join(plan.space.names)}, "
        f"{plan.strategy}, pruner {plan.pruner}, seed {plan.seed}"
    )
    if plan.parallel > 1:
        show.say(
            f"{plan.parallel} at a time: the order in which they end decides what is drawn next, not the seed alone"
        )
    if plan.parallel > len(plan.cores):
        show.say(f"{plan.parallel} at a time on {len(plan.cores)} cores: several share one")


def _end(project: Project, plan: Plan, study: optuna.Study, folder: Path, early: str) -> None:
    counted = journal.counted(study)
    done = sorted(
        (one for one in counted if one.state == TrialState.COMPLETE),
        key=lambda one: (-1 if plan.goal == "maximize" else 1) * (one.value or 0.0),
    )
    if not done:
        raise UserError(
            f"none of {len(counted)} trials has a result"
            + (f": {early}, and --timeout S allows more" if early else f": see {path_for_people(folder / 'trials')}")
        )
    values = {**plan.fixed, **done[0].user_attrs[journal.VALUES]}
    line = flags.for_people(flags.of_values(values))
    train = [
        f"python {path_for_people(project.root / 'train.py')}",
        *(f"onstage {on} train" for on in project.platforms),
    ]
    commands = [f"{one} {line}" for one in train]
    (folder / BEST).write_text(f"{line}\n", encoding="utf-8")
    pictures.write(folder / REPORT, study, plan, commands)
    _say_trials(plan, counted, done, early)
    best = as_trial(done[0], folder)
    show.say(f"best: trial {done[0].number}, {plan.metric}={best.value:.6g}, its model in {_place(best)}")
    for command in commands:
        show.say(f"  {command}")
    show.say(f"pictures: {path_for_people(folder / REPORT)}")
    others = [one for one in counted if one.state != TrialState.COMPLETE]
    outcome.note(best=values, trials=[dataclasses.asdict(as_trial(one, folder)) for one in [*done, *others]])


def _say_trials(plan: Plan, counted: Sequence[FrozenTrial], done: Sequence[FrozenTrial], early: str) -> None:
    table = live.table_of(plan.space, plan.metric)
    for one in done[:_SHOWN]:
        table.add_row(*live.row(one, plan.space), style="bold green" if one is done[0] else "")
    _console().print(table)
    failed = sum(one.state == TrialState.FAIL for one in counted)
    pruned = sum(one.state == TrialState.PRUNED for one in counted)
    parts = [f"{len(done)} done", f"{pruned} stopped early" * (pruned > 0), f"{failed} failed" * (failed > 0)]
    show.say(f"{len(counted)} of {plan.trials} trials: {', '.join(filter(None, parts))}{early and f'; {early}'}")
    if early:
        show.say("the same command goes on")


def _place(best: Trial) -> str:
    return path_for_people(Path(best.model)) if best.model else "nothing: it was removed"


def _console() -> Console:
    # A log has room for all columns.
    return Console(width=None if sys.stdout.isatty() else 160)


@contextlib.contextmanager
def _quiet_optuna() -> Iterator[None]:
    optuna.logging.set_verbosity(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Of a picture whose trials have one value of a hyperparameter.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"optuna\.visualization")
        yield


@contextlib.contextmanager
def _room(folder: Path) -> Iterator[None]:
    """A disk that is full or read only, said of the search: what it has so far is whole."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise UserError(f"{path_for_people(folder)} cannot be written: {error.strerror}") from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise UserError(
            f"{path_for_people(folder)}: {error.strerror}: make room, and the same command goes on; no trial that is "
            "over is lost"
        ) from error
