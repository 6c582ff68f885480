"""Which `onstage` runs: the one in the project's `wheels/`, and with the extras that a command needs.

The package is on no index, and anybody could register its name there: no message says `pip install` with its name.
"""

import json
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from onstage.errors import StartError
from onstage.project import Project, find, path_for_people

NAME = "onstage"


def open_project(*extras: str) -> Project:
    """The project that the working directory lies in, for a command that needs these extras.

    Prints the project's folder when it is not the working directory. Raises StartError where the command cannot start.
    """
    project = find()
    if project.root != Path.cwd():
        print(f"project: {project.root}", file=sys.stderr, flush=True)
    check(project)
    for extra in extras:
        require(extra, project)
    return project


def version() -> str:
    """The installed version, with the place of an editable install."""
    distribution = _distribution()
    if distribution is None:
        return "not installed"
    place = _editable(distribution)
    return f"{distribution.version} (editable, {place})" if place else distribution.version


def check(project: Project) -> None:
    """Raise StartError unless the `onstage` that runs is the project's own; an editable one is accepted."""
    distribution = _distribution()
    if distribution is not None and _editable(distribution):
        return
    install = _pip_line(project)
    wheels = sorted((project.root / "wheels").glob(f"{NAME}-*.whl"))
    if not wheels:
        raise StartError(
            f"wheels/ has no wheel of {NAME}: is the folder named in a .gitignore (git check-ignore -v wheels)? "
            f"Restore it (git checkout wheels, or cruft update), then {install}"
        )
    wanted = [file.name.split("-")[1] for file in wheels]
    if distribution is None:
        raise StartError(f"{NAME} {wanted[0]} is not installed: {install}")
    if distribution.version not in wanted:
        raise StartError(
            f"{NAME} {distribution.version} is installed, the project has {', '.join(wanted)} in wheels/: {install}"
        )


def require(extra: str, project: Project) -> None:
    """Raise StartError unless what the extra `extra` brings is installed."""
    from packaging.requirements import Requirement

    distribution = _distribution()
    lines = (distribution.requires if distribution else None) or []
    missing = []
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        # Only with the extra, not without it.
        if marker and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            try:
                metadata.version(requirement.name)
            except metadata.PackageNotFoundError:
                missing.append(requirement.name)
    if missing:
        raise StartError(
            f"this needs {NAME}[{extra}], of which {', '.join(missing)} is not installed: write {extra} into the "
            f"brackets of {NAME}[...] in requirements.txt, then {_pip_line(project)}"
        )


def _pip_line(project: Project) -> str:
    return f"pip install -r {path_for_people(project.root / 'requirements.txt')}"


@cache
def _distribution() -> metadata.Distribution | None:
    try:
        return metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        return None


def _editable(distribution: metadata.Distribution) -> str:
    """The folder of an editable install, as PEP 610 has it; empty for any other."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return origin.get("url", "").removeprefix("file://") if origin.get("dir_info", {}).get("editable") else ""
