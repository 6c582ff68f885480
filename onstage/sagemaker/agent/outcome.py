"""What a job left behind, as DescribeTrainingJob would say it and as the object store would hold it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from onstage.sagemaker.agent.layout import Host

# What FailureReason shows of the failure file.
# https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-output.html
FAILURE_CHARACTERS = 1024


@dataclass(frozen=True)
class HostResult:
    """What became of one host. `exit_code` is the container's, None when it was made to end; `log` has its lines."""

    name: str
    root: Path
    base: Path
    exit_code: int | None
    log: Path


@dataclass(frozen=True)
class JobResult:
    """What DescribeTrainingJob would say of the job, and what it left behind.

    `status` is Completed, Failed or Stopped. When time ran out, `limit` says which: the request's own or the caller's.
    `metrics` has every metric of the request, with its values in the order of the log, which may be none.
    `model_archive` is None when nothing was written to be packed. `stray_models` are model files in places that the
    service does not collect, `stray_files` what was left in the working directory. `notes` are oddities worth showing,
    `cut` what stands in the log as a line and was the beginning of one. `seconds` is the whole run, `overhead_seconds`
    what the script and pip did not take.
    """

    status: str
    failure_reason: str | None
    limit: str | None
    hosts: tuple[HostResult, ...]
    metrics: dict[str, list[float]]
    model_archive: Path | None
    model_files: tuple[str, ...]
    stray_models: tuple[str, ...]
    stray_files: tuple[str, ...]
    notes: tuple[str, ...]
    cut: tuple[str, ...]
    seconds: float
    overhead_seconds: float

    @property
    def log(self) -> str:
        """All hosts' lines, one host after the other."""
        return "".join(read_log(host.log) for host in self.hosts)


def read_log(file: Path) -> str:
    """A log as it was written: a carriage return in it ends no line."""
    return file.read_bytes().decode("utf-8")


def metrics(definitions: list[Mapping[str, str]], logs: Iterable[str], notes: list[str]) -> dict[str, list[float]]:
    """Values by the request's own regular expressions, each searched in every line."""
    found: dict[str, list[float]] = {definition["Name"]: [] for definition in definitions}
    lines = [line for log in logs for line in log.split("\n")]
    for definition in definitions:
        pattern = re.compile(definition["Regex"])
        for match in filter(None, map(pattern.search, lines)):
            text = match[pattern.groups and 1]
            try:
                found[definition["Name"]].append(float(text))
            except (TypeError, ValueError):
                notes.append(f"metric {definition['Name']}: {text!r} is not a number, in the line {match.string!r}")
    return found


def failure_reason(host: Host, exit_codes: Mapping[str, int | None]) -> str:
    """FailureReason of the job whose first failing host is `host`."""
    text = host.failure.read_text(encoding="utf-8", errors="replace") if host.failure.exists() else ""
    return f"AlgorithmError: {text[:FAILURE_CHARACTERS]}, exit code: {exit_codes[host.name]}"
