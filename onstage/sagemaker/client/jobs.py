"""SageMaker's training, tuning and batch transform jobs: sent, found, stopped, and their logs in CloudWatch."""

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from onstage.cloud import NotFoundError, Plan, Request, State, Step
from onstage.errors import UserError
from onstage.sagemaker.client import errors
from onstage.sagemaker.client.session import Clients
from onstage.sagemaker.client.states import STATES
from onstage.sagemaker.requests import bodies, images, values
from onstage.sagemaker.requests.locations import name_prefix
from onstage.sagemaker_section import SageMaker
from onstage.settings import Settings

# The operations of each kind of job: what SageMaker calls it, and the page of the console.
_KINDS = {
    "training": ("TrainingJob", "jobs"),
    "tuning": ("HyperParameterTuningJob", "hyper-tuning-jobs"),
    "batch": ("TransformJob", "transform-jobs"),
}
_LOG_GROUPS = {"training": "TrainingJobs", "batch": "TransformJobs", "endpoint": "Endpoints"}


class Jobs:
    """The jobs of one settings.toml."""

    def __init__(self, clients: Clients, settings: Settings) -> None:
        self._clients, self._slug, self._cloud = clients, settings.name, settings.cloud(SageMaker)

    def plan(self, body: dict[str, Any], archive: bytes) -> Plan:
        """How a training or tuning job's body is sent, with the archive of `src/` that it names."""
        kind = "training" if "TrainingJobName" in body else "tuning"
        name = body[f"{_KINDS[kind][0]}Name"]
        source = bodies.places_of(self._cloud, self._slug).source(name)
        trials = body.get("HyperParameterTuningJobConfig", {}).get("ResourceLimits", {}).get("MaxNumberOfTrainingJobs")
        cost = _cost(self._cloud) if kind == "training" else f"{trials} trainings, each {_cost(self._cloud)}"
        step = create(self._clients, f"Create{_KINDS[kind][0]}", name, body, {source: archive})
        return Plan(kind, name, [step], cost)

    def find(self, name: str, kind: str = "") -> State:
        """A job by its name; without a kind, of any. Raises NotFoundError."""
        for one in [kind] if kind else _KINDS:
            operation = f"describe_{_snake(_KINDS[one][0])}"
            try:
                found = self._clients.call("sagemaker", operation, **{f"{_KINDS[one][0]}Name": name})
            except NotFoundError:
                continue
            return self._state(one, name, found)
        raise NotFoundError(f"SageMaker has no job {name!r} in {self._clients.region}")

    def stop(self, state: State) -> None:
        """End a job."""
        kind = _KINDS[state.kind][0]
        self._clients.call("sagemaker", f"stop_{_snake(kind)}", **{f"{kind}Name": state.name})

    def running(self) -> Iterator[State]:
        """The project's jobs that have not ended."""
        for kind, (operation, _) in _KINDS.items():
            members = {"StatusEquals": "InProgress", "NameContains": name_prefix(self._slug)}
            summaries = f"{operation}Summaries"
            for found in self._clients.pages("sagemaker", f"list_{_snake(operation)}s", summaries, **members):
                name = found[f"{operation}Name"]
                seconds = (datetime.now(timezone.utc) - found["CreationTime"]).total_seconds()
                # Trials are jobs of their own: the tuning job stands for them.
                if not (kind == "training" and re.fullmatch(r".*-\d{3}-[0-9a-f]{8}", name)):
                    yield State(kind, name, "running", found[f"{operation}Status"], seconds=seconds)

    def _state(self, kind: str, name: str, found: dict[str, Any]) -> State:
        operation, page = _KINDS[kind]
        status = found[f"{operation}Status"]
        secondary = found.get("SecondaryStatus", "")
        detail = f"{status}, {secondary}" if secondary not in ("", status) else status
        metrics = {one["MetricName"]: one["Value"] for one in found.get("FinalMetricDataList") or ()}
        model = (found.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
        if kind == "tuning":
            detail, metrics, model = self._trials(found, status)
        waits = status == "InProgress" and secondary in ("Starting", "Pending", "LaunchingMLInstances")
        state = "waiting" if waits else STATES[status]
        return State(
            kind,
            name,
            state,
            detail,
            found.get("FailureReason", ""),
            "" if state in ("succeeded", "failed", "stopped") else _cost(self._cloud),
            _seconds(found),
            metrics,
            model if state == "succeeded" else None,
            address(self._clients.region, f"{page}/{name}"),
        )

    def _trials(self, found: dict[str, Any], status: str) -> tuple[str, dict[str, float], str | None]:
        counts = found.get("TrainingJobStatusCounters") or {}
        limits = (found.get("HyperParameterTuningJobConfig") or {}).get("ResourceLimits") or {}
        failed = counts.get("NonRetryableError", 0)
        detail = f"{status}, {counts.get('Completed', 0)} of {limits.get('MaxNumberOfTrainingJobs', '?')} trials done"
        detail += f", {failed} failed" if failed else ""
        best = found.get("BestTrainingJob")
        if not best:
            return detail, {}, None
        objective = best.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
        told = values.searched(found, best.get("TunedHyperParameters") or {})
        tuned = " ".join(f"{key}={value}" for key, value in told.items())
        detail += f", best: {best['TrainingJobName']} {tuned}"
        metrics = {objective["MetricName"]: objective["Value"]} if objective else {}
        return detail, metrics, bodies.places_of(self._cloud, self._slug).model(best["TrainingJobName"])


class CloudWatchLog:
    """The log of a job or an endpoint, as it grows."""

    def __init__(self, clients: Clients, state: State) -> None:
        self._clients, self._state = clients, state
        self._tokens: dict[str, str] = {}
        self._hosts = 0
        self._refused = False

    def new(self) -> list[str]:
        """The lines that have come since the last call, those of several hosts marked; none of a tuning job."""
        if self._refused or self._state.kind not in _LOG_GROUPS:
            return []
        try:
            return list(self._new(f"/aws/sagemaker/{_LOG_GROUPS[self._state.kind]}"))
        except NotFoundError:
            # The group and the streams are made with the first line.
            return []
        except UserError as error:
            if not errors.denied(error.__cause__):
                raise
            self._refused = True
            return [f"the log cannot be read: {error}"]

    def _new(self, group: str) -> Iterator[str]:
        prefix = self._state.name + ("" if self._state.kind == "endpoint" else "/")
        names = {"logGroupName": group}
        if self._state.kind == "endpoint":
            names["logGroupName"] = f"{group}/{prefix}"
        else:
            names["logStreamNamePrefix"] = prefix
        found = self._clients.pages("logs", "describe_log_streams", "logStreams", **names)
        streams = [one["logStreamName"] for one in found]
        are_several = len(streams) > 1 or (len(streams) == 1 and self._are_hosts())
        for stream in streams:
            mark = f"{stream.rpartition('/')[2].rpartition('-')[0]}: " if are_several else ""
            while True:
                token = self._tokens.get(stream)
                page = self._clients.call(
                    "logs", "get_log_events", logGroupName=names["logGroupName"], logStreamName=stream,
                    startFromHead=True, **({"nextToken": token} if token else {}),
                )  # fmt: skip
                yield from (mark + event["message"].rstrip("\n") for event in page["events"])
                # Source: GetLogEvents: at the end of the stream the token is the one that was passed in.
                self._tokens[stream] = page["nextForwardToken"]
                if page["nextForwardToken"] == token or not page["events"]:
                    break

    def _are_hosts(self) -> bool:
        """Whether a job has several hosts, of which others may not have said anything yet."""
        if self._state.kind != "training":
            return False
        if not self._hosts:
            job = self._clients.call("sagemaker", "describe_training_job", TrainingJobName=self._state.name)
            self._hosts = job["ResourceConfig"].get("InstanceCount", 1)
        return self._hosts > 1


def create(
    clients: Clients, operation: str, name: str, body: dict[str, Any], uploads: dict[str, bytes] | None = None
) -> Step:
    """The step that sends a body whose name is new: when the answer was lost and it is sent again, it is there."""

    def send() -> None:
        try:
            clients.call("sagemaker", _snake(operation), **body)
        except UserError as error:
            there = errors.code(error.__cause__) == "ResourceInUse" or "already exist" in str(error)
            if not there:
                raise

    what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", operation.removeprefix("Create")).lower()
    return Step(f"{what} {name}", Request(operation, body), send, uploads or {})


def address(region: str, page: str) -> str:
    """A page in the console, empty in partitions whose consoles have other names."""
    if images.partition(region) != "aws":
        return ""
    return f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/{page}"


def _cost(cloud: SageMaker) -> str:
    spot = ", as spot capacity" if cloud.spot_max_wait else ""
    most = f"for at most {cloud.max_runtime} s"
    return f"{cloud.instance_count} x {cloud.instance_type} by the second, {most}{spot}"


def _seconds(found: dict[str, Any]) -> float | None:
    started = found.get("TrainingStartTime") or found.get("TransformStartTime") or found.get("CreationTime")
    ended = found.get("TrainingEndTime") or found.get("TransformEndTime") or found.get("HyperParameterTuningEndTime")
    if started is None:
        return None
    return ((ended or datetime.now(timezone.utc)) - started).total_seconds()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
