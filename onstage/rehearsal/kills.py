"""Kills a job in the middle of an epoch, starts it again, and compares the weights with an undisturbed job's."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from onstage import progress
from onstage.project import MODEL_FILE
from onstage.rehearsal.both import Served
from onstage.report import Finding, NotDoneError, Report
from onstage.serving.answers import TOLERANCE

CHECK = "kill"
_PAID = "an interruption of the machine would change the model, or lose what was paid for"


@dataclass(frozen=True)
class Ended:
    """How a job ended: its log, why it failed, and the folder of its SavedModel."""

    log: str
    failure: Finding | None
    model: Path | None


@dataclass(frozen=True)
class Words:
    """`given_back`: how a job that is started again gets its checkpoints; `lost`: what an interruption costs."""

    given_back: str
    lost: str


def lost(seconds: int) -> str:
    """What of a training is lost at most where nobody warns it."""
    return f"at most {seconds} s of training (checkpoint_seconds)" if seconds else "all since the last epoch's end"


def failure(answer: list[Finding] | str) -> Finding | None:
    """What ended a job, of the answer of a check of its end."""
    return next((one for one in answer if not one.warning), None) if isinstance(answer, list) else None


def run(
    report: Report, served: Served, folder: Path, start: Callable[[str, Mapping[str, str]], Ended], words: Words
) -> None:
    """Report what comes of killing the job whose undisturbed run is `served`.

    `start` runs it, below a folder of that name, with variables that only a rehearsal sets; what it saved before is
    there again.
    """
    failed = any(check.status == "failed" and check.platform == served.platform for check in report.checks)
    if report.wants(served.platform, CHECK) and not failed:
        folder.mkdir()
        report.run(served.platform, CHECK, lambda: _check(served, folder, start, words))


def _check(
    served: Served, folder: Path, start: Callable[[str, Mapping[str, str]], Ended], words: Words
) -> list[Finding] | str:
    place = folder / "killed.json"
    with progress.doing(f"{served.platform}, a job that is killed"):
        before = start("killed", {"ONSTAGE_KILL": str(place)})
    if not place.exists():
        if before.failure:
            detail = f"the job fails when it runs once more: {before.failure.detail}"
            return [Finding(detail, before.failure.fix, before.failure.cloud)]
        raise NotDoneError("the training has no second epoch, or no step in it, in which it could be killed")
    at = json.loads(place.read_text(encoding="utf-8"))
    with progress.doing(f"{served.platform}, the killed job once more"):
        after = start("again", {})
    where = f"killed in epoch {at['epoch']} after step {at['step']} of {at['steps']}"
    if after.failure or after.model is None:
        why = after.failure or Finding("it left no model")
        return [Finding(f"{where} and started again, the job fails: {why.detail}", why.fix, why.cloud, file=why.file)]
    saved = rf"goes on in epoch {at['epoch']} at step {at['saved']} of {at['steps']}\b"
    if not re.search(saved, after.log):
        fix = f"{words.given_back}, and let nothing delete what the trainer saves there"
        return [Finding(f"{where}, the job did not go on from its checkpoint of step {at['saved']}", fix, _PAID)]
    same = f"{where}, it went on from step {at['saved']}, to the same weights; {words.lost}"
    return _compare(served, after.model, where, same)


def _compare(served: Served, model: Path, where: str, same: str) -> list[Finding] | str:
    """Whether both have the same weights, bit for bit."""
    ours, theirs = served.server.weights(served.model), served.server.weights(model)
    if other := sum((Counter(map(repr, ours)) - Counter(map(repr, theirs))).values()):
        sums = [sorted(total for _, _, total in one) for one in (ours, theirs)]
        rounding = len(ours) == len(theirs) and all(
            abs(one - two) <= TOLERANCE * max(1.0, abs(one)) for one, two in zip(*sums, strict=True)
        )
        how = "differ by rounding" if rounding else "differ"
        return [
            Finding(
                f"{where} and started again, the job ends with other weights than an undisturbed one: {other} of "
                f"{len(ours)} variables {how}",
                "keep what a layer or a loss remembers in variables of the network (add_weight), draw random numbers "
                "with keras.random and a SeedGenerator of the layer, and let what a callback does follow from the "
                f"epochs that it is shown, in {MODEL_FILE}",
                _PAID,
            )
        ]
    return same
