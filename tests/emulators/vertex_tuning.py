"""Vertex AI's tuning jobs that really search: each trial is a custom job, run by the rehearsal's agent."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from onstage.errors import UserError
from onstage.rehearsal.store import LocalStore
from onstage.vertex.agent.agent import run_custom_job
from onstage.vertex.requests import validate
from onstage.vertex.requests.trials import trial
from onstage.vertex.requests.values import every_parameter

Body = dict[str, Any]


def search(
    job: Body, store: LocalStore, folder: Path, log: Callable[[str], None], stopped: threading.Event, *, patient: bool
) -> str:
    """Search as the body says, with trials from one end of every range to the other; why it failed, or nothing.

    What describing `job` says of its trials grows meanwhile. No trial begins when it is `stopped`; `patient` ones,
    which have what others leave of the processor, end then.
    """
    body = {key: value for key, value in job.items() if key in validate.members("HyperparameterTuningJob")}
    region, count = job["name"].split("/")[3], body["maxTrialCount"]
    job["trials"] = []

    def one(number: int) -> None:
        if stopped.is_set():
            return
        made = trial(body, number / (count - 1) if count > 1 else 0.5, number + 1)
        assert validate.problems("CustomJob", made, region) == []
        told = {"id": str(number + 1), "state": "ACTIVE", "parameters": _parameters(body, made), "startTime": _now()}
        job["trials"].append(told)
        try:
            place = folder / str(number + 1)
            background = stopped if patient else None
            done = run_custom_job(made, store, place, trial=told["id"], on_line=log, background=background)
        except UserError:
            if not stopped.is_set():
                raise
            told |= {"state": "INFEASIBLE", "infeasibleReason": "cancelled", "endTime": _now()}
            return
        metric = body["studySpec"]["metrics"][0]["metricId"]
        values = done.metrics.get(metric)
        if values:
            # Source: StudySpec.MeasurementSelectionType: the last one counts where nothing is said.
            told["finalMeasurement"] = {"metrics": [{"metricId": metric, "value": values[-1]}]}
        failed = {"state": "INFEASIBLE", "infeasibleReason": done.error} if done.error else {"state": "SUCCEEDED"}
        told |= {**failed, "endTime": _now()}

    with ThreadPoolExecutor(body["parallelTrialCount"]) as threads:
        list(threads.map(one, range(count)))
    job["trials"].sort(key=lambda told: int(told["id"]))
    return "" if any(told["state"] == "SUCCEEDED" for told in job["trials"]) else "Too many failed trials."


def _parameters(tuning: Body, made: Body) -> list[Body]:
    """What a trial was told, as the service shows it: numbers as floats, categories as texts."""
    pools = [spec["workerPoolSpecs"][0] for spec in (tuning["trialJobSpec"], made["jobSpec"])]
    before, after = ((pool.get("containerSpec") or pool["pythonPackageSpec"])["args"] for pool in pools)
    specs = {one["parameterId"]: one for one in every_parameter(tuning["studySpec"]["parameters"])}
    found = []
    for word in after[len(before) :]:
        name, _, text = word[2:].partition("=")
        is_text = "categoricalValueSpec" in specs[name]
        found.append({"parameterId": name, "value": text if is_text else float(text)})
    return found


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
