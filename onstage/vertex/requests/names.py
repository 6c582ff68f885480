"""Finds names in a request that do not have the form of their kind: labels, networks, accounts, keys, models."""

import re
from collections.abc import Iterator
from typing import Any

from onstage.problem import Path, Problem, dotted
from onstage.vertex.requests.locations import LONGEST_NAME

# Source: https://cloud.google.com/resource-manager/docs/labels-overview#requirements
_LABEL_KEY = re.compile(r"[^\W\d_A-Z](?:[^\WA-Z]|-){0,62}")
_LABEL_VALUE = re.compile(r"(?:[^\WA-Z]|-){0,63}")
_RESOURCES = {
    "network": (r"projects/\d+/global/networks/[a-z][a-z0-9-]*", "projects/PROJECT_NUMBER/global/networks/NAME"),
    "serviceAccount": (r"[^@\s]+@[^@\s]+\.gserviceaccount\.com", "NAME@PROJECT.iam.gserviceaccount.com"),
    "kmsKeyName": (
        r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+",
        "projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY",
    ),
    "model": (
        r"projects/[^/]+/locations/[^/]+/models/[^/]+|publishers/.+",
        "projects/PROJECT/locations/REGION/models/MODEL",
    ),
}


def unfit(value: Any, path: Path = ()) -> Iterator[Problem]:
    """Yield the names in a body, or in its part at `path`, that do not have their form."""
    if isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from unfit(item, (*path, number))
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        where = (*path, name)
        if name == "displayName" and len(item) > LONGEST_NAME:
            message = f"has {len(item)} characters; {LONGEST_NAME} are allowed"
            yield Problem(dotted(where), message, "shorten it")
        elif name == "labels":
            yield from _labels(item, where)
        elif name in _RESOURCES and isinstance(item, str):
            pattern, form = _RESOURCES[name]
            if item and not re.fullmatch(pattern, item):
                yield Problem(dotted(where), f"{item!r} does not have the form {form}", f"write {form}")
        else:
            yield from unfit(item, where)


def _labels(labels: dict[str, str], path: Path) -> Iterator[Problem]:
    if len(labels) > 64:
        yield Problem(dotted(path), f"has {len(labels)} entries; 64 are allowed", "remove some")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            message = f"{key!r} must begin with a small letter; small letters, digits, _ and - follow, 63 in all"
            yield Problem(dotted(path), message, "rename the label")
        if not _LABEL_VALUE.fullmatch(value):
            message = f"{value!r}, of {key!r}, must be small letters, digits, _ and -, at most 63"
            yield Problem(dotted(path), message, "change the label")
