"""How a hyperparameter's value is written in a request, and read back from a trial. Pure functions."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onstage.errors import UserError

_WORDS = {"null": None, "true": True, "false": False}


def as_text(name: str, value: Any) -> str:
    """A value as a flag has it. Raises UserError for NaN, infinities, and what is no bool, int, float, str or None."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) or (isinstance(value, (int, float)) and math.isfinite(value)):
        return str(value)
    raise UserError(f"the hyperparameter {name} cannot be {value!r}")


def searched(tuning: Mapping[str, Any], told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a trial was told of the hyperparameters that its tuning job searches, with values as model.py has them.

    `tuning` is the tuning job, `told` are the trial's parameters.
    """
    specs = {one["parameterId"]: one for one in every_parameter(tuning.get("studySpec", {}).get("parameters") or ())}
    return {one["parameterId"]: _read(one.get("value"), specs.get(one["parameterId"], {})) for one in told}


def fixed(tuning: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that every trial of a tuning job has, as texts."""
    pools = tuning.get("trialJobSpec", {}).get("workerPoolSpecs") or [{}]
    task = pools[0].get("containerSpec") or pools[0].get("pythonPackageSpec") or {}
    pairs = [word[2:].partition("=") for word in task.get("args") or () if word.startswith("--") and "=" in word]
    own = ("train-data", "eval-data", "model-layout")
    return {name.replace("-", "_"): text for name, _, text in pairs if name not in own}


def every_parameter(parameters: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """All parameters of a study, those that depend on others after these."""
    for one in parameters:
        yield one
        yield from every_parameter([nested["parameterSpec"] for nested in one.get("conditionalParameterSpecs") or ()])


def _read(value: Any, spec: Mapping[str, Any]) -> Any:
    """A value as model.py has it: the service has floats for all numbers, and texts for all categories."""
    discrete = (spec.get("discreteValueSpec") or {}).get("values") or ()
    if "integerValueSpec" in spec or (discrete and all(float(one).is_integer() for one in discrete)):
        return round(float(value))
    listed = (spec.get("categoricalValueSpec") or {}).get("values") or ()
    if isinstance(value, str) and listed and set(listed) <= {"true", "false", "null"}:
        return _WORDS[value]
    if isinstance(value, str) and "null" in listed:
        return _number(value) if value != "null" else None
    return value


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
