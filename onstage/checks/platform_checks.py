"""What the platforms' tables of images and checks of requests say, in the report's words."""

from collections.abc import Iterable
from typing import Any

from onstage.checks.source_checks import Image
from onstage.problem import Problem
from onstage.report import Finding


def image_of(known: Any) -> Image | None:
    """What the source checks have to know of a platform's training image; None if it is not in the tables."""
    if known is None:
        return None
    major, minor = known.python.split(".")
    name, python = f"the training image {known.tensorflow}", (int(major), int(minor))
    if known.packages is None:
        return Image(name, python, None)
    lines = known.packages.read_text(encoding="utf-8").splitlines()
    pins = tuple(line.strip().lower() for line in lines if not line.startswith("#"))
    return Image(name, python, frozenset(pin.partition("==")[0] for pin in pins), pins)


def request_findings(kind: str, problems: Iterable[Problem], doubts: Iterable[Problem] = ()) -> list[Finding]:
    """What is wrong in a request, and what the cloud takes although nobody wants it; `kind` is its API's name."""
    return [
        *(Finding(f"{kind}, {problem}", problem.fix, problem.cloud) for problem in problems),
        *(Finding(f"{kind}, {problem}", problem.fix, problem.cloud, warning=True) for problem in doubts),
    ]
