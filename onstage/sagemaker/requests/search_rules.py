"""What SageMaker refuses in the search of a tuning job: its ranges, and its strategy.

Sources: ParameterRanges, HyperParameterTuningJobConfig and HyperbandStrategyConfig of the API reference; the guides
"Define Hyperparameter Ranges" and "Understand the hyperparameter tuning strategies".
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from onstage.problem import Path, Problem, dotted, twice

Body = Mapping[str, Any]
CONFIG = "HyperParameterTuningJobConfig"
_NUMERIC = ("IntegerParameterRanges", "ContinuousParameterRanges")
_CATEGORICAL = "CategoricalParameterRanges"
# Of HyperbandStrategyConfig, MaxResource; the service looks for epochs under these names.
_MOST_EPOCHS = 20_000
_EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")


def ranges(ranges: Body, path: Path, definition: Body, config: Body) -> Iterator[Problem]:
    """The problems of the ParameterRanges at `path`; `config` is the tuning job's."""
    strategy = config.get("Strategy", "")
    every = [one.get("Name") for kind in (*_NUMERIC, _CATEGORICAL) for one in ranges.get(kind) or ()]
    yield from twice(every, path, "range")
    for name in sorted(set(filter(None, every)) & set(definition.get("StaticHyperParameters") or ())):
        yield Problem(dotted(path), f"{name!r} is also in StaticHyperParameters", "leave it in one of them")
    for kind in _NUMERIC:
        if strategy == "Grid" and ranges.get(kind):
            yield Problem(dotted((*path, kind)), "Grid searches categorical values only", "choose Bayesian or Random")
        for number, one in enumerate(ranges.get(kind) or ()):
            yield from _range(one, (*path, kind, number))
    most = (config.get("ResourceLimits") or {}).get("MaxNumberOfTrainingJobs")
    if strategy == "Grid" and most is not None and not any(ranges.get(kind) for kind in _NUMERIC):
        number = math.prod(len(one.get("Values") or ()) for one in ranges.get(_CATEGORICAL) or ())
        if number != most:
            message = f"is {most}, and Grid tries all {number} combinations"
            yield Problem(f"{CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs", message, f"write {number}, or remove it")


def strategy(config: Body, definition: Body) -> Iterator[Problem]:
    """The problems of the strategy; `definition` is that of the trials, if there is one."""
    told = config.get("StrategyConfig")
    if config.get("Strategy") != "Hyperband":
        if told:
            yield Problem(f"{CONFIG}.StrategyConfig", "is for the strategy Hyperband only", "remove it")
        return
    if config.get("TrainingJobEarlyStoppingType", "Off") != "Off":
        message = "must be Off with Hyperband, which ends trials early itself"
        yield Problem(f"{CONFIG}.TrainingJobEarlyStoppingType", message, "leave early stopping out, or choose Bayesian")
    resources = (told or {}).get("HyperbandStrategyConfig") or {}
    least, most = resources.get("MinResource", 1), resources.get("MaxResource")
    path: Path = (CONFIG, "StrategyConfig", "HyperbandStrategyConfig", "MaxResource")
    if most is None:
        known = set(definition.get("StaticHyperParameters") or ()) & set(_EPOCHS)
        if definition and not known:
            message = f"is missing, and no hyperparameter is called {', '.join(_EPOCHS)}"
            yield Problem(dotted(path), message, "write the epochs of a trial")
    elif most < least:
        yield Problem(dotted(path), f"is {most}, less than MinResource ({least})", f"write {least} or more")
    elif most > _MOST_EPOCHS:
        yield Problem(dotted(path), f"is {most}; {_MOST_EPOCHS} are allowed", "train for fewer epochs")


def _range(one: Body, path: Path) -> Iterator[Problem]:
    try:
        low, high = float(one.get("MinValue", 0)), float(one.get("MaxValue", 1))
    except ValueError as error:
        yield Problem(dotted(path), f"MinValue and MaxValue must be numbers: {error}", "write numbers, as texts")
        return
    if low >= high:
        message = f"{high:g} is not more than MinValue, {low:g}"
        yield Problem(dotted((*path, "MaxValue")), message, _mend(low, high))
    scale = one.get("ScalingType")
    if scale == "Logarithmic" and low <= 0:
        message = f"{low:g} is not above 0, which a logarithmic scale needs"
        yield Problem(dotted((*path, "MinValue")), message, 'choose a larger low, or scale="linear"')
    if scale == "ReverseLogarithmic" and not (low >= 0 and high < 1):
        message = f"is ReverseLogarithmic, which is for 0 <= x < 1, not for {low:g} to {high:g}"
        yield Problem(dotted((*path, "ScalingType")), message, 'choose other ends, or scale="linear"')


def _mend(low: float, high: float) -> str:
    if low > high:
        return "swap them"
    return f"one value is no range: leave the range out and give {low:g} alone, or a higher MaxValue"
