"""Runs a job's request body with the agent, and its model with the endpoint's container, and says what would fail."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from onstage.checks.source_checks import Source
from onstage.rehearsal import (
    endpoint_checks,
    history,
    metric_checks,
    model_checks,
    network_checks,
    pip_words,
    processes,
)
from onstage.rehearsal.archives import unpack
from onstage.rehearsal.both import Served
from onstage.rehearsal.operation_checks import Server, check_operations
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.rehearsal.twin import Twin
from onstage.report import Finding, Report
from onstage.sagemaker.agent import request_forms
from onstage.sagemaker.agent.agent import run_training_job
from onstage.sagemaker.agent.layout import relocate
from onstage.sagemaker.agent.outcome import JobResult
from onstage.sagemaker.requests import payload
from onstage.serving.archive import find_models, find_versions
from onstage.serving.process import ServedModel, ServingProcess

PLATFORM = "sagemaker"
UNHEALTHY = "The primary container for production variant AllTraffic did not pass the ping health check."
REASON = "FailureReason: AlgorithmError: "
# What SageMaker's container reads in an archive.
_EXPECTED = rf"(.+/)?[0-9]+/{model_checks.SAVED_MODEL}|code/.+"


def rehearse_job(
    report: Report,
    body: Mapping[str, Any],
    store: LocalStore,
    folder: Path,
    terms: Terms,
    inputs: list[str],
    container: Server | None,
    stack: ExitStack,
    twin: Twin | None = None,
    code: Source | None = None,
    kept: list[JobResult] | None = None,
    limit: int = payload.limit(serverless=False),
) -> Served | None:
    """Run the job below `folder`, then the endpoint of its model until `stack` ends; stop where the cloud would.

    `inputs` are the names of the model's inputs in the order of model.py, where that is known. `container` will serve
    the model; a request from elsewhere does not name it. `twin` is the same job, to be compared with, `code` that of a
    project, to be compared with what it makes at home. `kept`, for a job of several hosts, gets its result.
    `limit` is how many bytes the endpoint takes.
    """
    if not report.wants(PLATFORM, "train"):
        return None
    results: list[JobResult] = [] if kept is None else kept
    served: list[ServedModel] = []
    model = folder / "unpacked"

    def train() -> list[Finding] | str:
        line = partial(report.line, PLATFORM)
        told = network_checks.asked(folder, code) if code and report.wants(PLATFORM, "network") else None
        run = partial(run_training_job, body, store, folder / "job", time_limit=terms.time_limit, grace=2, on_line=line)
        results.append(run(told=told, weights=kept is not None))
        end = check_end(results[0], body, terms, report)
        return model_checks.at_home(end, results[0].log, terms, report, places(folder / "job"))

    # The server imports TensorFlow while the job trains.
    server = stack.enter_context(ServingProcess(PLATFORM, environment={"PAYLOAD_LIMIT": str(limit)}))
    if not report.run(PLATFORM, "train", train):
        return None
    if body["AlgorithmSpecification"].get("MetricDefinitions"):
        report.run(PLATFORM, "metrics", lambda: _check_metrics(results[0], body, terms))
    else:
        report.skip(PLATFORM, "metrics", "the request has no MetricDefinitions")
    if code and report.wants(PLATFORM, "network"):
        network_checks.check(report, PLATFORM, folder)
    if not report.run(PLATFORM, "model", lambda: _check_model(results[0], model, terms)):
        return None
    report.run(PLATFORM, "archive", lambda: _check_archive(results[0], model, [*terms.places, folder]))
    report.run(PLATFORM, "operations", lambda: check_operations(model, container))
    if not report.run(PLATFORM, "load", lambda: served.append(server.load(model))):
        return None
    report.run(PLATFORM, "ping", lambda: endpoint_checks.check_health(f"{server.url}/ping", UNHEALTHY))
    example, url = model_checks.example(model, served[0]), f"{server.url}/invocations"
    (right, refused), wrong = request_forms.right(example["request"], inputs), request_forms.wrong(example["request"])
    report.run(PLATFORM, "predictions", lambda: endpoint_checks.check_answers(url, right, example["response"], refused))
    report.run(PLATFORM, "refusals", lambda: endpoint_checks.check_refusals(url, wrong))
    if twin:
        twin.compare(report, PLATFORM, results[0].log)
    versions = find_versions(next(iter(find_models(model).values())))
    checkpoints = results[0].hosts[0].base / "checkpoints"
    return Served(PLATFORM, server, url, versions[max(versions)], example["request"], checkpoints)


def places(folder: Path) -> dict[str, str]:
    """Folders of this machine, by regular expressions, and what they are in a container of a job below `folder`."""
    return {rf"{re.escape(str(folder.resolve()))}/algo-\d+/opt/ml": "/opt/ml"}


def check_end(result: JobResult, body: Mapping[str, Any], terms: Terms, report: Report) -> list[Finding] | str:
    """Whether a job ended well; what failed begins with REASON."""
    if result.status == "Completed":
        if terms.of_project and not result.model_files and not any(result.metrics.values()):
            return [model_checks.ended_itself(report, "the job is Completed all the same, without a model")]
        clashes = [note for note in result.notes if not note.startswith("metric ")]
        done = f"Completed; {result.overhead_seconds:.1f} s of it were the agent's"
        left = model_checks.left_behind(result.stray_files, "SM_OUTPUT_DATA_DIR, which becomes output.tar.gz")
        return [*(Finding(f"{done}; {note}", warning=True) for note in clashes), *left] or done
    tail = model_checks.log_end(result.log)
    if result.status == "Stopped":
        return [_out_of_time(result, body, tail, terms)]
    headline = (result.failure_reason or "").removeprefix("AlgorithmError: ").strip().partition("\n")[0].strip()
    said = [line.strip() for line in result.log.splitlines() if line.strip()]
    if headline.endswith(":") and not headline.endswith(" name:") and said:
        # The toolkit names the kind of failure only: the script's last line says more. TensorFlow's errors end so, too.
        headline = f"{headline} {pip_words.reason(result.log) or said[-1]}"
    # A message of the trainer's own says it all; a stack trace needs its last lines.
    is_message = any(line == f"error: {headline}" for line in said)
    return [
        Finding(
            f"{REASON}{headline}",
            model_checks.missing_module(result.log, terms) or terms.again,
            "" if is_message else tail,
        )
    ]


def _out_of_time(result: JobResult, body: Mapping[str, Any], tail: str, terms: Terms) -> Finding:
    over = all(processes.lingered(host.root) for host in result.hosts)
    kept = body.get("CheckpointConfig")
    folder = Path(relocate(kept.get("LocalPath", "/opt/ml/checkpoints"), result.hosts[0].root)) if kept else None
    left = model_checks.left_checkpoint(folder, kept["S3Uri"] if kept else "")
    if result.limit == "MaxRuntimeInSeconds" and not over:
        what = f"the job's MaxRuntimeInSeconds, {body['StoppingCondition']['MaxRuntimeInSeconds']} s, are over; {left}"
        return Finding(
            what,
            f"raise {'max_runtime in settings.toml' if terms.of_project else 'it'}, or train less",
            f"Stopped, MaxRuntimeExceeded\n{tail}",
        )
    most = body.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86400)
    otherwise = (
        f"it would be paid for until MaxRuntimeInSeconds ({most} s), then: Stopped, MaxRuntimeExceeded; {left}\n{tail}"
    )
    return model_checks.never_ended(result.log, over, otherwise, terms.longer)


def _check_metrics(result: JobResult, body: Mapping[str, Any], terms: Terms) -> list[Finding] | str:
    definitions = body["AlgorithmSpecification"].get("MetricDefinitions", [])
    patterns = {definition["Name"]: definition["Regex"] for definition in definitions}
    found = {name: values[-1] for name, values in result.metrics.items() if values}
    otherwise = "the job succeeds without the metric; a tuning job whose objective it is fails"
    odd = {name: note for name in patterns for note in result.notes if note.startswith(f"metric {name}: ")}
    numbers = [
        Finding(
            f"{note}; its expression is {patterns[name]}",
            "let the group take a number and all of it: ([0-9.eE+-]+)",
            otherwise,
            warning=name in found,
        )
        for name, note in odd.items()
    ]
    others = {name: pattern for name, pattern in patterns.items() if name not in odd}
    log = metric_checks.Log(result.log, result.cut)
    answer = model_checks.check_metrics(others, found, otherwise, terms, log)
    reported = history.read(*(host.base / "output" for host in result.hosts))
    seen = {name: log.matches(patterns[name], first=True) for name in found}
    wrong = metric_checks.check_values(
        patterns, seen, reported, log, terms, "the service, and a tuning job, take it so"
    )
    if isinstance(answer, str) and not (numbers or wrong):
        return answer + metric_checks.compared([*found], reported)
    return [*numbers, *(answer if isinstance(answer, list) else ()), *wrong]


def _check_model(result: JobResult, model: Path, terms: Terms) -> list[Finding] | str:
    if result.model_archive is None or not result.model_files:
        stray = f"; it wrote {', '.join(result.stray_models)}, which nobody collects" if result.stray_models else ""
        return [
            Finding(
                f"the job completed without a model in SM_MODEL_DIR{stray}",
                f"export to os.environ['SM_MODEL_DIR'] + '/model/1'{terms.example('src/sagemaker_entry.py')}",
                "the job is Completed all the same; the endpoint fails: ValueError: no SavedModel bundles found!",
            )
        ]
    unpack(result.model_archive, model)
    find_models(model)
    model_checks.check_readable(model)
    return f"model.tar.gz, {result.model_archive.stat().st_size / 1000:.0f} kB: {len(result.model_files)} files"


def _check_archive(result: JobResult, model: Path, places: Sequence[Path]) -> list[Finding]:
    return [
        *model_checks.check_files(
            result.model_files,
            _EXPECTED,
            "model.tar.gz",
            "write checkpoints to /opt/ml/checkpoints, other files to SM_OUTPUT_DATA_DIR",
            "every instance of the endpoint downloads it; a numbered folder would be taken for a version",
        ),
        *model_checks.check_export(model, places),
        *_check_scripts(result.model_files),
    ]


def _check_scripts(names: Sequence[str]) -> list[Finding]:
    """What the serving container would run of the archive, and a rehearsal does not.

    Source: aws/sagemaker-tensorflow-serving-container, serve.py: code/inference.py starts a Python service before
    TensorFlow Serving, and code/requirements.txt is installed for it.
    """
    if "code/inference.py" not in names:
        return []
    return [
        Finding(
            "model.tar.gz holds code/inference.py, which the endpoint puts before each request; here it is not run",
            "leave it out: what it does belongs into the model's graph",
            "its handler, or input_handler and output_handler, run without TensorFlow",
        )
    ]
