"""A search as people watch it: a table that moves in a terminal, a line a trial in a log."""

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from typing_extensions import Self

from onstage import verbosity
from onstage.search import journal
from onstage.search.driver import Plan
from onstage.search.running import RunningTrial
from onstage.space import Space

# Of the trials that are over, as many as a screen has room for; the best one is always there.
_SHOWN = 12
_WORDS = {TrialState.COMPLETE: "done", TrialState.PRUNED: "stopped", TrialState.FAIL: "failed"}


class Watch:
    """Shows the trials of a search; `is_better` compares two values of its objective."""

    def __init__(self, plan: Plan, over: Sequence[FrozenTrial], console: Console) -> None:
        self._plan, self._console = plan, console
        self._over = list(over)
        self._stack = contextlib.ExitStack()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty() and not verbosity.is_quiet():
            self._live = self._stack.enter_context(
                Live(console=self._console, refresh_per_second=4, get_renderable=lambda: self._table(self._running))
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._running = ()
        self._stack.close()

    _running: Sequence[RunningTrial] = ()

    def now(self, running: Sequence[RunningTrial]) -> None:
        """What runs at this moment."""
        self._running = list(running)

    def over(self, trial: FrozenTrial) -> None:
        """A trial that is over."""
        self._over.append(trial)
        if self._live is None and not verbosity.is_quiet():
            print(sentence(trial, self._plan), flush=True)

    def _table(self, running: Sequence[RunningTrial]) -> Table:
        plan = self._plan
        done = sum(not one.user_attrs.get(journal.UNCOUNTED) for one in self._over)
        table = table_of(plan.space, plan.metric, f"{done} of {plan.trials} trials")
        first = best_of(self._over, plan.goal)
        left_out = self._over[: -_SHOWN or None]
        shown = ([first] if first in left_out else []) + self._over[-_SHOWN:]
        for one in shown:
            style = "bold green" if one is first else "dim" if one.state != TrialState.COMPLETE else ""
            table.add_row(*row(one, plan.space), style=style)
        for each in running:
            value = "" if each.value is None else f"{each.value:.6g}"
            clock = f"{each.seconds:.0f} s"
            said = f"epoch {each.epoch} of {plan.epochs}" if each.epoch else "starting"
            values = [_text(each.values, name) for name in plan.space.names]
            table.add_row(str(each.trial.number), said, value, clock, *values)
        return table


def best_of(trials: Sequence[FrozenTrial], goal: str) -> FrozenTrial | None:
    """The best of those that were trained to the end; the first of equal ones."""
    done = [one for one in trials if one.state == TrialState.COMPLETE]
    sign = -1 if goal == "maximize" else 1
    return min(done, key=lambda one: sign * (one.value or 0.0), default=None)


def table_of(space: Space, metric: str, title: str = "") -> Table:
    """An empty table of trials."""
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("trial", justify="right")
    table.add_column("")
    for name in (metric, "time", *space.names):
        # A word a line: a column is as narrow as its values.
        table.add_column(name.replace("_", "_\n"), justify="right")
    return table


def row(trial: FrozenTrial, space: Space) -> list[str]:
    """A trial that is over, for such a table."""
    value = "" if trial.value is None else f"{trial.value:.6g}"
    seconds = trial.user_attrs.get(journal.SECONDS)
    clock = "" if seconds is None else f"{seconds:.1f} s"
    values: dict[str, Any] = trial.user_attrs.get(journal.VALUES, {})
    return [str(trial.number), _WORDS[trial.state], value, clock, *(_text(values, name) for name in space.names)]


def sentence(trial: FrozenTrial, plan: Plan) -> str:
    """What became of a trial, for a log."""
    what = _WORDS[trial.state]
    if trial.state == TrialState.FAIL:
        what += f": {trial.user_attrs.get(journal.REASON, '')}"
    else:
        early = " early" * (trial.state == TrialState.PRUNED)
        what += f"{early}, {plan.metric}={trial.value:.6g}"
    values = trial.user_attrs.get(journal.VALUES, {})
    told = " ".join(f"{name}={value}" for name, value in values.items())
    return f"trial {trial.number} {what}  {trial.user_attrs.get(journal.SECONDS, 0):.1f} s  {told}"


def _text(values: Any, name: str) -> str:
    # What does not count in a trial is not there.
    value = values.get(name, "-")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
