"""Rehearses a CreateTrainingJob or CreateHyperParameterTuningJob request from elsewhere, with the code it names."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from onstage.checks import environment_checks, flag_checks, project_checks
from onstage.checks.platform_checks import image_of, request_findings
from onstage.checks.source_checks import Image, Source
from onstage.errors import StartError
from onstage.problem import spelling
from onstage.rehearsal import recorded
from onstage.rehearsal.both import run_all, temporary_folder
from onstage.rehearsal.recorded import Given, Recorded
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.report import Finding, Report
from onstage.sagemaker.agent import toolkit
from onstage.sagemaker.agent.job import PLATFORM, rehearse_job
from onstage.sagemaker.agent.layout import Host, describe
from onstage.sagemaker.agent.not_seen import not_seen
from onstage.sagemaker.requests import images, rules, validate
from onstage.sagemaker.requests.trials import trials

# Members that tell whose request it is.
KEYS = {
    "TrainingJobName": "CreateTrainingJob",
    "HyperParameterTuningJobName": "CreateHyperParameterTuningJob",
}
# Of an answer of Describe..., which has what the request had, and more.
_ANSWER = ("TrainingJobArn", "TrainingJobStatus", "HyperParameterTuningJobArn", "HyperParameterTuningJobStatus")
_CODE_CHANNEL = "code"


def recognise(content: Mapping[str, Any], name: str) -> Recorded | None:
    """The request in a file, in any spelling of members; None for what is none of SageMaker. It is not checked."""
    del name
    keys = {spelling(str(key), KEYS) for key in content}
    kind = next((operation for key, operation in KEYS.items() if key in keys), None)
    if kind is None:
        return None
    body = validate.spelt(kind, content)
    if not any(member in body for member in _ANSWER):
        return Recorded(kind, body)
    known = validate.members(kind)
    return Recorded(
        kind,
        {member: value for member, value in body.items() if member in known},
        sorted(member for member in body if member not in known),
    )


def rehearse(report: Report, request: Recorded, given: Given, terms: Terms) -> None:
    """Check what can be known of the request and its code, then run the job and the endpoint of its model.

    Of a tuning job, one trial is run, with the middle of every range. Raises StartError for a request without code, and
    for code or data that is not there.
    """
    problems = validate.problems(request.kind, request.body)
    # They rely on the types.
    doubts = [] if problems else rules.doubts(request.body)
    if not report.run(PLATFORM, "request", lambda: request_findings(request.kind, problems, doubts)):
        return
    with ExitStack() as stack, recorded.beginning(problems):
        folder = temporary_folder(stack)
        job = dict(request.body) if request.kind == "CreateTrainingJob" else trials(request.body)[0]
        job["HyperParameters"] = _changed(job.get("HyperParameters") or {}, given)
        image = (job.get("AlgorithmSpecification") or {}).get("TrainingImage", "")
        source = _code(job, given)
        channels = _channels(job, given, folder)
        mounts = {**channels, **source}
        code = _source(next(iter(source.values()), None) or channels[_uris(job)[_CODE_CHANNEL]], folder)
        recorded.skip_project(report)
        table = images.known_image(image)
        recorded.check_image(report, PLATFORM, image, table.end_of_patch if table else None)
        known = given.image(image, image_of(table))
        _check(report, code, known, describe(job, "algo-1", ["algo-1"], folder / "host"))
        if not (recorded.check_framework(report, PLATFORM, image) and report.passed):
            return
        report.not_seen += not_seen(request.body, None)
        store = LocalStore(folder / "store", mounts)
        _copy_checkpoints(job, given, store)
        run_all(report, [lambda inner: rehearse_job(report, job, store, folder, terms, [], None, inner)])


def _changed(hyperparameters: Mapping[str, str], given: Given) -> dict[str, str]:
    for name in given.changed:
        if name not in hyperparameters:
            raise StartError(f"--set {name}: the request's HyperParameters are {', '.join(hyperparameters) or 'none'}")
    return {**hyperparameters, **given.changed}


def _channels(job: Mapping[str, Any], given: Given, folder: Path) -> dict[str, Path]:
    """Every channel's URI, and where it is here."""
    uris = _uris(job)
    for name in given.channels:
        if name not in uris:
            raise StartError(f"--channel {name}: the request's channels are {', '.join(uris) or 'none'}")
    source = {_CODE_CHANNEL: given.sources[0]} if given.sources and _CODE_CHANNEL in uris else {}
    found = {}
    for name, uri in uris.items():
        named = {**source, **given.channels}.get(name)
        place = given.find(uri, named, f"channel {name}", f"--channel {name}=PATH")
        found[uri] = place if named else _gathered(uri, place, given, folder / "channels" / name)
    return found


def _gathered(uri: str, place: Path, given: Given, folder: Path) -> Path:
    """`place`, or where a prefix takes more than a folder of this name, links to all of it."""
    objects = LocalStore(given.store).objects(uri)
    if all(file.is_relative_to(place) for _, file in objects):
        return place
    for name, file in objects:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(file.absolute())
    return folder


def _uris(job: Mapping[str, Any]) -> dict[str, str]:
    sources = {
        channel["ChannelName"]: (channel.get("DataSource") or {}).get("S3DataSource") or {}
        for channel in job.get("InputDataConfig") or []
    }
    return {name: source["S3Uri"] for name, source in sources.items() if "S3Uri" in source}


def _code(job: Mapping[str, Any], given: Given) -> dict[str, Path]:
    """The URI of the job's code, where that is no channel, and the folder or archive that it is here."""
    if len(given.sources) > 1:
        raise StartError("--source is given once: a training job has one source")
    uri = str(toolkit.decoded(job["HyperParameters"]).get("sagemaker_submit_directory", ""))
    if uri.startswith("s3://"):
        named = given.sources[0] if given.sources else None
        return {uri: given.find(uri, named, "sagemaker_submit_directory", "--source PATH")}
    if _CODE_CHANNEL not in {channel["ChannelName"] for channel in job.get("InputDataConfig") or []}:
        specification = job.get("AlgorithmSpecification") or {}
        image = specification.get("TrainingImage") or specification.get("AlgorithmName", "no image")
        raise StartError(
            f"the request has no code (neither sagemaker_submit_directory nor a channel named {_CODE_CHANNEL}): "
            f"what {image} starts by itself cannot be rehearsed"
        )
    return {}


def _source(place: Path, folder: Path) -> Source:
    unpacked = recorded.unpacked(place, folder / "source")
    archives = sorted(unpacked.glob("sourcedir.tar.gz")) if place.is_dir() else []
    if archives:
        # The SDK's channel holds the archive.
        place, unpacked = archives[0], recorded.unpacked(archives[0], folder / "source")
    return Source(unpacked, Path.cwd(), recorded.shown(place), required=_requirements(unpacked))


def _requirements(folder: Path) -> frozenset[str] | None:
    return None if (folder / "requirements.txt").is_file() else frozenset()


def _check(report: Report, code: Source, known: Image | None, host: Host) -> None:
    program = str(
        host.environment.get("SAGEMAKER_PROGRAM") or toolkit.decoded(host.hyperparameters).get("sagemaker_program", "")
    )
    variables = {*host.environment, *toolkit.variables(host)}
    project_checks.check_elsewhere(report, PLATFORM, code, known, variables)
    file = code.folder / program
    if not program:
        why = "the request starts its command itself: it has no sagemaker_program"
        for name in ("entry", "flags", "environment"):
            report.skip(PLATFORM, name, why)
        return
    report.run(PLATFORM, "environment", lambda: environment_checks.check_environment(code, variables))
    if not report.run(PLATFORM, "entry", lambda: _check_entry(code, file)):
        return
    flags = toolkit.arguments(toolkit.script_hyperparameters(host))
    read_by_shell = ", ".join(map(repr, toolkit.odd(flags)))
    unknown = f"a shell reads the flags first, and may change {read_by_shell}" if read_by_shell else None
    if unknown := unknown or flag_checks.unknown_because(code, file):
        report.skip(PLATFORM, "flags", unknown)
        return
    report.run(PLATFORM, "flags", lambda: flag_checks.check_flags(code, file, flags))


def _check_entry(code: Source, file: Path) -> list[Finding] | str:
    if file.is_file():
        return code.name(file)
    inside = [one for one in code.files if one.name == file.name]
    if inside:
        folder = inside[0].parent
        what = f"it stands in a folder of the source, as {code.name(inside[0])}, and is looked for at the top"
        how = f"pack what is in that folder, not the folder: tar -czf sourcedir.tar.gz -C {folder.name} ."
    else:
        there = ", ".join(sorted(one.name for one in code.files if one.parent == code.folder)) or "no file"
        what, how = f"at the top of the source there is {there}", "correct the name, or add the file"
    return [
        Finding(
            f"sagemaker_program is {file.name}; {what}",
            how,
            f"python: can't open file '/opt/ml/code/{file.name}': [Errno 2] No such file or directory",
        )
    ]


def _copy_checkpoints(job: Mapping[str, Any], given: Given, store: LocalStore) -> None:
    uri = (job.get("CheckpointConfig") or {}).get("S3Uri")
    if uri and LocalStore(given.store).path(uri).is_dir():
        recorded.merge(store, uri, LocalStore(given.store).path(uri))
