"""Executes a CreateTrainingJob request on this machine, as the service and its TensorFlow container would.

No Docker, no account: /opt/ml is a folder of each host (SAGEMAKER_BASE_DIR), and every host is a process here. Of
several, the names algo-1, algo-2... are known in their Python processes only: a script has to look them up itself, by
socket.getaddrinfo(name, 2222), and to take the address and the port that it gets.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from onstage import progress
from onstage.errors import UserError
from onstage.rehearsal import archives, overlay, processes
from onstage.rehearsal.cluster import ON_CPU, Cluster, weights_of
from onstage.rehearsal.model_files import model_files
from onstage.rehearsal.processes import Loss
from onstage.rehearsal.store import LocalStore
from onstage.sagemaker.agent import drivers, outcome, toolkit
from onstage.sagemaker.agent.failures import SCRIPT_ERRORS, Captured, ContainerError, failure_text
from onstage.sagemaker.agent.layout import Host, collect_checkpoints, lay_out, member
from onstage.sagemaker.agent.outcome import HostResult, JobResult

_OPT_ML = Path("/opt/ml")
# What pip and Python make of a source, by the ends of names.
_BY_PIP = {"__pycache__", "build", "egg-info"}


def run_training_job(
    body: Mapping[str, Any],
    store: LocalStore,
    folder: Path,
    *,
    python: str = sys.executable,
    time_limit: float | None = None,
    grace: float = 10.0,
    on_line: Callable[[str], None] | None = None,
    background: threading.Event | None = None,
    told: Mapping[str, str] | None = None,
    weights: bool = False,
    loss: Loss | None = None,
) -> JobResult:
    """Execute `body` below `folder`, which must not hold an earlier run; what it leaves goes to `store`.

    `python`, a path, runs the scripts. `time_limit` lowers MaxRuntimeInSeconds. A job out of time gets SIGTERM and,
    `grace` seconds later, SIGKILL: 120 in the cloud, where the toolkit does not pass SIGTERM on to the script.
    `on_line` gets the log as it is written. With `background`, the job has what others leave of the processor, and ends
    with UserError when it is set. `told` are variables of a rehearsal alone, on each host. With `weights`,
    each host of a template's project leaves those that it ends with. `loss` ends one host in the middle.
    Raises UserError for a body that cannot be rehearsed; a job that fails is a result like any other.
    """
    started = time.monotonic()
    folder = folder.resolve()
    if member(body, "OutputDataConfig.CompressionType", "GZIP") != "GZIP":
        raise UserError("OutputDataConfig.CompressionType NONE cannot be rehearsed: leave it out, or say GZIP")
    output = store.path(member(body, "OutputDataConfig.S3OutputPath")) / member(body, "TrainingJobName") / "output"
    limits = {"MaxRuntimeInSeconds": float(member(body, "StoppingCondition.MaxRuntimeInSeconds", 86400))}
    if time_limit is not None:
        limits["time_limit"] = time_limit
    limit = min(limits, key=lambda name: limits[name])
    hosts = lay_out(body, store, folder)
    outside = model_files(_OPT_ML)
    on_cpu = ON_CPU if weights or len(hosts) > 1 else {}
    rehearsed = {host.name: {**on_cpu, **(told or {})} for host in hosts}
    if weights:
        for host in hosts:
            rehearsed[host.name]["ONSTAGE_WEIGHTS"] = str(weights_of(host.root))
    with ExitStack() as stack:
        line = on_line or (lambda _: None)
        job = _Job(hosts, folder, python, limits[limit], grace, line, background, rehearsed, loss, stack)
        job.run(body, store)
    collect_checkpoints(body, store, hosts)
    models, model_clashes = archives.entries([host.model for host in hosts])
    data, data_clashes = archives.entries([host.output_data for host in hosts])
    notes = [f"several hosts wrote {name}: the service keeps one of them" for name in (*model_clashes, *data_clashes)]
    definitions = member(body, "AlgorithmSpecification.MetricDefinitions", [])
    logs = [outcome.read_log(job.log_file(host)) for host in hosts]
    metrics = outcome.metrics(definitions, logs, notes)
    failed = None if job.late else next((host for host in hosts if job.exit_codes.get(host.name)), None)
    status = "Stopped" if job.late else "Failed" if failed else "Completed"
    # The service packs both whether the job failed or not: aws/sagemaker-python-sdk, pull request 746.
    model_archive = archives.pack(models, output / "model.tar.gz")
    archives.pack(data, output / "output.tar.gz")
    seconds = time.monotonic() - started
    return JobResult(
        status=status,
        failure_reason=outcome.failure_reason(failed, job.exit_codes) if failed else None,
        limit=limit if job.late else None,
        hosts=tuple(HostResult(h.name, h.root, h.base, job.exit_codes.get(h.name), job.log_file(h)) for h in hosts),
        metrics=metrics,
        model_archive=model_archive,
        model_files=tuple(name for name, path in models.items() if path.is_file()),
        stray_models=(*job.stray_models(), *sorted(str(path) for path, _ in model_files(_OPT_ML) - outside)),
        stray_files=job.stray_files(),
        notes=tuple(notes),
        cut=tuple(job.cut),
        seconds=seconds,
        overhead_seconds=seconds - job.script_seconds,
    )


class _Job:
    """The containers of one job, while they run."""

    def __init__(
        self,
        hosts: list[Host],
        folder: Path,
        python: str,
        limit: float,
        grace: float,
        on_line: Callable[[str], None],
        background: threading.Event | None,
        told: Mapping[str, Mapping[str, str]],
        loss: Loss | None,
        stack: ExitStack,
    ) -> None:
        self.exit_codes: dict[str, int | None] = {}
        self.late = False
        self.script_seconds = 0.0
        self.cut: list[str] = []
        self._hosts, self._folder, self._python, self._on_line = hosts, folder, python, on_line
        self._background, self._told, self._loss, self._stack = background, told, loss, stack
        self._deadline, self._grace = time.monotonic() + limit, grace
        self._logs = {
            host.name: stack.enter_context(self.log_file(host).open("w", encoding="utf-8", newline="\n"))
            for host in hosts
        }
        self._captured: dict[tuple[str, str], Captured] = {}
        self._given: set[tuple[Path, int]] = set()
        self._source: set[Path] = set()

    def log_file(self, host: Host) -> Path:
        return host.root / "log.txt"

    def run(self, body: Mapping[str, Any], store: LocalStore) -> None:
        """Run the containers to their end, by the request's own command or as the image's toolkit does."""
        commands = [(host, drivers.command(body, host)) for host in self._hosts]
        if commands[0][1] is None:
            self._train(store)
            return
        # Drivers install requirements by themselves.
        python = overlay.create(self._folder / "overlay", self._python)
        way = self._cluster(python)
        self._run(
            [
                processes.Launch(
                    host.name,
                    command or [],
                    host.root / "work",
                    {**way, **overlay.pip_settings(shown=True), **self._clean(host, python)},
                )
                for host, command in commands
            ]
        )

    def stray_files(self) -> tuple[str, ...]:
        """New files in the working directory of any host, by their names in it."""
        left = {
            path.relative_to(host.code).as_posix()
            for host in self._hosts
            if self._source
            for path in set(host.code.rglob("*")) - self._source
            if path.is_file() and not _BY_PIP & {part.rpartition(".")[2] for part in path.relative_to(host.code).parts}
        }
        return tuple(sorted(left))

    def stray_models(self) -> list[str]:
        """New model files of the hosts, relative to the job's folder, that are neither model nor checkpoint."""
        found = []
        for host in self._hosts:
            collected = [host.model, host.base / "input", *filter(None, [host.checkpoints])]
            for path, _ in sorted(model_files(host.root) - self._given):
                if not any(path.is_relative_to(place) for place in collected):
                    found.append(path.relative_to(self._folder).as_posix())
        return found

    def _train(self, store: LocalStore) -> None:
        """What `train` does on every host: unpack the source, install its requirements, call the script."""
        calls: dict[str, toolkit.Call] = {}
        for host in self._hosts:
            _put_source(host, store)
            self._given |= model_files(host.code)
            self._source |= set(host.code.rglob("*"))
            try:
                calls[host.name] = toolkit.call(host)
            except ContainerError as error:
                self._fail(host, str(error), error.exit_code)
        if self.exit_codes:
            return
        python, call = self._python, calls[self._hosts[0].name]
        installs = "." in call.install or (call.install and overlay.wanted(self._hosts[0].code / "requirements.txt"))
        if installs or len(self._hosts) > 1:
            python = overlay.create(self._folder / "overlay", self._python)
        if installs and not self._install(call, python):
            return
        way = self._cluster(python)
        launches = []
        for host in self._hosts:
            call = calls[host.name]
            command = call.started(python, host.base.as_posix())
            environment = {**way, **self._clean(host, python), **call.environment, **self._told[host.name]}
            # The toolkit prints whatever it reads as lines, whether these have ended or not.
            launches.append(processes.Launch(host.name, command, host.code, environment, cut=self.cut))
        self._run(launches, SCRIPT_ERRORS)
        for host in self._hosts:
            code = self.exit_codes[host.name]
            if code:
                words = calls[host.name].words(python)
                self._fail(host, self._failure("ExecuteUserScriptError", SCRIPT_ERRORS, host, words, code))
            elif code == 0:
                (host.base / "output" / "success").touch()

    def _cluster(self, python: str) -> dict[str, str]:
        """Let several hosts, in processes of an overlay's interpreter, know each other; variables for each of them."""
        if len(self._hosts) == 1:
            return {}
        cluster = self._stack.enter_context(Cluster([host.name for host in self._hosts]))
        cluster.give_to(python)
        # Otherwise they reach no other machine; in the cloud they do.
        return cluster.way_out(self._stack)

    def _install(self, call: toolkit.Call, python: str) -> bool:
        """Run pip once for all hosts, which share this machine; in the cloud each container does."""
        host = self._hosts[0]
        command = [python, "-m", "pip", "install", *call.install]
        environment = {**self._clean(host, python), **overlay.pip_settings()}
        launch = processes.Launch(host.name, command, host.code, environment)
        with progress.doing("installing the requirements"):
            self._run([launch], [call.install_error])
        code = self.exit_codes.pop(host.name)
        if code:
            for failing in self._hosts:
                self._fail(failing, self._failure(call.install_error, [], host, command, code))
        return code == 0

    def _run(self, launches: list[processes.Launch], errors: Sequence[str] = ()) -> None:
        self._captured = {
            (launch.name, stream): Captured(errors) for launch in launches for stream in ("stdout", "stderr")
        }
        started = time.monotonic()
        codes, self.late = processes.run(
            launches,
            self._line,
            deadline=self._deadline,
            grace=self._grace,
            marker=f"SAGEMAKER_BASE_DIR={self._folder}/",
            background=self._background,
            loss=self._loss,
        )
        self.script_seconds += time.monotonic() - started
        self.exit_codes.update(zip([launch.name for launch in launches], codes, strict=True))

    def _line(self, name: str, stream: str, text: str) -> None:
        self._logs[name].write(text + "\n")
        self._captured[name, stream].add(text)
        self._on_line(text if len(self._hosts) == 1 else f"{name}: {text}")

    def _failure(self, kind: str, errors: Sequence[str], host: Host, command: Sequence[str], code: int) -> str:
        captured = [self._captured[host.name, stream].text for stream in ("stdout", "stderr")]
        return failure_text(kind, errors, code, command, captured)

    def _fail(self, host: Host, text: str, exit_code: int = 1) -> None:
        self.exit_codes[host.name] = exit_code
        # What the script wrote there itself says more.
        if not host.failure.exists():
            host.failure.write_text(text, encoding="utf-8")

    def _clean(self, host: Host, python: str) -> dict[str, str]:
        # Otherwise every AWS call of a script first looks for the credentials of an instance.
        clean = {**processes.environment(host.root, python), "AWS_EC2_METADATA_DISABLED": "true"}
        return {**clean, **host.environment, "SAGEMAKER_BASE_DIR": str(host.base)}


def _put_source(host: Host, store: LocalStore) -> None:
    host.code.mkdir()
    source = toolkit.source(host)
    if source is None:
        return
    place = store.path(source) if "://" in source else Path(source)
    if place.is_dir():
        archives.copy_tree(place, host.code)
    elif place.is_file():
        archives.unpack(place, host.code)
    else:
        raise UserError(f"sagemaker_submit_directory: there is no {source} ({place} does not exist)")
