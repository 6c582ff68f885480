"""What a custom job left behind, as the CustomJob and the object store would hold it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# What a line of the metric file says beside the metric.
_NO_METRICS = ("checkpoint_path", "global_step", "timestamp", "trial")


@dataclass(frozen=True)
class ReplicaResult:
    """What became of one replica, whose machine is `host`.

    `exit_code` is the container's, None when it was made to end; `log` has its lines, `written` the gs:// URIs of what
    it wrote, in its order.
    """

    name: str
    host: str
    root: Path
    exit_code: int | None
    log: Path
    written: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobResult:
    """What the CustomJob would say, and what it left behind.

    `state` is JOB_STATE_SUCCEEDED, JOB_STATE_FAILED or, when time ran out, JOB_STATE_CANCELLED; then `limit` says
    which: the request's own timeout or the caller's time_limit. `error` is the failed job's message. `metrics` has what
    was reported for tuning, in the order of the file. `model` is the folder that is AIP_MODEL_DIR, `model_files` what
    is in it; `elsewhere` is its gs:// place where that is another. `stray_models` are model files in places that go
    with the container, `stray_places` folders such as gs:, which are no places in Cloud Storage, `stray_files` what is
    in the working directory. `seconds` is the whole run, `overhead_seconds` what no command took.
    """

    state: str
    error: str | None
    limit: str | None
    replicas: tuple[ReplicaResult, ...]
    metrics: dict[str, list[float]]
    model: Path | None
    model_files: tuple[str, ...]
    stray_models: tuple[str, ...]
    stray_places: tuple[str, ...]
    stray_files: tuple[str, ...]
    seconds: float
    overhead_seconds: float
    elsewhere: str = ""

    @property
    def log(self) -> str:
        """All replicas' lines, one replica after the other."""
        # Read as it was written: a carriage return in it ends no line.
        return "".join(replica.log.read_bytes().decode("utf-8") for replica in self.replicas)


def error(name: str, exit_code: int | None) -> str:
    """The message of a job whose replica `name` failed.

    Source: messages in issues of GoogleCloudPlatform/vertex-ai-samples, such as 1898.
    """
    return (
        f"The replica {name} exited with a non-zero status of {exit_code}. "
        "To find out more about why your job exited please check the logs"
    )


def status(exit_code: int) -> int:
    """A process's exit code as a container's: 137 for one that SIGKILL ended."""
    return exit_code if exit_code >= 0 else 128 - exit_code


def metrics(files: Iterable[Path]) -> dict[str, list[float]]:
    """Every metric that was reported for tuning. Raises ValueError for a line that the service could not read."""
    found: dict[str, list[float]] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            for name, value in json.loads(line).items():
                if name not in _NO_METRICS:
                    found.setdefault(name, []).append(float(value))
    return found


def stray_places(folder: Path) -> list[str]:
    """Folders called gs: below `folder`: pathlib and os.path make them of gs://bucket/key."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("gs:") if path.is_dir())


def stray_files(folder: Path) -> list[str]:
    """What a container wrote into `folder`, its working directory, by name; what is in `stray_places` aside."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [file.as_posix() for file in files if "gs:" not in file.parts and "__pycache__" not in file.parts]
