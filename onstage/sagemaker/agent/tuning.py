"""Runs a few trials of a tuning job's request body with the agent, and says which ones would fail."""

import dataclasses
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from onstage import space
from onstage.errors import UserError
from onstage.rehearsal import model_checks, trial_checks, trial_runs
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.rehearsal.trial_checks import Outcome, Trial, Words
from onstage.rehearsal.trial_runs import Buckets
from onstage.report import Finding, Report
from onstage.sagemaker.agent import job, toolkit
from onstage.sagemaker.agent.agent import run_training_job
from onstage.sagemaker.agent.job import PLATFORM
from onstage.sagemaker.requests import trials


def rehearse_trials(report: Report, tuning: Mapping[str, Any], store: LocalStore, folder: Path, terms: Terms) -> None:
    """Run the trials that tell most of a CreateHyperParameterTuningJob body, below `folder`, if its job went well."""
    if not (report.project and trial_runs.is_due(report, PLATFORM)):
        return
    page, hyperparameters = report.project
    names = {one.name for one in trials.parameters(tuning)}
    # A flag may have said the value of one.
    ranges = [one for one in space.of(page.hyperparameters) if one.name in names and one.parent in names]
    conditions = {one.name: (str(one.parent), one.parent_values) for one in ranges}
    searched = [
        dataclasses.replace(one, values=[*_words({text: text for text in one.values}).values()])
        for one in trials.parameters(tuning, conditions)
    ]
    planned: list[Trial] = []
    for corner, texts, body in trials.to_rehearse(tuning, conditions):
        place, chosen = dataclasses.replace(corner, fixed=_words(corner.fixed)), _words(texts)
        flags = trial_runs.repeated(page, hyperparameters, chosen)
        planned.append(Trial(len(planned) + 1, place, body, chosen, flags))
    objective = tuning["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]
    attempt = partial(
        _attempt, objective=objective, report=report, store=store, folder=folder, terms=terms,
        buckets=Buckets(store, "s3"),
    )  # fmt: skip
    words = _named(tuning, objective)
    trial_runs.run(report, PLATFORM, page.project.source, planned, searched, attempt, words)


def _attempt(
    trial: Trial, *, objective: str, report: Report, store: LocalStore, folder: Path, terms: Terms, buckets: Buckets
) -> Outcome:
    body, place, line = trial.body, folder / str(trial.number), partial(report.line, PLATFORM)
    own = store.path(body["OutputDataConfig"]["S3OutputPath"]) / body["TrainingJobName"]
    try:
        result = run_training_job(body, store, place, time_limit=terms.time_limit, grace=2, on_line=line)
    except UserError as error:
        return Outcome(trial, "", Finding(str(error)), [], has_model=False, written=buckets.written(own))
    answer = model_checks.at_home(job.check_end(result, body, terms, report), "", terms, report, job.places(place))
    # The container's own is 1, whatever ended the script.
    exit_codes = map(int, re.findall(r"^ExitCode (-?\d+)$", result.failure_reason or "", re.MULTILINE))
    return Outcome(
        trial,
        result.log,
        trial_checks.failure(answer, job.REASON, terms, exit_codes),
        result.metrics.get(objective, []),
        bool(result.model_files),
        buckets.written(own),
        result.stray_models,
    )


def _words(hyperparameters: Mapping[str, str]) -> dict[str, str]:
    """Values as they stand on a command line, without the quotes of JSON."""
    values = toolkit.decoded(hyperparameters)
    return {name: values[name] if isinstance(values[name], str) else text for name, text in hyperparameters.items()}


def _named(tuning: Mapping[str, Any], objective: str) -> Words:
    definitions = tuning["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    pattern = next(one["Regex"] for one in definitions if one["Name"] == objective)
    return Words(
        objective,
        f"no line of the log matches {pattern}",
        "print it in the line of every epoch, as src/trainer/reporting.py does",
        # Source: HyperParameterTrainingJobSummary, ObjectiveStatus.
        "TrainingJobStatus Completed, ObjectiveStatus Failed: the search learns nothing from it",
        "TrainingJobStatus Failed: the search goes on without it",
        "SM_MODEL_DIR",
        "SM_MODEL_DIR and SM_OUTPUT_DATA_DIR, which each trial has of its own",
    )
