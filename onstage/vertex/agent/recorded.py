"""Rehearses a CustomJob or HyperparameterTuningJob request from elsewhere, with whatever package it installs."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import date, datetime, timezone
from typing import Any

from onstage.checks.platform_checks import image_of, request_findings
from onstage.errors import StartError
from onstage.problem import spelling
from onstage.rehearsal import recorded
from onstage.rehearsal.both import run_all, temporary_folder
from onstage.rehearsal.recorded import Given, Recorded
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.report import Finding, Report
from onstage.vertex.agent import recorded_package
from onstage.vertex.agent.job import PLATFORM, rehearse_job
from onstage.vertex.agent.not_seen import not_seen
from onstage.vertex.agent.replicas import task
from onstage.vertex.agent.task import Task
from onstage.vertex.requests import images, validate
from onstage.vertex.requests.trials import trial

# Members that tell whose request it is; the last one is of the CustomJobSpec that `gcloud ai custom-jobs create` reads.
KEYS = {"jobSpec": "CustomJob", "trialJobSpec": "HyperparameterTuningJob", "workerPoolSpecs": "CustomJob"}
# Of an answer of `describe`, which has what the request had, and more.
_ANSWER = ("name", "state", "createTime")
_LOCATION = re.compile(r"projects/[^/]+/locations/([a-z0-9-]+)/")
# What a flag or a variable says of a place in Cloud Storage.
_PLACE = re.compile(r"(?:gs://|/gcs/)[^\s\"',;]+")


def recognise(content: Mapping[str, Any], name: str) -> Recorded | None:
    """The request in a file, in any spelling of members; None for what is none of Vertex AI. It is not checked.

    `name` is the job's, for a request that does not say one.
    """
    keys = {spelling(str(key), KEYS): key for key in content}
    kind = next((message for key, message in KEYS.items() if key in keys), None)
    if kind is None:
        return None
    whole = {"jobSpec": content} if "workerPoolSpecs" in keys else content
    body = validate.spelt(kind, whole)
    for spec in (body.get("jobSpec"), body.get("trialJobSpec")):
        pools = spec.get("workerPoolSpecs") if isinstance(spec, dict) else None
        if isinstance(pools, list):
            pools[:] = [{} if isinstance(pool, dict) and _is_empty(pool) else pool for pool in pools]
    texts = list(_texts(body))
    located = next(filter(None, map(_LOCATION.search, texts)), None)
    region = located[1] if located else next((one for text in texts for one in images.region_names(text)), "")
    known = validate.members(kind)
    is_answer = any(member in body for member in _ANSWER)
    left_out = sorted(member for member in body if member not in known) if is_answer else []
    body = {member: value for member, value in body.items() if member not in left_out}
    # gcloud is told the name beside these two.
    named = {} if kind == "CustomJob" and "jobSpec" in keys else {"displayName": name}
    return Recorded(kind, {**named, **body}, left_out, region)


def _is_empty(pool: Mapping[str, Any]) -> bool:
    """Whether a pool has nothing but what the SDK writes of one: a replicaCount of 0, lists without items."""
    return not any(value for name, value in pool.items() if str(value) != "0" or name != "replicaCount")


def rehearse(report: Report, request: Recorded, given: Given, terms: Terms) -> None:
    """Check what can be known of the request and its package, then run the job and the endpoint of its model.

    Of a tuning job, one trial is run, with the middle of every range. Raises StartError for a request without code, and
    for code or data that is not there.
    """
    region = request.region or images.regions()[-1]
    # Whether an image is there any more is a check of its own.
    problems = validate.problems(request.kind, request.body, region, today=date.min)
    if not report.run(PLATFORM, "request", lambda: request_findings(request.kind, problems)):
        return
    with ExitStack() as stack, recorded.beginning(problems):
        folder = temporary_folder(stack)
        metric = ""
        job = dict(request.body)
        if request.kind == "HyperparameterTuningJob":
            metric, job = request.body["studySpec"]["metrics"][0]["metricId"], trial(request.body)
        pool = job["jobSpec"]["workerPoolSpecs"][0]
        _change(task(pool), given)
        store = LocalStore(folder / "store")
        if given.store.is_dir():
            recorded.merge_all(store, given.store)
        _put_data(job, given, store)
        image = task(pool).get("executorImageUri") or task(pool).get("imageUri", "")
        packages = recorded_package.Packages(task(pool), image, given, store, folder)
        recorded.skip_project(report)
        _check_image(report, image)
        known = given.image(image, image_of(images.known_image(image)))
        variables = recorded_package.variables(job["jobSpec"], folder, metric)
        recorded_package.check(report, packages, known, task(pool), variables)
        if not (recorded.check_framework(report, PLATFORM, image) and report.passed):
            return
        report.not_seen += not_seen(request.body, None)
        job_task = Task(job, {}, True, [], metric, "1" if metric else None)
        run_all(report, [lambda inner: rehearse_job(report, job_task, store, folder / "job", terms, inner)])


def _check_image(report: Report, image: str) -> None:
    known, today = images.known_image(image), datetime.now(timezone.utc).date()
    gone = known.end_of_availability if known else None
    if gone and today > gone:
        what = f"{image} has not been available since {gone}"
        report.run(
            PLATFORM, "images", lambda: [Finding(what, "choose one that is there, such as tensorflow/tensorflow")]
        )
    elif known:
        recorded.check_image(report, PLATFORM, image, known.end_of_patch or today)
    else:
        recorded.check_image(report, PLATFORM, image, None)


def _change(given_task: Mapping[str, Any], given: Given) -> None:
    """Put the values of `--set` into the task's args, in whichever form they have there."""
    args = given_task.get("args") or []
    for name, value in given.changed.items():
        for number, arg in enumerate(args):
            flag, equals, _ = arg.partition("=")
            if _same(flag, name) and equals:
                args[number] = f"{flag}={value}"
                break
            if _same(flag, name) and number + 1 < len(args):
                args[number + 1] = value
                break
        else:
            raise StartError(f"--set {name}: the request's args are {' '.join(args) or 'none'}")


def _put_data(job: Mapping[str, Any], given: Given, store: LocalStore) -> None:
    """Copy the data of `--channel` to the places that the request names by a flag, a variable or a URI."""
    named = dict(_named_places(job))
    for name, place in given.channels.items():
        uri = name if name.startswith("gs://") else next((uri for one, uri in named.items() if _same(one, name)), None)
        if uri is None:
            raise StartError(
                f"--channel {name}: of places in Cloud Storage the request names {', '.join(named) or 'none'}"
            )
        if not place.exists():
            raise StartError(f"--channel {name}: there is no {place}")
        recorded.merge(store, uri, place)


def _named_places(job: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names of flags and variables, and the gs:// URI that each one has."""
    for pool in job["jobSpec"]["workerPoolSpecs"]:
        if not pool:
            continue
        args = list(task(pool).get("args") or ())
        flags = [(arg, args[number] if number < len(args) else "") for number, arg in enumerate(args, 1)]
        flags = [(arg, following) for arg, following in flags if arg.startswith("-")]
        pairs = [tuple(arg.split("=", 1)) if "=" in arg else (arg, following) for arg, following in flags]
        pairs += [(one["name"], one.get("value", "")) for one in task(pool).get("env") or ()]
        for name, value in pairs:
            if _PLACE.fullmatch(value):
                yield name.lstrip("-"), re.sub("^/gcs/", "gs://", value)


def _same(flag: str, name: str) -> bool:
    return flag.lstrip("-").replace("-", "_") == name.lstrip("-").replace("-", "_")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
