"""The rehearsal of SageMaker: the cheap checks, then the very job, then the endpoint of its model."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from onstage import source, space
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
from onstage.rehearsal.trained import TrainedNetwork, link_samples
from onstage.rehearsal.twin import Twin
from onstage.report import Finding, Report
from onstage.sagemaker.agent import toolkit, workers
from onstage.sagemaker.agent.agent import run_training_job
from onstage.sagemaker.agent.batch import rehearse_batch
from onstage.sagemaker.agent.job import rehearse_job
from onstage.sagemaker.agent.killing import rehearse_kill
from onstage.sagemaker.agent.not_seen import not_seen
from onstage.sagemaker.agent.outcome import JobResult
from onstage.sagemaker.agent.tuning import rehearse_trials
from onstage.sagemaker.requests import bodies, hosts, images, payload, rules, spaces, validate
from onstage.sagemaker.requests.locations import LONGEST_TUNING_NAME, Locations, job_name
from onstage.sagemaker_section import SageMaker
from onstage.settings import Settings

PLATFORM = "sagemaker"


def filled(settings: Settings) -> Settings:
    """`settings` with what they do not say yet: a rehearsal asks nobody."""
    cloud = settings.cloud(SageMaker)
    role = f"arn:{images.partition(cloud.region)}:iam::111122223333:role/rehearsal"
    missing = {"bucket": cloud.bucket or "rehearsal-bucket", "role": cloud.role or role}
    return settings.model_copy(update={"sagemaker": cloud.model_copy(update=missing)})


def check(
    report: Report, settings: Settings, argv: Sequence[str], tuning: Mapping[str, Any] | None = None
) -> tuple[ModelPage, dict[str, Any]] | None:
    """The static checks. Returns model.py and the body of the job, whose name is new; None when a check failed.

    The job is a training job or, with the options of `bodies.tuning_job`, a tuning job.
    """
    cloud = settings.cloud(SageMaker)
    found: dict[str, Any] = {}
    has_images = report.run(PLATFORM, "images", lambda: _check_images(cloud, found))
    code = Source.of(settings.project)
    if not project_checks.check_source(report, PLATFORM, code, found.get("image")):
        return None
    page, hyperparameters = project_checks.check_model(report, settings, argv)
    if page is None:
        return None
    metrics = _metrics(page)
    now, given = datetime.now(timezone.utc), space.given(page.hyperparameters, argv)

    def check_request() -> list[Finding] | str:
        said = ""
        if tuning is None:
            operation, name = "CreateTrainingJob", job_name(settings.name, now)
            found["body"] = bodies.training_job(cloud, settings.name, name, hyperparameters, metrics)
        else:
            operation, name = "CreateHyperParameterTuningJob", job_name(settings.name, now, LONGEST_TUNING_NAME)
            values = page.hyperparameters(**hyperparameters)
            found["body"] = bodies.tuning_job(
                cloud, settings.name, name, values, page.objective, metrics, fixed=given, **tuning
            )
            said = searched(space.of(page.hyperparameters, given), page.hyperparameters, given)
        body = found["body"]
        hosting = _hosting_findings(cloud, settings.name)
        return [
            *_findings(operation, body, cloud.region),
            *hosting,
            *request_findings(operation, [], rules.doubts(body)),
        ] or said

    def check_search() -> list[Finding]:
        strategy = (tuning or {}).get("strategy", "")
        return search_findings(spaces.notes(space.of(page.hyperparameters, given), strategy))

    if has_images:
        if report.run(PLATFORM, "request", check_request) and tuning is not None:
            report.run(PLATFORM, "search", check_search)
        report.run(PLATFORM, "flags", lambda: _check_flags(found.get("body", {})))
    project_checks.check_resolution(report, PLATFORM, code, found.get("image"))
    return (page, found["body"]) if report.passed and "body" in found else None


def check_tuning(
    report: Report, settings: Settings, page: ModelPage, hyperparameters: Mapping[str, Any], argv: Sequence[str]
) -> dict[str, Any] | None:
    """The body of the tuning job with these hyperparameters, what the flags `argv` say fixed; None when a check of it
    failed, or is not wanted.
    """
    cloud, given = settings.cloud(SageMaker), space.given(page.hyperparameters, argv)
    made: list[dict[str, Any]] = []

    def check_search() -> list[Finding] | str:
        name = job_name(settings.name, datetime.now(timezone.utc), LONGEST_TUNING_NAME)
        values, ranges = page.hyperparameters(**hyperparameters), space.of(page.hyperparameters, given)
        body = bodies.tuning_job(cloud, settings.name, name, values, page.objective, _metrics(page), fixed=given)
        made.append(body)
        return [
            *_findings("CreateHyperParameterTuningJob", body, cloud.region),
            *_check_flags(body),
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
    """Run the job, `is_alone` twice, then the endpoint of its model until `stack` ends; `with_kill`, the job once more,
    killed; and of `trials`, the body of a tuning job, those that tell most.
    """
    server = server_of(settings)
    report.not_seen += not_seen(body, server, report.serving_version)
    is_several = hosts.count_of(body) > 1
    places = bodies.places_of(settings.cloud(SageMaker), settings.name)
    folder = temporary_folder(stack)
    archive = folder / "sourcedir.tar.gz"
    archive.write_bytes(source.archive(settings.project.source))
    names = [body["TrainingJobName"], *([trials["HyperParameterTuningJobName"]] if trials else [])]
    mounts = {**{places.source(name): archive for name in names}, **_channels(places, report, folder)}
    store = LocalStore(folder / "store", mounts)
    terms, twin, kept = Terms.of(settings, PLATFORM), None, list[JobResult]()
    if is_several:
        worker_checks.skip_seed(report, PLATFORM, is_alone=is_alone)
    elif is_alone and report.wants(PLATFORM, "seed"):
        definitions = body["AlgorithmSpecification"]["MetricDefinitions"]
        again = partial(run_training_job, body, store, folder / "again", time_limit=terms.time_limit, grace=2)
        twin = Twin(
            {definition["Name"]: definition["Regex"] for definition in definitions},
            lambda line, enough: again(on_line=line, background=enough),
        )
        stack.callback(twin.stop)
    served = rehearse_job(
        report,
        body,
        store,
        folder,
        terms,
        page.inputs,
        server,
        stack,
        twin,
        Source.of(settings.project),
        kept if is_several else None,
        payload.limit_of(settings),
    )
    if kept:
        workers.check(report, body, store, folder / "workers", terms, kept[0])
    if served and with_kill:
        seconds = settings.cloud(SageMaker).checkpoint_seconds
        rehearse_kill(report, body, store, folder / "kill", terms, served, seconds)
    if trials:
        rehearse_trials(report, trials, store, folder / "trials", terms)
    return served


def run_batch(report: Report, settings: Settings, served: Served, trained: TrainedNetwork) -> None:
    """Run the batch job over some rows, against what is served."""
    rehearse_batch(report, settings, served, trained)


def _metrics(page: ModelPage) -> list[str]:
    """What a job's log is to say."""
    return list(dict.fromkeys([page.objective.metric, "loss", "val_loss"]))


def server_of(settings: Settings) -> Server:
    """What will serve the model of a project's job."""
    image = bodies.inference_image(settings.cloud(SageMaker))
    how, code = "remove inference_image from [sagemaker] in settings.toml", Source.of(settings.project)
    return Server(image, images.serving_version(image), images.newest_serving(), how, code)


def _check_images(cloud: SageMaker, found: dict[str, Any]) -> list[Finding]:
    training, inference = bodies.training_image(cloud), bodies.inference_image(cloud)
    found["image"] = image_of(images.known_image(training))
    problems = [images.patch_problem(uri, datetime.now(timezone.utc).date()) for uri in (training, inference)]
    findings = [Finding(problem, warning=True) for problem in problems if problem]
    return findings


def _check_flags(body: Mapping[str, Any]) -> list[Finding]:
    """Values of hyperparameters, and choices of a search, that the toolkit's command line does not survive."""
    definition = body.get("TrainingJobDefinition", {})
    ranges = body.get("HyperParameterTuningJobConfig", {}).get("ParameterRanges", {})
    told = {**body.get("HyperParameters", {}), **definition.get("StaticHyperParameters", {})}
    choices = ((one["Name"], text) for one in ranges.get("CategoricalParameterRanges", ()) for text in one["Values"])
    return [
        Finding(
            f"hyperparameter {name} is {value!r}: a shell reads the command line, and this ends it",
            "use no quote, no bracket ( ) and none of ; & | < > ` in a value",
            "sh: -c: syntax error: ExitCode 2, before the script starts",
        )
        for name, text in (*told.items(), *choices)
        for value in toolkit.decoded({name: text}).values()
        if toolkit.breaks(value)
    ]


def _hosting_findings(cloud: SageMaker, slug: str) -> list[Finding]:
    # As `deploy` names what it makes.
    model = bodies.model(cloud, job_name(slug, datetime.now(timezone.utc)), "s3://bucket/model.tar.gz")
    config = bodies.endpoint_config(cloud, model["ModelName"], model["ModelName"])
    return [
        *_findings("CreateModel", model, cloud.region),
        *_findings("CreateEndpointConfig", config, cloud.region),
        *request_findings("CreateEndpointConfig", rules.endpoint_problems(model, config)),
    ]


def _findings(operation: str, body: dict[str, Any], region: str | None) -> list[Finding]:
    return request_findings(operation, validate.problems(operation, body, region))


def _channels(places: Locations, report: Report, folder: Path) -> dict[str, Path]:
    """Every channel's URI, and a folder that holds what an upload of the same data, or of a sample, would put there."""
    return {places.channel(channel): place for channel, place in link_samples(report, folder / "data").items()}
