"""Why pip did not install something, out of all that it says: which package, and what it lacks."""

import re

# What a compiler and a build script of Python say last.
_COMPILER = re.compile(
    r"[^\s:]+(?::\d+)+: fatal error: .*|error: command .* failed.*|error: .*is required.*", re.IGNORECASE
)
_PYTHON = re.compile(r"[\w.]*(?:Error|Exception)\b(?:: .*)?")
_ALONE = (
    r"ERROR: (Cannot install .* because these package versions have conflicting dependencies)\.?",
    r"ERROR: (Package .* requires a different Python: .*)",
    r"ERROR: (.*is not a supported wheel on this platform\.?)",
    r"ERROR: (THESE PACKAGES DO NOT MATCH THE HASHES.*)",
)


def reason(log: str) -> str | None:
    """The package and the reason in one line; None where `log` has no failure of pip."""
    lines = log.splitlines()
    # Whatever comes after it follows from it.
    if full := next((line.strip() for line in lines if "No space left on device" in line), None):
        return full
    for pattern in _ALONE:
        if found := next((match for line in lines if (match := re.fullmatch(pattern, line.strip()))), None):
            return found[1]
    missing = next((line for line in lines if "ERROR: No matching distribution found for " in line), None)
    if missing:
        has_none = any("(from versions: none)" in line for line in lines)
        return missing.partition("ERROR: ")[2] + (", of which there is no version at all" if has_none else "")
    failed = [number for number, line in enumerate(lines) if re.search("× .* did not run successfully", line)]
    if failed:
        return _build(lines, failed[0])
    errors = [line.strip().removeprefix("ERROR: ") for line in lines if line.strip().startswith("ERROR: ")]
    # A line of the job's own log may begin so, too.
    is_pip = any(line.startswith(("Collecting ", "Looking in ", "Processing ")) for line in lines)
    return errors[-1] if errors and is_pip else None


def _build(lines: list[str], failed: int) -> str:
    """Of a package that could not be built: its name and the last words of its own build."""
    named = re.search(r"Building wheel for (\S+)", lines[failed])
    begun = [found[1] for line in lines[:failed] if (found := re.match(r"\s*(?:Collecting|Processing) (\S+)", line))]
    package = named[1] if named else begun[-1].rpartition("/")[2] if begun else "a package"
    output = [line.strip() for line in lines]
    inner = output[failed:] if any("end of output" in line for line in output[failed:]) else output[:failed]
    for pattern in (_COMPILER, _PYTHON):
        if words := [line for line in inner if pattern.fullmatch(line)]:
            return f"{package} cannot be built: {words[0] if pattern is _COMPILER else words[-1]}"
    return f"{package} cannot be built: {lines[failed].strip().removeprefix('× ')}"
