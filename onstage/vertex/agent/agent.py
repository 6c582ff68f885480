"""Executes a CustomJob request on this machine, as Vertex AI and its container would.

No Docker, no account: every replica is a process in an environment of its own, with an empty folder as its working
directory. gs:// is a folder, for TensorFlow by way of a server on this machine; /gcs is the same folder in the request,
but code that spells /gcs out finds nothing there. The names of several hosts are known in their Python processes only.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from onstage.errors import UserError
from onstage.rehearsal import overlay, processes
from onstage.rehearsal.cluster import ON_CPU, Cluster, weights_of
from onstage.rehearsal.model_files import model_files
from onstage.rehearsal.processes import Loss
from onstage.rehearsal.store import LocalStore
from onstage.vertex.agent import outcome
from onstage.vertex.agent.gcs_proxy import CloudStorageProxy
from onstage.vertex.agent.outcome import JobResult, ReplicaResult
from onstage.vertex.agent.replicas import Replica, host_names, lay_out, model_place, relocate, task

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
    weights: bool = False,
    loss: Loss | None = None,
    named: bool = True,
) -> JobResult:
    """Execute `body` below `folder`, which must not hold an earlier run; what it writes to gs:// is in `store`.

    gs://bucket/key is below the store's root; its mounts are not seen. `python`, a path, has what the image has; the
    job runs on top of it. `trial` is the number of a tuning job's trial, whose body requests.trials makes.
    `time_limit` lowers the request's timeout; a job out of time gets SIGTERM and, `grace` seconds later, SIGKILL.
    `on_line` gets the log as it is written. With `background`, the job has what others leave of the processor, and ends
    with UserError when it is set. `told` are variables of a rehearsal alone, in each replica. With `weights`,
    each replica of a template's project leaves those that it ends with. `loss` ends one in the middle. Hosts are
    `named` as in the cloud, for code that asks socket.getaddrinfo(name, 2222), or else they have addresses.
    Raises UserError for a body that cannot be rehearsed; a job that fails is a result like any other.
    """
    started = time.monotonic()
    folder, spec = folder.resolve(), body.get("jobSpec") or {}
    timeout = (spec.get("scheduling") or {}).get("timeout")
    limits = {"timeout": float(timeout.removesuffix("s")) if timeout else _LONGEST}
    if time_limit is not None:
        limits["time_limit"] = time_limit
    limit = min(limits, key=lambda name: limits[name])
    buckets, line, names = store.root.resolve(), on_line or (lambda _: None), host_names(spec)
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(names)) if len(names) > 1 else None
        ports = cluster.ports if cluster and not named else {}
        addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        replicas = lay_out(spec, buckets, folder, trial, addresses)
        on_cpu = ON_CPU if weights or cluster else {}
        rehearsed = {one.name: {**on_cpu, **(told or {})} for one in replicas}
        if weights:
            for one in replicas:
                rehearsed[one.name]["ONSTAGE_WEIGHTS"] = str(weights_of(one.root))
        job = _Job(replicas, buckets, folder, python, limits[limit], grace, line, background, rehearsed, loss, cluster)
        job.run(stack)
    failed = None if job.late else next((one for one in replicas if job.exit_codes.get(one.name)), None)
    state = "CANCELLED" if job.late else "FAILED" if failed else "SUCCEEDED"
    place = model_place(spec)
    model = store.path(place) if place else None
    seconds = time.monotonic() - started
    return JobResult(
        state=f"JOB_STATE_{state}",
        error=outcome.error(failed.name, job.exit_codes[failed.name]) if failed else None,
        limit=limit if job.late else None,
        replicas=tuple(
            ReplicaResult(one.name, one.host, one.root, job.exit_codes.get(one.name), one.log, job.written(one.name))
            for one in replicas
        ),
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
        told: Mapping[str, Mapping[str, str]],
        loss: Loss | None,
        cluster: Cluster | None,
    ) -> None:
        self.exit_codes: dict[str, int | None] = {}
        self.late = False
        self.command_seconds = 0.0
        self._replicas, self._buckets, self._folder, self._python = replicas, buckets, folder, python
        self._deadline, self._grace, self._on_line = time.monotonic() + limit, grace, on_line
        self._background, self._told, self._loss, self._cluster = background, told, loss, cluster
        self._storages: dict[str, list[CloudStorageProxy]] = {}

    def written(self, name: str) -> tuple[str, ...]:
        """The gs:// URIs of what a replica wrote, in its order."""
        return tuple(dict.fromkeys(uri for storage in self._storages[name] for uri in storage.written))

    def run(self, stack: ExitStack) -> None:
        """Run every replica's commands one after the other, the replicas side by side."""
        commands, environments = {}, {}
        # What was installed by one replica must not be there for another.
        for replica in self._replicas:
            own = overlay.create(self._folder / "environments" / replica.name, self._python, overlay.for_sdists())
            if self._cluster:
                self._cluster.give_to(own)
            commands[replica.name] = self._commands(replica, own)
            environments[replica.name] = {
                **self._storage(replica, stack),
                **processes.environment(replica.root, own),
                **replica.variables,
                **self._told[replica.name],
            }
        steps = max(map(len, commands.values()))
        for step in range(steps):
            launches = [
                processes.Launch(
                    one.name, commands[one.name][step], one.work, environments[one.name], is_container=True
                )
                for one in self._replicas
                if step < len(commands[one.name])
            ]
            self._run(launches, is_last=step == steps - 1)
            if self.late or any(self.exit_codes.values()):
                return

    def _storage(self, replica: Replica, stack: ExitStack) -> dict[str, str]:
        """Variables that lead a replica to a server of its own, which has what all write."""
        first = next((some[0] for some in self._storages.values()), None)
        outside = stack.enter_context(CloudStorageProxy(self._buckets, self._folder, beside=first))
        self._storages[replica.name] = [outside]
        listener = self._cluster.listener(outside.server_port) if self._cluster else None
        if listener:
            # What is not Python, and pip, is not in the replicas' network.
            inside = CloudStorageProxy(self._buckets, self._folder, beside=first or outside, listener=listener)
            self._storages[replica.name].append(stack.enter_context(inside))
        return outside.environment

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
                loss=self._loss,
            )
        finally:
            for log in logs.values():
                log.close()
        self.command_seconds += time.monotonic() - started
        ended = [None if code is None else outcome.status(code) for code in codes]
        self.exit_codes.update(zip([launch.name for launch in launches], ended, strict=True))
