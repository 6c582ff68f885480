"""What the requirements drag in, as uv resolves it for the image, and what that does to the image's own packages.

The image's versions are preferences, as what is installed is to pip, which leaves a package as it is while it fits.
"""

from collections import deque
from collections.abc import Sequence

from packaging.utils import canonicalize_name

from onstage.checks import requirement_lines
from onstage.checks.import_checks import IMAGE_OWNED
from onstage.checks.requirement_lines import Line
from onstage.checks.resolving import Plan, resolve
from onstage.checks.source_checks import Image, Source
from onstage.report import Finding
from onstage.uv import UnreachableError

_NOT_FOUND = "ERROR: No matching distribution found, or ResolutionImpossible: the job ends before the script starts"
_TENSORFLOW = {"tensorflow", "tensorflow-cpu", "tensorflow-gpu"}


def check_resolution(code: Source, image: Image) -> list[Finding] | str:
    """Packages of the image that the requirements replace by way of others, and what only a compiler installs.

    Nothing is asked where the image has all that is named.
    """
    lines = [line for line in requirement_lines.read(code) if line.applies(image.version)]
    pins = dict(pin.split("==") for pin in image.pins if "==" in pin)
    if all(_is_there(line, pins) for line in lines):
        return f"{image.name} has all that is required" if lines else ""
    try:
        plan = resolve(code, image)
    except UnreachableError as error:
        fix = "try again with a network; what the requirements drag in is not known"
        return [Finding(f"the requirements are not resolved: {error}", fix, warning=True)]
    if plan.problem:
        fix = f"correct the line: {image.name} has Python {image.version}, and no index but those that the file names"
        return [_at(code, lines, _blamed(plan.problem, lines), Finding(plan.problem, fix, _NOT_FOUND))]
    moved = [name for name, version in plan.pins.items() if _moves(name, version, pins)]
    found = [_moved(code, lines, name, plan, pins, image) for name in moved]
    found += [_built(code, lines, name, plan) for name in plan.sources]
    new = [name for name in plan.pins if name not in pins]
    return [one for one in found if one] or f"{len(new)} package{'s' * (len(new) != 1)} beside those of {image.name}"


def _is_there(line: Line, pins: dict[str, str]) -> bool:
    if line.requirement is None or line.requirement.url or line.requirement.extras or line.name not in pins:
        return False
    return line.requirement.specifier.contains(pins[line.name], prereleases=True)


def _moves(name: str, version: str, pins: dict[str, str]) -> bool:
    if name in _TENSORFLOW and name not in pins:
        return True
    # What an index builds for itself, such as 2.12.0+cpu, no other has.
    return name in pins and version.partition("+")[0] != pins[name].partition("+")[0]


def _moved(
    code: Source, lines: Sequence[Line], name: str, plan: Plan, pins: dict[str, str], image: Image
) -> Finding | None:
    chain = _chain(name, plan, lines)
    if len(chain) < 2:
        # Its author names the package herself; what the image is built around is refused by another check.
        return None
    others = [one for one in plan.via.get(name, ()) if one not in chain]
    way = f", by way of {', '.join(reversed(chain[1:-1]))}" if len(chain) > 2 else ""
    also = f" ({name} is needed by {', '.join(others)}, too)" if others else ""
    version, root = plan.pins[name], chain[-1]
    if name in pins:
        what = f"{root} changes the image's own {name} from {pins[name]} to {version}"
        fix = f"name a version of {root} that takes {name} {pins[name]}"
    else:
        own = next((f"{one} {pins[one]}" for one in pins if one in _TENSORFLOW), "TensorFlow")
        what, fix = f"{root} installs {name} {version} over the image's own {own}", f"do without {root}"
    is_harmless = name not in IMAGE_OWNED or (name in _TENSORFLOW and any(pins.get(one) == version for one in pins))
    return _at(
        code,
        lines,
        root,
        Finding(
            f"{what}{way}{also}",
            f"{fix}, unless it is meant" if is_harmless else f"{fix}: {image.name} is built around it",
            "pip's dependency resolver does not currently take into account all the packages that are installed",
            warning=is_harmless,
        ),
    )


def _built(code: Source, lines: Sequence[Line], name: str, plan: Plan) -> Finding:
    chain = _chain(name, plan, lines)
    way = f", which {chain[-1]} needs," if len(chain) > 1 else ""
    return _at(
        code,
        lines,
        chain[-1],
        Finding(
            f"{name} {plan.pins.get(name, '')}{way} has no wheel for the image: every job builds it from source",
            "name a version that has a wheel, or build one and let it travel in src/",
            "error: subprocess-exited-with-error, where the image lacks a compiler or a header",
            warning=True,
        ),
    )


def _chain(name: str, plan: Plan, lines: Sequence[Line]) -> list[str]:
    """From a package to the requirement that brings it, the shortest way."""
    named = {line.name for line in lines}
    ways = deque([[name]])
    seen = {name}
    while ways:
        way = ways.popleft()
        parents = plan.via.get(way[-1], [])
        if way[-1] in named or not parents:
            return way
        for parent in parents:
            if parent not in seen:
                seen.add(parent)
                ways.append([*way, parent])
    return [name]


def _blamed(problem: str, lines: Sequence[Line]) -> str:
    words = {canonicalize_name(word.strip(".,:;").partition("=")[0]) for word in problem.split()}
    return next((line.name for line in lines if line.name and line.name in words), "")


def _at(code: Source, lines: Sequence[Line], name: str, finding: Finding) -> Finding:
    line = next((line for line in lines if line.name == name), None)
    finding.file = code.name(line.file if line else code.requirements)
    finding.line = line.number if line else None
    return finding
