# Owned by the template.
"""Runs a job's request body with the agent, and its model with the endpoint's container, and says what would fail."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloud import ROOT
from cloud.settings import Settings
from rehearse.archives import unpack
from rehearse.report import Finding, Report
from rehearse.sagemaker import endpoint_checks
from rehearse.sagemaker.agent import run_training_job
from rehearse.sagemaker.outcome import JobResult
from rehearse.serving.archive import find_models
from rehearse.serving.export_checks import machine_paths, python_only_ops
from rehearse.serving.process import ServedModel, ServingProcess
from rehearse.store import LocalStore

PLATFORM = "sagemaker"
LAST_LINES = 12
# What a SavedModel consists of, and what SageMaker's container reads beside it.
_OF_A_MODEL = re.compile(
    r"(.+/)?[0-9]+/(saved_model\.pb|fingerprint\.pb|keras_metadata\.pb|(variables|assets|assets\.extra)/.+)|code/.+"
)


def rehearse_job(
    report: Report, body: Mapping[str, Any], store: LocalStore, folder: Path, settings: Settings, inputs: list[str]
) -> None:
    """Run the job below `folder`, then the endpoint of its model; stop where the cloud would.

    `inputs` are the names of the model's inputs in the order of model.py, where that is known.
    """
    results: list[JobResult] = []
    served: list[ServedModel] = []
    model = folder / "unpacked"

    def train() -> list[Finding] | str:
        limit = settings.rehearsal.time_limit
        results.append(run_training_job(body, store, folder / "job", time_limit=limit, grace=2))
        return _check_end(results[0], body)

    # The server imports TensorFlow while the job trains.
    with ServingProcess(PLATFORM) as server:
        if not report.run(PLATFORM, "train", train):
            return
        report.run(PLATFORM, "metrics", lambda: _check_metrics(results[0], body))
        if not report.run(PLATFORM, "model", lambda: _check_model(results[0], model)):
            return
        report.run(PLATFORM, "archive", lambda: _check_archive(results[0], model, folder))
        if not report.run(PLATFORM, "load", lambda: served.append(server.load(model))):
            return
        report.run(PLATFORM, "ping", lambda: endpoint_checks.check_ping(server.url))
        example = _example(model, served[0])
        report.run(PLATFORM, "predictions", lambda: endpoint_checks.check_answers(server.url, example, inputs))
        report.run(PLATFORM, "refusals", lambda: endpoint_checks.check_refusals(server.url, example))


def _check_end(result: JobResult, body: Mapping[str, Any]) -> list[Finding] | str:
    if result.status == "Completed":
        return f"Completed; {result.overhead_seconds:.1f} s of it were the agent's"
    tail = "\n".join(["the log ends:", *result.log.splitlines()[-LAST_LINES:]]) if result.log else "the log is empty"
    if result.status == "Stopped":
        return [_out_of_time(result, body, tail)]
    headline = (result.failure_reason or "").removeprefix("AlgorithmError: ").strip().partition("\n")[0]
    said = [line.strip() for line in result.log.splitlines() if line.strip()]
    if headline.endswith(":") and said:
        # The toolkit names the kind of failure only: the script's last line says more.
        headline = f"{headline} {said[-1]}"
    # A message of the trainer's own says it all; a stack trace needs its last lines.
    is_message = any(line == f"error: {headline}" for line in said)
    return [Finding(f"FailureReason: AlgorithmError: {headline}", _advice(result.log), "" if is_message else tail)]


def _out_of_time(result: JobResult, body: Mapping[str, Any], tail: str) -> Finding:
    if result.limit == "MaxRuntimeInSeconds":
        what = f"the job's MaxRuntimeInSeconds, {body['StoppingCondition']['MaxRuntimeInSeconds']} s, are over"
        return Finding(
            what, "raise max_runtime in settings.toml, or train less", f"Stopped, MaxRuntimeExceeded\n{tail}"
        )
    most = body.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86400)
    return Finding(
        "the script had not ended when the rehearsal's time_limit was over",
        "look for a loop without an end; if it only needs longer, raise [rehearsal] time_limit in settings.toml",
        f"it would be paid for until MaxRuntimeInSeconds ({most} s), then: Stopped, MaxRuntimeExceeded\n{tail}",
    )


def _advice(log: str) -> str:
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", log)
    if missing:
        return f"add {missing[1]} to src/requirements.txt, or the file to src/"
    return "correct it and rehearse again: python -m rehearse sagemaker"


def _check_metrics(result: JobResult, body: Mapping[str, Any]) -> list[Finding] | str:
    definitions = body["AlgorithmSpecification"].get("MetricDefinitions", [])
    found = {name: values[-1] for name, values in result.metrics.items() if values}
    findings = [
        Finding(
            f"no line of the log has the metric {definition['Name']}: none matches {definition['Regex']}",
            "print whole lines such as epoch=1 val_accuracy=0.9, as src/trainer/reporting.py does, and flush them",
            "the job succeeds without the metric; a tuning job whose objective it is fails",
        )
        for definition in definitions
        if definition["Name"] not in found
    ]
    return findings or ", ".join(f"{name}={value:g}" for name, value in found.items())


def _check_model(result: JobResult, model: Path) -> list[Finding] | str:
    if not result.model_files:
        stray = f"; it wrote {', '.join(result.stray_models)}, which nobody collects" if result.stray_models else ""
        return [
            Finding(
                f"the job completed without a model in SM_MODEL_DIR{stray}",
                "export to os.environ['SM_MODEL_DIR'] + '/model/1', as src/sagemaker_entry.py does",
                "the job is Completed all the same; the endpoint fails: ValueError: no SavedModel bundles found!",
            )
        ]
    unpack(result.model_archive, model)
    find_models(model)
    return f"model.tar.gz, {result.model_archive.stat().st_size / 1000:.0f} kB: {len(result.model_files)} files"


def _check_archive(result: JobResult, model: Path, folder: Path) -> list[Finding]:
    junk = [name for name in result.model_files if not _OF_A_MODEL.fullmatch(name)]
    findings = []
    if junk:
        shown = ", ".join(junk[:5]) + (f" and {len(junk) - 5} more" if len(junk) > 5 else "")
        findings.append(
            Finding(
                f"model.tar.gz holds what is no model: {shown}",
                "write checkpoints to /opt/ml/checkpoints, other files to SM_OUTPUT_DATA_DIR",
                "every instance of the endpoint downloads it; a numbered folder would be taken for a version",
            )
        )
    for place in machine_paths(model, [ROOT, folder, Path.home()]):
        findings.append(Finding(f"the export holds a path of this machine: {place}", "make it a part of the model"))
    for base in model.rglob("saved_model.pb"):
        if operations := python_only_ops(base.parent):
            findings.append(
                Finding(
                    f"the model's graph holds Python code, which TensorFlow Serving has not: {', '.join(operations)}",
                    "replace tf.py_function and tf.numpy_function by TensorFlow operations",
                    "No OpKernel was registered to support Op 'EagerPyFunc'",
                )
            )
    return findings


def _example(model: Path, served: ServedModel) -> dict[str, Any]:
    """The request that the trainer left with its model, and its answer; else one that fits the signature, and none."""
    for file in sorted(model.rglob("assets.extra/example.json"), reverse=True):
        return json.loads(file.read_text(encoding="utf-8"))
    return {"request": served.examples.get("serving_default") or next(iter(served.examples.values())), "response": None}
