"""Asks a served model in every form that its endpoint takes, and in some that it has to refuse."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from onstage.errors import UserError
from onstage.report import Finding
from onstage.serving.answers import difference, parse, rows

# Source: InvokeEndpoint: a model has 60 seconds to answer; Vertex AI's gives it as many.
SECONDS = 60
# How TensorFlow names the operation of a graph that failed.
_IN_GRAPH = "[[{{"
_RESPONSE = '"response": {"predictions": ...}'
# The server is on this machine, and a company's proxy (HTTP_PROXY), which `trust_env` would ask, does not know it.


@dataclass(frozen=True)
class Form:
    """A request in words, its content type and body, and the status that it should be answered with."""

    name: str
    content_type: str
    body: str
    status: int = 200


def check_health(url: str, unhealthy: str) -> list[Finding] | str:
    """The health check that decides whether an endpoint is ever in service; `unhealthy` is what the cloud says."""
    response = httpx.get(url, timeout=SECONDS, trust_env=False)
    asked = f"GET {httpx.URL(url).path} answers {response.status_code}"
    return asked if response.status_code == 200 else [Finding(asked, cloud=unhealthy)]


def check_answers(
    url: str, forms: Iterable[Form], response: dict[str, Any] | None, not_carried: Sequence[str] = ()
) -> list[Finding] | str:
    """Every form of the trainer's example request is answered as the trainer's own model answered it.

    `response` is that answer; without one, as of a job from elsewhere, the request is made up, and every form has to be
    answered unless the model's graph itself refuses what is in it. `not_carried` are forms that the platform's
    container makes something else of, and why.
    """
    expected = rows(response) if response else None
    asked, findings, by_graph = [], [], []
    for form in forms:
        asked.append(form.name)
        if problem := _problem(ask(url, form), expected):
            findings.append(Finding(f"a request as {form.name}: {problem}", "see the request: onstage serve"))
            by_graph += [problem] if _IN_GRAPH in problem else []
    if expected is None and findings and len(by_graph) == len(asked):
        made_up = f"{by_graph[0]}. The request is made up, of zeros and empty texts: a real one may be answered"
        fix = (
            f'leave one with the model, in assets.extra/example.json: {{"request": {{"instances": ...}}, {_RESPONSE}}}'
        )
        return [Finding(made_up, fix, warning=True)]
    others = f"; not asked: {'; '.join(not_carried)}" if not_carried else ""
    return findings or f"{'as the trainer has it' if expected else 'answered'}: {', '.join(asked)}{others}"


def check_refusals(url: str, forms: Iterable[Form]) -> list[Finding] | str:
    """Wrong requests get a status and a message, not a wrong answer."""
    findings, refused = [], []
    for form in forms:
        response = ask(url, form)
        if response.status_code == form.status and response.json().get("error"):
            refused.append(form.name)
        else:
            answer = f"{response.status_code}: {response.text.strip()[:200]}"
            findings.append(
                Finding(f"{form.name} should be answered with {form.status} and an error; it is with {answer}")
            )
    return findings or f"with a message: {', '.join(refused)}"


def ask(url: str, form: Form) -> httpx.Response:
    """The endpoint's answer."""
    headers = {"Content-Type": form.content_type}
    return httpx.post(url, content=form.body, headers=headers, timeout=SECONDS, trust_env=False)


def _problem(response: httpx.Response, expected: list[Any] | None) -> str | None:
    if response.status_code != 200:
        return f"the endpoint answers {response.status_code}: {response.text.strip()[:500]}"
    try:
        found = rows(parse(response.text))
        return difference(expected, found) if expected else None
    except UserError as error:
        return str(error)
