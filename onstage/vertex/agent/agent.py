"""Executes a CustomJob request on this machine, as Vertex AI and its container would.

No Docker, no account: every replica is a process in an environment of its own, with an empty folder as its working
directory. gs:// is a folder, for TensorFlow by way of a server on this machine; /gcs is the same folder in the request,
but code that spells /gcs out finds nothing there.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from onstage.errors import UserError
from onstage.rehearsal import overlay, processes
from onstage.rehearsal.model_files import model_files
from onstage.rehearsal.store import LocalStore
from onstage.vertex.agent import outcome
from onstage.vertex.agent.gcs_proxy import CloudStorageProxy
from onstage.vertex.agent.outcome import JobResult, ReplicaResult
from onstage.vertex.agent.replicas import Replica, lay_out, model_place, relocate, task

# Source: CustomJobSpec, scheduling: the default is 7 days.
_LONGEST = 7 * 24 * 3600.0


def run_custom_job(
    body: Mapping[str, Any],
    store: LocalStore,
    folder: Path,
    *,
    python: str = sys.executable,
    trial: str | None = None,
    time_limit: float | None = None,
    grace: float = 10.0,
    on_line: Callable[[str], None] | None = None,
    background: threading.Event | None = None,
    told: Mapping[str, str] | None = None,
) -> JobResult:
    """Execute `body` below `folder`, which must not hold an earlier run; what it writes to gs:// is in `store`.

    gs://bucket/key is below the store's root; its mounts are not seen. `python`, a path, has what the image has; the
    job runs on top of it. `trial` is the number of a tuning job's trial, whose body requests.trials makes.
    `time_limit` lowers the request's timeout; a job out of time gets SIGTERM and, `grace` seconds later, SIGKILL.
    `on_line` gets the log as it is written. With `background`, the job has what others leave of the processor, and ends
    with UserError when it is set. `told` are variables that only a rehearsal sets.
    Raises UserError for a body that cannot be rehearsed; a job that fails is a result like any other.
    """
    started = time.monotonic()
    folder, spec = folder.resolve(), body.get("jobSpec") or {}
    timeout = (spec.get("scheduling") or {}).get("timeout")
    limits = {"timeout": float(timeout.removesuffix("s")) if timeout else _LONGEST}
    if time_limit is not None:
        limits["time_limit"] = time_limit
    limit = min(limits, key=lambda name: limits[name])
    replicas = lay_out(spec, store.root.resolve(), folder, trial)
    line = on_line or (lambda _: None)
    job = _Job(replicas, store.root.resolve(), folder, python, limits[limit], grace, line, background, told or {})
    job.run()
    failed = None if job.late else next((one for one in replicas if job.exit_codes.get(one.name)), None)
    state = "CANCELLED" if job.late else "FAILED" if failed else "SUCCEEDED"
    place = model_place(spec)
    model = store.path(place) if place else None
    seconds = time.monotonic() - started
    return JobResult(
        state=f"JOB_STATE_{state}",
        error=outcome.error(failed.name, job.exit_codes[failed.name]) if failed else None,
        limit=limit if job.late else None,
        replicas=tuple(ReplicaResult(one.name, one.root, job.exit_codes.get(one.name), one.log) for one in replicas),
        metrics=outcome.metrics(one.metric_file for one in replicas),
        model=model,
        model_files=tuple(sorted(file.relative_to(model).as_posix() for file in model.rglob("*") if file.is_file()))
        if model
        else (),
        stray_models=tuple(
            sorted(path.relative_to(folder).as_posix() for one in replicas for path, _ in model_files(one.root))
        ),
        stray_places=tuple(f"{one.name}/{place}" for one in replicas for place in outcome.stray_places(one.root)),
        stray_files=tuple(sorted({name for one in replicas for name in outcome.stray_files(one.work)})),
        seconds=seconds,
        overhead_seconds=seconds - job.command_seconds,
    )


class _Job:
    """The containers of one job, while they run."""

    def __init__(
        self,
        replicas: list[Replica],
        buckets: Path,
        folder: Path,
        python: str,
        limit: float,
        grace: float,
        on_line: Callable[[str], None],
        background: threading.Event | None,
        told: Mapping[str, str],
    ) -> None:
        self.exit_codes: dict[str, int | None] = {}
        self.late = False
        self.command_seconds = 0.0
        self._replicas, self._buckets, self._folder, self._python = replicas, buckets, folder, python
        self._deadline, self._grace, self._on_line = time.monotonic() + limit, grace, on_line
        self._background, self._told = background, told

    def run(self) -> None:
        """Run every replica's commands one after the other, the replicas side by side."""
        commands, environments = {}, {}
        # What was installed by one replica must not be there for another.
        for replica in self._replicas:
            own = overlay.create(self._folder / "environments" / replica.name, self._python, overlay.for_sdists())
            commands[replica.name] = self._commands(replica, own)
            environments[replica.name] = {**processes.environment(replica.root, own), **replica.variables, **self._told}
        with CloudStorageProxy(self._buckets, self._folder) as storage:
            steps = max(map(len, commands.values()))
            for step in range(steps):
                launches = [
                    processes.Launch(
                        one.name,
                        commands[one.name][step],
                        one.work,
                        {**storage.environment, **environments[one.name]},
                        is_container=True,
                    )
                    for one in self._replicas
                    if step < len(commands[one.name])
                ]
                self._run(launches, is_last=step == steps - 1)
                if self.late or any(self.exit_codes.values()):
                    return

    def _commands(self, replica: Replica, python: str) -> list[list[str]]:
        given = task(replica.pool)
        args = [relocate(text, self._buckets) for text in given.get("args") or ()]
        if "containerSpec" in replica.pool:
            if not given.get("command"):
                raise UserError("containerSpec.command is missing: what the image itself would start is not known here")
            return [[*(relocate(text, self._buckets) for text in given["command"]), *args]]
        packages = [str(self._buckets / uri.removeprefix("gs://")) for uri in given.get("packageUris") or ()]
        # The executor also says --user, which is the same in an environment of its own.
        pip = [str(Path(python).with_name("pip"))] if os.name != "nt" else [python, "-m", "pip"]
        installs = [
            [*pip, "install", *flags, package]
            for package in packages
            for flags in (["--upgrade", "--force-reinstall", "--no-deps"], [])
        ]
        return [*installs, [python, "-m", given["pythonModule"], *args]]

    def _run(self, launches: list[processes.Launch], *, is_last: bool) -> None:
        logs = {one.name: one.log.open("a", encoding="utf-8", newline="\n") for one in self._replicas}

        def line(name: str, stream: str, text: str) -> None:
            logs[name].write(text + "\n")
            self._on_line(text if len(logs) == 1 else f"{name}: {text}")

        started = time.monotonic()
        try:
            codes, self.late = processes.run(
                launches,
                line,
                deadline=self._deadline,
                grace=self._grace,
                marker=f"TMPDIR={self._folder}/",
                # The job is over when its primary replica is.
                # Source: https://cloud.google.com/vertex-ai/docs/training/understanding-training-service
                first_leads=is_last,
                background=self._background,
            )
        finally:
            for log in logs.values():
                log.close()
        self.command_seconds += time.monotonic() - started
        ended = [None if code is None else outcome.status(code) for code in codes]
        self.exit_codes.update(zip([launch.name for launch in launches], ended, strict=True))
