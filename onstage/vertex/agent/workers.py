"""Looks at a job of several replicas when it has gone well: beside the same job on one, and when one is lost."""

from collections import Counter
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
from onstage.vertex.agent.agent import run_custom_job
from onstage.vertex.agent.outcome import JobResult
from onstage.vertex.requests import hosts

PLATFORM = "vertex"
WORDS = Words(
    'json.loads(os.environ["TF_CONFIG"])["task"]["type"] == "chief"',
    "all replicas have the same bucket: of an object that several write, the last one stays",
    "every replica is paid for",
)


def check(
    report: Report, body: Mapping[str, Any], store: LocalStore, folder: Path, terms: Terms, result: JobResult
) -> None:
    """Report on `result`, that of the job `body`; the other jobs run below `folder`."""
    if not worker_checks.is_due(report, PLATFORM, len(result.replicas)):
        return
    line, lost = partial(report.line, PLATFORM), result.replicas[-1]
    run = partial(run_custom_job, store=store, time_limit=terms.time_limit, grace=2)

    def look() -> list[Finding] | str:
        those = _hosts(result, body)
        if found := worker_checks.of_cluster(those, WORDS):
            return found
        with progress.doing(f"{PLATFORM}, the job on one host"):
            single = hosts.changed(body, "one", alone=True)
            one = run(single, folder=folder / "one", on_line=line, weights=True)
        if one.state != "JOB_STATE_SUCCEEDED":
            return [worker_checks.not_alone(_said(one) if one.error else None, terms)]
        found, compared = worker_checks.of_one(those, _hosts(one, single)[0])
        with progress.doing(f"{PLATFORM}, the job without {lost.name}"):
            ended, log = _lose(lost.name, lost.host, partial(run, folder=folder / "lost"), body)
        more, ends = worker_checks.of_loss(ended, log, WORDS)
        return [*found, *more] or f"{len(those)} replicas, one export; {compared}; {ends}"

    report.run(PLATFORM, worker_checks.CHECK, look)


def _lose(name: str, host: str, run: Any, body: Mapping[str, Any]) -> tuple[Ending, str]:
    """Run the job for ever, and kill a replica when the first epoch is over; how it ended, and its log."""
    loss, result = worker_checks.losing(name, partial(run, hosts.changed(body, "lost", epochs=worker_checks.EPOCHS)))
    message = _said(result) if result.state == "JOB_STATE_FAILED" else None
    return Ending(host, loss.seconds_after, message, result.state == "JOB_STATE_CANCELLED"), result.log


def _said(result: JobResult) -> str:
    """What the replica that failed printed at its end: the job's own message only says which one it was."""
    failed = next(one for one in result.replicas if one.exit_code)
    lines = [line for line in failed.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return "\n".join([line for line in lines if line.startswith("error: ")] or lines[-1:])


def _hosts(result: JobResult, body: Mapping[str, Any]) -> list[Host]:
    base = body["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"]
    writers = Counter(uri for one in result.replicas for uri in one.written)
    places = tuple(f"{base}/{name}/" for name in ("model", "checkpoints"))
    return [
        Host(one.name, one.root, [uri for uri in one.written if uri.startswith(places) or writers[uri] > 1])
        for one in result.replicas
    ]
