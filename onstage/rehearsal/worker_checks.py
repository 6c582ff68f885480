"""What came of a job of several hosts: one export, weights that are the same everywhere and as of one host, and its end
when a host is lost.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from onstage.project import MODEL_FILE
from onstage.rehearsal import cluster
from onstage.rehearsal.processes import Loss
from onstage.rehearsal.terms import Terms
from onstage.report import Finding, Report

CHECK = "workers"
# How long the others have to end when a host is lost; TensorFlow itself notices within a second.
SECONDS = 60.0
# How far weights may be from those of one host, which adds the same numbers in another order: with SGD, and with
# optimizers that divide by what is almost nothing.
SGD, OTHERS = 1e-5, 1e-2
# More epochs than end before a host is lost.
EPOCHS = 1_000_000
# As the trainer's line of an epoch begins.
_EPOCH = re.compile(r"\bepoch=\d+ ")
_MOST = 3
_TRAINER = "src/trainer/training.py is of a time before this check"
Result = TypeVar("Result")
# Weights, by their names.
Weights = Mapping[str, Any]


@dataclass(frozen=True)
class Words:
    """What a platform calls things: how a script knows whether it is the chief, and what becomes of several files."""

    chief: str
    kept: str
    paid: str


@dataclass(frozen=True)
class Host:
    """A host of a job that ended well: its name, its folder, and what it wrote of what is the chief's."""

    name: str
    root: Path
    wrote: Sequence[str]


@dataclass(frozen=True)
class Ending:
    """How a job ended of which `host` was lost: `seconds` after that, None: it never was.

    `message` is what it said, None: it did not fail; `late`: the others had to be ended.
    """

    host: str
    seconds: float | None
    message: str | None
    late: bool


def is_due(report: Report, platform: str, count: int) -> bool:
    """Whether a job of several hosts is looked at, and has gone well."""
    failed = any(check.id == f"{platform}.train" and check.status == "failed" for check in report.checks)
    return count > 1 and report.wants(platform, CHECK) and not failed


def skip_seed(report: Report, platform: str, *, is_alone: bool) -> None:
    """Say that no second job of several hosts runs beside the first; `is_alone`: one of one host would."""
    if is_alone and report.wants(platform, "seed"):
        report.skip(platform, "seed", "a second job of several hosts does not fit beside the first: see workers")


def losing(name: str, run: Callable[..., Result]) -> tuple[Loss, Result]:
    """Run a job of EPOCHS, and kill the host `name` after the first one; how it was lost, and what came of it."""
    loss = Loss(name, SECONDS, threading.Event())

    def listen(line: str) -> None:
        if _EPOCH.search(line):
            loss.due.set()

    return loss, run(on_line=listen, loss=loss)


def of_cluster(hosts: Sequence[Host], words: Words) -> list[Finding]:
    """What is wrong with what the hosts did together; the first one is the chief."""
    alone = [host.name for host in hosts if not cluster.has_asked(host.root)]
    found = list(_of_files(hosts, words))
    if alone:
        who = " and ".join(alone)
        what = f"{who} never looked for the other hosts: each trains a model of its own, on all rows"
        how = "let tf.distribute.MultiWorkerMirroredStrategy train, as src/trainer/training.py does"
        return [Finding(what, how, words.paid), *found]
    return [*found, *_of_weights(hosts)]


def not_alone(message: str | None, terms: Terms) -> Finding:
    """What is wrong where the job on one host, to compare with, failed with a message, or had to be ended (None)."""
    if message is None:
        what = (
            "the same job on one host, to compare with, had to be ended: it was out of time, or did not end by itself"
        )
        return Finding(what, f"look for what keeps the program; if it only needs longer, {terms.longer}")
    return Finding(f"the same job on one host, to compare with, fails: {_last(message)}", terms.again)


def of_one(hosts: Sequence[Host], one: Host) -> tuple[list[Finding], str]:
    """What is wrong with the weights of several hosts beside those of one; what was compared."""
    theirs, ours = _weights(hosts[0].root), _weights(one.root)
    if not (theirs and ours):
        return [], f"weights not compared: {_TRAINER}"
    tolerance = SGD if any(" sgd/" in f" {name.partition(' ')[2]}" for name in ours) else OTHERS
    far = _far(theirs, ours, tolerance)
    most = max((distance for _, distance in _far(theirs, ours, -1.0)), default=0.0)
    if not far:
        return [], f"{len(ours)} variables as of one host (to {most:.1g})"
    if by_nature := _own_ways(ours):
        return [], f"weights not comparable with those of one host: {by_nature}"
    shown = ", ".join(f"{name.partition(' ')[2]} by {distance:.2g}" for name, distance in far[:_MOST])
    more = f" and {len(far) - _MOST} more" if len(far) > _MOST else ""
    return [
        Finding(
            f"{len(hosts)} hosts train another model than one does; weights differ: {shown}{more}",
            f"look for what each host does with its own rows alone: a loss or a gradient of its own in {MODEL_FILE}",
            "the training in the cloud is not the one that one machine does with the same hyperparameters",
        )
    ], ""


def of_loss(ending: Ending, log: str, words: Words) -> tuple[list[Finding], str]:
    """What is wrong with how a job ended that had lost a host; in how many seconds it ended as it should."""
    host = ending.host
    if ending.seconds is None:
        what = f"{host} was to be lost after the first epoch, and the job ended before that: {_last(log)}"
        return [Finding(what, "rehearse again; if it stays so, look for what a second training changes")], ""
    otherwise = f"{words.paid}, until its limit"
    if ending.late:
        what = (
            f"{host} was killed in the middle of the training, and {SECONDS:.0f} s later the others still wait for it"
        )
        how = "let nothing catch what TensorFlow raises, and let no thread or child keep the program"
        return [Finding(what, how, otherwise)], ""
    if ending.message is None:
        what = f"{host} was killed in the middle of the training, and the job succeeds all the same"
        return [
            Finding(what, "let the error reach the end of the program", "the model has learned of some rows only")
        ], ""
    if host not in ending.message:
        what = f"{host} was killed, and the job's message does not name it: {_last(ending.message)}"
        return [Finding(what, "let the error of src/trainer/cluster.py reach the end of the program", otherwise)], ""
    return [], f"without {host} the job ends within {ending.seconds:.0f} s: {_last(_naming(ending))}"


def _naming(ending: Ending) -> str:
    """The line of the message that names the host."""
    return next(line for line in (ending.message or "").splitlines() if ending.host in line)


def _of_files(hosts: Sequence[Host], words: Words) -> Iterator[Finding]:
    for host in hosts[1:]:
        if host.wrote:
            more = f" and {len(host.wrote) - _MOST} more" if len(host.wrote) > _MOST else ""
            what = f"{host.name}, which is not the chief, wrote {', '.join(host.wrote[:_MOST])}{more}"
            yield Finding(what, f"let the chief alone write it: {words.chief}", words.kept)


def _of_weights(hosts: Sequence[Host]) -> Iterator[Finding]:
    first = _weights(hosts[0].root)
    for host in hosts[1:] if first else ():
        theirs = _weights(host.root)
        far = _far(first, theirs, SGD)
        if not far:
            continue
        names = [name.partition(" ")[2] for name, _ in far]
        moving = [name for name in names if "moving_" in name]
        fix = "write keras.layers.BatchNormalization(synchronized=True)" if moving == names else ""
        shown = ", ".join(f"{name.partition(' ')[2]} by {distance:.2g}" for name, distance in far[:_MOST])
        more = f" and {len(far) - _MOST} more" if len(far) > _MOST else ""
        yield Finding(
            f"{host.name} ends with other weights than {hosts[0].name}: {shown}{more}",
            fix
            or f"look in {MODEL_FILE} for what is not the same on all hosts: a random number without a seed, the time",
            "the chief's are exported, and nobody evaluates the others",
        )


def _weights(root: Path) -> dict[str, Any]:
    """What a host left; nothing where its trainer leaves none."""
    import numpy as np

    place = cluster.weights_of(root)
    if not place.exists():
        return {}
    with np.load(place) as found:
        return dict(found)


def _far(ours: Weights, theirs: Weights, tolerance: float) -> list[tuple[str, float]]:
    """The weights that are further from each other, in parts of them or, below 1, in numbers; the furthest first."""
    import numpy as np

    found = []
    for name in {**ours, **theirs}:
        one, other = ours.get(name), theirs.get(name)
        if one is None or other is None or one.shape != other.shape:
            found.append((name, float("inf")))
        elif one.size and not np.array_equal(one, other, equal_nan=True):
            distance = float(np.max(np.abs(one - other) / np.maximum(1.0, np.abs(one))))
            if not distance <= tolerance:
                found.append((name, distance))
    return sorted(found, key=lambda one: -one[1])


def _own_ways(weights: Weights) -> str:
    """The layers that do not do the same on several hosts by their nature, in words."""
    kinds = {"seed_generator_state": "draws random numbers", "moving_mean": "takes the statistics of a batch"}
    found: dict[str, None] = {}
    for name in weights:
        *path, last = name.partition(" ")[2].split("/")
        layer = next((part for part in reversed(path) if part != "seed_generator"), last)
        if last in kinds:
            found[f"{layer} {kinds[last]}"] = None
    return ", ".join([*found][:_MOST])


def _last(text: str) -> str:
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return said[-1].removeprefix("error: ") if said else "it printed nothing"
