"""The forms of a request to a SageMaker endpoint: those that it takes, and some that it has to refuse."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from onstage.rehearsal.endpoint_checks import Form
from onstage.serving.answers import columns

_JSON = "application/json"


def right(request: dict[str, Any], inputs: list[str]) -> tuple[list[Form], list[str]]:
    """Every form of a request's rows that the container carries, and why it does not carry the others.

    `inputs` are the columns in the order of model.py, empty if not known.
    """
    from onstage.serving.model_server.sagemaker_front import from_csv, from_json

    if "instances" not in request:
        return [Form("inputs", _JSON, json.dumps(request))], ["rows, which an input without a first dimension has not"]
    instances = request["instances"]
    named_signature = {name: value for name, value in request.items() if name == "signature_name"}
    lines = "\n".join(json.dumps(row) for row in instances)
    are_lists = isinstance(instances[0], list)
    forms = [
        Form("instances", _JSON, json.dumps(request)),
        Form("inputs", _JSON, json.dumps({"inputs": columns(instances), **named_signature})),
    ]
    if named_signature:
        return forms, ["application/jsonlines, bare rows and text/csv, which cannot name a signature"]
    # Source: tensorflowServing.js of AWS's container: rows without a name are taken, a row a line or as list of lists.
    offered = [
        (Form("application/jsonlines", "application/jsonlines", lines), from_json),
        (Form("bare rows", _JSON, json.dumps(instances) if are_lists else lines), from_json),
    ]
    if not isinstance(instances[0], dict):
        offered.append((Form("text/csv", "text/csv", _csv(instances)), from_csv))
    refused = []
    for form, convert in offered:
        made = convert(form.body)
        if _is(made, instances):
            forms.append(form)
        else:
            refused.append(f"{form.name}, of which the container makes {made[:60]}{'...' * (len(made) > 60)}")
    if are_lists and len(inputs) == len(instances[0]):
        named = [dict(zip(inputs, row, strict=True)) for row in instances]
        body = json.dumps({"signature_name": "named", "instances": named})
        forms.append(Form("the signature named", _JSON, body))
    return forms, refused


def _is(made: str, instances: list[Any]) -> bool:
    try:
        return bool(json.loads(made) == {"instances": instances})
    except ValueError:
        return False


def _csv(instances: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(row if isinstance(row, list) else [row] for row in instances)
    return text.getvalue()


def wrong(request: dict[str, Any]) -> Iterator[Form]:
    """Requests that get an error."""
    instances = request.get("instances", [0])
    unknown_signature = json.dumps({"signature_name": "none", "instances": instances})
    yield Form("another content type", "application/xml", "<row/>", 415)
    yield Form("broken JSON", "application/json", '{"instances": [', 400)
    yield Form("an unknown input", "application/json", json.dumps({"instances": [{"no_such_input": 1}]}), 400)
    yield Form("no rows", "application/json", json.dumps({"instances": []}), 400)
    yield Form("an unknown signature", "application/json", unknown_signature, 400)
