"""The custom job that a tuning job would start, so that tuning can be rehearsed by what runs custom jobs."""

import copy
import math
from collections.abc import Mapping
from typing import Any

Body = dict[str, Any]


def trial(tuning: Mapping[str, Any], at: float = 0.5, number: int = 1) -> Body:
    """The CustomJob of one trial of a HyperparameterTuningJob.

    `at` says where in every range it is, from 0 (its low end, or first value) to 1. As the service does, the flags are
    appended to the arguments of every pool, and the trial's number to the output directory. Conditional parameters are
    not chosen.
    """
    spec = copy.deepcopy(tuning["trialJobSpec"])
    chosen = [f"--{one['parameterId']}={_value(one, at)}" for one in tuning["studySpec"]["parameters"]]
    for pool in spec["workerPoolSpecs"]:
        task = pool.get("containerSpec") or pool["pythonPackageSpec"]
        task["args"] = [*task.get("args", ()), *chosen]
    if "baseOutputDirectory" in spec:
        base = spec["baseOutputDirectory"]["outputUriPrefix"].rstrip("/")
        spec["baseOutputDirectory"] = {"outputUriPrefix": f"{base}/{number}"}
    kept = {name: tuning[name] for name in ("labels", "encryptionSpec") if name in tuning}
    return {"displayName": f"{tuning['displayName']}-{number}", "jobSpec": spec, **kept}


def _value(parameter: Mapping[str, Any], at: float) -> str:
    listed = parameter.get("categoricalValueSpec") or parameter.get("discreteValueSpec")
    if listed:
        values = listed["values"]
        return str(values[min(int(at * len(values)), len(values) - 1)])
    whole = "integerValueSpec" in parameter
    ends = parameter["integerValueSpec" if whole else "doubleValueSpec"]
    # int64 may be a text in JSON.
    low, high = float(ends["minValue"]), float(ends["maxValue"])
    if parameter.get("scaleType") == "UNIT_LOG_SCALE":
        value = math.exp(math.log(low) + (math.log(high) - math.log(low)) * at)
    else:
        value = low + (high - low) * at
    # The service writes whole numbers as 16.0, too.
    return str(float(round(value)) if whole else value)
