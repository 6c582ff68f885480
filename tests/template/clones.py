"""Clones of this repository, as cookiecutter, cruft and pip get it, projects rendered from them, and installers."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import Command

COOKIECUTTER = [sys.executable, "-m", "cookiecutter", "--no-input"]
CRUFT = [sys.executable, "-m", "cruft"]
UV = [sys.executable, "-m", "uv"]
SLUG = "iris_classifier"


def own_environment(folder: Path) -> dict[str, str]:
    """Variables with which git, cookiecutter and cruft use `folder` for a home."""
    folder.mkdir(parents=True, exist_ok=True)
    identity = {f"GIT_{role}_{part}": "a@b" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    return {"HOME": str(folder), "USERPROFILE": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **identity}


class Shell:
    """Runs commands that have to work, with a home of its own."""

    def __init__(self, command: Command, home: Path) -> None:
        self.command = command
        self.environment = own_environment(home)

    def __call__(self, *words: str | Path, cwd: Path, **variables: str) -> str:
        """What the command prints; it has to end with exit code 0."""
        done = self.run(*words, cwd=cwd, **variables)
        assert done.returncode == 0, f"{[str(word) for word in words]}: {done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
        """The command's result, whatever its exit code."""
        return self.command(*words, cwd=cwd, environment={**self.environment, **variables})

    def commit(self, folder: Path) -> None:
        """Commit all that lies in `folder` and is not ignored."""
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "state", "--allow-empty"]):
            self("git", *words, cwd=folder)

    def render(self, template: str | Path, output: Path, *options: str, cwd: Path | None = None) -> Path:
        """The default project, rendered by cookiecutter's command into `output`."""
        self(*COOKIECUTTER, "--output-dir", output, *options, str(template), cwd=cwd or output.parent)
        return output / SLUG


class Installer:
    """An empty environment, and uv, pip 23 or the newest pip, which installs into it."""

    def __init__(self, name: str, folder: Path, shell: Shell) -> None:
        self.shell = shell
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.words = [self.python, "-m", "pip", "install", "--disable-pip-version-check"]
        shell(*UV, "venv", "--quiet", "--python", sys.executable, folder, cwd=folder.parent)
        if name == "uv":
            self.words = [*UV, "pip", "install", "--python", self.python]
        else:
            pip = "pip==23.*" if name == "pip 23" else "pip"
            shell(*UV, "pip", "install", "--quiet", "--python", self.python, pip, cwd=folder.parent)

    def __call__(self, *words: str | Path, cwd: Path) -> None:
        """Install what these words name, and nothing that it needs."""
        self.shell(*self.words, "--no-deps", *words, cwd=cwd)

    def install_all(self, requirements: str | Path, cwd: Path) -> None:
        """Install a requirements file whole; compiled, TensorFlow is imported in half the time."""
        self.shell(*self.words, "--quiet", "--compile-bytecode", "-r", requirements, cwd=cwd)

    def installed(self, cwd: Path) -> tuple[str, str]:
        """The version of onstage, and the last line of its report.py."""
        code = "import importlib.metadata, onstage; print(importlib.metadata.version('onstage'), onstage.__file__)"
        version, _, package = self.shell(self.python, "-c", code, cwd=cwd).strip().partition(" ")
        return version, Path(package).with_name("report.py").read_text(encoding="utf-8").splitlines()[-1]


def wheel_of(project: Path) -> Path:
    """The one wheel in the project's `wheels/`."""
    (wheel,) = (project / "wheels").iterdir()
    return wheel


def fingerprint(wheel: Path) -> tuple[str, str]:
    """A wheel's file name and sha256."""
    return wheel.name, hashlib.sha256(wheel.read_bytes()).hexdigest()


def written(folder: Path) -> Iterator[str]:
    """The files in `folder`, bytecode of cookiecutter's own imports and git's files aside."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        bytecode = name.startswith(("__pycache__/template_", "__pycache__/answer_rules."))
        if path.is_file() and not bytecode and not name.startswith(".git/"):
            yield name
