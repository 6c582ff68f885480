# Owned by the template.
"""The rehearsal of SageMaker: the cheap checks, then the very job, then the endpoint of its model."""

import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cloud import source
from cloud.sagemaker import images, requests, rules, validate
from cloud.sagemaker.locations import Locations, job_name
from cloud.sagemaker.problem import Problem
from cloud.sagemaker.trials import trials
from cloud.settings import Data, SageMaker, Settings
from rehearse import checks
from rehearse.report import Finding, Report
from rehearse.sagemaker.job import rehearse_job
from rehearse.source_checks import Image
from rehearse.store import LocalStore
from rehearse.table_checks import find_data

PLATFORM = "sagemaker"


def rehearse(report: Report, settings: Settings, argv: list[str]) -> None:
    """Rehearse the job that `python -m cloud sagemaker train` would send, and the endpoint of its model."""
    cloud = _filled(settings.sagemaker)
    found: dict[str, Any] = {}
    has_images = report.run(PLATFORM, "images", lambda: _check_images(cloud, found))
    if not checks.check_source(report, PLATFORM, found.get("image")):
        return
    page, hyperparameters = checks.check_model(report, PLATFORM, settings, argv)
    if page is None:
        return
    metrics = list(dict.fromkeys([page.OBJECTIVE.metric, "loss", "val_loss"]))
    name = job_name(settings.name, datetime.now(timezone.utc))

    def check_request() -> list[Finding]:
        found["body"] = requests.training_job(cloud, settings.name, name, hyperparameters, metrics)
        return _findings("CreateTrainingJob", found["body"], cloud.region) + _hosting_findings(cloud, settings.name)

    if has_images:
        report.run(PLATFORM, "request", check_request)
    if not report.passed:
        return
    places = requests.places_of(cloud, settings.name)
    with tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        archive = folder / "sourcedir.tar.gz"
        archive.write_bytes(source.archive())
        mounts = {places.source(name): archive, **_channels(places, settings.data, folder)}
        rehearse_job(report, found["body"], LocalStore(folder / "store", mounts), folder, settings, checks.inputs(page))


def rehearse_body(report: Report, body: Mapping[str, Any], store: Path, settings: Settings) -> None:
    """Rehearse a CreateTrainingJob or CreateHyperParameterTuningJob body from elsewhere; s3:// is below `store`.

    Of a tuning job, one trial is run, with the middle of every range.
    """
    operation = "CreateHyperParameterTuningJob" if "HyperParameterTuningJobName" in body else "CreateTrainingJob"
    report.run(PLATFORM, "request", lambda: _findings(operation, dict(body), None))
    if not report.passed:
        return
    job = dict(body) if operation == "CreateTrainingJob" else trials(body)[0]
    with tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True) as folder:
        rehearse_job(report, job, LocalStore(store, {}), Path(folder), settings, [])


def _filled(cloud: SageMaker) -> SageMaker:
    # What settings.toml does not say yet: a rehearsal asks nobody.
    role = f"arn:{images.partition(cloud.region)}:iam::111122223333:role/rehearsal"
    return cloud.model_copy(update={"bucket": cloud.bucket or "rehearsal-bucket", "role": cloud.role or role})


def _check_images(cloud: SageMaker, found: dict[str, Any]) -> list[Finding]:
    training, inference = requests.training_image(cloud), requests.inference_image(cloud)
    found["image"] = _image(training)
    problems = [images.patch_problem(uri, datetime.now(timezone.utc).date()) for uri in (training, inference)]
    findings = [Finding(problem, warning=True) for problem in problems if problem]
    if found["image"] is None:
        findings.append(Finding(f"{training} is not known: imports and syntax are not checked", warning=True))
    return findings


def _image(uri: str) -> Image | None:
    """What the source checks have to know of a training image; None for one whose packages are not listed."""
    known = images.known_image(uri)
    if known is None or known.packages is None:
        return None
    lines = known.packages.read_text(encoding="utf-8").splitlines()
    packages = frozenset(line.partition("==")[0].lower() for line in lines if not line.startswith("#"))
    major, minor = known.python.split(".")
    return Image(f"the training image {known.tensorflow}", (int(major), int(minor)), packages)


def _hosting_findings(cloud: SageMaker, slug: str) -> list[Finding]:
    model = requests.model(cloud, slug.replace("_", "-"), "s3://bucket/model.tar.gz")
    config = requests.endpoint_config(cloud, model["ModelName"], model["ModelName"])
    return [
        *_findings("CreateModel", model, cloud.region),
        *_findings("CreateEndpointConfig", config, cloud.region),
        *(_finding("CreateEndpointConfig", problem) for problem in rules.endpoint_problems(model, config)),
    ]


def _findings(operation: str, body: dict[str, Any], region: str | None) -> list[Finding]:
    return [_finding(operation, problem) for problem in validate.problems(operation, body, region)]


def _finding(operation: str, problem: Problem) -> Finding:
    return Finding(f"{operation}, {problem}", problem.fix, problem.cloud)


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
