"""Asks uv, which this package brings, with the index that pip has on this machine."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onstage import stopping

# uv has no variable for this option of pip's, so far.
_NO_INDEX = "UV_NO_INDEX"
# Words of uv's answers that say that it could not ask, rather than that there is nothing.
_NO_ANSWER = re.compile(
    r"Failed to fetch|network was disabled|lookups were disabled|authentication|error sending request"
)


class UnreachableError(Exception):
    """There is no answer: no uv, no index, or no time."""


def cache() -> Path:
    """The folder for what is kept from one command to the next; it need not be there."""
    named = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return Path(named or Path.home() / ".cache") / "onstage"


def environment() -> dict[str, str]:
    """The variables that uv is to have, with pip's index. Raises UnreachableError where there is no uv."""
    if find_spec("uv") is None:
        raise UnreachableError("uv is not installed: pip install uv")
    found = {**os.environ, **_index(), "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    if not {"UV_SYSTEM_CERTS", "UV_NATIVE_TLS"} & set(os.environ):
        # A company's own authority is in the system's store; the second name is the older versions'.
        found |= {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    return found


def pythons(environment: Mapping[str, str]) -> tuple[dict[int, Path], list[int]]:
    """Each minor version of CPython 3 on this machine, with a path, this one's own too; and all that uv knows."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    # uv looks into PATH, where pyenv has only those that are chosen.
    path = os.pathsep.join([environment.get("PATH", ""), *map(str, sorted(versions.glob("*/bin")))])
    # Listed as what could be had are all that there are; a list downloads nothing.
    done = stopping.call(
        [sys.executable, "-m", "uv", "python", "list", "--output-format", "json"],
        env={**environment, "PATH": path, "UV_PYTHON_DOWNLOADS": "automatic"},
    )
    listed = [
        one
        for one in json.loads(done.stdout or "[]")
        if one["implementation"] == "cpython" and one["variant"] == "default" and one["version_parts"]["major"] == 3
    ]
    found = {one["version_parts"]["minor"]: Path(one["path"]) for one in reversed(listed) if one["path"]}
    found[sys.version_info.minor] = Path(sys.executable)
    return found, sorted({one["version_parts"]["minor"] for one in listed} | found.keys())


def pip(
    command: str,
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    cwd: Path | None = None,
    timeout: float = float("inf"),
) -> str | None:
    """Run `uv pip COMMAND` with these words: why there is no solution, in uv's words; None where it has done it.

    Raises UnreachableError where it has no answer, also after `timeout` seconds.
    """
    index = ["--no-index"] if _NO_INDEX in environment else []
    try:
        done = stopping.call(
            [sys.executable, "-m", "uv", "pip", command, *index, *words],
            cwd=cwd,
            env=dict(environment),
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise UnreachableError(f"the index did not answer in {timeout:.0f} s") from None
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    causes = [line.removeprefix("cause: ") for line in lines if not line.startswith("hint: ")]
    if done.returncode != 1 or _NO_ANSWER.search(done.stderr) or "No solution found" not in done.stderr:
        raise UnreachableError(causes[0].removeprefix("error: ") if causes else "uv says nothing")
    reason = re.sub(
        r",? (and|so) (you require [^,]+, )?we can conclude.*|, we can conclude.*", "", " ".join(causes[1:])
    )
    return re.sub(r" and you require [^,]+$", "", reason).removeprefix("Because ").rstrip(".")


def _index() -> dict[str, str]:
    """pip's own index, as uv takes it, unless uv has one. A container has no other, and no folder of wheels either."""
    if any(name.startswith(("UV_INDEX", "UV_DEFAULT_INDEX")) for name in os.environ):
        return {}
    listed = stopping.call([sys.executable, "-m", "pip", "config", "list"]).stdout
    found: dict[str, Any] = {}
    # In the order in which later ones win: what all commands are told, what `install` is told, and the variables.
    for section in ("global", "install", ":env:"):
        for line in listed.splitlines():
            place, equals, value = line.partition("=")
            where, _, key = place.rpartition(".")
            if equals and where == section:
                with suppress(ValueError, SyntaxError):
                    found[key] = ast.literal_eval(value)
    if str(found.get("no-index", "")).lower() in ("1", "true", "yes", "on"):
        return {_NO_INDEX: "1"}
    return {"UV_DEFAULT_INDEX": str(found["index-url"])} if "index-url" in found else {}
