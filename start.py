"""Renders a project, trains it and rehearses its cloud jobs: `python start.py`. Runs the tests: `python start.py test`.

Standard library only: it has to run on a machine that has nothing but Python 3.10 to 3.13. What it needs, it installs
once: the template's tools and what the tests need into `.venv/`, what the project needs into an environment beside the
project. What it makes, it leaves in `build/`.
"""

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
BUILD = ROOT / "build"
PROJECT = BUILD / "iris_classifier"
# Not inside the project, which is moved away when it is rendered again.
PROJECT_ENVIRONMENT = BUILD / "iris_classifier-venv"
TOOLS = ROOT / "requirements.txt"
TEST_TOOLS = ROOT / "tests" / "requirements.txt"
# What an editable install of this folder copies; all else it reads from here.
PACKAGE = [ROOT / name for name in ("pyproject.toml", "packaging/METADATA", "packaging/entry_points.txt")]
USAGE = """\
usage: python start.py                 render a project, train it, rehearse its cloud jobs
       python start.py test [--long]   run the tests, with --long the slow ones too; options of pytest may follow"""


class StepError(Exception):
    """A step that did not work, with what to do next; `said` is the command's output, if that was kept."""

    def __init__(self, text: str, said: str = "") -> None:
        super().__init__(text)
        self.said = said


def run(
    *command: str | Path, cwd: Path | None = None, quiet: bool = False, variables: Mapping[str, str] | None = None
) -> None:
    """Run a command, with more `variables`; raise StepError with its name, after its output, unless it exits with 0."""
    words = [str(word) for word in command]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if quiet else {}
    environment = {**os.environ, **(variables or {})}
    done = subprocess.run(words, cwd=cwd or ROOT, env=environment, text=True, check=False, **output)
    if done.returncode:
        said = done.stdout or ""
        last = "\n".join(said.splitlines()[-40:])
        raise StepError(f"{last}\nexit code {done.returncode}: {' '.join(words)}".strip(), said)


def python_of(environment: Path) -> Path:
    """The interpreter of an environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def has_uv() -> bool:
    """Whether uv is installed in `.venv/`; it fills the other environment, too."""
    words = [python_of(ENVIRONMENT), "-m", "uv", "--version"]
    return words[0].exists() and subprocess.run(words, capture_output=True, check=False).returncode == 0


def uv_works(*words: str | Path) -> bool:
    """Whether uv is here and did what `words` say; if it failed, one line says why, and that pip follows."""
    if not has_uv():
        return False
    # A company's own certificate authority is in the system's store, which uv reads only when told to. The second name
    # is the older versions'; whoever has set one of them means it.
    names = ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS")
    variables = {} if any(name in os.environ for name in names) else dict.fromkeys(names, "1")
    try:
        run(python_of(ENVIRONMENT), "-m", "uv", *words, quiet=True, variables=variables)
    except StepError as error:
        lines = [line.strip().removeprefix("cause: ") for line in error.said.splitlines()]
        reasons = [line for line in lines if line and not line.startswith("hint: ")]
        reason = reasons[-1].rstrip(".") if reasons else str(error)
        print(f"uv failed: {reason}; going on with venv and pip, which takes minutes longer", flush=True)
        return False
    return True


def pip_install(environment: Path, *words: str | Path) -> None:
    """Install with an environment's pip. From 24.2 on it reads the system's certificates, an older one its own only."""
    pip = [python_of(environment), "-m", "pip"]
    command = [*pip, "install", "--quiet", *words]
    try:
        run(*command, quiet=True)
    except StepError as error:
        store = ssl.get_default_verify_paths()
        system = store.cafile or store.capath
        if not system or "CERTIFICATE_VERIFY_FAILED" not in error.said:
            raise
        # Other certificates than the user's own choice are not tried.
        chosen = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False).stdout
        if ".cert=" in chosen or {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} & os.environ.keys():
            raise
        run(*command, quiet=True, variables={"PIP_CERT": system})


def make_environment(folder: Path) -> None:
    """Make an environment that has pip, unless it is there; the first one gets uv as well, if that can be had."""
    if python_of(folder).exists():
        return
    try:
        if not uv_works("venv", "--quiet", "--seed", "--python", sys.executable, folder):
            # What uv left lacks pip.
            shutil.rmtree(folder, ignore_errors=True)
            run(sys.executable, "-m", "venv", folder, quiet=True)
    except (StepError, KeyboardInterrupt) as error:
        # Half an environment would pass for a whole one.
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, KeyboardInterrupt):
            raise
        hint = "on Debian and Ubuntu: apt-get install python3-venv" if "ensurepip" in str(error) else ""
        raise StepError(f"{error}\nThis Python cannot make a virtual environment. {hint}".strip()) from error
    if folder == ENVIRONMENT:
        try:
            pip_install(folder, "uv")
        except StepError:
            print("uv cannot be installed here; going on with pip, which takes minutes longer", flush=True)


def install(environment: Path, words: Sequence[str | Path], files: Iterable[Path]) -> None:
    """Install what pip's `words` say, unless that was the last thing installed so, and `files` are the same still."""
    asked = hashlib.sha256("\0".join(map(str, words)).encode()).hexdigest()
    read = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
    stamp = environment / f"installed-{asked[:12]}"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == read:
        return
    # Compiled once here: without bytecode each import of TensorFlow takes 10 seconds instead of 4.
    uv = ["pip", "install", "--quiet", "--compile-bytecode", "--python", python_of(environment)]
    if not uv_works(*uv, *words):
        pip_install(environment, *words)
    stamp.write_text(read, encoding="utf-8")


def prepare() -> None:
    """Make both environments, and install what renders."""
    make_environment(ENVIRONMENT)
    install(ENVIRONMENT, ["-r", TOOLS], [TOOLS])
    make_environment(PROJECT_ENVIRONMENT)


def render() -> None:
    """Render the template with its default answers into `build/`; what was there is kept as `build/previous`."""
    if PROJECT.exists():
        shutil.rmtree(BUILD / "previous", ignore_errors=True)
        PROJECT.rename(BUILD / "previous")
    python = python_of(ENVIRONMENT)
    run(python, "-m", "cookiecutter", "--no-input", "--default-config", "--output-dir", BUILD, ROOT, quiet=True)


def install_project() -> None:
    """Install what the project's requirements.txt says, `onstage` from its wheels/ among it."""
    requirements = PROJECT / "requirements.txt"
    wheels = sorted((PROJECT / "wheels").glob("*.whl"))
    install(PROJECT_ENVIRONMENT, ["-r", requirements], [requirements, PROJECT / "src" / "requirements.txt", *wheels])


def timed(name: str, step: Callable[[], None], times: dict[str, float]) -> None:
    """Do one step under a headline and note its seconds."""
    print(f"--- {name}", flush=True)
    started = time.monotonic()
    step()
    times[name] = time.monotonic() - started


def start() -> None:
    """Render, install, train, rehearse; print the verdict."""
    times: dict[str, float] = {}
    python = python_of(PROJECT_ENVIRONMENT)
    timed("environment", prepare, times)
    timed("render", render, times)
    timed("install", install_project, times)
    timed("train", lambda: run(python, "train.py", cwd=PROJECT), times)
    timed("rehearse", lambda: run(python, "-m", "onstage", "rehearse", cwd=PROJECT), times)
    steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
    spent = os.times()
    cpu = spent.user + spent.system + spent.children_user + spent.children_system
    print(f"--- PASSED in {sum(times.values()):.1f} s ({cpu:.1f} s of CPU): {steps}")
    project, environment = PROJECT.relative_to(ROOT), PROJECT_ENVIRONMENT.relative_to(ROOT)
    print(f"The project is in {project}, its packages in {environment}; its README.md says how to go on.")


def test(arguments: Sequence[str]) -> None:
    """Install this folder's `onstage` and what the tests need, and run them; `--long` is ours, all else pytest's."""
    make_environment(ENVIRONMENT)
    words = ["-r", TOOLS, "-r", TEST_TOOLS, "-e", ".[sagemaker,vertex]"]
    install(ENVIRONMENT, words, [TOOLS, TEST_TOOLS, *PACKAGE])
    # Of several -m the last one counts: this one chooses all, pyproject.toml's all but the long ones.
    chosen = ["-m", ""] if "--long" in arguments else []
    run(python_of(ENVIRONMENT), "-m", "pytest", *chosen, *(word for word in arguments if word != "--long"))


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
