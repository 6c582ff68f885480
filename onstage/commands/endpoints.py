"""Endpoints in a cloud: make, try, ask, remove. The same story for every platform."""

import json
import time
from collections.abc import Iterator
from typing import Any

import typer

from onstage import outcome, progress
from onstage.cloud import NotFoundError, Part, Plan, State
from onstage.commands import show, state
from onstage.commands.jobs import LAST_LINES, Patience, command, explained, latest, upload
from onstage.errors import UserError
from onstage.platform import Platform
from onstage.serving.answers import difference, read_request, rows


def deploy(platform: Platform, job_name: str | None, endpoint: str | None, *, dry_run: bool) -> None:
    """Make an endpoint of a job's model and try it."""
    deploy_model(platform, latest(platform, job_name, "training", "tuning"), endpoint, dry_run=dry_run)


def deploy_model(platform: Platform, job: State, endpoint: str | None, *, dry_run: bool) -> None:
    """`deploy` of a job that is known. What was made is removed again when a later step fails."""
    if job.state != "succeeded":
        raise UserError(f"the job {job.name} has no model to serve: it is {job.detail or job.state}")
    with show.report(dry_run, platform.ignore) as report:
        plan = platform.plan_endpoint(report, job, endpoint)
        found: dict[str, Any] = {}
        if plan and not dry_run:
            report.run(platform.name, "model", lambda: found.update(example=platform.example(job)))
        report.finish()
        if plan is None or not report.passed:
            raise typer.Exit(1)
    if dry_run:
        show.requests(plan)
        return
    _make(platform, plan, found["example"])
    outcome.note(kind="endpoint", name=plan.name, job=job.name, cost=plan.cost)
    show.say(
        f"endpoint {plan.name} serves the model of {job.name}\n"
        f"ask it:    {command(platform, 'predict')} request.json\n"
        f"it costs {plan.cost}, until you remove it:\n"
        f"remove it: {command(platform, 'delete')} {plan.name}"
    )


def predict(platform: Platform, source: str, endpoint: str | None) -> None:
    """Print the answer of an endpoint to the request in a file, or on standard input for `-`."""
    name, request = _name(platform, endpoint), read_request(source)
    with progress.doing(f"waiting for {name}"):
        answer = platform.predict(name, request)
    outcome.note(answer=answer)
    print(json.dumps(answer), flush=True)


def delete(platform: Platform, endpoint: str | None, *, dry_run: bool) -> None:
    """Remove an endpoint with all that was made for it; what is gone already is no error."""
    name = _name(platform, endpoint)
    if dry_run:
        for part in platform.parts(name):
            show.say(f"would remove {part.what}")
        return
    if not sum(1 for _ in remove(platform.parts(name))):
        show.say(f"nothing is left of {name}")
    state.forget(platform, "endpoint", name)


def remove(parts: Iterator[Part]) -> Iterator[str]:
    """Remove each part, and say so; what was removed, by its name."""
    for part in parts:
        part.remove()
        show.say(f"removed {part.what}")
        yield part.what


def _make(platform: Platform, plan: Plan, example: dict[str, Any] | None) -> None:
    state.remember(platform, "endpoint", plan.name)
    try:
        for step in plan.steps:
            if step.last:
                _wait(platform, plan.name)
            upload(platform, step)
            with progress.doing(f"making {step.what}"):
                step.send()
            show.say(f"made {step.what}")
        _wait(platform, plan.name)
        if example:
            _try(platform, plan.name, example)
    except KeyboardInterrupt:
        show.say(_stopped(platform, plan))
        raise typer.Exit(130) from None
    except UserError as error:
        show.say(f"failed: {str(error).splitlines()[0]}")
        raise UserError(f"{error}\n{_undo(platform, plan)}") from error


def _wait(platform: Platform, name: str) -> None:
    with show.Waiting() as waiting:
        patience, started = Patience(waiting), time.monotonic()
        for pause in show.pauses():
            found = patience.ask(lambda: platform.find(name, "endpoint"))
            waiting.now(f"{name}: {found.detail or found.state}", show.clock(time.monotonic() - started))
            if found.state == "serving":
                return
            if found.ended:
                raise UserError(explained(platform, found, platform.log(found).new()[-LAST_LINES:]))
            time.sleep(pause)


def _try(platform: Platform, name: str, example: dict[str, Any]) -> None:
    """Raise UserError when the endpoint answers otherwise than the trainer's own model did."""
    answer = platform.predict(name, example["request"])
    if example.get("response"):
        problem = difference(rows(example["response"]), rows(answer))
        if problem:
            raise UserError(f"the endpoint answers otherwise than the model that was trained: {problem}")
    found = "as the trainer has them" if example.get("response") else "answered"
    show.say(f"asked it for {len(example['request']['instances'])} predictions: {found}")


def _stopped(platform: Platform, plan: Plan) -> str:
    """What Ctrl-C leaves: an endpoint that is being made can be removed only later, what came before it at once."""
    try:
        platform.find(plan.name, "endpoint")
    except NotFoundError:
        return f"stopped; {_undo(platform, plan)}"
    except UserError as error:
        show.say(str(error))
    return f"stopped; what was begun goes on, and costs {plan.cost}\n{_removal(platform, plan.name)}"


def _undo(platform: Platform, plan: Plan) -> str:
    """Remove what was made; say what is left when that fails, too."""
    show.say(f"removing what was made; if that is stopped, too, {_removal(platform, plan.name)}")
    try:
        removed = list(remove(platform.parts(plan.name)))
    except UserError as error:
        return f"it could not be removed: {error}\nwhat is left may cost {plan.cost}:\n{_removal(platform, plan.name)}"
    state.forget(platform, "endpoint", plan.name)
    return f"removed again: {', '.join(removed)}" if removed else "nothing is left of it"


def _removal(platform: Platform, name: str) -> str:
    return f"remove it: {command(platform, 'delete')} {name}"


def _name(platform: Platform, endpoint: str | None) -> str:
    if endpoint:
        return endpoint
    last = state.last(platform, "endpoint")
    if last is None:
        raise UserError(f"no endpoint was made from here; give its name: {command(platform, 'status')} lists all")
    return last[1]
