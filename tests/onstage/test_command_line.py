"""`onstage`: help, completion, and a command line that is none. Nothing is sent."""

import os
import re
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from onstage.checks.model_page import read_model
from onstage.cli import app
from onstage.commands.application import PLATFORMS
from onstage.project import Project
from tests.conftest import Command

COMMANDS = [
    "setup", "upload", "train", "tune", "status", "logs", "stop", "deploy", "predict", "batch", "delete",
]  # fmt: skip


def asked(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), prog_name="onstage", env={"COLUMNS": "200"})


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples_that_it_understands(project: Path, name: str) -> None:
    page = read_model(Project(project))
    for platform in PLATFORMS:
        answer = asked(platform, name, "--help")
        assert answer.exit_code == 0
        text = re.sub(r"\s+", " ", answer.output)
        options, _, examples = text.partition("Examples:")
        found = re.findall(rf"onstage {platform} ({name}.*?)(?= onstage|$)", examples)
        assert found
        for flag in [word for example in found for word in example.split() if word.startswith("--")]:
            if flag not in options:
                page.parse_flags([flag, "1"])


def test_both_platforms_have_the_same_commands() -> None:
    helps = [re.sub(r"(?i)sagemaker|vertex", "", asked(one, "train", "--help").output) for one in PLATFORMS]
    assert "sagemaker" in PLATFORMS
    assert len({re.sub(r"\s+", " ", text) for text in helps}) == 1
    for platform in PLATFORMS:
        assert [name for name in COMMANDS if name not in asked(platform, "--help").output] == []


@pytest.mark.skipif(os.name == "nt", reason="the shell is bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [("onstage rehe", "rehearse"), ("onstage sagemaker tr", "train"), ("onstage sagemaker train --dr", "--dry-run")],
)
def test_bash_completes_commands_and_options(command: Command, tmp_path: Path, words: str, completed: str) -> None:
    # As bash does when somebody presses the tabulator, with what typer prints for it.
    pressed = (
        'eval "$(onstage --show-completion)"\n'
        f"COMP_WORDS=({words})\nCOMP_CWORD={len(words.split()) - 1}\n"
        "\"$(complete -p onstage | sed 's/.*-F \\([^ ]*\\) .*/\\1/')\" onstage\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    answer = command("bash", "-c", pressed, cwd=tmp_path, environment=path)
    assert answer.stdout.split() == [completed], answer.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sagemaker", "trian"], "No such command 'trian'"),
        (["sagemaker", "status", "--all"], "No such option"),
        (["sagemaker", "predict"], "Missing argument 'FILE'"),
        (["sagemaker", "tune", "--trials", "0"], "Invalid value for '--trials'"),
        (["amazon"], "No such command 'amazon'"),
        (["body"], "Missing argument 'FILE'"),
    ],
)
def test_a_command_line_that_is_none_ends_with_2(words: list[str], said: str) -> None:
    answer = asked(*words)
    assert (answer.exit_code, said in re.sub(r"[\s│]+", " ", answer.output)) == (2, True), answer.output


def test_a_command_without_a_word_shows_help() -> None:
    assert "Usage" in asked("sagemaker").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--help"], "as a cloud would: no account, no network, no Docker"),
        (["rehearse", "--help"], "onstage rehearse sagemaker --epochs 1"),
        (["vertex", "deploy", "--help"], "A job's name. [default: the last one sent]"),
    ],
)
def test_help_says_what_a_command_needs_and_how_it_is_asked_for(words: list[str], said: str) -> None:
    answer = asked(*words)
    assert (answer.exit_code, said in re.sub(r"\s+", " ", answer.output)) == (0, True), answer.output
