"""Another version of TensorFlow than the one that trains: installed once, for a model server that has it."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from onstage import installation, progress, stopping, uv
from onstage.errors import StartError
from onstage.serving import operations

# As a model server needs it; wheels for processors alone are a fifth of the others, and not for every machine.
_NAMES = ("tensorflow-cpu", "tensorflow")
# What the model server is written in.
_OLDEST_PYTHON = 10
# In seconds, for an answer of the index.
_TIME = 60.0
_MARK = "installed.json"
_IMPORT = "import tensorflow; print(tensorflow.__version__)"


@dataclass(frozen=True)
class Installed:
    """A version of TensorFlow, such as 2.15.1, and the Python that has it."""

    tensorflow: str
    python: Path


def here() -> str:
    """The version of TensorFlow that this Python has, which trains; empty for none."""
    return installation.version_of(*_NAMES)


def require(said: str) -> Installed:
    """The minor version `said`, such as 2.15: the one here, or one that is installed in the cache, now or earlier.

    Raises StartError for another text, where no Python of this machine can have it, and where it cannot be installed.
    """
    wanted, (oldest, _) = operations.version(said), operations.known()
    if not re.fullmatch(r"\d+\.\d+", said) or wanted < oldest:
        least = ".".join(map(str, oldest))
        raise StartError(f"--serving-version {said}: a minor version of TensorFlow, {least} or newer, such as {least}")
    if operations.version(here()) == wanted:
        return Installed(here(), Path(sys.executable))
    folder = uv.cache() / "tensorflow" / said
    try:
        return _known(folder) or _installed(said, folder)
    except uv.UnreachableError as error:
        raise StartError(
            f"--serving-version {said}: TensorFlow {said} is installed once, and the index does not answer: {error}"
        ) from error
    except OSError as error:
        raise StartError(
            f"--serving-version {said}: {folder} cannot be written: {error.strerror}; XDG_CACHE_HOME=FOLDER names "
            "another cache"
        ) from error


def _installed(said: str, folder: Path) -> Installed:
    import filelock

    with progress.doing(f"installing TensorFlow {said}, once"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{said}.lock")):
            # Somebody else may have installed it meanwhile.
            return _known(folder) or _install(said, folder)


def _known(folder: Path) -> Installed | None:
    """What is installed in `folder`; None where that was not done to its end, or its Python has gone."""
    python = _python_of(folder)
    with suppress(OSError, ValueError, KeyError):
        version = json.loads((folder / _MARK).read_text(encoding="utf-8"))["tensorflow"]
        if subprocess.run([python, "-I", "-c", ""], capture_output=True, check=False).returncode == 0:
            return Installed(version, python)
    return None


def _install(said: str, folder: Path) -> Installed:
    environment = uv.environment()
    name, python = _choice(said, environment)
    if folder.exists():
        shutil.rmtree(folder)
    own = _python_of(folder)
    _run([sys.executable, "-m", "uv", "venv", "--quiet", "--python", str(python), str(folder)], said, environment)
    words = ["--quiet", "--only-binary", ":all:", "--python", str(own), f"{name}=={said}.*"]
    if problem := uv.pip("install", words, environment):
        raise StartError(f"--serving-version {said}: TensorFlow {said} cannot be installed: {problem}")
    # A processor, or a system's library, can be older than what a wheel needs.
    version = _run([str(own), "-I", "-c", _IMPORT], said, environment | {"TF_CPP_MIN_LOG_LEVEL": "2"})
    (folder / _MARK).write_text(json.dumps({"tensorflow": version}), encoding="utf-8")
    return Installed(version, own)


def _run(command: list[str], said: str, environment: Mapping[str, str]) -> str:
    done = stopping.call(command, env=dict(environment))
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise StartError(f"--serving-version {said}: TensorFlow {said} does not run on this machine: {lines[-1]}")
    return done.stdout.strip()


def _choice(said: str, environment: Mapping[str, str]) -> tuple[str, Path]:
    """The distribution that has a wheel of this version for a Python of this machine, and that Python."""
    own = sys.version_info.minor
    with tempfile.TemporaryDirectory(prefix="wheels-") as folder:
        has_wheel = partial(_has_wheel, said, Path(folder), environment)
        # The Python that trains is known to run; to look for others takes seconds.
        if has_wheel(_NAMES[0], own):
            return _NAMES[0], Path(sys.executable)
        found, known = uv.pythons(environment)
        ours = sorted((minor for minor in found if minor >= _OLDEST_PYTHON), key=lambda minor: (minor != own, -minor))
        for name in _NAMES:
            for minor in ours:
                if has_wheel(name, minor):
                    return name, found[minor]
        others = [minor for minor in known if minor >= _OLDEST_PYTHON and minor not in found]
        for name in _NAMES:
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(partial(has_wheel, name), others))
            if needed := [minor for minor, has_one in zip(others, answers, strict=True) if has_one]:
                raise StartError(
                    f"--serving-version {said}: TensorFlow {said} has wheels for Python {_listed(needed, 'or')}, and "
                    f"this machine has {_listed(sorted(ours), 'and')}: python -m uv python install 3.{needed[-1]}"
                )
    raise StartError(f"--serving-version {said}: the index has no wheel of TensorFlow {said} for this kind of machine")


def _has_wheel(said: str, folder: Path, environment: Mapping[str, str], name: str, minor: int) -> bool:
    file = folder / f"{name}.in"
    file.write_text(f"{name}=={said}.*\n", encoding="utf-8")
    words = ["--quiet", "--no-deps", "--only-binary", ":all:", "--python", sys.executable]
    words += ["--python-version", f"3.{minor}", "--output-file", str(folder / f"{name}-{minor}.txt"), str(file)]
    return uv.pip("compile", words, environment, timeout=_TIME) is None


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _listed(minors: list[int], last: str) -> str:
    words = [f"3.{minor}" for minor in minors]
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
