"""The options of every command: -C, --quiet, --verbose, --version, before a command's name and behind it."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer

from onstage.cli import app
from tests.conftest import Bake
from tests.onstage import small
from tests.onstage.small import forked, refusal

SHARED = {"-C", "--quiet", "--verbose", "--version"}
VERSION = r"onstage \d+\.\d+\.\d+.*\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return small.write(tmp_path / "project")


def all_commands(command: Any) -> list[Any]:
    return [command, *(one for inner in getattr(command, "commands", {}).values() for one in all_commands(inner))]


def test_every_command_has_them_and_no_function_sees_them() -> None:
    found = all_commands(typer.main.get_command(app))
    assert len(found) > 20
    for command in found:
        names = [parameter.opts[0] for parameter in command.params]
        assert set(names) >= SHARED, command.name
        assert len(names) == len(set(names)), command.name
        assert len({parameter.name for parameter in command.params}) == len(names), command.name
        assert not any(one.expose_value for one in command.params if one.opts[0] in SHARED)


@pytest.mark.parametrize(
    "words",
    [
        ("-C", "project", "vertex", "status"), ("vertex", "-C", "project", "status"),
        ("vertex", "status", "-C", "project"), ("-C", ".", "vertex", "status", "-C", "project"),
        ("-C", "project/src", "-C", "..", "vertex", "status"),
    ],
)  # fmt: skip
def test_a_command_starts_in_another_folder(project: Path, words: tuple[str, ...]) -> None:
    file = project / "settings.toml"
    file.write_text(f"{small.SETTINGS}timeout = 0\n", encoding="utf-8")
    said = "settings.toml: [vertex] timeout should be greater than or equal to 1, not 0"
    assert refusal(forked(*words, folder=project.parent)) == said


def test_paths_of_other_options_are_paths_from_there(project: Path) -> None:
    done = forked("rehearse", "vertex", "--json", "report.json", "-C", "project", folder=project.parent)
    assert (done.returncode, done.stderr) == (1, "")
    assert [one.name for one in project.parent.rglob("report.json")] == ["report.json"]
    assert (project / "report.json").is_file()


@pytest.mark.parametrize(("folder", "said"), [("nowhere", "No such file or directory"), ("file", "Not a directory")])
def test_a_folder_that_is_none_is_one_line(project: Path, folder: str, said: str) -> None:
    (project.parent / "file").touch()
    assert refusal(forked("-C", folder, "vertex", "status", folder=project.parent)) == f"-C {folder}: {said}"
    assert refusal(forked("settings", "-C", folder, folder=project.parent)) == f"-C {folder}: {said}"


@pytest.mark.parametrize(
    "words", [("--version",), ("vertex", "--version"), ("vertex", "train", "--version"), ("rehearse", "--version")]
)
def test_every_command_says_which_version_it_is(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = forked(*words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(VERSION, done.stdout)


@pytest.mark.parametrize(
    "words",
    [("rehearse", "--quiet", "--verbose"), ("-q", "rehearse", "-v"), ("-v", "vertex", "-q", "status"),
     ("rehearse", "-qv")],
)  # fmt: skip
def test_quiet_and_verbose_exclude_each_other(project: Path, words: tuple[str, ...]) -> None:
    assert refusal(forked(*words, folder=project)).endswith("--quiet or --verbose, not both")
    assert forked("-q", "rehearse", "-q", folder=project).returncode == 1


def test_quiet_leaves_what_is_wrong_and_the_verdict(project: Path) -> None:
    for words in (("-q", "rehearse", "vertex"), ("rehearse", "vertex", "--quiet")):
        done = forked(*words, folder=small.deep(project))
        assert (done.returncode, done.stderr) == (1, "")
        heads = [line.split() for line in done.stdout.splitlines() if not line.startswith(" ")]
        assert [line[-1] for line in heads[:-1]] == ["FAILED"] * (len(heads) - 1)
        assert re.match(r"\d+ FAILED, ", done.stdout.splitlines()[-1])
    loud = forked("rehearse", "vertex", folder=small.deep(project))
    assert re.search(r"(?m)^project\.settings .* passed$", loud.stdout)
    assert loud.stderr == f"project: {project}\n"


def test_verbose_shows_where_a_message_comes_from(project: Path) -> None:
    plain = forked("serve", folder=project)
    assert "Traceback" not in plain.stderr
    verbose = forked("serve", "--verbose", folder=project)
    assert (verbose.returncode, verbose.stdout) == (2, "")
    assert verbose.stderr.startswith("Traceback")
    assert verbose.stderr.splitlines()[-1] == plain.stderr.strip()


def test_verbose_shows_where_a_failed_check_comes_from(project: Path) -> None:
    (project / "settings.toml").write_text("[vertex", encoding="utf-8")
    assert "Traceback" not in forked("rehearse", "vertex", folder=project).stdout
    verbose = forked("-v", "rehearse", "vertex", folder=project)
    assert (verbose.returncode, verbose.stderr) == (1, "")
    assert verbose.stdout.startswith("Traceback")
    assert "TOMLDecodeError" in verbose.stdout
    assert re.search(r"(?m)^project\.settings .* FAILED\n    settings\.toml cannot be read", verbose.stdout)


@pytest.mark.skipif(os.name == "nt", reason="the shell is bash")
def test_completion_does_what_the_options_say_not(project: Path) -> None:
    words = "onstage -C nowhere --version -q -v vertex sta"
    pressed = {"_ONSTAGE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = small.onstage(folder=project, environment=pressed)
    assert (done.stdout.split(), done.stderr) == (["status"], "")


@pytest.mark.long
def test_hyperparameters_of_these_names_come_after_two_dashes(bake: Bake, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(bake(platform="sagemaker"), copy)
    model = copy / "src" / "trainer" / "model.py"
    text = model.read_text(encoding="utf-8")
    assert "    seed: int = 0\n" in text
    model.write_text(text.replace("    seed: int = 0\n", "    seed: int = 0\n    verbose: int = 0\n"), encoding="utf-8")
    said = "--verbose: 'many' is not a whole number"
    for words in (("rehearse", "sagemaker"), ("rehearse",), ("sagemaker", "train", "--dry-run")):
        done = forked(*words, "--", "--verbose", "many", "--epochs", "1", folder=copy)
        assert said in re.sub(r"\s+", " ", done.stdout + done.stderr), done.stdout + done.stderr
        # One of onstage's own: `many` is no flag.
        assert said not in forked(*words, "--verbose", "many", folder=copy).stdout
