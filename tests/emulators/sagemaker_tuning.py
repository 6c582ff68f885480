"""SageMaker's tuning jobs that really search: each trial is a training job, run by the rehearsal's agent."""

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from onstage.sagemaker.requests import validate
from onstage.sagemaker.requests.trials import trials

ACCOUNT = "123456789012"
REGION = "us-east-1"
# A client that reads one page only misses the others.
PAGE = 2
_COUNTERS = {"Completed": "Completed", "Failed": "NonRetryableError", "Stopped": "Stopped", "InProgress": "InProgress"}


@dataclass
class Job:
    """A training, tuning or transform job, or an endpoint. `facts` is what describing it says."""

    kind: str
    facts: dict[str, Any]
    stopped: threading.Event = field(default_factory=threading.Event)
    server: Any = None
    trials: "list[Job]" = field(default_factory=list)


def search(job: Job, start: Callable[[str, dict[str, Any]], Job], train: Callable[[Job], None]) -> None:
    """Search as the body says, with trials from one end of every range to the other.

    `start` makes the training job of that kind with a body; `train` runs it to its end.
    """
    facts = job.facts
    body = {key: facts[key] for key in validate.members("CreateHyperParameterTuningJob") if key in facts}
    config = body["HyperParameterTuningJobConfig"]
    limits = config["ResourceLimits"]
    count, name = limits["MaxNumberOfTrainingJobs"], body["HyperParameterTuningJobName"]

    def one(number: int) -> None:
        if job.stopped.is_set():
            return
        trial = trials(body, number / (count - 1) if count > 1 else 0.5)[0]
        trial["TrainingJobName"] = f"{name}-{number + 1:03d}-{secrets.token_hex(4)}"
        assert validate.problems("CreateTrainingJob", trial, REGION) == []
        made = start("TrainingJob", trial)
        job.trials.append(made)
        train(made)
        _count(job, config)

    with ThreadPoolExecutor(limits["MaxParallelTrainingJobs"]) as threads:
        list(threads.map(one, range(count)))
    if job.stopped.is_set():
        facts["HyperParameterTuningJobStatus"] = "Stopped"
    elif "BestTrainingJob" in facts:
        facts["HyperParameterTuningJobStatus"] = "Completed"
    else:
        facts["FailureReason"] = "No training job succeeded after 5 attempts. Please take a look at the failures."
        facts["HyperParameterTuningJobStatus"] = "Failed"
    facts["HyperParameterTuningEndTime"] = time.time()


def summaries(job: Job, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to ListTrainingJobsForHyperParameterTuningJob, a page of it."""
    begin, config = int(body.get("NextToken", "0")), job.facts["HyperParameterTuningJobConfig"]
    more = {"NextToken": str(begin + PAGE)} if job.trials[begin + PAGE :] else {}
    return {"TrainingJobSummaries": [_summary(one, config) for one in job.trials[begin : begin + PAGE]], **more}


def _count(job: Job, config: dict[str, Any]) -> None:
    counters = dict.fromkeys(_COUNTERS.values(), 0)
    for one in job.trials:
        counters[_COUNTERS[one.facts["TrainingJobStatus"]]] += 1
    job.facts["TrainingJobStatusCounters"] = counters
    found = [_summary(one, config) for one in job.trials if one.facts["TrainingJobStatus"] == "Completed"]
    done = [one for one in found if "FinalHyperParameterTuningJobObjectiveMetric" in one]
    sign = 1 if config["HyperParameterTuningJobObjective"]["Type"] == "Maximize" else -1
    if done:
        best = max(done, key=lambda one: sign * one["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])
        job.facts["BestTrainingJob"] = best


def _summary(one: Job, config: dict[str, Any]) -> dict[str, Any]:
    facts, metric = one.facts, config["HyperParameterTuningJobObjective"]["MetricName"]
    names = {item["Name"] for ranges in config["ParameterRanges"].values() for item in ranges}
    value = next((item["Value"] for item in facts.get("FinalMetricDataList", ()) if item["MetricName"] == metric), None)
    measured = {"MetricName": metric, "Value": value}
    times = ("CreationTime", "TrainingStartTime", "TrainingEndTime", "FailureReason")
    return {
        "TrainingJobName": facts["TrainingJobName"],
        "TrainingJobArn": facts["TrainingJobArn"],
        "TrainingJobStatus": facts["TrainingJobStatus"],
        "TunedHyperParameters": {name: facts["HyperParameters"][name] for name in sorted(names)},
        **({"FinalHyperParameterTuningJobObjectiveMetric": measured} if value is not None else {}),
        **{name: facts[name] for name in times if facts.get(name)},
    }
