"""`onstage body`: whose request a file has, and what the command line says about it."""

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from onstage.errors import StartError
from onstage.rehearsal import recorded
from onstage.rehearsal.recorded import Given, Recorded
from onstage.rehearsal.terms import Terms
from onstage.report import Report


class Rehearsal(Protocol):
    """The module `recorded` of a platform."""

    KEYS: dict[str, str]

    def recognise(self, content: dict[str, Any], name: str) -> Recorded | None:
        """The request in a file's content, if it is one of this platform; `name` for a job that has none."""

    def rehearse(self, report: Report, request: Recorded, given: Given, terms: Terms) -> None:
        """Check, run and serve what can be."""


def recognise(file: Path, platforms: Sequence[str]) -> tuple[str, Recorded]:
    """The platform of the request in `file`, and the request. Raises StartError for a file that has none."""
    content = recorded.read(file)
    name = re.sub("[^a-z0-9-]+", "-", file.stem.lower()).strip("-") or "job"
    for platform in platforms:
        if request := _module(platform).recognise(content, name):
            return platform, request
    looked_for = "; ".join(f"{', '.join(_module(platform).KEYS)} ({platform})" for platform in platforms)
    raise StartError(
        f"{file} has no training or tuning request: its keys are {', '.join(map(str, content)) or 'none'}; looked for "
        f"{looked_for}"
    )


def given(
    file: Path,
    sources: Sequence[Path],
    channels: Sequence[str],
    changed: Sequence[str],
    image_python: str,
    store: Path | None,
) -> Given:
    """The options of the command line. Raises StartError for one that cannot be read."""
    python = re.fullmatch(r"3\.(\d{1,2})", image_python or "3.0")
    if not python:
        raise StartError(f"--image-python is such as 3.12, not {image_python}")
    if store and not store.is_dir():
        raise StartError(f"--store: there is no folder {store}")
    return Given(
        store or file.parent / "store",
        sources,
        {name: Path(path) for name, path in _pairs("--channel", channels, "NAME=PATH").items()},
        _pairs("--set", changed, "NAME=VALUE"),
        (3, int(python[1])) if image_python else None,
    )


def rehearse(report: Report, platform: str, request: Recorded, given_here: Given, time_limit: float) -> None:
    """Rehearse a request of `platform`, in whatever folder."""
    if request.left_out:
        report.not_seen.append(f"of an answer, not of a request, and left out: {', '.join(request.left_out)}")
    for name, value in given_here.changed.items():
        report.not_seen.append(f"the request's own {name}: --set made it {value}")
    terms = Terms(time_limit, (Path.cwd(), Path.home()), "onstage body", of_project=False)
    _module(platform).rehearse(report, request, given_here, terms)


def _module(platform: str) -> Rehearsal:
    module: Any = importlib.import_module(f"onstage.{platform}.agent.recorded")
    return module


def _pairs(option: str, texts: Sequence[str], form: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in (_pair(option, one, form) for one in texts):
        if name in found:
            raise StartError(f"{option} {name} is given twice: {found[name]} and {value}; give one")
        found[name] = value
    return found


def _pair(option: str, text: str, form: str) -> tuple[str, str]:
    # A URI may be a name.
    name, equals, value = text.rpartition("=") if option == "--channel" else text.partition("=")
    if not (name and equals and value):
        raise StartError(f"{option} is {form}, not {text}")
    return name, value
