"""A search as pictures: history, parallel coordinates, importance and all trials, in one HTML file without network."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from onstage import pages
from onstage.search import draws, journal, live
from onstage.search.driver import Plan

# Fewer say nothing about importance.
_FEWEST = 4


def write(file: Path, study: optuna.Study, plan: Plan, commands: Sequence[str]) -> None:
    """Write the report of a search; `commands` use its best trial."""
    parts = [pages.code("\n".join(commands)), *_pictures(_shown(study, plan), plan)]
    pages.write(file, f"{file.parent.name}: {plan.goal} {plan.metric}", [*parts, *_all_trials(study, plan)])


def _shown(study: optuna.Study, plan: Plan) -> optuna.Study:
    """The trials with the values that model.py knows: what was drawn may be a distance, or a place in a list."""
    shown = optuna.create_study(direction=journal.DIRECTIONS[plan.goal])
    for one in study.get_trials():
        if one.state == TrialState.COMPLETE:
            values, distributions = draws.view(plan.space, one.user_attrs[journal.VALUES])
            shown.add_trial(optuna.create_trial(params=values, distributions=distributions, value=one.value))
        else:
            # Of no interest here, but counted: trials keep their numbers.
            shown.add_trial(optuna.create_trial(state=TrialState.FAIL))
    return shown


def _pictures(shown: optuna.Study, plan: Plan) -> Iterator[str]:
    import matplotlib

    matplotlib.use("Agg")
    from optuna.visualization import matplotlib as draw

    yield pages.heading("History")
    yield _picture(
        lambda: draw.plot_optimization_history(shown, target_name=plan.metric), f"{plan.metric} of each trial"
    )
    always = [one.name for one in plan.space if one.parent is None]
    left_out = [one.name for one in plan.space if one.parent is not None]
    yield pages.heading("Parallel coordinates")
    yield _picture(
        lambda: draw.plot_parallel_coordinate(shown, params=always, target_name=plan.metric),
        f"the hyperparameters of each trial as a line, coloured by {plan.metric}",
    )
    if left_out:
        yield pages.paragraph(f"Without {', '.join(left_out)}, which not every trial has.")
    done = shown.get_trials(states=[TrialState.COMPLETE])
    yield pages.heading("Importance")
    if len(done) < _FEWEST or len({one.value for one in done}) < 2:
        yield pages.paragraph(f"{_FEWEST} trials with different values of {plan.metric} say which ones matter.")
    else:
        yield _picture(
            lambda: draw.plot_param_importances(shown, target_name=plan.metric),
            f"how much each hyperparameter decides of {plan.metric}",
        )


def _picture(plot: Callable[[], Any], text: str) -> str:
    from matplotlib import pyplot

    axes = plot()
    axes.set_title("")
    axes.figure.set_size_inches(10, 4)
    drawn = pages.picture(axes.figure, text)
    pyplot.close(axes.figure)
    return drawn


def _all_trials(study: optuna.Study, plan: Plan) -> Iterator[str]:
    trials = [one for one in study.get_trials() if one.state.is_finished()]
    first = live.best_of(trials, plan.goal)
    names = ["trial", "", plan.metric, "time", *plan.space.names, ""]
    rows = [[*live.row(one, plan.space), one.user_attrs.get(journal.REASON, "")] for one in trials]
    kinds = ["best" if one is first else "failed" if one.state == TrialState.FAIL else "" for one in trials]
    yield pages.heading("All trials")
    yield pages.table(names, rows, kinds)
