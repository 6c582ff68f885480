"""What came of a batch job: each row's answer against the endpoint's, and what a row that is refused costs others."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from onstage.checks import batch_rows
from onstage.errors import UserError
from onstage.report import Finding
from onstage.serving.answers import difference, parse, rows

# Of the many requests of a job to a server on this machine: a company's proxy does not know it, and it has no TLS.
CLIENT: dict[str, Any] = {"timeout": 600, "trust_env": False, "verify": False}
# Rows that are named of those with the same fault, and seconds after which no more rows are asked for alone.
_MOST, _SECONDS = 3, 10.0


@dataclass(frozen=True)
class Refusal:
    """A request of a job that was not answered: the rows of the object `name`, from 1, `first` to `last`, and why."""

    name: str
    first: int
    last: int
    why: str


@dataclass(frozen=True)
class Answered:
    """What came of a job: the answers by their rows' numbers, from 1; the requests that were sent, and those refused.

    `lost` says what the service makes of those.
    """

    answers: Mapping[int, Any]
    requests: int
    refusals: Sequence[Refusal] = ()
    lost: str = ""


@dataclass(frozen=True)
class Rows:
    """The rows of a job, as JSON a line, and where they come from: a file, or what is said of them.

    `problems` are of lines that are not sent, or have a key that another one has; `left_out` are those after the last.
    """

    lines: Sequence[str]
    where: str
    file: str = ""
    numbers: Sequence[int] = ()
    problems: Sequence[Finding] = ()
    left_out: int = 0

    def place(self, row: int) -> int:
        """The line, or the number, of the row that is sent as this one."""
        return self.numbers[row - 1] if self.numbers else row


def check(
    given: Rows, key: str, url: str, attempt: Callable[[Sequence[str]], Answered], refused: str
) -> list[Finding] | str:
    """Whether a job answers `given` as the endpoint at `url` answers each row alone.

    `attempt` runs the job, `refused` says what the service makes of a row that it does not answer.
    """
    findings = [replace(one, cloud=refused) for one in given.problems[:_MOST]]
    if len(given.problems) > _MOST:
        findings[-1].detail += f"; there is something with {len(given.problems) - _MOST} more rows"
    if not given.lines:
        return findings or [Finding(f"{given.where} has no rows to send")]
    outcome, alone = attempt(given.lines), _alone(url, given.lines, key)
    findings += _of_requests(outcome, given, alone)
    bad = [number for number, one in alone.items() if isinstance(one, UserError) and number not in outcome.answers]
    named = {finding.line for finding in findings}
    findings += [_of_row(number, given, alone, outcome) for number in bad if given.place(number) not in named][:_MOST]
    good = [line for number, line in enumerate(given.lines, 1) if number not in bad]
    if outcome.refusals and good and bad:
        # What the others would have had for an answer.
        outcome = attempt(good)
        renumbered = [number for number in range(1, len(given.lines) + 1) if number not in bad]
        given = Rows(good, given.where, given.file, [given.place(number) for number in renumbered])
        alone = {place: alone[number] for place, number in enumerate(renumbered, 1) if number in alone}
        findings += _of_requests(outcome, given, alone)
    findings += _differences(outcome, given, alone)
    return findings or _told(outcome, given, key, len(alone), attempt)


def _told(outcome: Answered, given: Rows, key: str, compared: int, attempt: Callable[[Sequence[str]], Answered]) -> str:
    """What was done, and what a row that is refused costs the others, which a job with one has shown."""
    broken, without = _broken(json.loads(given.lines[0]), key)
    middle = len(given.lines) // 2
    shown = attempt([*given.lines[:middle], json.dumps(broken), *given.lines[middle:]])
    requests = f"{outcome.requests} request{'s' * (outcome.requests != 1)}"
    most = f"the first {len(given.lines)}" if given.left_out else f"{len(given.lines)}"
    by = f", told by {key}" if key else ""
    some = f" (of {compared})" if compared < len(given.lines) else ""
    return (
        f"{most} rows of {given.where} in {requests}{by}, each answered as it is alone{some}; with a row among them "
        f"{without}, row {middle + 1}, {shown.lost}"
    )


def _broken(row: Any, key: str) -> tuple[Any, str]:
    """A row that no model answers, made of a good one, in words, too."""
    names = [name for name in row if name != key] if isinstance(row, dict) and list(row) != ["b64"] else []
    own = {key: "broken"} if key else {}
    if len(names) < 2:
        return {**own, "no_such_input": 0}, "that names another input"
    return {**{name: row[name] for name in names[:-1]}, **own}, f"without {names[-1]!r}"


def _alone(url: str, lines: Sequence[str], key: str) -> dict[int, Any]:
    """What the endpoint answers to each row alone, or a UserError with why not; the first rows of many."""
    found: dict[int, Any] = {}
    asked: dict[str, Any] = {}
    stop = time.monotonic() + _SECONDS
    with httpx.Client(**CLIENT) as client:
        for number, line in enumerate(lines, 1):
            request = json.dumps({"instances": [batch_rows.without_key(json.loads(line), key)]})
            if request not in asked:
                if time.monotonic() > stop:
                    break
                asked[request] = _answer(client, url, request)
            found[number] = asked[request]
    return found


def _answer(client: httpx.Client, url: str, request: str) -> Any:
    response = client.post(url, content=request, headers={"Content-Type": "application/json"})
    if response.status_code != 200:
        return UserError(f"the endpoint answers {response.status_code}: {' '.join(response.text.split())[:300]}")
    try:
        found = rows(parse(response.text))
    except UserError as error:
        return error
    return found[0] if len(found) == 1 else UserError(f"one row has {len(found)} answers")


def _of_requests(outcome: Answered, given: Rows, alone: Mapping[int, Any]) -> list[Finding]:
    """Requests that are refused although the endpoint answers each of their rows: the first one with several rows, and
    those with one.
    """
    found = [(one, finding) for one in outcome.refusals for finding in _of_request(one, outcome, given, alone)]
    single = [finding for one, finding in found if one.first == one.last]
    several = [finding for one, finding in found if one.first < one.last]
    if len(several) > 1:
        several[0].detail += f"; so with {len(several) - 1} more requests"
    return [*single[:_MOST], *several[:1]]


def _of_request(refusal: Refusal, outcome: Answered, given: Rows, alone: Mapping[int, Any]) -> list[Finding]:
    """None where one of the rows is to blame: `_of_row` says it."""
    inside = range(refusal.first, refusal.last + 1)
    if any(isinstance(alone.get(number), UserError) for number in inside):
        return []
    places = [given.place(number) for number in (refusal.first, refusal.last)]
    if refusal.first == refusal.last:
        what, fix = f"the row is not answered: {refusal.why}", "leave it out, or make it smaller"
        return [_at(given, places[0], what, fix, outcome.lost)]
    what = f"rows {places[0]} to {places[1]} of {given.where} are not answered together"
    if not all(number in alone for number in inside):
        return [Finding(f"{what}: {refusal.why}", "look for the row: onstage serve", outcome.lost)]
    row = json.loads(given.lines[0])
    fix = "let the signature take any number of rows: None as first dimension of every input, and an answer for each"
    if not isinstance(row, list | dict):
        named = json.dumps({"NAME": row})
        fix = f"write each row with its input's name, such as {named}; if it is one, {fix}"
    return [Finding(f"{what}, and each of them is alone: {refusal.why}", fix, outcome.lost)]


def _of_row(number: int, given: Rows, alone: Mapping[int, Any], outcome: Answered) -> Finding:
    """A row that the endpoint does not answer either; what the job says of it alone comes first."""
    row = batch_rows.shown(json.loads(given.lines[number - 1]))
    own = [one.why for one in outcome.refusals if one.first == one.last == number]
    fix = "mend the row or leave it out; the endpoint answers every row of the others"
    what = f"the row {row} is not answered: {own[0] if own else alone[number]}"
    return _at(given, given.place(number), what, fix, outcome.lost)


def _at(given: Rows, place: int, what: str, fix: str, cloud: str) -> Finding:
    if given.file:
        return Finding(what, fix, cloud, file=given.file, line=place)
    return Finding(f"row {place} of {given.where}: {what}", fix, cloud)


def _differences(outcome: Answered, given: Rows, alone: Mapping[int, Any]) -> list[Finding]:
    """Rows that are answered otherwise than alone, and those that no request has lost and nobody has answered."""
    lost = {number for one in outcome.refusals for number in range(one.first, one.last + 1)}
    if outcome.answers and (missing := {*range(1, len(given.lines) + 1)} - outcome.answers.keys() - lost):
        what = f"{len(missing)} rows of {given.where} have no answer, the first one is row {given.place(min(missing))}"
        return [Finding(what, "let the signature answer each row once")]
    other = [
        number
        for number, answer in outcome.answers.items()
        if number in alone and not isinstance(alone[number], UserError) and difference(alone[number], answer)
    ]
    if not other:
        return []
    first = min(other)
    answers = f"{batch_rows.shown(outcome.answers[first])}, and alone {batch_rows.shown(alone[first])}"
    what = f"{len(other)} of {len(alone)} rows are answered otherwise in a batch than alone; row {given.place(first)}: "
    fix = "let no answer depend on other rows: no mean over the first dimension, BatchNormalization as in prediction"
    return [Finding(f"{what}{answers}", fix, "the job succeeds, with other answers for other batches")]
