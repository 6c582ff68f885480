"""`onstage best`: the trials of the searches here and in the clouds, the best first, and what to do with that one."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from onstage import flags, installation, outcome
from onstage.checks.model_page import ModelPage, read_model
from onstage.cloud import Asked, State, Trial, ranked
from onstage.commands import endpoints, show, state
from onstage.commands.application import submit
from onstage.errors import StartError, UserError
from onstage.options import PORT
from onstage.platform import Platform, connect
from onstage.project import Project, path_for_people
from onstage.settings import Settings, load

LOCAL = "local"
# A screen has room for so many trials.
_SHOWN = 20
# A log has room for all columns.
_WIDE = 160


@dataclass(frozen=True)
class _Search:
    """The trials of one search: `place` is local or a platform's name."""

    place: str
    name: str
    asked: Asked
    trials: Sequence[Trial]

    def __str__(self) -> str:
        return f"{self.place} search {self.name}"


@dataclass(frozen=True)
class _Best:
    """The best trial of all, where it is, and the hyperparameters that train as it did."""

    place: str
    trial: Trial
    values: dict[str, Any]

    @property
    def words(self) -> list[str]:
        """Their flags."""
        return flags.of_values(self.values)


def best(project: Project, place: str, *, train: str, deploy: bool, as_json: bool, dry_run: bool) -> None:
    """Show the trials of the searches at `place` (empty: all places), and train or deploy the best one if asked to.

    Raises StartError where nothing was searched, UserError where no trial has a result.
    """
    if train and deploy:
        raise StartError("--train or --deploy, not both: the model of a training is deployed when it has ended")
    if dry_run and not (train or deploy):
        raise StartError("--dry-run is for --train and --deploy")
    for name in filter(None, (place, train)):
        _require(name, project)
    settings, page = load(project), read_model(project)
    searches = list(_searches(settings, page, place))
    trials = [(search, trial) for search in searches for trial in search.trials]
    by_trial = {id(trial): search for search, trial in trials}
    order = [(by_trial[id(one)], one) for one in ranked([trial for _, trial in trials], page.objective.goal)]
    first = _first(page, order)
    found = _as_json(first, order)
    outcome.note(**found)
    if as_json:
        print(json.dumps(found, indent=2), flush=True)
    else:
        _print(project, page, searches, order, first)
    if first is None:
        raise UserError(f"none of {len(order)} trials has a result yet, see above" if order else _nothing_yet(searches))
    if train:
        _train(project, train, first.words, dry_run=dry_run)
    if deploy:
        _deploy(project, settings, first, dry_run=dry_run)


def _searches(settings: Settings, page: ModelPage, place: str) -> Iterator[_Search]:
    """The searches whose trials can be compared. Raises StartError where there is none."""
    project, wanted = settings.project, (page.objective.goal, page.objective.metric)
    places = [place] if place else [LOCAL, *project.platforms]
    found: list[_Search] = []
    troubles: list[UserError] = []
    for one in places:
        try:
            found += _local(project) if one == LOCAL else _of_cloud(one, settings)
        except UserError as error:
            # Of several places, one that does not answer, or forbids it, does not hide the others.
            if place:
                raise
            show.aside(f"{one}: {error}")
            troubles.append(error)
    if not found and troubles:
        raise troubles[0]
    if not found:
        raise StartError(_nothing(project, places))
    for search in found:
        asked = search.asked
        if (asked.goal, asked.metric) == wanted:
            yield search
        else:
            show.aside(f"{search} looked for the {_extreme(asked.goal)} {asked.metric}, not for OBJECTIVE: left out")


def _local(project: Project) -> list[_Search]:
    if not (project.runs / "tune").is_dir():
        return []
    installation.require("tune", project)
    from onstage.search import results

    searches: dict[str, list[Trial]] = {}
    for trial in results.local(project):
        searches.setdefault(trial.name.partition("/")[0], []).append(trial)
    return [_Search(LOCAL, name, results.asked(project, name), trials) for name, trials in searches.items()]


def _of_cloud(name: str, settings: Settings) -> list[_Search]:
    platform = connect(name, settings)
    sent = state.last(platform, "tuning")
    if sent is None:
        return []
    installation.require(name, settings.project)
    tuning = State(*sent, "waiting")
    return [_Search(name, tuning.name, platform.asked(tuning), platform.trials(tuning))]


def _first(page: ModelPage, order: Sequence[tuple[_Search, Trial]]) -> _Best | None:
    """The best trial; None when none has a result."""
    if not order or not _has_result(order[0][1]):
        return None
    search, trial = order[0]
    return _Best(search.place, trial, {**_fixed(page, search), **trial.hyperparameters})


def _fixed(page: ModelPage, search: _Search) -> dict[str, Any]:
    """What every trial of a search has and model.py's defaults have not.

    What model.py does not know any more is left out, and named.
    """
    usual = vars(page.parse_flags([]))
    told = {name: value for name, value in search.asked.fixed.items() if name in usual}
    if lost := [name for name in search.asked.fixed if name not in usual]:
        show.aside(f"{search} had {', '.join(lost)}, which model.py has no more: left out")
    chosen = vars(page.parse_flags(flags.of_values(told)))
    return {name: chosen[name] for name in told if chosen[name] != usual[name]}


def _print(
    project: Project,
    page: ModelPage,
    searches: Sequence[_Search],
    order: Sequence[tuple[_Search, Trial]],
    first: _Best | None,
) -> None:
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    fields = list(
        dict.fromkeys(name for search in searches for trial in search.trials for name in trial.hyperparameters)
    )
    for search in searches:
        show.say(f"{search.place}: {len(search.trials)} trials of the search {search.name}")
    table = Table()
    for name, justify in (("where", "left"), ("trial", "left"), ("", "left"), (page.objective.metric, "right"),
                          ("time", "right"), *((name, "right") for name in fields)):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for search, one in order[:_SHOWN]:
        style = "bold green" if first and one is first.trial else "" if _has_result(one) else "dim"
        table.add_row(
            search.place, _number(search, one), *_cells(one), *(_text(one, name) for name in fields), style=style
        )
    console.print(table)
    if len(order) > _SHOWN:
        show.say(f"and {len(order) - _SHOWN} more trials, which --format json has")
    for search, one in order[:_SHOWN]:
        if one.reason:
            show.say(f"{search.place} {_number(search, one)} {one.state}: {one.reason.splitlines()[0]}")
    if first:
        show.say(_conclusion(project, page, first))


def _cells(one: Trial) -> tuple[str, str, str]:
    value = "" if one.value is None else f"{one.value:.6g}"
    return one.state, value, "" if one.seconds is None else show.clock(one.seconds)


def _number(search: _Search, one: Trial) -> str:
    """A trial's name without that of its search, of which a cloud has just one here."""
    return one.name if search.place == LOCAL else one.name.removeprefix(search.name).lstrip("-/")


def _text(one: Trial, name: str) -> str:
    # What does not count in a trial is not there.
    value = one.hyperparameters.get(name, "-")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _conclusion(project: Project, page: ModelPage, first: _Best) -> str:
    trial, line = first.trial, flags.for_people(first.words)
    place = path_for_people(Path(trial.model)) if trial.model and first.place == LOCAL else trial.model
    model = f", its model in {place}" if place else ", which left no model"
    word = "serve it here" if first.place == LOCAL else "deploy it"
    return "\n".join(
        [
            f"best: {first.place} {trial.name}, {page.objective.metric}={trial.value:.6g}{model}",
            line,
            *(f"  {command}" for command in commands(project, first.words)),
            *([f"  onstage best {first.place} --deploy    to {word}"] if trial.model else []),
        ]
    )


def commands(project: Project, words: Sequence[str]) -> list[str]:
    """What trains with these flags, as one types it."""
    line = flags.for_people(list(words))
    train = f"python {path_for_people(project.root / 'train.py')} {line}"
    return [train, *(f"onstage {platform} train {line}" for platform in project.platforms)]


def _as_json(first: _Best | None, order: Sequence[tuple[_Search, Trial]]) -> dict[str, Any]:
    """The trials, the best first, and its hyperparameters with those that were fixed."""

    def described(search: _Search, trial: Trial) -> dict[str, Any]:
        value = trial.value if trial.value is not None and math.isfinite(trial.value) else None
        return {"where": search.place, "search": search.name, **vars(trial), "value": value}

    trials = [described(*one) for one in order]
    return {"trials": trials, "best": first and first.values, "flags": first and first.words}


def _train(project: Project, place: str, words: Sequence[str], *, dry_run: bool) -> None:
    if place != LOCAL:
        submit(place, words, None, dry_run=dry_run, wait=True)
        return
    command = [sys.executable, str(project.root / "train.py"), *words]
    if dry_run:
        show.say(f"would run {commands(project, words)[0]}")
        return
    code = subprocess.run(command, cwd=project.root, check=False).returncode
    if code:
        raise typer.Exit(code)


def _deploy(project: Project, settings: Settings, first: _Best, *, dry_run: bool) -> None:
    trial = first.trial
    if not trial.model:
        raise UserError(f"the trial {trial.name} left no model: onstage best --train {first.place} trains one")
    if first.place == LOCAL:
        from onstage.serving.serve import serve

        if dry_run:
            show.say(f"would serve {path_for_people(Path(trial.model))}")
            return
        serve(Path(trial.model) / "model", PORT, project.platforms[0], settings)
        return
    platform: Platform = connect(first.place, settings)
    job = State("training", trial.name, "succeeded", model=trial.model)
    endpoints.deploy_model(platform, job, None, dry_run=dry_run)


def _has_result(trial: Trial) -> bool:
    return trial.state == "succeeded" and trial.value is not None and math.isfinite(trial.value)


def _extreme(goal: str) -> str:
    return {"maximize": "highest", "minimize": "lowest"}.get(goal, goal)


def _require(place: str, project: Project) -> None:
    if place == LOCAL:
        return
    if place not in project.platforms:
        raise StartError(f"{place}: this project runs on {' and '.join(project.platforms)}")
    installation.require(place, project)


def _nothing(project: Project, places: Sequence[str]) -> str:
    words = " or ".join("onstage tune" if one == LOCAL else f"onstage {one} tune" for one in places)
    return f"nothing was searched from {path_for_people(project.root)} yet: {words}"


def _nothing_yet(searches: Sequence[_Search]) -> str:
    return f"{', '.join(map(str, searches))}: no trial has begun yet" if searches else "no search looked for OBJECTIVE"
