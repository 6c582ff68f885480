"""The forms of a request to a Vertex AI endpoint: those that it takes, and some that it has to refuse."""

import json
from collections.abc import Iterator
from typing import Any

from onstage.rehearsal.endpoint_checks import Form
from onstage.serving.answers import columns

JSON = "application/json"


def not_carried(request: dict[str, Any]) -> str | None:
    """Why the API lets no request to a signature through; None where it does."""
    if "instances" not in request:
        return "an input of the signature has no first dimension, and requests of Vertex AI are rows"
    if "signature_name" in request:
        return f"the model has no signature serving_default, and requests cannot name {request['signature_name']}"
    return None


def right(request: dict[str, Any]) -> Iterator[Form]:
    """Every form of a request's rows: the API lets no columns and no signature's name through."""
    instances = request["instances"]
    yield Form("instances", JSON, json.dumps({"instances": instances}))
    parameters = {"unused": 1}
    yield Form("instances with parameters", JSON, json.dumps({"instances": instances, "parameters": parameters}))


def wrong(request: dict[str, Any], limit: int) -> Iterator[Form]:
    """Requests that get an error; one of them has more bytes than `limit`."""
    instances = request["instances"]
    body = json.dumps({"instances": instances})
    yield Form("broken JSON", JSON, '{"instances": [', 400)
    yield Form("columns", JSON, json.dumps({"inputs": columns(instances)}), 400)
    yield Form("an unknown input", JSON, json.dumps({"instances": [{"no_such_input": 1}]}), 400)
    yield Form("no rows", JSON, json.dumps({"instances": []}), 400)
    yield Form("a request over the limit", JSON, body + " " * (limit + 1 - len(body)), 400)
