"""What Optuna draws for a search space, and what it cannot express."""

import math
from typing import Any

import optuna

from onstage.space import LOG, REVERSE_LOG, Range, Space

_DIGITS = 6


def draw(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """The values of those hyperparameters that count in this trial."""
    values: dict[str, Any] = {}
    for one in space:
        if one.counts(values):
            values[one.name] = _value(trial, one)
    return values


def notes(space: Space) -> list[str]:
    """What Optuna does another way than model.py says, a sentence a range."""
    return [
        f"{one.name}: Optuna has no steps on a {one.scale.replace('_', ' ')} scale: what it draws there is rounded to "
        "the nearest step"
        for one in space
        if one.step is not None and one.scale in (LOG, REVERSE_LOG)
    ]


def view(space: Space, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values of a trial as parameters of Optuna's, and their distributions: what its pictures show."""
    distributions = {one.name: _shown(one) for one in space if one.name in values}
    return {name: values[name] for name in distributions}, distributions


def _value(trial: optuna.Trial, one: Range) -> Any:
    if one.values is not None:
        return _listed(trial, one.name, list(one.values))
    assert one.low is not None and one.high is not None, "a range without values has ends"
    if one.scale == REVERSE_LOG:
        return one.stepped(_reversed(trial, one, one.low, one.high))
    step = one.step if one.scale != LOG else None
    # Optuna says on its own that it moves an end to the last step.
    high = one.stepped(one.high) if step else one.high
    if one.kind is int:
        whole = trial.suggest_int(one.name, int(one.low), int(high), log=one.scale == LOG, step=int(step or 1))
        return one.stepped(whole)
    drawn = trial.suggest_float(one.name, one.low, high, log=one.scale == LOG, step=step)
    return one.stepped(_short(drawn))


def _listed(trial: optuna.Trial, name: str, values: list[Any]) -> Any:
    numbers = all(type(one) in (int, float) for one in values)
    if not numbers:
        return trial.suggest_categorical(name, values)
    # Numbers have an order, categories have none.
    ordered = sorted(values)
    return ordered[trial.suggest_int(f"place of {name}", 0, len(ordered) - 1)]


def _reversed(trial: optuna.Trial, one: Range, low: float, high: float) -> float:
    """Drawn in log is the distance from the end: 1 - x, or for whole numbers low + high - x."""
    if one.kind is int:
        total = int(low + high)
        return total - trial.suggest_int(f"{total} - {one.name}", int(low), int(high), log=True)
    distance = trial.suggest_float(f"1 - {one.name}", 1 - high, 1 - low, log=True)
    return float(f"{1 - _short(distance):.12g}")


def _short(value: float) -> float:
    """As many digits as matter, so that the flags can be read."""
    return float(f"{value:.{_DIGITS}g}")


def _shown(one: Range) -> optuna.distributions.BaseDistribution:
    if one.values is not None:
        return optuna.distributions.CategoricalDistribution(list(one.values))
    assert one.low is not None and one.high is not None, "a range without values has ends"
    is_log = one.scale == LOG
    if one.kind is int:
        return optuna.distributions.IntDistribution(int(one.low), int(one.high), log=is_log)
    return optuna.distributions.FloatDistribution(one.low, one.high, log=is_log)


def better(one: float, other: float, goal: str) -> bool:
    """Whether `one` is a better value of the objective; NaN never is."""
    if math.isnan(one) or math.isnan(other):
        return not math.isnan(one)
    return one > other if goal == "maximize" else one < other
