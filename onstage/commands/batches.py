"""Predictions of many rows without an endpoint: check, send, wait, fetch. The same story for every platform."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from onstage import outcome, progress
from onstage.checks import batch_rows
from onstage.cloud import State
from onstage.commands import show
from onstage.commands.endpoints import remove
from onstage.commands.jobs import coming_back, latest, launch, watch
from onstage.errors import StartError, UserError
from onstage.platform import Platform
from onstage.report import Finding

# Rows of a file that are named at once.
_MOST = 5


def batch(platform: Platform, source: str, job_name: str | None, *, dry_run: bool, wait: bool) -> None:
    """Predict every line of a file of JSON lines, or of the objects below a URI; "": those that settings.toml names."""
    place = _place(platform, source)
    job = latest(platform, job_name, "training", "tuning")
    found: dict[str, Any] = {}
    with show.report(dry_run, platform.ignore) as report:
        if not dry_run:
            report.run(platform.name, "model", lambda: found.update(platform.example(job) or {}))
        example = (found.get("request", {}).get("instances") or [None])[0]
        report.run(platform.name, "rows", lambda: _check(place, platform.batch.key, example))
        plan = platform.plan_batch(report, job, place) if report.passed else None
        report.finish()
        if plan is None or not report.passed:
            raise typer.Exit(1)
    if dry_run:
        show.requests(plan)
        return
    launch(platform, plan)
    if not wait:
        show.say(coming_back(platform, plan.kind, plan.name))
        return
    _finish(platform, watch(platform, plan.kind, plan.name), place)


def _place(platform: Platform, source: str) -> Path | str:
    """The file, or the URI, of the rows. Raises StartError when nothing names them."""
    if source:
        return source if "://" in source else Path(source)
    rows = platform.batch.rows
    if not rows:
        example = f"onstage {platform.name} batch rows.jsonl"
        raise StartError(f"name a file of rows: {example}, or rows in [batch] of settings.toml")
    return rows if "://" in rows else platform.project.root / rows


def _check(place: Path | str, key: str, example: Any) -> list[Finding]:
    """What the job would lose of the rows, as far as that can be seen before it is sent."""
    if key and isinstance(example, dict) and key in example:
        what = f"[batch] key of settings.toml is {key!r}, an input of the model, which would not get it"
        return [Finding(what, "name a field that the model does not take")]
    if isinstance(place, str):
        return []
    problems: Iterator[Finding] = batch_rows.problems(batch_rows.lines_of(place), str(place), key, example)
    return list(itertools.islice(problems, _MOST))


def _finish(platform: Platform, done: State, place: Path | str) -> None:
    """Fetch the answers. Raises UserError when rows have none."""
    # What the job ran on costs nothing, but nobody needs it any more.
    list(remove(platform.parts(done.name)))
    answers = platform.answers(done)
    outcome.note(answers=answers)
    show.say(f"answers: {answers}")
    if isinstance(place, Path):
        _fetch(platform, answers, place.with_name(f"{done.name}.out"))
    if lost := platform.lost_rows(done):
        raise UserError(lost)


def _fetch(platform: Platform, answers: str, target: Path) -> None:
    count = 0
    with progress.doing(f"fetching {answers}"), target.open("wb") as merged:
        for uri in sorted(platform.bucket.names(answers)):
            part = target.with_suffix(".part")
            platform.bucket.read(uri, part)
            content = part.read_bytes()
            count += content.count(b"\n")
            merged.write(content)
            part.unlink()
    show.say(f"fetched to {target} ({count} line{'s' * (count != 1)})")
