"""What a tuning job was asked for, and its trials: training jobs of their own."""

import math
from typing import Any

from onstage.cloud import Asked, Trial
from onstage.sagemaker.client.session import Clients
from onstage.sagemaker.client.states import STATES
from onstage.sagemaker.requests import values

Body = dict[str, Any]


def asked(clients: Clients, name: str) -> Asked:
    """What the tuning job looks for. Raises NotFoundError and UnreachableError."""
    found = _described(clients, name)
    objective = found["HyperParameterTuningJobConfig"].get("HyperParameterTuningJobObjective") or {}
    return Asked(objective.get("MetricName", ""), objective.get("Type", "").lower(), values.fixed(found))


def trials(clients: Clients, name: str) -> list[Trial]:
    """The trials of a tuning job, in the order in which they began. Raises NotFoundError and UnreachableError."""
    found = _described(clients, name)
    members = {"HyperParameterTuningJobName": name, "SortBy": "CreationTime", "SortOrder": "Ascending"}
    operation = "list_training_jobs_for_hyper_parameter_tuning_job"
    return [_trial(found, one) for one in clients.pages("sagemaker", operation, "TrainingJobSummaries", **members)]


def _described(clients: Clients, name: str) -> Body:
    operation = "describe_hyper_parameter_tuning_job"
    return clients.call("sagemaker", operation, HyperParameterTuningJobName=name)


def _trial(tuning: Body, summary: Body) -> Trial:
    name, state = summary["TrainingJobName"], STATES[summary["TrainingJobStatus"]]
    objective = summary.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
    value = objective.get("Value")
    # After a blank line comes the traceback, which the log has, too.
    reason = summary.get("FailureReason", "").partition("\n\n")[0]
    if state == "succeeded" and (value is None or not math.isfinite(value)):
        metric = tuning["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]
        reason = f"{metric} was not found in its log" if value is None else f"{metric} is {value}"
    begun, ended = summary.get("TrainingStartTime"), summary.get("TrainingEndTime")
    place = (tuning.get("TrainingJobDefinition") or {}).get("OutputDataConfig", {}).get("S3OutputPath", "").rstrip("/")
    return Trial(
        name,
        state,
        value,
        values.searched(tuning, summary.get("TunedHyperParameters") or {}),
        (ended - begun).total_seconds() if begun and ended else None,
        f"{place}/{name}/output/model.tar.gz" if place and state == "succeeded" else None,
        reason,
    )
