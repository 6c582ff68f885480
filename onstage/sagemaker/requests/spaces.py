"""The search space of model.py as SageMaker's ParameterRanges, what is another there, and its strategies.

Pure functions. Sources: ParameterRanges, ContinuousParameterRange and HyperParameterTuningJobConfig of the API
reference; the guides "Define Hyperparameter Ranges" and "Understand the hyperparameter tuning strategies".
"""

import math
from collections.abc import Mapping
from typing import Any

from onstage.errors import UserError
from onstage.sagemaker.requests.values import as_text
from onstage.space import DEFAULT_TRIALS, LOG, REVERSE_LOG, Range, Space

# Of a CategoricalParameterRange.
MOST_VALUES = 30
GRID, HYPERBAND = "Grid", "Hyperband"
# By what --strategy and --early-stopping say.
STRATEGIES = {"bayesian": "Bayesian", "random": "Random", "grid": GRID, "hyperband": HYPERBAND}
STOPPINGS = {"off": "Off", "auto": "Auto"}
_SCALES = {LOG: "Logarithmic", REVERSE_LOG: "ReverseLogarithmic"}
Body = dict[str, Any]


def parameters(space: Space, strategy: str = "") -> Body:
    """The ParameterRanges. Raises UserError for what cannot be one, and for what Grid cannot try."""
    ranges: Body = {}
    for one in space:
        kind, described = _parameter(one, strategy)
        ranges.setdefault(kind, []).append(described)
    return ranges


def notes(space: Space, strategy: str = "") -> list[str]:
    """What SageMaker does another way than model.py says, a sentence each, which names the field."""
    return [note for one in space for note in _notes(one, strategy)]


def combinations(space: Space) -> int:
    """How many trials try everything. Raises UserError for what Grid cannot try."""
    return math.prod(len(_tried(one)) for one in space)


def limits(space: Space, strategy: str, trials: int | None, parallel: int) -> Body:
    """The ResourceLimits. Raises UserError for a number of trials that is not Grid's."""
    if strategy != GRID:
        return {"MaxNumberOfTrainingJobs": trials or DEFAULT_TRIALS, "MaxParallelTrainingJobs": parallel}
    number = combinations(space)
    if trials not in (None, number):
        raise UserError(
            f"Grid tries all {number} combinations, neither more nor fewer: leave --trials out, or write {number}"
        )
    return {"MaxNumberOfTrainingJobs": number, "MaxParallelTrainingJobs": parallel}


def strategy_config(space: Space, strategy: str, fixed: Mapping[str, Any]) -> Body:
    """The StrategyConfig that a strategy needs, if it needs one: Hyperband counts the epochs of a trial.

    `fixed` are the hyperparameters that are not searched. Raises UserError where there are no epochs.
    """
    if strategy != HYPERBAND:
        return {}
    searched = next((max(one.listed or [one.high]) for one in space if one.name == "epochs"), None)
    epochs = fixed.get("epochs", searched)
    if not epochs:
        raise UserError(
            "Hyperband ends trials early by their epochs, and Hyperparameters has no field `epochs`: choose Bayesian, "
            "or Random, with --early-stopping auto"
        )
    return {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": int(epochs)}}


def _parameter(one: Range, strategy: str) -> tuple[str, Body]:
    listed = _tried(one) if strategy == GRID else _listed(one)
    if listed is not None:
        values = [as_text(one.name, value) for value in listed]
        return "CategoricalParameterRanges", {"Name": one.name, "Values": values}
    whole = one.kind is int
    return "IntegerParameterRanges" if whole else "ContinuousParameterRanges", {
        "Name": one.name,
        "MinValue": str(one.low),
        "MaxValue": str(one.high),
        "ScalingType": "Linear" if _is_reversed_whole(one) else _SCALES.get(one.scale, "Linear"),
    }


def _notes(one: Range, strategy: str) -> list[str]:
    found = []
    count = len(one.listed or ()) if one.values is None and not one.has_every_whole else 0
    if count and strategy != GRID and _listed(one) is not None:
        lost = "whose order it does not know" if one.scale not in _SCALES else "whose order and scale it does not know"
        found.append(f"SageMaker has no steps: the {count} values are sent as a list of categories, {lost}")
    elif one.step is not None and not one.has_every_whole and strategy != GRID:
        found.append(
            f"SageMaker has no steps, and at most {MOST_VALUES} values in a list: {one.low} to {one.high} is sent "
            "without, and values between the steps come, too"
        )
    if _is_reversed_whole(one) and _listed(one) is None and strategy != GRID:
        found.append("SageMaker's reverse log scale is for real numbers: whole ones are searched on a linear scale")
    if one.parent:
        found.append(f"SageMaker has no conditions: it is searched in every trial, not only where {one.condition}")
    return [f"{one.name}: {note}" for note in found]


def _listed(one: Range) -> list[Any] | None:
    """What is sent as categories: a list, or steps if they are few."""
    if one.values is not None and len(one.values) > MOST_VALUES:
        raise UserError(
            f"model.py: {one.name}: SageMaker takes at most {MOST_VALUES} values in a list, and there are "
            f"{len(one.values)}: give fewer, or a range with low and high"
        )
    if one.values is None and (one.has_every_whole or len(one.listed or ()) > MOST_VALUES):
        return None
    return one.listed


def _tried(one: Range) -> list[Any]:
    """What Grid tries: it takes categories only. Raises UserError for what has too many values."""
    listed = _listed(one)
    if listed is None and one.kind is int and one.low is not None and one.high is not None:
        listed = list(range(int(one.low), int(one.high) + 1, int(one.step or 1)))
    if listed is None or len(listed) > MOST_VALUES:
        raise UserError(
            f"model.py: {one.name}: Grid tries every value, and {one} has too many: give it values=[...], or a step "
            f"that leaves at most {MOST_VALUES}, or its value as a flag"
        )
    return listed


def _is_reversed_whole(one: Range) -> bool:
    return one.kind is int and one.scale == REVERSE_LOG
