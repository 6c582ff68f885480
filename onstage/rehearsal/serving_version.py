"""Has another version of TensorFlow load what a job left, and compares its answers: `rehearse --serving-version`.

The check `operations` tells without it which operations and attributes a version lacks; this runs the model, with that
version's kernels and numbers.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from onstage.checks.source_checks import Source
from onstage.errors import UserError
from onstage.rehearsal import operation_checks, replay
from onstage.rehearsal.endpoint_checks import Form, ask
from onstage.rehearsal.trained import TrainedNetwork
from onstage.report import Finding, NotDoneError, Report
from onstage.serving import versions
from onstage.serving.answers import TOLERANCE, difference, parse
from onstage.serving.process import ServedModel, ServingProcess
from onstage.serving.versions import Installed

NAME = "serving-version"


def run(
    report: Report, platform: str, server: ServingProcess, version: Installed, trained: TrainedNetwork, code: Source
) -> None:
    """Report what `version` makes of the models of `server`, and of the first rows of the evaluation data."""

    def check() -> list[Finding] | str:
        try:
            rows = trained.content["rows"]
        except NotDoneError:
            # The signatures are asked all the same, and the check says what was compared.
            rows = []
        return check_version(server, version, rows, code)

    report.run(platform, NAME, check)


def check_version(
    server: ServingProcess, version: Installed, instances: Sequence[Any], code: Source
) -> list[Finding] | str:
    """`version` loads the models of `server`, and answers these rows, and a request to each signature, as it does.

    `code` is what made the models. Raises NotDoneError where there is nothing to compare.
    """
    named = f"TensorFlow {version.tensorflow}"
    with server.again(version.python) as other:
        try:
            served = other.load_models(server.models)
        except UserError as error:
            what, cloud = f"{named} does not load the model: {error}", "an endpoint with it never is in service"
            return [_finding(what, cloud, server, version, code)]
        rows, problem = _compare_rows(server, other, next(iter(served)), instances)
        signatures, second = _compare_signatures(server, other, served)
    if problem or second:
        what = f"{named} does not answer as {versions.here()}, which trained: {problem or second}"
        return [_finding(what, "an endpoint with it is in service, and answers so", server, version, code)]
    if not rows and not signatures:
        raise NotDoneError(f"{named} loads the model, and no request is known that the model answers")
    count = [f"{rows} rows"] * (rows > 0) + [f"a request to {', '.join(signatures)}"] * (len(signatures) > 0)
    return f"{named} answers {' and '.join(count)} as {versions.here()} does"


def _compare_rows(ours: ServingProcess, theirs: ServingProcess, name: str, instances: Sequence[Any]) -> tuple[int, str]:
    """How many rows both answer, and the first difference in words."""
    # What the version that trained does not answer, another check has said.
    _, expected = replay.answers_to(_url(ours, name), instances, most=1)
    refused, found = replay.answers_to(_url(theirs, name), instances[: len(expected)], most=1)
    if refused:
        number, why = refused[0]
        return 0, f"row {number + 1} of the evaluation data, {replay.shown(instances[number])}: {why}"
    pairs = zip(expected, found, strict=False)
    other = [(number, what) for number, pair in enumerate(pairs) if (what := _difference(*pair))]
    if not other:
        return len(found), ""
    number, what = other[0]
    row = f"row {number + 1}, {replay.shown(instances[number])}: {what}"
    return len(found), f"{len(other)} of {len(found)} rows of the evaluation data are answered otherwise; {row}"


def _compare_signatures(
    ours: ServingProcess, theirs: ServingProcess, served: Mapping[str, ServedModel]
) -> tuple[list[str], str]:
    """The signatures of which a request was answered, and the first difference in words."""
    asked, problem = [], ""
    for name, model in served.items():
        for signature, request in model.examples.items():
            expected, found = (_answer(_url(one, name), request) for one in (ours, theirs))
            if isinstance(expected, str):
                # A request of zeros, which a model may refuse.
                continue
            asked.append(signature)
            what = found if isinstance(found, str) else _difference(expected, found)
            if what and not problem:
                problem = f"a request to {signature}, {replay.shown(request)}: {what}"
    return asked, problem


def _url(server: ServingProcess, name: str) -> str:
    return f"{server.rest_url}/v1/models/{name}:predict"


def _answer(url: str, request: dict[str, Any]) -> dict[str, Any] | str:
    """The answer to a request, or why there is none."""
    response = ask(url, Form("JSON", "application/json", json.dumps(request)))
    if response.status_code != 200:
        return f"the endpoint answers {response.status_code}: {response.text.strip()[:300]}"
    try:
        return parse(response.text)
    except UserError as error:
        return str(error)


def _difference(expected: Any, found: Any) -> str:
    what = difference(expected, found, "the answer")
    is_rounding = _has_tie(expected) and difference(_numbers(expected), _numbers(found)) is None
    return "" if what is None or is_rounding else what


def _has_tie(answer: Any) -> bool:
    """Whether two labels are as likely as each other, so that rounding decides which one is named."""
    if isinstance(answer, dict):
        return any(map(_has_tie, answer.values()))
    if isinstance(answer, list) and len(answer) > 1 and all(isinstance(one, float) for one in answer):
        first, second = sorted(answer)[-2:][::-1]
        return first - second <= TOLERANCE
    return isinstance(answer, list) and any(map(_has_tie, answer))


def _numbers(answer: Any) -> Any:
    """`answer` without texts and whole numbers."""
    if isinstance(answer, dict):
        return {name: _numbers(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [_numbers(value) for value in answer]
    return answer if isinstance(answer, float) else None


def _finding(what: str, cloud: str, server: ServingProcess, version: Installed, code: Source) -> Finding:
    """With what the version is known to lack, and the line that uses it."""
    folders = [folder for versions in server.models.values() for folder in versions.values()]
    if lacking := operation_checks.lacking(folders, version.tensorflow, code):
        return Finding(f"{what}\n{lacking.detail}", lacking.fix, cloud, file=lacking.file, line=lacking.line)
    return Finding(what, "serve with a version that answers alike, or replace in the model what is other there", cloud)
