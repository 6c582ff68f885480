"""The rehearsal of Vertex AI: the cheap checks, the package, then the very job, then the endpoint of its model."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from onstage import space
from onstage.checks import project_checks
from onstage.checks.model_page import ModelPage
from onstage.checks.platform_checks import image_of, request_findings
from onstage.checks.search_checks import search_findings, searched
from onstage.checks.source_checks import Source
from onstage.rehearsal import worker_checks
from onstage.rehearsal.both import Served, temporary_folder
from onstage.rehearsal.operation_checks import Server
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.rehearsal.trained import TrainedNetwork
from onstage.rehearsal.twin import Twin
from onstage.report import Finding, Report
from onstage.settings import Settings
from onstage.vertex.agent import package_checks, workers
from onstage.vertex.agent.agent import run_custom_job
from onstage.vertex.agent.batch import rehearse_batch
from onstage.vertex.agent.gcs_checks import check_gcs
from onstage.vertex.agent.job import PLATFORM, rehearse_job
from onstage.vertex.agent.killing import rehearse_kill
from onstage.vertex.agent.not_seen import not_seen
from onstage.vertex.agent.outcome import JobResult
from onstage.vertex.agent.package import build_sdist
from onstage.vertex.agent.task import Task
from onstage.vertex.agent.tuning import rehearse_trials
from onstage.vertex.requests import bodies, hosts, images, spaces, validate
from onstage.vertex.requests.locations import job_name
from onstage.vertex_section import Vertex


def filled(settings: Settings) -> Settings:
    """`settings` with what they do not say yet: a rehearsal asks nobody."""
    cloud = settings.cloud(Vertex)
    missing = {"bucket": cloud.bucket or "rehearsal-bucket", "project": cloud.project or "rehearsal-project"}
    return settings.model_copy(update={"vertex": cloud.model_copy(update=missing)})


def check(
    report: Report, settings: Settings, argv: Sequence[str], tuning: Mapping[str, Any] | None = None
) -> tuple[ModelPage, dict[str, Any]] | None:
    """The static checks. Returns model.py and the body of the job, whose name is new; None when a check failed.

    The job is a custom job or, with the options of `bodies.tuning_job`, a tuning job.
    """
    cloud = settings.cloud(Vertex)
    found: dict[str, Any] = {}
    has_images = report.run(PLATFORM, "images", lambda: _check_images(cloud, found))
    code = Source.of(settings.project)
    importable = project_checks.check_source(report, PLATFORM, code, found.get("image"))
    has_modules = report.run(PLATFORM, "modules", lambda: package_checks.check_modules(code))
    has_imports = report.run(PLATFORM, "package-imports", lambda: package_checks.check_imports_inside(code))
    report.run(PLATFORM, "gcs", lambda: check_gcs(code))
    if not (importable and has_modules and has_imports):
        return None
    page, hyperparameters = project_checks.check_model(report, settings, argv)
    if page is None:
        return None
    name, given = job_name(settings.name, datetime.now(timezone.utc)), space.given(page.hyperparameters, argv)

    def check_request() -> list[Finding] | str:
        said = ""
        if tuning is None:
            kind = "CustomJob"
            found["body"] = bodies.custom_job(cloud, settings.name, name, hyperparameters)
        else:
            kind, values = "HyperparameterTuningJob", page.hyperparameters(**hyperparameters)
            found["body"] = bodies.tuning_job(cloud, settings.name, name, values, page.objective, fixed=given, **tuning)
            said = searched(space.of(page.hyperparameters, given), page.hyperparameters, given)
        return _findings(kind, found["body"], cloud) + _hosting_findings(cloud, name) or said

    def check_search() -> list[Finding]:
        ranges = space.of(page.hyperparameters, given)
        return search_findings(
            spaces.notes(ranges, (tuning or {}).get("algorithm", ""), found["body"]["maxTrialCount"])
        )

    if has_images and report.run(PLATFORM, "request", check_request) and tuning is not None:
        report.run(PLATFORM, "search", check_search)
    project_checks.check_resolution(report, PLATFORM, code, found.get("image"))
    return (page, found["body"]) if report.passed and "body" in found else None


def check_tuning(
    report: Report, settings: Settings, page: ModelPage, hyperparameters: Mapping[str, Any], argv: Sequence[str]
) -> dict[str, Any] | None:
    """The tuning job with these hyperparameters, what the flags `argv` say fixed; None when a check of it failed, or is
    not wanted.
    """
    cloud, given = settings.cloud(Vertex), space.given(page.hyperparameters, argv)
    made: list[dict[str, Any]] = []

    def check_search() -> list[Finding] | str:
        name = job_name(settings.name, datetime.now(timezone.utc))
        values, ranges = page.hyperparameters(**hyperparameters), space.of(page.hyperparameters, given)
        body = bodies.tuning_job(cloud, settings.name, name, values, page.objective, fixed=given)
        made.append(body)
        return [
            *_findings("HyperparameterTuningJob", body, cloud),
            *search_findings(spaces.notes(ranges)),
        ] or searched(ranges, page.hyperparameters, given)

    return made[0] if report.run(PLATFORM, "search", check_search) and made else None


def run(
    report: Report,
    settings: Settings,
    page: ModelPage,
    body: Mapping[str, Any],
    stack: ExitStack,
    *,
    is_alone: bool,
    with_kill: bool = False,
    trials: Mapping[str, Any] | None = None,
) -> Served | None:
    """Build and install the package, run the job, `is_alone` twice, then its endpoint until `stack` ends; `with_kill`,
    the job once more, killed; and of `trials`, a tuning job, those that tell most.
    """
    cloud, objective = settings.cloud(Vertex), page.objective.metric
    report.not_seen += not_seen(body, server_of(settings), report.serving_version)
    is_several = hosts.count_of(body) > 1
    image = image_of(images.known_image(bodies.training_image(cloud)))
    folder = temporary_folder(stack)
    built: list[Path] = []
    code, place = Source.of(settings.project), folder / "package"

    def check_package() -> list[Finding] | str:
        place.mkdir()
        built.append(build_sdist(place, settings.project))
        return package_checks.check_sdist(code, image, place, built[0])

    if not (report.run(PLATFORM, "package", check_package) and built):
        return None
    store = LocalStore(folder / "store")
    for job in (body, trials):
        if job:
            _upload(store, settings, report, job["displayName"], built[0])
    metrics = list(dict.fromkeys([objective, "loss", "val_loss"]))
    task = _task(settings, body, metrics, objective)
    terms, twin, kept = Terms.of(settings, PLATFORM), None, list[JobResult]()
    if is_several:
        worker_checks.skip_seed(report, PLATFORM, is_alone=is_alone)
    elif is_alone and report.wants(PLATFORM, "seed"):
        other = hosts.changed(body, "again")
        again = partial(run_custom_job, other, store, folder / "again", time_limit=terms.time_limit, grace=2)
        twin = Twin(task.patterns, lambda line, enough: again(on_line=line, background=enough))
        stack.callback(twin.stop)
    served = rehearse_job(report, task, store, folder / "job", terms, stack, twin, code, kept if is_several else None)
    if kept:
        workers.check(report, body, store, folder / "workers", terms, kept[0])
    if served and with_kill:
        rehearse_kill(report, task, store, folder / "kill", terms, served, cloud.checkpoint_seconds)
    if trials:
        rehearse_trials(report, trials, task, store, folder / "trials", terms)
    return served


def run_batch(report: Report, settings: Settings, served: Served, trained: TrainedNetwork) -> None:
    """Run the batch job over some rows, against what is served."""
    rehearse_batch(report, settings, served, trained)


def _check_images(cloud: Vertex, found: dict[str, Any]) -> list[Finding]:
    uris, today = (bodies.training_image(cloud), bodies.serving_image(cloud)), datetime.now(timezone.utc).date()
    found["image"] = image_of(images.known_image(uris[0]))
    gone = [images.availability_problem(uri, today) for uri in uris]
    aged = [images.patch_problem(uri, today) for uri in uris]
    return [
        *(Finding(problem) for problem in gone if problem),
        *(Finding(problem, warning=True) for problem in aged if problem),
    ]


def _findings(kind: str, body: dict[str, Any], cloud: Vertex) -> list[Finding]:
    return request_findings(kind, validate.problems(kind, body, cloud.region))


def _hosting_findings(cloud: Vertex, name: str) -> list[Finding]:
    model = f"{bodies.parent(cloud)}/models/{name}"
    return [
        *_findings("UploadModelRequest", bodies.model(cloud, name, f"gs://{cloud.bucket}/model"), cloud),
        *_findings("Endpoint", bodies.endpoint(cloud, name), cloud),
        *_findings("DeployModelRequest", bodies.deploy_model(cloud, name, model), cloud),
    ]


def _task(settings: Settings, body: Mapping[str, Any], metrics: Sequence[str], objective: str) -> Task:
    cloud = settings.cloud(Vertex)
    container = bodies.model(cloud, "model", f"gs://{cloud.bucket}/model")["model"]["containerSpec"]
    return Task(body, container, cloud.dedicated_endpoint, metrics, objective, server=server_of(settings))


def server_of(settings: Settings) -> Server:
    """What will serve the model of a project's job."""
    cloud, how = settings.cloud(Vertex), []
    image, newest = bodies.serving_image(cloud), images.newest_serving()
    if cloud.serving_image:
        how.append("remove serving_image from")
    if cloud.serving == "prebuilt":
        how.append('write serving = "container" in')
    said = f"{' and '.join(how)} [vertex] of settings.toml"
    return Server(image, images.serving_version(image), newest, said, Source.of(settings.project))


def _upload(store: LocalStore, settings: Settings, report: Report, name: str, sdist: Path) -> None:
    """Put into `store` what an upload would put into the bucket, or a sample of it.

    Copies: what a job overwrites is not the original.
    """
    places = bodies.places_of(settings.cloud(Vertex), settings.name)
    package = store.path(places.source(name))
    package.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sdist, package)
    for channel, sample in report.samples.items():
        for key, part in sample.parts.items():
            part.write(store.path(f"{places.channel(channel)}/{key}"), link=False)
