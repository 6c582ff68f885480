"""Runs a few trials of a tuning job's request body with the agent, and says which ones would fail."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from onstage.errors import UserError
from onstage.rehearsal import model_checks, trial_checks, trial_runs
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.rehearsal.trial_checks import Outcome, Trial, Words
from onstage.rehearsal.trial_runs import Buckets
from onstage.report import Finding, Report
from onstage.vertex.agent import job
from onstage.vertex.agent.agent import run_custom_job
from onstage.vertex.agent.job import PLATFORM
from onstage.vertex.agent.task import Task
from onstage.vertex.requests import trials


def rehearse_trials(
    report: Report, tuning: Mapping[str, Any], task: Task, store: LocalStore, folder: Path, terms: Terms
) -> None:
    """Run the trials that tell most of a HyperparameterTuningJob, below `folder`, if the project's job, `task`, went
    well.
    """
    if not (report.project and trial_runs.is_due(report, PLATFORM)):
        return
    page, hyperparameters = report.project
    planned: list[Trial] = []
    for corner, chosen, body in trials.to_rehearse(tuning):
        flags = trial_runs.repeated(page, hyperparameters, chosen)
        planned.append(Trial(len(planned) + 1, corner, body, chosen, flags))
    buckets = Buckets(store, "gs")
    attempt = partial(_attempt, report=report, task=task, store=store, folder=folder, terms=terms, buckets=buckets)
    words = _named(tuning, task.objective)
    trial_runs.run(report, PLATFORM, page.project.source, planned, trials.parameters(tuning), attempt, words)


def _attempt(
    trial: Trial, *, report: Report, task: Task, store: LocalStore, folder: Path, terms: Terms, buckets: Buckets
) -> Outcome:
    number, place, line = str(trial.number), folder / str(trial.number), partial(report.line, PLATFORM)
    own = store.path(trial.body["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"])
    try:
        result = run_custom_job(
            trial.body, store, place, trial=number, time_limit=terms.time_limit, grace=2, on_line=line
        )
    except UserError as error:
        return Outcome(trial, "", Finding(str(error)), [], has_model=False, written=buckets.written(own))
    answer = job.check_end(result, replace(task, body=trial.body, trial=number), store, terms, report)
    answer = model_checks.at_home(answer, "", terms, report, job.places(place.resolve(), store))
    return Outcome(
        trial,
        result.log,
        trial_checks.failure(answer, r"workerpool\d+-\d+: ", terms, [one.exit_code for one in result.replicas]),
        result.metrics.get(task.objective, []),
        any(name.endswith("saved_model.pb") for name in result.model_files),
        buckets.written(own),
        [*result.stray_models, *result.stray_places],
    )


def _named(tuning: Mapping[str, Any], objective: str) -> Words:
    base = tuning["trialJobSpec"]["baseOutputDirectory"]["outputUriPrefix"]
    return Words(
        objective,
        f"no line of CLOUD_ML_HP_METRIC_FILE has {objective}",
        "write it there after every epoch, as src/trainer/reporting.py does",
        # Source: Trial, state.
        "the trial is INFEASIBLE: the search learns nothing from it",
        "the trial is INFEASIBLE: the search goes on without it",
        "AIP_MODEL_DIR",
        "AIP_MODEL_DIR, AIP_CHECKPOINT_DIR and AIP_TENSORBOARD_LOG_DIR, which each trial has of its own: "
        f"{base}/1/model/ ...",
    )
