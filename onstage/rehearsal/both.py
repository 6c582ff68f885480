"""Runs the jobs of all platforms side by side, and compares what came of them."""

import json
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from onstage.checks import project_checks
from onstage.checks.model_page import ModelPage
from onstage.checks.source_checks import Source
from onstage.rehearsal import replay, sampled, serving_version, unseen
from onstage.rehearsal.endpoint_checks import Form, ask
from onstage.rehearsal.trained import TrainedNetwork
from onstage.report import Finding, Report
from onstage.serving.answers import TOLERANCE, difference, rows
from onstage.serving.process import ServingProcess
from onstage.serving.versions import Installed
from onstage.settings import Settings
from onstage.stopping import STOPPED

NOTHING_TO_RUN = "an ignored check found what the job cannot do without: there is nothing to run"


@dataclass(frozen=True)
class Served:
    """A model that its platform's endpoint serves: the SavedModel's folder, and a request that works.

    `checkpoints` is where the job of a project left its checkpoints.
    """

    platform: str
    server: ServingProcess
    predict_url: str
    model: Path
    request: dict[str, Any]
    checkpoints: Path | None = None


class Rehearsal(Protocol):
    """The module `rehearsal` of a platform."""

    PLATFORM: str

    def filled(self, settings: Settings) -> Settings:
        """`settings` with what they do not say yet."""

    def check(self, report: Report, settings: Settings, argv: Sequence[str]) -> tuple[ModelPage, dict[str, Any]] | None:
        """The static checks; model.py and the job's request body, or None when one failed."""

    def check_tuning(
        self, report: Report, settings: Settings, page: ModelPage, hyperparameters: dict[str, Any], argv: Sequence[str]
    ) -> dict[str, Any] | None:
        """The request body of a tuning job, what the flags `argv` say fixed; None when its check failed."""

    def run(
        self,
        report: Report,
        settings: Settings,
        page: ModelPage,
        body: Mapping[str, Any],
        stack: ExitStack,
        *,
        is_alone: bool,
        with_kill: bool,
        trials: Mapping[str, Any] | None,
    ) -> Served | None:
        """Run the job, then the endpoint of its model until `stack` ends; None where the cloud would have stopped.

        `is_alone`: no other platform's job is there to be compared with, and so a second one of this one's is.
        `with_kill`: once more, killed in the middle. `trials`: a tuning job, of which some trials are run when the job
        has gone well.
        """

    def run_batch(self, report: Report, settings: Settings, served: Served, trained: TrainedNetwork) -> None:
        """Run the batch job over some rows, against what is served."""


def rehearse(
    report: Report,
    rehearsals: Sequence[Rehearsal],
    settings: Settings,
    argv: Sequence[str],
    asked: Collection[str] = (),
    other: Installed | None = None,
) -> None:
    """Check for every platform what is cheap; if nothing fails, run and compare what they make of it.

    `asked` are ids of checks that are done on request only. `other` is a version of TensorFlow that serves, too.
    """
    wanted = [one for one in rehearsals if report.wants(one.PLATFORM, "train") or report.wants(one.PLATFORM, "package")]
    checked: list[Callable[[ExitStack], Served | None]] = []
    for one in rehearsals:
        full = one.filled(settings)
        found = one.check(report, full, argv)
        tuning = None
        if found and f"{one.PLATFORM}.tuning" in asked and report.project:
            tuning = one.check_tuning(report, full, *report.project, argv)
        if found and one in wanted:
            trials = tuning if report.wants(one.PLATFORM, "tuning") else None
            kill, is_alone = f"{one.PLATFORM}.kill" in asked, len(wanted) == 1
            checked.append(partial(one.run, report, full, *found, is_alone=is_alone, with_kill=kill, trials=trials))
    if wanted and report.passed and len(checked) == len(wanted):
        sampled.complete(report, settings)
        with ExitStack() as stack:
            run_all(report, _replayed(report, checked, wanted, settings, stack, asked, other))
    else:
        seen = {check.platform for check in report.checks} - {project_checks.PROJECT}
        report.not_seen += [f"{one}: quotas and permissions, and all that only its account knows" for one in seen]
    done = {check.id for check in report.checks}
    for platform in [one.PLATFORM for one in wanted]:
        for name in ("train", *(one.split(".")[1] for one in sorted(asked) if one.startswith(f"{platform}."))):
            if report.passed and report.wants(platform, name) and f"{platform}.{name}" not in done:
                report.run(platform, name, lambda: [Finding(NOTHING_TO_RUN, "ignore less, or mend what is ignored")])
    if report.samples:
        report.not_seen += unseen.settings_of(
            report, settings, argv, is_trained=any(one.endswith(".train") for one in done)
        )


def _replayed(
    report: Report,
    runs: Sequence[Callable[[ExitStack], Served | None]],
    rehearsals: Sequence[Rehearsal],
    settings: Settings,
    stack: ExitStack,
    asked: Collection[str],
    other: Installed | None,
) -> Sequence[Callable[[ExitStack], Served | None]]:
    """`runs`, each of which then sends rows of the data through its endpoint; if `asked`, through a batch job, and
    through an endpoint of the `other` version.
    """
    names = {*replay.NAMES, *({one.split(".")[1] for one in asked} & {"batch", serving_version.NAME})}
    if not any(report.wants(one.PLATFORM, name) for one in rehearsals for name in names):
        return runs
    assert report.project, "the static checks have passed"
    trained = stack.enter_context(TrainedNetwork(report, settings, report.project[1]))

    def run(before: Callable[[ExitStack], Served | None], rehearsal: Rehearsal, inner: ExitStack) -> Served | None:
        served = before(inner)
        if served:
            replay.run(report, served.platform, served.predict_url, served.checkpoints, trained)
        if served and f"{served.platform}.batch" in asked:
            rehearsal.run_batch(report, rehearsal.filled(settings), served, trained)
        if served and other:
            serving_version.run(report, served.platform, served.server, other, trained, Source.of(settings.project))
        return served

    return [partial(run, *one) for one in zip(runs, rehearsals, strict=True)]


def run_all(report: Report, runs: Sequence[Callable[[ExitStack], Served | None]]) -> None:
    """Run every platform's job and endpoint side by side, then compare the models of two.

    Each of `runs` leaves its endpoint open until the stack that it gets ends, and answers None if it failed.
    """
    STOPPED.clear()
    with ExitStack() as stack, ThreadPoolExecutor(len(runs)) as pool:
        running = [pool.submit(run, stack) for run in runs]
        try:
            served = [one.result() for one in running]
        except BaseException:
            # An interrupt reaches this thread only, and the jobs are in others.
            STOPPED.set()
            raise
        models = [one for one in served if one]
        if len(models) == len(runs) == 2:
            report.run("both", "weights", lambda: compare_weights(*models))
            report.run("both", "answers", lambda: compare_answers(*models))


def temporary_folder(stack: ExitStack) -> Path:
    """A folder of its own, until `stack` ends."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True)))


def compare_weights(one: Served, other: Served) -> list[Finding] | str:
    """The same seed, data and hyperparameters make the same model on both platforms."""
    ours, theirs = (served.server.weights(served.model) for served in (one, other))
    count = f"{len(ours)} variables"
    if ours == theirs:
        return f"{count}, bit for bit"
    close = [shape for shape, _, _ in ours] == [shape for shape, _, _ in theirs] and all(
        abs(left - right) <= TOLERANCE * max(1.0, abs(left))
        for left, right in zip(_sums(ours), _sums(theirs), strict=True)
    )
    if close:
        return f"{count}, but for rounding"
    return [
        Finding(
            f"the same hyperparameters made different models on {one.platform} and {other.platform}",
            "look for what depends on the time, on a random number without a seed, or on the entry file",
        )
    ]


def compare_answers(one: Served, other: Served) -> list[Finding] | str:
    """Both endpoints answer the same request with the same numbers."""
    body = json.dumps({"instances": one.request["instances"]})
    form = Form("instances", "application/json", body)
    ours, theirs = (rows(ask(served.predict_url, form).json()) for served in (one, other))
    found = difference(ours, theirs)
    if found:
        return [Finding(f"the endpoints answer differently: {found}", "rehearse each platform alone, and compare")]
    return f"{len(ours)} rows"


def _sums(weights: list[tuple[list[int], str, float]]) -> list[float]:
    return [total for _, _, total in sorted(weights, key=lambda one: (one[0], one[2]))]
