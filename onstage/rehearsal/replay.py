"""Sends rows of the evaluation data through an endpoint, as they stand in its files, and some that no file has.

What a model says of a row must not depend on who made its features: `batches` of the reader in training, or the
exported graph in serving. So the objective of the endpoint's answers, by the trainer's own metrics, has to be that of
the checkpoint.
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from onstage.errors import UserError
from onstage.rehearsal import probes
from onstage.rehearsal.endpoint_checks import Form, ask
from onstage.rehearsal.trained import TrainedNetwork
from onstage.report import Finding, NotDoneError, Report
from onstage.serving.answers import parse, rows

NAMES = ("replay", "probes")
# Below what any platform's endpoint takes, and its answers most often, too.
_MOST_BYTES, _MOST_ROWS = 1_000_000, 500
# After these, the rows that are answered are enough.
_SECONDS = 10.0
# Rows whose answers are lost, of which each is looked for: more would say no more.
_MOST_REFUSED = 20
_SERVED_ALL_THE_SAME = "the endpoint is in service, and answers 200"
_ALIKE = (
    "let the signature do to a row what batches() did to it in training, inside of the exported graph, and "
    "examples(count) give the first rows of batches(False), in its order"
)
_ANSWERED = "let the network answer it: keras.ops.maximum before a logarithm, num_oov_indices=1 in a lookup"
_UNLESS = ", unless such a value never comes"

Refused = list[tuple[int, str]]


def run(report: Report, platform: str, url: str, checkpoints: Path | None, trained: TrainedNetwork) -> None:
    """Send the rows of the data, then others that a client may send."""
    report.run(platform, "replay", lambda: check_rows(url, checkpoints, trained))
    report.run(platform, "probes", lambda: check_probes(url, checkpoints, trained))


def check_rows(url: str, checkpoints: Path | None, trained: TrainedNetwork) -> list[Finding] | str:
    """The answers to the first rows give the objective of the checkpoint. Raises NotDoneError."""
    content = trained.content
    refused, answers = answers_to(url, content["rows"], most=1)
    if refused:
        number, why = refused[0]
        node = _nodes(trained, checkpoints, [content["rows"][number]])[0]
        file, line = trained.file(trained.ask("place", number=number))
        row = f"row {number + 1} of the evaluation data, {shown(content['rows'][number])}, is not answered"
        return [_lost(f"{row}: ", why, node, file, line, beyond=False)]
    found = trained.ask("compare", checkpoint=_folder(checkpoints), answers=answers)
    count = f"{len(answers)} rows" if len(answers) == content["all"] else f"{len(answers)} of {content['all']} rows"
    return _difference(found, content["rows"], count, trained) or _said(found, count)


def check_probes(url: str, checkpoints: Path | None, trained: TrainedNetwork) -> list[Finding] | str:
    """Rows that the data does not have are answered with numbers. Raises NotDoneError."""
    content = trained.content
    made = list(probes.make(content["rows"], content["columns"], content["labels"]))
    if not made:
        return "no value of a row can be changed: none is a number or a text"
    refused, _ = answers_to(url, [probe.row for probe in made], most=_MOST_REFUSED)
    # One of a kind says enough.
    firsts: dict[tuple[str, bool], tuple[probes.Probe, str]] = {}
    for number, why in refused:
        firsts.setdefault((made[number].key, made[number].beyond), (made[number], why))
    nodes = _nodes(trained, checkpoints, [probe.row for probe, _ in firsts.values()])
    findings = []
    for (kind, (probe, why)), node in zip(firsts.items(), nodes, strict=True):
        others = [made[number].what for number, _ in refused if (made[number].key, made[number].beyond) == kind][1:]
        also = f" (and {', '.join(dict.fromkeys(others))})" if others else ""
        what = f"no answer where {probe.key} is {probe.what}{also}, in {shown(probe.row)}: "
        findings.append(_lost(what, why, node, "", None, beyond=probe.beyond))
    kinds = ", ".join(dict.fromkeys(probe.what for probe in made))
    return findings or f"{len(made)} rows that the data does not have: {kinds}"


def answers_to(url: str, instances: Sequence[Any], most: int) -> tuple[Refused, list[Any]]:
    """The numbers of the rows that have no answer, `most` of them, and why; or the answers to all, or the first."""
    refused: Refused = []
    answers: list[Any] = []
    waiting = [*reversed(list(_batches(instances)))]
    stop = time.monotonic() + _SECONDS
    while waiting and len(refused) < most and (time.monotonic() < stop or not (answers or refused)):
        start, end = waiting.pop()
        made = _answer(url, instances[start:end])
        if isinstance(made, list) and len(made) == end - start:
            answers += made
        elif end - start > 1:
            # The row that is to blame is looked for in halves.
            middle = (start + end) // 2
            waiting += [(middle, end), (start, middle)]
        else:
            refused.append((start, made if isinstance(made, str) else f"{len(made)} answers to one row"))
    return refused, answers


def shown(row: Any) -> str:
    """A row as a client sends it, with the digits of a float32; the beginning of a long one."""
    text = json.dumps(_short(row))
    return text if len(text) <= 200 else f"{text[:200]}..."


def _short(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        found = {key: _short(one) for key, one in pairs}
        return found if isinstance(value, dict) else list(found.values())
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _difference(found: dict[str, Any], instances: Sequence[Any], count: str, trained: TrainedNetwork) -> list[Finding]:
    """What is wrong with the answers; nothing where they are those of the checkpoint."""
    name, value, anew, by = (found.get(key) for key in ("objective", "checkpoint", "answers", "by"))
    both = f"{name} is {value:.6g} by the checkpoint, {anew:.6g} by " if None not in (value, anew) else ""
    numbers = f"; {both}{by or 'the answers'}" if both and not found["equal"] else ""
    if found.get("alike") is False:
        row, features = found["first"], found["features"]
        of = f"{found['differ']} of {count} of the evaluation data are answered otherwise than by the trained network"
        what = f"row {row + 1}, {shown(instances[row])}: {found['what']}" + (f"; {features}" if features else "")
        file, line = trained.file(found.get("place"))
        return [Finding(f"{of}{numbers}; {what}", _ALIKE, _SERVED_ALL_THE_SAME, file=file, line=line)]
    if by is None or found["equal"] or not found["otherwise"] or (found.get("alike") and found["in_order"]):
        return []
    where = f"in {found['otherwise']} of {count}, {by or 'the answer'} is not the network's output{numbers}"
    fix = "let the signature answer with the output, each value in its place" if found.get("alike") else _ALIKE
    return [Finding(where, fix, _SERVED_ALL_THE_SAME)]


def _said(found: dict[str, Any], count: str) -> str:
    """What was compared, and what could not be."""
    name, value, anew, by = (found.get(key) for key in ("objective", "checkpoint", "answers", "by"))
    if by is not None and found["equal"]:
        return f"{count}: {name}={anew:g} by {by or 'the answers'}, as by the checkpoint ({value:g})"
    if by is None:
        why = "no answer has the shape of the network's output"
    elif found["otherwise"]:
        why = "the answers are in another unit"
    else:
        why = "answers do not give it"
    if found.get("alike"):
        return f"{count} are answered as by the checkpoint's network; {name} not compared: {why}"
    if by is not None and not found["otherwise"]:
        return f"{count}: {by or 'the answer'} is the output of the checkpoint's network; {name} not compared: {why}"
    return f"{count} are answered; {name} not compared: {why}"


def _lost(what: str, why: str, node: dict[str, Any] | None, file: str, line: int | None, *, beyond: bool) -> Finding:
    """A finding about a row without an answer; at the layer's line, where that is known, rather than the row's."""
    origin = f"{node['what']}; " if node else ""
    place = node.get("place") if node else None
    if place:
        if file:
            what = f"{file}, line {line}, {what}"
        file, line = f"src/{place[0]}", place[1]
    text = f"{what}{origin}{' '.join(why.split())}"
    return Finding(text, _ANSWERED + _UNLESS * beyond, warning=beyond, file=file, line=line)


def _nodes(trained: TrainedNetwork, checkpoints: Path | None, instances: list[Any]) -> list[dict[str, Any] | None]:
    """Where the answers to rows are lost, as far as the trainer can tell."""
    try:
        return trained.ask("nodes", checkpoint=_folder(checkpoints), rows=instances) if instances else []
    except NotDoneError:
        return [None] * len(instances)


def _folder(checkpoints: Path | None) -> str:
    if checkpoints is None or not checkpoints.is_dir():
        raise NotDoneError("the job left no checkpoint to compare its model with")
    return str(checkpoints)


def _batches(instances: Sequence[Any]) -> Iterator[tuple[int, int]]:
    start, size = 0, 0
    for number, row in enumerate(instances):
        more = len(json.dumps(row)) + 2
        if number > start and (size + more > _MOST_BYTES or number - start == _MOST_ROWS):
            yield start, number
            start, size = number, 0
        size += more
    if instances:
        yield start, len(instances)


def _answer(url: str, instances: Sequence[Any]) -> list[Any] | str:
    response = ask(url, Form("instances", "application/json", json.dumps({"instances": instances})))
    if response.status_code != 200:
        return f"the endpoint answers {response.status_code}: {response.text.strip()[:300]}"
    try:
        return rows(parse(response.text))
    except UserError as error:
        return str(error)
