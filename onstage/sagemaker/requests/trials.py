"""The training jobs that a tuning job would start, so that tuning can be rehearsed by what runs training jobs."""

import math
from collections.abc import Mapping
from typing import Any

Body = dict[str, Any]
# What only the definition of a tuning job has, or a training job calls otherwise.
_NOT_OF_TRAINING = (
    "DefinitionName", "TuningObjective", "HyperParameterRanges", "StaticHyperParameters",
    "HyperParameterTuningResourceConfig",
)  # fmt: skip


def trials(tuning: Mapping[str, Any], at: float = 0.5) -> list[Body]:
    """One CreateTrainingJob body for each definition in a CreateHyperParameterTuningJob body.

    `at` says where in every range the trial is, from 0 (its low end, or first value) to 1; 0.5 is the middle.
    """
    config = tuning["HyperParameterTuningJobConfig"]
    definitions = tuning.get("TrainingJobDefinitions") or [tuning["TrainingJobDefinition"]]
    return [
        _trial(f"{tuning['HyperParameterTuningJobName']}-{number:03d}", config, definition, at)
        for number, definition in enumerate(definitions, 1)
    ]


def _trial(name: str, config: Mapping[str, Any], definition: Mapping[str, Any], at: float) -> Body:
    objective = definition.get("TuningObjective") or config.get("HyperParameterTuningJobObjective")
    ranges = definition.get("HyperParameterRanges") or config.get("ParameterRanges", {})
    return {
        "TrainingJobName": name,
        **{key: value for key, value in definition.items() if key not in _NOT_OF_TRAINING},
        "HyperParameters": {
            **definition.get("StaticHyperParameters", {}),
            **_values(ranges, at),
            # The service adds it; the containers pass it on to the script as a flag.
            **({"_tuning_objective_metric": objective["MetricName"]} if objective else {}),
        },
    }


def _values(ranges: Mapping[str, Any], at: float) -> dict[str, str]:
    whole = {one["Name"]: str(round(_between(one, at))) for one in ranges.get("IntegerParameterRanges") or ()}
    real = {one["Name"]: str(_between(one, at)) for one in ranges.get("ContinuousParameterRanges") or ()}
    chosen = {
        one["Name"]: one["Values"][min(int(at * len(one["Values"])), len(one["Values"]) - 1)]
        for one in ranges.get("CategoricalParameterRanges") or ()
    }
    hints = {one["Name"]: one["ValueHint"] for one in ranges.get("AutoParameters") or ()}
    return {**whole, **real, **chosen, **hints}


def _between(one: Mapping[str, str], at: float) -> float:
    low, high = float(one["MinValue"]), float(one["MaxValue"])
    if one.get("ScalingType") == "Logarithmic":
        return math.exp(math.log(low) + (math.log(high) - math.log(low)) * at)
    return low + (high - low) * at
