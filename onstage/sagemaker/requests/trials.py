"""The training jobs that a tuning job would start, so that tuning can be rehearsed by what runs training jobs."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from onstage import corners
from onstage.corners import Corner, Parameter
from onstage.sagemaker.requests.bodies import encoded

Body = dict[str, Any]
# For each hyperparameter that counts by another one's value: that one, and its values as model.py has them.
Conditions = Mapping[str, tuple[str, Sequence[Any]]]
_NONE: Conditions = {}
# What only the definition of a tuning job has, or a training job calls otherwise.
_NOT_OF_TRAINING = (
    "DefinitionName", "TuningObjective", "HyperParameterRanges", "StaticHyperParameters",
    "HyperParameterTuningResourceConfig",
)  # fmt: skip
_SCALES = {"Logarithmic": "log", "ReverseLogarithmic": "reverse_log"}


def trials(tuning: Mapping[str, Any], at: float = 0.5) -> list[Body]:
    """One CreateTrainingJob body for each definition in a CreateHyperParameterTuningJob body.

    `at` says where in every range the trial is, from 0 (its low end, or first value) to 1; 0.5 is the middle.
    """
    return [
        _trial(tuning, number, definition, _texts(_parameters(tuning, definition), at))
        for number, definition in enumerate(_definitions(tuning), 1)
    ]


def to_rehearse(tuning: Mapping[str, Any], conditions: Conditions = _NONE) -> list[tuple[Corner, dict[str, str], Body]]:
    """The trials that tell most of a CreateHyperParameterTuningJob body: where in its ranges each one is, the values
    that are chosen, and its CreateTrainingJob body.

    The service knows no condition: it chooses what does not count, too. Of each value of `conditions` there is a trial.
    """
    found: list[tuple[Corner, dict[str, str], Body]] = []
    for definition in _definitions(tuning):
        searched = _parameters(tuning, definition, conditions)
        for corner in corners.of(searched):
            texts = {**_texts(searched, corner.at), **corner.fixed}
            found.append((corner, texts, _trial(tuning, len(found) + 1, definition, texts)))
    return found


def parameters(tuning: Mapping[str, Any], conditions: Conditions = _NONE) -> list[Parameter]:
    """All that is searched by the definitions of a CreateHyperParameterTuningJob body."""
    return [one for each in _definitions(tuning) for one in _parameters(tuning, each, conditions)]


def _definitions(tuning: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return tuning.get("TrainingJobDefinitions") or [tuning["TrainingJobDefinition"]]


def _trial(tuning: Mapping[str, Any], number: int, definition: Mapping[str, Any], texts: Mapping[str, str]) -> Body:
    objective = definition.get("TuningObjective") or tuning["HyperParameterTuningJobConfig"].get(
        "HyperParameterTuningJobObjective"
    )
    return {
        "TrainingJobName": f"{tuning['HyperParameterTuningJobName']}-{number:03d}",
        **{key: value for key, value in definition.items() if key not in _NOT_OF_TRAINING},
        "HyperParameters": {
            **definition.get("StaticHyperParameters", {}),
            **texts,
            # The service adds it; the containers pass it on to the script as a flag.
            **({"_tuning_objective_metric": objective["MetricName"]} if objective else {}),
        },
    }


def _texts(parameters: Sequence[Parameter], at: float) -> dict[str, str]:
    return {one.name: one.value(at) for one in parameters}


def _parameters(
    tuning: Mapping[str, Any], definition: Mapping[str, Any], conditions: Conditions = _NONE
) -> list[Parameter]:
    config = tuning["HyperParameterTuningJobConfig"]
    ranges = definition.get("HyperParameterRanges") or config.get("ParameterRanges", {})
    found = [
        *(_one(one, conditions, partial(_whole, one)) for one in ranges.get("IntegerParameterRanges") or ()),
        *(_one(one, conditions, partial(_real, one)) for one in ranges.get("ContinuousParameterRanges") or ()),
        *(
            _one(one, conditions, partial(corners.listed, one["Values"]), one["Values"])
            for one in ranges.get("CategoricalParameterRanges") or ()
        ),
        *(_one(one, conditions, partial(_hinted, one)) for one in ranges.get("AutoParameters") or ()),
    ]
    return sorted(found, key=lambda one: _depth(one.name, conditions))


def _one(
    one: Mapping[str, Any], conditions: Conditions, value: Callable[[float], str], values: Sequence[str] = ()
) -> Parameter:
    parent, wanted = conditions.get(one["Name"], (None, ()))
    texts = [encoded({one["Name"]: each})[one["Name"]] for each in wanted]
    return Parameter(one["Name"], value, values, parent, texts)


def _depth(name: str, conditions: Conditions) -> int:
    """How many conditions a hyperparameter is below."""
    return 1 + _depth(conditions[name][0], conditions) if name in conditions else 0


def _whole(one: Mapping[str, str], at: float) -> str:
    return one["MaxValue" if at else "MinValue"] if at in (0, 1) else str(round(_between(one, at)))


def _real(one: Mapping[str, str], at: float) -> str:
    return one["MaxValue" if at else "MinValue"] if at in (0, 1) else str(_between(one, at))


def _hinted(one: Mapping[str, str], at: float) -> str:
    del at
    return one["ValueHint"]


def _between(one: Mapping[str, str], at: float) -> float:
    scale = _SCALES.get(one.get("ScalingType", ""), "")
    return corners.between(float(one["MinValue"]), float(one["MaxValue"]), at, scale)
