"""Kills the job in the middle of an epoch, and starts it again, as the service restarts a replica."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from onstage.rehearsal import kills
from onstage.rehearsal.both import Served
from onstage.rehearsal.kills import Ended, Words
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.report import Report
from onstage.serving.archive import find_versions
from onstage.vertex.agent import job
from onstage.vertex.agent.agent import run_custom_job
from onstage.vertex.agent.job import PLATFORM
from onstage.vertex.agent.task import Task


def rehearse_kill(
    report: Report, task: Task, store: LocalStore, folder: Path, terms: Terms, served: Served, seconds: int
) -> None:
    """Run the job of `task`, whose undisturbed run is `served`, twice below `folder`: it is killed, and goes on.

    `seconds` lie between its checkpoints.
    """
    # A place of its own, as the undisturbed job's checkpoints are finished.
    body = copy.deepcopy(dict(task.body))
    body["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"] += "-kill"
    own = replace(task, body=body)

    def start(name: str, told: Mapping[str, str]) -> Ended:
        line, place = partial(report.line, PLATFORM), folder / name
        result = run_custom_job(body, store, place, time_limit=terms.time_limit, grace=2, on_line=line, told=told)
        failure = kills.failure(job.check_end(result, own, store, terms, report))
        if failure or result.model is None or not result.model_files:
            return Ended(result.log, failure, None)
        versions = {0: result.model} if task.is_flat else find_versions(result.model)
        return Ended(result.log, None, versions[max(versions)])

    words = Words(
        "let the trainer save in AIP_CHECKPOINT_DIR, which stays",
        f"SIGTERM saves at once; without it, an interruption loses {kills.lost(seconds)}",
    )
    kills.run(report, served, folder, start, words)
