"""Kills the job in the middle of an epoch, and starts it on a fresh host with the checkpoints that the service kept."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from onstage.rehearsal import kills
from onstage.rehearsal.archives import unpack
from onstage.rehearsal.both import Served
from onstage.rehearsal.kills import Ended, Words
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.report import Report
from onstage.sagemaker.agent import job
from onstage.sagemaker.agent.agent import run_training_job
from onstage.sagemaker.agent.job import PLATFORM
from onstage.serving.archive import find_models, find_versions


def rehearse_kill(
    report: Report, body: Mapping[str, Any], store: LocalStore, folder: Path, terms: Terms, served: Served, seconds: int
) -> None:
    """Run the job of `body`, whose undisturbed run is `served`, twice below `folder`: it is killed, and goes on.

    `seconds` lie between its checkpoints.
    """
    # Of its own, as the undisturbed job's are finished.
    kept = {**body["CheckpointConfig"], "S3Uri": f"{body['CheckpointConfig']['S3Uri']}-kill"}
    own = {**body, "TrainingJobName": f"{body['TrainingJobName']}-kill", "CheckpointConfig": kept}

    def start(name: str, told: Mapping[str, str]) -> Ended:
        line, place = partial(report.line, PLATFORM), folder / name
        result = run_training_job(own, store, place, time_limit=terms.time_limit, grace=2, on_line=line, told=told)
        failure = kills.failure(job.check_end(result, own, terms, report))
        if failure or result.model_archive is None:
            return Ended(result.log, failure, None)
        unpack(result.model_archive, place / "unpacked")
        versions = find_versions(next(iter(find_models(place / "unpacked").values())))
        return Ended(result.log, None, versions[max(versions)])

    words = Words(
        f"let CheckpointConfig.LocalPath be where the trainer saves, {kept.get('LocalPath', '/opt/ml/checkpoints')}",
        # Source: aws/sagemaker-training-toolkit, process.py: nothing hands a signal on to the script.
        f"the service's SIGTERM does not reach the script, and an interruption loses {kills.lost(seconds)}",
    )
    kills.run(report, served, folder, start, words)
