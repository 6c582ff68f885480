"""Asks uv which versions the requirements of `src/` come to in an image; what it said is kept for a day."""

import hashlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from onstage import progress, uv
from onstage.checks import requirement_lines
from onstage.checks.source_checks import Image, Source
from onstage.uv import UnreachableError

# In seconds: what a check may take, and how long an index is taken to have nothing new.
TIME, FRESH = 20.0, 86400.0


@dataclass(frozen=True)
class Plan:
    """Versions by package, what needs each (none: the requirements themselves), and what has no wheel.

    `problem`, in uv's words, is why there is no plan.
    """

    pins: dict[str, str] = field(default_factory=dict)
    via: dict[str, list[str]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    problem: str = ""


def resolve(code: Source, image: Image) -> Plan:
    """The plan for the requirements of `code`. Raises UnreachableError without an answer and without an older one."""
    texts = [file.read_text(encoding="utf-8-sig", errors="replace") for file in requirement_lines.files(code)]
    key = hashlib.sha256("\0".join([*texts, image.version, *image.pins]).encode()).hexdigest()[:32]
    kept = uv.cache() / "resolved" / f"{key}.json"
    known = _read(kept)
    if known and 0 <= time.time() - kept.stat().st_mtime < FRESH:
        return known
    try:
        with progress.doing("resolving the requirements"):
            plan = _ask(code, image)
    except UnreachableError:
        if known:
            return known
        raise
    # A home that cannot be written keeps nothing.
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    return plan


def _read(kept: Path) -> Plan | None:
    try:
        return Plan(**json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _ask(code: Source, image: Image) -> Plan:
    until = time.monotonic() + TIME
    environment = uv.environment()
    with tempfile.TemporaryDirectory(prefix="resolved-") as temporary:
        plan, kept, lock = (Path(temporary, name) for name in ("plan.txt", "kept.txt", "pylock.toml"))
        # Versions in a file that uv is to write are what it prefers.
        wanted = _preferred(image)
        _write_pins(plan, wanted)
        words = ["--annotation-style=line", code.requirements.name, "-o", str(plan)]
        said = _run(code, image, words, environment, until)
        if said is not None:
            return Plan(problem=said)
        pins, via = _annotated(plan.read_text(encoding="utf-8"))
        # With several indexes uv forgets what it prefers: what can stay is held one by one.
        held: dict[str, str] = {}
        moved = [name for name in pins if pins[name] != wanted.get(name, pins[name])]
        for name in moved if _has_index(code) else ():
            _write_pins(kept, {**held, name: wanted[name]})
            if _run(code, image, ["-c", str(kept), *words], environment, until) is None:
                held[name] = wanted[name]
                pins, via = _annotated(plan.read_text(encoding="utf-8"))
        # All that this asks has just been fetched.
        words = ["--no-deps", "--offline", "--format=pylock.toml", str(plan), "-o", str(lock)]
        sources = [] if _run(code, image, words, environment, until) else _without_wheels(lock.read_text("utf-8"))
        return Plan(pins, via, sources)


def _run(code: Source, image: Image, words: list[str], environment: Mapping[str, str], until: float) -> str | None:
    """Why there is no solution; None where there is one."""
    platform = ["--python-version", image.version, "--python-platform", "x86_64-manylinux_2_28"]
    common = ["--quiet", "--no-header", "--python", sys.executable, "--index-strategy=unsafe-best-match", *platform]
    return uv.pip(
        "compile",
        [*common, *words],
        environment,
        # pip is started there, too: paths in the file begin there.
        cwd=code.requirements.parent,
        timeout=max(1.0, until - time.monotonic()),
    )


def _preferred(image: Image) -> dict[str, str]:
    pins = dict(pin.split("==") for pin in image.pins if "==" in pin)
    # The image for CPU has it under this name; what needs TensorFlow needs it by the other.
    return {"tensorflow": pins["tensorflow-cpu"], **pins} if "tensorflow-cpu" in pins else pins


def _write_pins(file: Path, pins: Mapping[str, str]) -> None:
    file.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()), encoding="utf-8")


def _has_index(code: Source) -> bool:
    texts = [file.read_text(encoding="utf-8-sig", errors="replace") for file in requirement_lines.files(code)]
    return any(re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links)", text, re.MULTILINE) for text in texts)


def _annotated(text: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Versions and parents of lines such as `numpy==1.26.4  # via autograd, -r requirements.txt`."""
    pins, via = {}, {}
    for line in text.splitlines():
        found = re.match(r"([\w.-]+)(?:==|\s*@\s*)(\S+)(?:.*#\s*via\s+(.*))?", line)
        if found:
            name, pins[found[1].lower()] = found[1].lower(), found[2]
            parents = [one.strip() for one in (found[3] or "").split(",")]
            via[name] = [one.lower() for one in parents if one and not one.startswith("-")]
    return pins, via


def _without_wheels(lock: str) -> list[str]:
    packages = lock.split("[[packages]]")[1:]
    bare = [one for one in packages if not re.search(r"^(wheels|\[packages.wheels)|\.whl", one, re.MULTILINE)]
    names = [re.search(r'^name = "([^"]+)"', one, re.MULTILINE) for one in bare if re.search("sdist", one)]
    return [found[1] for found in names if found]
