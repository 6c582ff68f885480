"""What a tuning job was asked for, and its trials, of which the job itself tells."""

import math
from collections.abc import Iterator
from typing import Any

from onstage.cloud import Asked, Trial
from onstage.vertex.client.times import moment
from onstage.vertex.requests import values

Body = dict[str, Any]
# Source: Trial.State of the REST reference.
_STATES = {
    "REQUESTED": "waiting", "ACTIVE": "running", "STOPPING": "running", "SUCCEEDED": "succeeded",
    "INFEASIBLE": "failed",
}  # fmt: skip


def asked(found: Body) -> Asked:
    """What a HyperparameterTuningJob looks for."""
    metric = found["studySpec"]["metrics"][0]
    return Asked(metric["metricId"], metric.get("goal", "MAXIMIZE").lower(), values.fixed(found))


def trials(found: Body) -> list[Trial]:
    """The trials of a HyperparameterTuningJob, in the order of their numbers."""
    return list(_trials(found))


def output(spec: Body | None) -> str:
    """The folder below which a job, or a trial in a folder of its number, leaves what it makes."""
    return ((spec or {}).get("baseOutputDirectory") or {}).get("outputUriPrefix", "").rstrip("/")


def _trials(found: Body) -> Iterator[Trial]:
    metric, base = found["studySpec"]["metrics"][0]["metricId"], output(found.get("trialJobSpec"))
    for one in found.get("trials") or ():
        state = _STATES.get(one.get("state", ""), "waiting")
        measured = (one.get("finalMeasurement") or {}).get("metrics") or ()
        value = next((float(each.get("value", 0)) for each in measured if each["metricId"] == metric), None)
        reason = one.get("infeasibleReason", "")
        if state == "succeeded" and (value is None or not math.isfinite(value)):
            reason = f"{metric} was not reported" if value is None else f"{metric} is {value}"
        begun, ended = moment(one.get("startTime")), moment(one.get("endTime"))
        yield Trial(
            f"{found['displayName']}/{one['id']}",
            state,
            value,
            values.searched(found, one.get("parameters") or ()),
            (ended - begun).total_seconds() if begun and ended else None,
            f"{base}/{one['id']}/model" if base and state == "succeeded" else None,
            reason,
        )
