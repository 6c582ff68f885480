"""Which `onstage` runs: the one in the project's `wheels/`, and with the extras that a command needs.

The package is on no index, and anybody could register its name there: no message says `pip install` with its name.
"""

import json
import os
import re
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from onstage import verbosity
from onstage.errors import StartError
from onstage.project import ENTRY_POINTS, NoProjectError, Project, find, install_line, path_for_people

NAME = "onstage"
_WHEEL = re.compile(rf"{NAME}-([^-]+)-py3-none-any\.whl")
# The line of requirements.txt with its extras, and what follows where just one version will do.
_REQUIREMENT = re.compile(rf"(?im)^\s*{NAME}(?![\w.-])\s*(?:\[([^\]\n]*)\])?(.*)$")
_PIN = re.compile(r"\s*={2,3}\s*([^\s;,#*]+)\s*([;#].*)?")


def open_project(*extras: str) -> Project:
    """The project that the working directory lies in, for a command that needs these extras.

    Prints the project's folder when it is not the working directory. Raises StartError where the command cannot start.
    """
    project = find()
    check(project)
    for extra in extras:
        require(extra, project)
    if project.root != Path.cwd() and not verbosity.is_quiet():
        # Standard output may have a request's body.
        print(f"project: {project.root}", file=sys.stderr, flush=True)
    return project


def open_project_if_any() -> Project | None:
    """`open_project`, for a command that needs none: None where no folder on the way up has a project."""
    try:
        find()
    except NoProjectError:
        return None
    return open_project()


def version() -> str:
    """The installed version, with the place of an editable install."""
    distribution = _distribution()
    if distribution is None:
        return "not installed"
    place = _editable(distribution)
    return f"{distribution.version} (editable, {place})" if place else distribution.version


def version_of(*distributions: str) -> str:
    """The version of the first of these distributions that is installed; empty for none."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def check(project: Project) -> None:
    """Raise StartError unless the `onstage` that runs is the project's own; an editable one is accepted.

    The project's own is the one that requirements.txt pins; where that has no pin, any in `wheels/`.
    """
    distribution = _distribution()
    if distribution is not None and _editable(distribution):
        return
    install = install_line(project.root)
    folder = project.root / "wheels"
    wheels = [found[1] for file in sorted(folder.glob("*.whl")) if (found := _WHEEL.fullmatch(file.name))]
    pinned = _requirement(project)[1]
    wanted = [pinned] if pinned else wheels
    if not wheels or (pinned and pinned not in wheels):
        wheel = folder / f"{NAME}-{pinned or '*'}-py3-none-any.whl"
        raise StartError(
            f"{path_for_people(folder)} has no {wheel.name}: is it named in a .gitignore "
            f"(git check-ignore -v {path_for_people(wheel)})? Restore it "
            f"(git checkout -- {path_for_people(folder)}), then {install}"
        )
    if distribution is None:
        raise StartError(f"{NAME} {', '.join(wanted)} is not installed: {install}")
    if distribution.version not in wanted:
        raise StartError(
            f"{NAME} {distribution.version} is installed, the project's own is {', '.join(wanted)}: {install}"
        )


def require(extra: str, project: Project) -> None:
    """Raise StartError unless what the extra `extra` brings is installed and the project runs on it, if a platform."""
    if extra in ENTRY_POINTS and extra not in project.platforms:
        others = " and ".join(project.platforms)
        raise StartError(
            f"this project does not run on {extra}: src/ has no {ENTRY_POINTS[extra]}"
            + (f"; it was rendered for {others}" if others else "")
        )
    _require_packages(extra, project)


def require_packages(extra: str, project: Project | None) -> None:
    """Raise StartError unless what the extra brings is installed, whatever the project runs on; there may be none."""
    if project:
        _require_packages(extra, project)
    elif missing := _missing(extra):
        raise StartError(f"this needs {', '.join(missing)}: pip install {' '.join(missing)}")


def _require_packages(extra: str, project: Project) -> None:
    missing = _missing(extra)
    if missing:
        brackets = f"write {extra} into the brackets of {NAME}[...] in requirements.txt, then "
        raise StartError(
            f"this needs {NAME}[{extra}]; {', '.join(missing)} not installed: "
            f"{'' if extra in _requirement(project)[0] else brackets}{install_line(project.root)}"
        )


def _missing(extra: str) -> list[str]:
    """What the extra adds to the package's requirements and is not installed."""
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
    return missing


def _requirement(project: Project) -> tuple[set[str], str]:
    """The extras and the pinned version, or "", of the package's line in requirements.txt."""
    try:
        text = (project.root / "requirements.txt").read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        # pip says what is wrong with it.
        return set(), ""
    found = _REQUIREMENT.search(text)
    extras, rest = found.groups(default="") if found else ("", "")
    pin = _PIN.fullmatch(rest)
    return {extra.strip() for extra in extras.split(",")}, pin[1] if pin else ""


@cache
def _distribution() -> metadata.Distribution | None:
    try:
        return metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        return None


def _editable(distribution: metadata.Distribution) -> str:
    """The folder of an editable install, as PEP 610 has it; empty for any other."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return ""
    from urllib.parse import unquote, urlsplit

    path = unquote(urlsplit(origin["url"]).path)
    return path.removeprefix("/") if os.name == "nt" else path
