# Owned by the template.
"""The rehearsal of SageMaker: the cheap checks, then the very job, then the endpoint of its model."""

import types
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cloud import source
from cloud.sagemaker import images, requests, rules, validate
from cloud.sagemaker.locations import LONGEST_TUNING_NAME, Locations, job_name
from cloud.sagemaker.trials import trials
from cloud.settings import Data, SageMaker, Settings
from rehearse import checks
from rehearse.both import Served, run_all, temporary_folder
from rehearse.platform_checks import image_of, request_findings
from rehearse.report import Finding, Report
from rehearse.sagemaker.job import rehearse_job
from rehearse.store import LocalStore
from rehearse.table_checks import find_data
from trainer.run import UserError

PLATFORM = "sagemaker"


def filled(settings: Settings) -> Settings:
    """`settings` with what they do not say yet: a rehearsal asks nobody."""
    cloud = settings.sagemaker
    if cloud is None:
        raise UserError("settings.toml has no [sagemaker]")
    role = f"arn:{images.partition(cloud.region)}:iam::111122223333:role/rehearsal"
    missing = {"bucket": cloud.bucket or "rehearsal-bucket", "role": cloud.role or role}
    return settings.model_copy(update={"sagemaker": cloud.model_copy(update=missing)})


def check(
    report: Report, settings: Settings, argv: Sequence[str], tuning: Mapping[str, Any] | None = None
) -> tuple[types.ModuleType, dict[str, Any]] | None:
    """The static checks. Returns model.py and the body of the job, whose name is new; None when a check failed.

    The job is a training job or, with the options of `requests.tuning_job`, a tuning job.
    """
    cloud = settings.sagemaker
    found: dict[str, Any] = {}
    has_images = report.run(PLATFORM, "images", lambda: _check_images(cloud, found))
    if not checks.check_source(report, PLATFORM, found.get("image")):
        return None
    page, hyperparameters = checks.check_model(report, PLATFORM, settings, argv)
    if page is None:
        return None
    metrics = list(dict.fromkeys([page.OBJECTIVE.metric, "loss", "val_loss"]))
    now = datetime.now(timezone.utc)

    def check_request() -> list[Finding]:
        if tuning is None:
            operation, name = "CreateTrainingJob", job_name(settings.name, now)
            found["body"] = requests.training_job(cloud, settings.name, name, hyperparameters, metrics)
        else:
            operation, name = "CreateHyperParameterTuningJob", job_name(settings.name, now, LONGEST_TUNING_NAME)
            values = page.Hyperparameters(**hyperparameters)
            found["body"] = requests.tuning_job(cloud, settings.name, name, values, page.OBJECTIVE, metrics, **tuning)
        return _findings(operation, found["body"], cloud.region) + _hosting_findings(cloud, settings.name)

    if has_images:
        report.run(PLATFORM, "request", check_request)
    return (page, found["body"]) if report.passed else None


def run(
    report: Report, settings: Settings, page: types.ModuleType, body: Mapping[str, Any], stack: ExitStack
) -> Served | None:
    """Run the job, then the endpoint of its model until `stack` ends."""
    places = requests.places_of(settings.sagemaker, settings.name)
    folder = temporary_folder(stack)
    archive = folder / "sourcedir.tar.gz"
    archive.write_bytes(source.archive())
    mounts = {places.source(body["TrainingJobName"]): archive, **_channels(places, settings.data, folder)}
    store = LocalStore(folder / "store", mounts)
    return rehearse_job(report, body, store, folder, settings, checks.inputs(page), stack)


def rehearse_body(report: Report, body: Mapping[str, Any], store: Path, settings: Settings) -> None:
    """Rehearse a CreateTrainingJob or CreateHyperParameterTuningJob body from elsewhere; s3:// is below `store`.

    Of a tuning job, one trial is run, with the middle of every range.
    """
    operation = "CreateHyperParameterTuningJob" if "HyperParameterTuningJobName" in body else "CreateTrainingJob"
    if not report.run(PLATFORM, "request", lambda: _findings(operation, dict(body), None)):
        return
    job = dict(body) if operation == "CreateTrainingJob" else trials(body)[0]
    run_all(
        report,
        [lambda stack: rehearse_job(report, job, LocalStore(store), temporary_folder(stack), settings, [], stack)],
    )


def _check_images(cloud: SageMaker, found: dict[str, Any]) -> list[Finding]:
    training, inference = requests.training_image(cloud), requests.inference_image(cloud)
    found["image"] = image_of(images.known_image(training))
    problems = [images.patch_problem(uri, datetime.now(timezone.utc).date()) for uri in (training, inference)]
    findings = [Finding(problem, warning=True) for problem in problems if problem]
    if found["image"] is None:
        findings.append(Finding(f"{training} is not known: imports and syntax are not checked", warning=True))
    return findings


def _hosting_findings(cloud: SageMaker, slug: str) -> list[Finding]:
    model = requests.model(cloud, slug.replace("_", "-"), "s3://bucket/model.tar.gz")
    config = requests.endpoint_config(cloud, model["ModelName"], model["ModelName"])
    return [
        *_findings("CreateModel", model, cloud.region),
        *_findings("CreateEndpointConfig", config, cloud.region),
        *request_findings("CreateEndpointConfig", rules.endpoint_problems(model, config)),
    ]


def _findings(operation: str, body: dict[str, Any], region: str | None) -> list[Finding]:
    return request_findings(operation, validate.problems(operation, body, region))


def _channels(places: Locations, data: Data, folder: Path) -> dict[str, Path]:
    """Every channel's URI, and a folder that holds what an upload of the same data would put there."""
    mounts = {}
    for channel, location in data:
        mounts[places.channel(channel)] = folder / "data" / channel
        for name, file in find_data(location).items():
            link = folder / "data" / channel / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
    return mounts
