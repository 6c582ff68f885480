"""Runs a custom job with the agent, and its model with the endpoint's container, and says what would fail."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
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
from onstage.rehearsal.both import Served
from onstage.rehearsal.model_files import model_files
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.rehearsal.twin import Twin
from onstage.report import Finding, Report
from onstage.serving.process import ServedModel, ServingProcess
from onstage.vertex.agent import job_model, request_forms
from onstage.vertex.agent.agent import run_custom_job
from onstage.vertex.agent.outcome import JobResult
from onstage.vertex.agent.task import Task

PLATFORM = "vertex"
# Containers of a model from elsewhere, by its layout: Google's prebuilt one, and TensorFlow Serving.
GOOGLES: Mapping[str, Any] = {}
TENSORFLOW_SERVING: Mapping[str, Any] = {"healthRoute": "/v1/models/model", "predictRoute": "/v1/models/model:predict"}


UNHEALTHY = (
    "Model server never became ready. Please validate that your model file or container configuration are valid."
)


def rehearse_job(
    report: Report,
    task: Task,
    store: LocalStore,
    folder: Path,
    terms: Terms,
    stack: ExitStack,
    twin: Twin | None = None,
    code: Source | None = None,
    kept: list[JobResult] | None = None,
) -> Served | None:
    """Run the job below `folder`, then the endpoint of its model until `stack` ends; stop where the cloud would.

    `twin` is the same job, to be compared with, `code` that of a project, to be compared with what it makes at home.
    `kept`, for a job of several hosts, gets its result.
    """
    if not report.wants(PLATFORM, "train"):
        return None
    results: list[JobResult] = [] if kept is None else kept
    served: list[ServedModel] = []
    versions: dict[int, Path] = {}

    def train() -> list[Finding] | str:
        run = partial(run_custom_job, task.body, store, folder, trial=task.trial, time_limit=terms.time_limit, grace=2)
        told = network_checks.asked(folder.parent, code) if code and report.wants(PLATFORM, "network") else None
        line = partial(report.line, PLATFORM)
        results.append(run(on_line=line, told=told, weights=kept is not None, named=terms.of_project))
        end = check_end(results[0], task, store, terms, report)
        return model_checks.at_home(end, results[0].log, terms, report, places(folder.resolve(), store))

    server, before = None, model_files(store.root)
    if terms.of_project:
        # It imports TensorFlow while the job trains.
        server = stack.enter_context(ServingProcess(PLATFORM, environment=task.environment))
    if not report.run(PLATFORM, "train", train):
        return None
    result = results[0]
    if not terms.of_project:
        result = job_model.with_any_model(result, store.root, before)
        task = replace(task, container=GOOGLES if "saved_model.pb" in result.model_files else TENSORFLOW_SERVING)
    if task.metrics or task.trial is not None:
        report.run(PLATFORM, "metrics", lambda: _check_metrics(result, task, store, terms))
    else:
        report.skip(PLATFORM, "metrics", "a CustomJob names no metric: what it prints is for people")
    if code and report.wants(PLATFORM, "network"):
        network_checks.check(report, PLATFORM, folder.parent)
    if not report.run(PLATFORM, "model", lambda: job_model.check_model(result, task.is_flat, versions, terms)):
        return None
    server = server or stack.enter_context(ServingProcess(PLATFORM, environment=task.environment))
    report.run(PLATFORM, "artifact", lambda: job_model.check_artifact(result, task.is_flat, [*terms.places, folder]))
    report.run(PLATFORM, "operations", lambda: job_model.check_operations(result, task))
    if not report.run(PLATFORM, "load", lambda: served.append(server.load_answering({_name(task): versions}))):
        return None
    report.run(PLATFORM, "health", lambda: endpoint_checks.check_health(f"{server.url}{task.health}", UNHEALTHY))
    model = versions[max(versions)]
    example, url = model_checks.example(model, served[0]), f"{server.url}{task.predict}"
    if why := request_forms.not_carried(example["request"]):
        fix = "give the model a signature serving_default, whose inputs begin with a free dimension: [None, ...]"
        report.run(PLATFORM, "predictions", lambda: [Finding(why, fix, "every request is answered with 400")])
        return None
    forms = list(request_forms.right(example["request"]))
    report.run(PLATFORM, "limits", lambda: _check_limits(task, forms, len(example["request"]["instances"])))
    report.run(PLATFORM, "predictions", lambda: endpoint_checks.check_answers(url, forms, example["response"]))
    wrong = request_forms.wrong(example["request"], task.limit)
    report.run(PLATFORM, "refusals", lambda: endpoint_checks.check_refusals(url, wrong))
    if twin:
        twin.compare(report, PLATFORM, result.log)
    place = task.body["jobSpec"].get("baseOutputDirectory", {}).get("outputUriPrefix")
    checkpoints = store.path(place) / "checkpoints" if place else None
    return Served(PLATFORM, server, url, model, example["request"], checkpoints)


def _name(task: Task) -> str:
    """The name under which TensorFlow Serving is told to serve the model."""
    told = (re.fullmatch(r"--model_name=(.+)", arg) for arg in task.container.get("args") or ())
    return next((match[1] for match in told if match), "model")


def check_end(result: JobResult, task: Task, store: LocalStore, terms: Terms, report: Report) -> list[Finding] | str:
    """Whether a job ended well; what failed begins with the replica's name."""
    if result.state == "JOB_STATE_SUCCEEDED":
        has_metrics = any(f"{name}=" in result.log for name in task.metrics)
        if terms.of_project and not result.model_files and not has_metrics and not result.stray_places:
            return [model_checks.ended_itself(report, f"the job is {result.state} all the same, without a model")]
        left = model_checks.left_behind(result.stray_files, "AIP_TENSORBOARD_LOG_DIR or a place in Cloud Storage")
        return left or f"{result.state}; {result.overhead_seconds:.1f} s of it were the agent's"
    tail = model_checks.log_end(result.log)
    if result.state == "JOB_STATE_CANCELLED":
        return [_out_of_time(result, task, store, tail, terms)]
    name = next(replica for replica in result.replicas if replica.exit_code).name
    said = [line.strip() for line in result.log.splitlines() if line.strip()]
    # A message of the trainer's own says it all; a stack trace needs its last lines.
    by_pip = pip_words.reason(result.log)
    message = None if by_pip else next((line for line in reversed(said) if line.startswith("error: ")), None)
    headline = by_pip or message or (said[-1] if said else "it printed nothing")
    cloud = f"{result.error}" if message else f"{result.error}\n{tail}"
    return [Finding(f"{name}: {headline.removeprefix('error: ')}", _advice(result, terms), cloud)]


def _out_of_time(result: JobResult, task: Task, store: LocalStore, tail: str, terms: Terms) -> Finding:
    timeout = (task.body["jobSpec"].get("scheduling") or {}).get("timeout", "604800s")
    over = all(processes.lingered(replica.root) for replica in result.replicas)
    base = next(iter(_output(task, store)), None)
    left = model_checks.left_checkpoint(base and base / "checkpoints", "AIP_CHECKPOINT_DIR")
    if result.limit == "timeout" and not over:
        what = f"the job's timeout, {timeout}, is over; {left}"
        return Finding(
            what, f"raise {'timeout in [vertex] of settings.toml' if terms.of_project else 'it'}, or train less", tail
        )
    otherwise = f"it would be paid for until its timeout, {timeout}; {left}\n{tail}"
    return model_checks.never_ended(result.log, over, otherwise, terms.longer)


def _advice(result: JobResult, terms: Terms) -> str:
    if re.search(r"['\"]gs:/[^/]", result.log) or result.stray_places:
        return "keep gs:// a text and use tf.io.gfile: pathlib and os.path make gs:/ of it"
    if re.search(r"No such file or directory: b?['\"]/gcs", result.log):
        return "read and write gs://... with tf.io.gfile: it is the same place, and a rehearsal has no folder /gcs"
    if re.search(
        r"No such file or directory: b?['\"]gs://|gs://\S+ not found|install gcsfs", result.log, re.IGNORECASE
    ):
        return "open it with tf.io.gfile.GFile(place, 'rb'), which knows gs://, and hand the open file on"
    return model_checks.missing_module(result.log, terms) or terms.again


def _check_metrics(result: JobResult, task: Task, store: LocalStore, terms: Terms) -> list[Finding] | str:
    patterns = task.patterns
    log = metric_checks.Log(result.log)
    seen = {name: matches for name in patterns if (matches := log.matches(patterns[name], first=False))}
    found = {name: matches[-1].value for name, matches in seen.items()}
    otherwise = "the job succeeds, and its log does not say how good it is"
    answer = model_checks.check_metrics(patterns, found, otherwise, terms, log)
    # What is written for tuning is what the service reads.
    reported = {**history.read(*_output(task, store)), **result.metrics}
    wrong = metric_checks.check_values(patterns, seen, reported, log, terms, "people read it so in the job's log")
    if wrong or isinstance(answer, list):
        answer = [*(answer if isinstance(answer, list) else ()), *wrong]
    elif found:
        answer += metric_checks.compared([*found], reported)
    if task.trial is None or task.objective in result.metrics:
        return answer
    unreported = Finding(
        f"nothing was reported for tuning: no line of CLOUD_ML_HP_METRIC_FILE has {task.objective}",
        f"write it after every epoch{terms.example('src/trainer/reporting.py')}",
        "the tuning service learns nothing from the trial",
    )
    return [unreported, *(answer if isinstance(answer, list) else ())]


def places(folder: Path, store: LocalStore) -> dict[str, str]:
    """Folders of this machine, by regular expressions, and what they are in a container of a job below `folder`."""
    job, buckets = re.escape(str(folder)), re.escape(str(store.root.resolve()))
    return {
        rf"{job}/environments/[^/\s]+/lib/python3\.\d+/site-packages": "site-packages",
        rf"{job}/workerpool\d+-\d+/work": "",
        rf"{job}/workerpool\d+-\d+/(home|tmp)": r"/\1",
        rf"{buckets}/": "/gcs/",
    }


def _output(task: Task, store: LocalStore) -> list[Path]:
    """The folder of a job's baseOutputDirectory, if it has one."""
    place = (task.body["jobSpec"].get("baseOutputDirectory") or {}).get("outputUriPrefix")
    return [store.path(place)] if place else []


def _check_limits(task: Task, forms: Sequence[endpoint_checks.Form], rows: int) -> list[Finding] | str:
    size = len(forms[0].body.encode())
    kind = "a dedicated" if task.dedicated else "a shared"
    most = f"{task.limit / 1024 / 1024:g} MB"
    if size <= task.limit:
        return f"{kind} endpoint takes {most}: about {rows * task.limit // size} rows a request"
    return [
        Finding(
            f"a request of {rows} rows has {size / 1024 / 1024:.1f} MB; {kind} endpoint takes {most}",
            "send fewer rows at a time"
            if task.dedicated
            else "write dedicated_endpoint = true in [vertex] of settings.toml, or send fewer rows at a time",
            f"400 Request payload size exceeds the limit: {task.limit} bytes.",
        )
    ]
