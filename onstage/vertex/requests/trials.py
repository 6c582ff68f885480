"""The custom job that a tuning job would start, so that tuning can be rehearsed by what runs custom jobs."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from onstage import corners
from onstage.corners import Corner, Parameter

Body = dict[str, Any]
_SCALES = {"UNIT_LOG_SCALE": "log", "UNIT_REVERSE_LOG_SCALE": "mirrored_log"}
# How a condition lists the values of each kind of parent.
_CONDITIONS = ("parentDiscreteValues", "parentIntValues", "parentCategoricalValues")


def trial(tuning: Mapping[str, Any], at: float = 0.5, number: int = 1) -> Body:
    """The CustomJob of one trial of a HyperparameterTuningJob.

    `at` says where in every range it is, from 0 (its low end, or first value) to 1. As the service does, the flags are
    appended to the arguments of every pool, those of conditional parameters only where their parent has a value that
    they count by, and the trial's number to the output directory.
    """
    return _trial(tuning, corners.choose(parameters(tuning), at), number)


def to_rehearse(tuning: Mapping[str, Any]) -> list[tuple[Corner, dict[str, str], Body]]:
    """The trials that tell most of a HyperparameterTuningJob, as the service numbers them: where in its ranges each one
    is, the values that are chosen, and its CustomJob.
    """
    searched = parameters(tuning)
    found: list[tuple[Corner, dict[str, str], Body]] = []
    for corner in corners.of(searched):
        chosen = corners.choose(searched, corner.at, corner.fixed)
        found.append((corner, chosen, _trial(tuning, chosen, len(found) + 1)))
    return found


def parameters(tuning: Mapping[str, Any]) -> list[Parameter]:
    """All that a HyperparameterTuningJob searches, a parent before what counts by it."""
    return list(_parameters(tuning["studySpec"]["parameters"]))


def _trial(tuning: Mapping[str, Any], chosen: Mapping[str, str], number: int) -> Body:
    flags = [f"--{name}={text}" for name, text in chosen.items()]
    pools = [_told(pool, flags) for pool in tuning["trialJobSpec"]["workerPoolSpecs"]]
    spec = {**copy.deepcopy(tuning["trialJobSpec"]), "workerPoolSpecs": pools}
    if "baseOutputDirectory" in spec:
        base = spec["baseOutputDirectory"]["outputUriPrefix"].rstrip("/")
        spec["baseOutputDirectory"] = {"outputUriPrefix": f"{base}/{number}"}
    kept = {name: tuning[name] for name in ("labels", "encryptionSpec") if name in tuning}
    return {"displayName": f"{tuning['displayName']}-{number}", "jobSpec": spec, **kept}


def _told(pool: Mapping[str, Any], flags: Sequence[str]) -> Body:
    """A copy of a worker pool whose task has more arguments."""
    # Each by itself: pools may share what they run.
    told = copy.deepcopy(dict(pool))
    task = told.get("containerSpec") or told["pythonPackageSpec"]
    task["args"] = [*task.get("args", ()), *flags]
    return told


def _parameters(
    specs: Sequence[Mapping[str, Any]], parent: str | None = None, wanted: Sequence[str] = ()
) -> Iterator[Parameter]:
    for one in specs:
        name = one["parameterId"]
        listed = [_text(value) for value in _listed(one)]
        value = partial(corners.listed, listed) if listed else partial(_value, one)
        yield Parameter(name, value, listed, parent, wanted)
        for condition in one.get("conditionalParameterSpecs") or ():
            values = next((condition[kind]["values"] for kind in _CONDITIONS if kind in condition), ())
            yield from _parameters([condition["parameterSpec"]], name, [_text(value, one) for value in values])


def _listed(parameter: Mapping[str, Any]) -> Sequence[Any]:
    if numbers := parameter.get("discreteValueSpec"):
        return [float(value) for value in numbers["values"]]
    return (parameter.get("categoricalValueSpec") or {}).get("values", ())


def _value(parameter: Mapping[str, Any], at: float) -> str:
    whole = "integerValueSpec" in parameter
    ends = parameter["integerValueSpec" if whole else "doubleValueSpec"]
    # int64 may be a text in JSON.
    low, high = float(ends["minValue"]), float(ends["maxValue"])
    value = corners.between(low, high, at, _SCALES.get(parameter.get("scaleType", ""), ""))
    return _text(round(value) if whole else value, parameter)


def _text(value: Any, parameter: Mapping[str, Any] | None = None) -> str:
    """A value as the service writes it: whole numbers as 16.0, too."""
    is_number = parameter is not None and "categoricalValueSpec" not in parameter
    return str(float(value)) if is_number or isinstance(value, float) else str(value)
