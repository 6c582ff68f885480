# Owned by the template.
"""Asks a served model in every form that a SageMaker endpoint takes, and in some that it has to refuse."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from rehearse.answers import columns, difference, parse, rows
from rehearse.report import Finding
from trainer.run import UserError

# Source: InvokeEndpoint: a model has 60 seconds to answer.
SECONDS = 60


def check_ping(url: str) -> list[Finding] | str:
    """The health check that decides whether an endpoint is ever in service."""
    response = httpx.get(f"{url}/ping", timeout=SECONDS)
    if response.status_code == 200:
        return "GET /ping answers 200"
    return [
        Finding(
            f"GET /ping answers {response.status_code}",
            cloud="The primary container for production variant AllTraffic did not pass the ping health check.",
        )
    ]


def check_answers(url: str, example: dict[str, Any], inputs: list[str]) -> list[Finding] | str:
    """Every form of the trainer's example request is answered as the trainer's own model answered it.

    Without an answer of the trainer's, as of a job from elsewhere, every form has to be answered. `inputs` are the
    names of the columns in the order of model.py, empty where that is not known.
    """
    expected = rows(example["response"]) if example["response"] else None
    asked, findings = [], []
    for form, content_type, body in _forms(example["request"], inputs):
        asked.append(form)
        response = _post(url, content_type, body)
        if problem := _problem(response, expected):
            findings.append(Finding(f"a request as {form}: {problem}", "see the request: --keep, or rehearse serve"))
    return findings or f"{'as the trainer has it' if expected else 'answered'}: {', '.join(asked)}"


def check_refusals(url: str, example: dict[str, Any]) -> list[Finding] | str:
    """Wrong requests get a status and a message, not a wrong answer."""
    findings, refused = [], []
    for what, content_type, body, status in _wrong(example["request"]):
        response = _post(url, content_type, body)
        if response.status_code == status and response.json().get("error"):
            refused.append(what)
        else:
            answer = f"{response.status_code}: {response.text.strip()[:200]}"
            findings.append(Finding(f"{what} should be answered with {status} and an error; it is with {answer}"))
    return findings or f"with a message: {', '.join(refused)}"


def _forms(request: dict[str, Any], inputs: list[str]) -> Iterator[tuple[str, str, str]]:
    instances = request["instances"]
    lines = "\n".join(json.dumps(row) for row in instances)
    yield "instances", "application/json", json.dumps(request)
    yield "inputs", "application/json", json.dumps({"inputs": columns(instances)})
    yield "application/jsonlines", "application/jsonlines", lines
    # Source: tensorflowServing.js of AWS's container: rows without a name are taken, a row a line or as list of lists.
    are_lists = isinstance(instances[0], list)
    yield "bare rows", "application/json", json.dumps(instances) if are_lists else lines
    if are_lists and not isinstance(instances[0][0], list):
        yield "text/csv", "text/csv", "\n".join(",".join(map(str, row)) for row in instances)
    if are_lists and len(inputs) == len(instances[0]):
        named = [dict(zip(inputs, row, strict=True)) for row in instances]
        yield "the signature named", "application/json", json.dumps({"signature_name": "named", "instances": named})


def _wrong(request: dict[str, Any]) -> Iterator[tuple[str, str, str, int]]:
    instances = request["instances"]
    yield "another content type", "application/xml", "<row/>", 415
    yield "broken JSON", "application/json", '{"instances": [', 400
    yield "an unknown input", "application/json", json.dumps({"instances": [{"no_such_input": 1}]}), 400
    yield "no rows", "application/json", json.dumps({"instances": []}), 400
    yield (
        "an unknown signature",
        "application/json",
        json.dumps({"signature_name": "none", "instances": instances}),
        400,
    )


def _problem(response: httpx.Response, expected: list | None) -> str | None:
    if response.status_code != 200:
        return f"the endpoint answers {response.status_code}: {response.text.strip()[:500]}"
    try:
        found = rows(parse(response.text))
        return difference(expected, found) if expected else None
    except UserError as error:
        return str(error)


def _post(url: str, content_type: str, body: str) -> httpx.Response:
    return httpx.post(f"{url}/invocations", content=body, headers={"Content-Type": content_type}, timeout=SECONDS)
