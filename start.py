"""Renders a project, trains it and rehearses its cloud jobs: `python start.py`. Runs all tests: `python start.py test`.

Standard library only: it has to run on a machine that has nothing but Python 3.10 to 3.13. What it needs, it installs
into `.venv/`, once; what it makes, it leaves in `build/`.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
BUILD = ROOT / "build"
PROJECT = BUILD / "iris_classifier"
TOOLS = ROOT / "requirements.txt"
TEST_TOOLS = ROOT / "tests" / "requirements.txt"
USAGE = """\
usage: python start.py         render a project, train it, rehearse its cloud jobs
       python start.py test    run all tests; options of pytest may follow"""


class StepError(Exception):
    """A step that did not work, with what to do next."""


def run(*command: str | Path, cwd: Path = ROOT, quiet: bool = False) -> None:
    """Run a command; raise StepError with its name, after its output, unless it exits with 0."""
    words = [str(word) for word in command]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if quiet else {}
    done = subprocess.run(words, cwd=cwd, text=True, check=False, **output)
    if done.returncode:
        said = "\n".join((done.stdout or "").splitlines()[-20:])
        raise StepError(f"{said}\nexit code {done.returncode}: {' '.join(words)}".strip())


def make_environment() -> None:
    """Make `.venv/` with uv in it; without uv, pip does the same more slowly."""
    if PYTHON.exists():
        return
    try:
        run(sys.executable, "-m", "venv", ENVIRONMENT, quiet=True)
    except StepError as error:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        hint = "on Debian and Ubuntu: apt-get install python3-venv" if "ensurepip" in str(error) else ""
        raise StepError(f"{error}\nThis Python cannot make a virtual environment. {hint}".strip()) from error
    try:
        run(PYTHON, "-m", "pip", "install", "--quiet", "uv", quiet=True)
    except StepError:
        print("uv cannot be installed here; going on with pip, which takes minutes longer", flush=True)


def install(*requirements: Path) -> None:
    """Install requirement files into `.venv/`, unless that was done for these very files."""
    lines = [file.read_text(encoding="utf-8") for file in requirements]
    stamp = ENVIRONMENT / f"installed-{hashlib.sha256(''.join(lines).encode()).hexdigest()[:16]}"
    if stamp.exists():
        return
    files = [word for file in requirements for word in ("-r", str(file))]
    # Compiled once here: without bytecode each import of TensorFlow takes 10 seconds instead of 4.
    uv = [PYTHON, "-m", "uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", PYTHON]
    has_uv = subprocess.run([PYTHON, "-m", "uv", "--version"], capture_output=True, check=False).returncode == 0
    run(*(uv if has_uv else [PYTHON, "-m", "pip", "install", "--quiet"]), *files)
    stamp.touch()


def render() -> None:
    """Render the template with its default answers into `build/`; what was there is kept as `build/previous`."""
    if PROJECT.exists():
        shutil.rmtree(BUILD / "previous", ignore_errors=True)
        PROJECT.rename(BUILD / "previous")
    run(PYTHON, "-m", "cookiecutter", "--no-input", "--default-config", "--output-dir", BUILD, ROOT, quiet=True)


def timed(name: str, step: Callable[[], None], times: dict[str, float]) -> None:
    """Do one step under a headline and note its seconds."""
    print(f"--- {name}", flush=True)
    started = time.monotonic()
    step()
    times[name] = time.monotonic() - started


def start() -> None:
    """Render, install, train, rehearse; print the verdict."""
    times: dict[str, float] = {}
    timed("environment", lambda: (make_environment(), install(TOOLS)), times)
    timed("render", render, times)
    timed("install", lambda: install(PROJECT / "requirements.txt"), times)
    timed("train", lambda: run(PYTHON, "train.py", cwd=PROJECT), times)
    timed("rehearse", lambda: run(PYTHON, "-m", "rehearse", cwd=PROJECT), times)
    steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
    spent = os.times()
    cpu = spent.user + spent.system + spent.children_user + spent.children_system
    print(f"--- PASSED in {sum(times.values()):.1f} s ({cpu:.1f} s of CPU): {steps}")
    print(f"The project is in {PROJECT.relative_to(ROOT)}; its README.md says how to go on.")


def test(arguments: Sequence[str]) -> None:
    """Install what the tests need and run them."""
    make_environment()
    install(TOOLS, TEST_TOOLS)
    run(PYTHON, "-m", "pytest", *arguments)


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, 1 when a step failed, 2 for a command line or a Python that cannot be used."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        print(f"TensorFlow 2.21 runs on Python 3.10 to 3.13; this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    try:
        if not arguments:
            start()
        elif arguments[0] == "test":
            test(arguments[1:])
        else:
            print(USAGE, file=sys.stderr)
            return 0 if arguments[0] in ("-h", "--help") else 2
    except StepError as error:
        print(f"--- FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("--- stopped; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
