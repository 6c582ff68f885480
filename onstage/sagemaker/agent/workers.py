"""Looks at a job of several hosts when it has gone well: beside the same job on one, and when a host is lost."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from onstage import progress
from onstage.rehearsal import worker_checks
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.rehearsal.worker_checks import Ending, Host, Words
from onstage.report import Finding, Report
from onstage.sagemaker.agent.agent import run_training_job
from onstage.sagemaker.agent.layout import relocate
from onstage.sagemaker.agent.outcome import HostResult, JobResult
from onstage.sagemaker.requests import hosts

PLATFORM = "sagemaker"
WORDS = Words(
    'os.environ["SM_CURRENT_HOST"] == json.loads(os.environ["SM_HOSTS"])[0]',
    "the service packs what all hosts left into one archive, and keeps one file of each name",
    "every instance is paid for",
)


def check(
    report: Report, body: Mapping[str, Any], store: LocalStore, folder: Path, terms: Terms, result: JobResult
) -> None:
    """Report on `result`, that of the job `body`; the other jobs run below `folder`."""
    if not worker_checks.is_due(report, PLATFORM, len(result.hosts)):
        return
    line, lost = partial(report.line, PLATFORM), result.hosts[-1].name
    run = partial(run_training_job, store=store, time_limit=terms.time_limit, grace=2)

    def look() -> list[Finding] | str:
        those = [_host(host, body) for host in result.hosts]
        if found := worker_checks.of_cluster(those, WORDS):
            return found
        with progress.doing(f"{PLATFORM}, the job on one host"):
            one = run(hosts.changed(body, "one", count=1), folder=folder / "one", on_line=line, weights=True)
        if one.status != "Completed":
            # What the toolkit or the trainer says first; the rest is a traceback.
            reason = one.failure_reason and " ".join(one.failure_reason.splitlines()[:2])
            return [worker_checks.not_alone(reason, terms)]
        found, compared = worker_checks.of_one(those, _host(one.hosts[0], body))
        with progress.doing(f"{PLATFORM}, the job without {lost}"):
            ended, log = _lose(lost, partial(run, folder=folder / "lost"), body)
        more, ends = worker_checks.of_loss(ended, log, WORDS)
        return [*found, *more] or f"{len(those)} hosts, one export; {compared}; {ends}"

    report.run(PLATFORM, worker_checks.CHECK, look)


def _lose(lost: str, run: Any, body: Mapping[str, Any]) -> tuple[Ending, str]:
    """Run the job for ever, and kill a host when the first epoch is over; how it ended, and its log."""
    loss, result = worker_checks.losing(lost, partial(run, hosts.changed(body, "lost", epochs=worker_checks.EPOCHS)))
    message = result.failure_reason if result.status == "Failed" else None
    return Ending(lost, loss.seconds_after, message, result.status == "Stopped"), result.log


def _host(host: HostResult, body: Mapping[str, Any]) -> Host:
    kept = (body.get("CheckpointConfig") or {}).get("LocalPath", "/opt/ml/checkpoints")
    folders = {"SM_MODEL_DIR": host.base / "model", kept: Path(relocate(kept, host.root))}
    wrote = [
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in folders.items()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return Host(host.name, host.root, wrote)
