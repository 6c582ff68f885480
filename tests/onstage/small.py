"""Folders that are just enough of a project for what happens before a command begins."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.onstage import commands

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """\
name = "small"
[data]
train = "data/train"
eval = "data/eval"
[sagemaker]
region = "eu-central-1"
instance_type = "ml.m5.xlarge"
endpoint_instance_type = "ml.m5.large"
[vertex]
region = "europe-west4"
machine_type = "n1-standard-4"
"""
ENTRY_POINTS = {"sagemaker": "sagemaker_entry.py", "vertex": "trainer/task.py"}
# What every command does first, without what it does then.
OPEN = "from onstage import errors, installation; raise SystemExit(errors.main(installation.open_project))"

Done = subprocess.CompletedProcess[str]


def write(folder: Path, *platforms: str, pyproject: str | None = "[tool.onstage]\ncontract = 1\n") -> Path:
    """A project in `folder` for these platforms, by default both; without pyproject.toml for None."""
    (folder / "src" / "trainer").mkdir(parents=True)
    (folder / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    for platform in platforms or ENTRY_POINTS:
        (folder / "src" / ENTRY_POINTS[platform]).touch()
    if pyproject is not None:
        (folder / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    return folder


def deep(folder: Path) -> Path:
    """A folder far inside of a project."""
    inside = folder / "notes" / "of today"
    inside.mkdir(parents=True, exist_ok=True)
    return inside


def run(*words: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> Done:
    """Run Python with these words."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def onstage(*words: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> Done:
    """Run `onstage` as a module."""
    return run("-m", "onstage", *words, folder=folder, environment=environment)


def forked(*words: str | Path, folder: Path) -> Done:
    """Run `onstage` in a second less; see tests.onstage.commands."""
    ended = commands.onstage(*words, cwd=folder)
    return subprocess.CompletedProcess(words, ended.code, ended.out, ended.err)


def refusal(done: Done) -> str:
    """The one line of a command that could not start."""
    assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("project: ")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: "), done.stderr
    return lines[0].removeprefix("error: ")
