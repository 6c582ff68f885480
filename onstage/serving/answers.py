"""Reads requests, and compares what an endpoint answers with what the trainer's own model answered to the same rows."""

import json
import math
import sys
from pathlib import Path
from typing import Any

from onstage.errors import StartError, UserError

# Differences that another order of additions explains.
TOLERANCE = 1e-4


def read_request(source: str) -> dict[str, Any]:
    """The JSON of a file, or of standard input for `-`. Raises StartError when it is none."""
    try:
        request = json.loads(sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartError(f"no request in {source}: {error}") from error
    if not isinstance(request, dict) or "instances" not in request:
        raise StartError('a request is an object: {"instances": [one row, ...]}')
    return request


def parse(text: str) -> Any:
    """The JSON of an answer. Raises UserError for NaN and infinity, which JSON does not have, and for other text."""

    def refuse(constant: str) -> None:
        raise UserError(f"the answer holds {constant}, which is not JSON: clients cannot read it")

    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError as error:
        raise UserError(f"the answer is not JSON: {text.strip()[:200]}") from error


def rows(response: dict[str, Any]) -> list[Any]:
    """The predictions of a response, one a row; those to columns (`inputs`) come as columns, too."""
    if "predictions" in response:
        return response["predictions"]
    outputs = response.get("outputs")
    if isinstance(outputs, dict):
        return [dict(zip(outputs, values, strict=True)) for values in zip(*outputs.values(), strict=True)]
    return outputs if isinstance(outputs, list) else []


def columns(instances: list[Any]) -> Any:
    """Rows as columns, for a request's `inputs`; rows that are no objects are the one input's values already.

    {"b64": ...} is no object, but bytes.
    """
    if not isinstance(instances[0], dict) or list(instances[0]) == ["b64"]:
        return instances
    return {name: [row[name] for row in instances] for name in instances[0]}


def difference(expected: Any, found: Any, where: str = "predictions") -> str | None:
    """The first place at which two answers differ by more than TOLERANCE, in words; None where they do not."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if sorted(expected) != sorted(found):
            return f"{where} has {sorted(found)}, the trainer's model {sorted(expected)}"
        pairs = [(f"{where}.{name}", expected[name], found[name]) for name in expected]
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return f"{where} has {len(found)} values, the trainer's model {len(expected)}"
        pairs = [(f"{where}[{index}]", *both) for index, both in enumerate(zip(expected, found, strict=True))]
    else:
        return None if _equal(expected, found) else f"{where} is {found!r}, the trainer's model answered {expected!r}"
    return next(filter(None, (difference(left, right, place) for place, left, right in pairs)), None)


def _equal(expected: Any, found: Any) -> bool:
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (expected, found))
    if numbers:
        return math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return type(expected) is type(found) and expected == found
