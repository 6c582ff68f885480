"""The forms of a request to a SageMaker endpoint: those that it takes, and some that it has to refuse."""

import json
from collections.abc import Iterator
from typing import Any

from onstage.rehearsal.endpoint_checks import Form
from onstage.serving.answers import columns


def right(request: dict[str, Any], inputs: list[str]) -> Iterator[Form]:
    """Every form of a request's rows; `inputs` are the columns in the order of model.py, empty if not known."""
    instances = request["instances"]
    lines = "\n".join(json.dumps(row) for row in instances)
    yield Form("instances", "application/json", json.dumps(request))
    yield Form("inputs", "application/json", json.dumps({"inputs": columns(instances)}))
    yield Form("application/jsonlines", "application/jsonlines", lines)
    # Source: tensorflowServing.js of AWS's container: rows without a name are taken, a row a line or as list of lists.
    are_lists = isinstance(instances[0], list)
    yield Form("bare rows", "application/json", json.dumps(instances) if are_lists else lines)
    if are_lists and not isinstance(instances[0][0], list):
        yield Form("text/csv", "text/csv", "\n".join(",".join(map(str, row)) for row in instances))
    if are_lists and len(inputs) == len(instances[0]):
        named = [dict(zip(inputs, row, strict=True)) for row in instances]
        body = json.dumps({"signature_name": "named", "instances": named})
        yield Form("the signature named", "application/json", body)


def wrong(request: dict[str, Any]) -> Iterator[Form]:
    """Requests that get an error."""
    instances = request["instances"]
    unknown_signature = json.dumps({"signature_name": "none", "instances": instances})
    yield Form("another content type", "application/xml", "<row/>", 415)
    yield Form("broken JSON", "application/json", '{"instances": [', 400)
    yield Form("an unknown input", "application/json", json.dumps({"instances": [{"no_such_input": 1}]}), 400)
    yield Form("no rows", "application/json", json.dumps({"instances": []}), 400)
    yield Form("an unknown signature", "application/json", unknown_signature, 400)
