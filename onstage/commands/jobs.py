"""Jobs in a cloud: plan, send, watch, explain, stop. The same story for every platform."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TypeVar

import typer

from onstage import outcome, progress
from onstage.cloud import Item, NotFoundError, Plan, Search, State, Step, UnreachableError
from onstage.commands import rehearsed, show, state
from onstage.errors import UserError
from onstage.platform import Platform
from onstage.report import Finding

# Seconds that nothing may answer while something is watched, and between questions then.
PATIENCE, PAUSE = 300, 3
LAST_LINES = 10
Answer = TypeVar("Answer")


def submit(platform: Platform, argv: Sequence[str], search: Search | None, *, dry_run: bool, wait: bool) -> None:
    """Check, send and watch a training or tuning job. Raises UserError when it fails, typer.Exit when not sent."""
    with show.report(dry_run, platform.ignore) as report:
        plan = platform.plan_job(report, argv, search)
        if plan:
            report.run(platform.name, "rehearsed", lambda: _not_rehearsed(platform))
            if not dry_run:
                platform.check_job(report)
        report.finish()
        if plan is None and report.passed:
            raise UserError("nothing is sent: an ignored check found what the request cannot do without")
        if plan is None or not report.passed:
            raise typer.Exit(1)
    if dry_run:
        show.requests(plan)
        return
    launch(platform, plan)
    if wait:
        watch(platform, plan.kind, plan.name)
    else:
        show.say(coming_back(platform, plan.kind, plan.name))


def launch(platform: Platform, plan: Plan) -> None:
    """Send a job. Whatever happens, what may run now is named."""
    sending = False
    try:
        for step in plan.steps:
            upload(platform, step)
            state.remember(platform, plan.kind, plan.name)
            sending = True
            with progress.doing(f"sending the {plan.kind} job {plan.name}"):
                step.send()
    except KeyboardInterrupt:
        show.say(f"stopped; {_maybe_sent(platform, plan) if sending else 'nothing was sent'}")
        raise typer.Exit(130) from None
    except UnreachableError as error:
        raise UserError(f"{error}\n{_maybe_sent(platform, plan) if sending else 'nothing was sent'}") from error
    except UserError:
        state.forget(platform, plan.kind, plan.name)
        raise
    outcome.note(kind=plan.kind, name=plan.name, state="waiting")
    show.say(f"{plan.kind} job {plan.name} is sent; it costs {plan.cost}")


def upload(platform: Platform, step: Step) -> None:
    """Send what a step needs in the bucket."""
    for uri, content in step.uploads.items():
        if isinstance(content, bytes):
            platform.bucket.write(uri, content)
            show.say(f"sent {show.size(len(content))} to {uri}")
        else:
            item = Item(uri, content, content.stat().st_size)
            with show.Bytes(f"{content.name} to {uri}", item.size) as sent:
                platform.bucket.upload([item], sent.add)


def watch(platform: Platform, kind: str, name: str) -> State:
    """Show log and state until the job has ended. Raises UserError with the cause when it has not succeeded."""
    last_lines: deque[str] = deque(maxlen=LAST_LINES)
    try:
        found = _watch(platform, kind, name, last_lines)
    except KeyboardInterrupt:
        show.say(f"\nstopped watching. {coming_back(platform, kind, name)}")
        raise typer.Exit(130) from None
    except UnreachableError as error:
        raise UserError(f"{error}\n{coming_back(platform, kind, name)}") from error
    outcome.note(**asdict(found))
    if found.state != "succeeded":
        raise UserError(explained(platform, found, last_lines))
    _print(platform, found)
    return found


def latest(platform: Platform, name: str | None, *kinds: str) -> State:
    """The job of that name, or the last one that was sent from here, of these kinds (all: any kind)."""
    if name:
        return platform.find(name)
    sent = state.last(platform, *(kinds or state.JOBS))
    if sent is None:
        raise UserError("no job was sent from this folder; give a job's name")
    return platform.find(sent[1], sent[0])


def print_status(platform: Platform, name: str | None) -> None:
    """One job or endpoint; without a name the last job, and everything that costs money now."""
    one = _job_or_endpoint(platform, name) if name else None
    if name is None and state.last(platform, *state.JOBS):
        one = latest(platform, None)
    if one:
        outcome.note(**asdict(one))
        _print(platform, one)
    if name:
        return
    running = {(one.kind, one.name): one for one in [*platform.running(), *_noted_endpoints(platform)]}
    outcome.note(running=[asdict(one) for one in running.values()])
    show.say("costs money now:" if running else "nothing runs that costs money")
    for one in running.values():
        end = "delete" if one.kind == "endpoint" else "stop"
        cost = one.cost and f"  ({one.cost})"
        show.say(f"  {show.state(one)}{cost}  to end it: {command(platform, end)} {one.name}")


def print_log(platform: Platform, name: str | None, *, follow: bool) -> None:
    """The log of a job so far; with `follow` until the job has ended."""
    found = latest(platform, name)
    if follow:
        watch(platform, found.kind, found.name)
        return
    lines = platform.log(found).new()
    for line in lines:
        show.say(line)
    if not lines:
        show.say(f"{found.name} has no log yet: it is {found.detail or found.state}")


def stop(platform: Platform, name: str | None, *, dry_run: bool) -> None:
    """End a job; one that has ended is no error."""
    found = latest(platform, name)
    if found.ended:
        show.say(f"{found.name} has ended already: {found.detail or found.state}")
    elif dry_run:
        show.say(f"would stop the {found.kind} job {found.name} ({found.detail or found.state})")
    else:
        platform.stop(found)
        show.say(f"{found.name} is being stopped; see {command(platform, 'status')} {found.name}")


def command(platform: Platform, name: str) -> str:
    """A command as one types it."""
    return f"onstage {platform.name} {name}"


def coming_back(platform: Platform, kind: str, name: str) -> str:
    """What goes on in the cloud, how to watch it again and how to end it."""
    return (
        f"The {kind} job {name} goes on in the cloud, and costs until it ends.\n"
        f"watch it: {command(platform, 'logs')} {name} --follow\n"
        f"end it:   {command(platform, 'stop')} {name}"
    )


def explained(platform: Platform, found: State, log: Sequence[str]) -> str:
    """Why a job or endpoint failed: the cloud's reason, the likely cause, the log's last lines."""
    tail = ["the log ends:", *(f"  {line}" for line in log)] if log else []
    advice = platform.advice(found, log)
    # After a blank line comes the traceback, which the log has, too.
    reason = found.reason.partition("\n\n")[0] or found.detail
    what = "endpoint" if found.kind == "endpoint" else f"{found.kind} job"
    headline = f"the {what} {found.name} {found.state}: {reason}"
    return "\n".join(filter(None, [headline, advice and f"-> {advice}", *tail, found.address]))


class Patience:
    """Asks again while nothing answers: what runs in the cloud goes on without us."""

    def __init__(self, waiting: show.Waiting) -> None:
        self._waiting = waiting
        self._answered = time.monotonic()

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a question. Raises UnreachableError after PATIENCE seconds without one."""
        while True:
            try:
                answer = question()
            except UnreachableError as error:
                if time.monotonic() - self._answered > PATIENCE:
                    raise
                self._waiting.now(f"no answer, but it goes on; asking again ({str(error).splitlines()[0]})")
                time.sleep(PAUSE)
            else:
                self._answered = time.monotonic()
                return answer


def _watch(platform: Platform, kind: str, name: str, last_lines: deque[str]) -> State:
    with show.Waiting() as waiting:
        patience, pauses = Patience(waiting), iter(show.pauses())
        log = platform.log(State(kind, name, "waiting"))
        while True:
            found = patience.ask(lambda: platform.find(name, kind))
            lines = patience.ask(log.new)
            for line in lines:
                waiting.line(line)
            last_lines.extend(lines)
            # The line of the last epoch has the newest metrics.
            epoch = next((line for line in reversed(last_lines) if "epoch=" in line), "")
            clock = "" if found.seconds is None else show.clock(found.seconds)
            waiting.now(f"{name}: {found.detail or found.state}", f"{clock}  {epoch}")
            if found.ended and not lines:
                return found
            pauses = iter(show.pauses()) if lines else pauses
            time.sleep(next(pauses))


def _job_or_endpoint(platform: Platform, name: str) -> State:
    try:
        return platform.find(name)
    except NotFoundError as no_job:
        try:
            return platform.find(name, "endpoint")
        except NotFoundError:
            raise no_job from None


def _noted_endpoints(platform: Platform) -> Iterator[State]:
    """The endpoints that were made from here, whatever they are called."""
    for name in state.names(platform, "endpoint"):
        with contextlib.suppress(NotFoundError):
            yield platform.find(name, "endpoint")


def _print(platform: Platform, found: State) -> None:
    if found.state == "failed":
        show.say(explained(platform, found, []))
    else:
        show.say(show.state(found))
    if found.model:
        show.say(f"model: {found.model}\nto serve it: {command(platform, 'deploy')} {found.name}")
    if found.address:
        show.say(found.address)


def _maybe_sent(platform: Platform, plan: Plan) -> str:
    return f"the job may have been sent: {command(platform, 'status')} {plan.name}"


def _not_rehearsed(platform: Platform) -> list[Finding]:
    problem = rehearsed.problem(platform.project, platform.name)
    return [Finding(problem, f"onstage rehearse {platform.name}", warning=True)] if problem else []
