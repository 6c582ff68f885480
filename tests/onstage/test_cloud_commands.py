"""`python -m cloud`: help, completion, exit codes, and what is kept between two commands. Nothing is sent."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command

COMMANDS = [
    "setup", "upload", "train", "tune", "status", "logs", "stop", "deploy", "predict", "batch", "delete",
]  # fmt: skip
HEAVY = ("boto3", "botocore", "google", "tensorflow", "keras", "httpx", "cloud.settings")


@pytest.fixture(scope="module")
def app(project: Path) -> Any:

    return __main__


@pytest.fixture
def work(project: Path, tmp_path: Path) -> Path:
    """A project to write in."""
    return Path(shutil.copytree(project, tmp_path / "project"))


def asked(app: Any, *words: str) -> Any:
    from typer.testing import CliRunner

    return CliRunner().invoke(app.app, list(words), prog_name="python -m cloud")


@pytest.fixture(scope="module")
def platforms(app: Any) -> list[str]:
    return app.PLATFORMS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples_that_it_understands(
    app: Any, platforms: list[str], name: str
) -> None:
    from trainer.run import load_model, parse_flags

    for platform in platforms:
        answer = asked(app, platform, name, "--help")
        assert answer.exit_code == 0
        text = re.sub(r"\s+", " ", answer.output)
        examples = re.findall(
            rf"python -m cloud {platform} ({name}.*?)(?= python -m cloud|$)", text.split("Examples:")[1]
        )
        assert examples
        flags = [word for example in examples for word in example.split() if word.startswith("--")]
        options = text.split("Examples:")[0]
        for flag in flags:
            if flag not in options:
                parse_flags(load_model().Hyperparameters, [flag, "1"])


def test_both_platforms_have_the_same_commands(app: Any, platforms: list[str]) -> None:
    helps = [re.sub(r"(?i)sagemaker|vertex", "", asked(app, one, "train", "--help").output) for one in platforms]
    assert "sagemaker" in platforms
    assert len({re.sub(r"\s+", " ", text) for text in helps}) == 1
    assert "setup" in asked(app, platforms[0], "--help").output


def test_help_imports_nothing_heavy(project: Path, command: Command) -> None:
    code = (
        "import sys; from cloud.__main__ import app\n"
        "try: app(['sagemaker', 'train', '--help'])\n"
        "except SystemExit: pass\n"
        f"print('heavy:', *(name for name in {HEAVY} if name in sys.modules))"
    )
    done = command(sys.executable, "-c", code, cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy:"


@pytest.mark.parametrize(
    ("words", "completed"),
    [("cloud sagem", "sagemaker"), ("cloud sagemaker dep", "deploy"), ("cloud sagemaker train --dr", "--dry-run")],
)
def test_a_shell_completes_commands_and_options(project: Path, command: Command, words: str, completed: str) -> None:
    script = command(sys.executable, "-m", "cloud", "completion", "bash", cwd=project).stdout
    # As bash does when somebody presses the tabulator.
    pressed = f"{script}\nCOMP_WORDS=({words})\nCOMP_CWORD={len(words.split()) - 1}\n"
    pressed += '_cloud_completion cloud\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    answer = command(
        "bash", "-c", pressed, cwd=project, environment={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    )
    assert answer.stdout.split() == [completed], answer.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sagemaker", "trian"], "No such command 'trian'"),
        (["sagemaker", "status", "--all"], "No such option"),
        (["sagemaker", "predict"], "Missing argument 'FILE'"),
        (["sagemaker", "tune", "--trials", "0"], "Invalid value for '--trials'"),
        (["amazon"], "No such command 'amazon'"),
    ],
)
def test_a_command_line_that_is_none_ends_with_2(app: Any, words: list[str], said: str) -> None:
    answer = asked(app, *words)
    assert (answer.exit_code, said in re.sub(r"[\s│]+", " ", answer.output)) == (2, True), answer.output


def test_a_command_without_a_word_shows_help(app: Any) -> None:
    assert "Usage" in asked(app, "sagemaker").output


def test_a_platform_without_its_section_is_named(work: Path, command: Command) -> None:
    settings = work / "settings.toml"
    settings.write_text(settings.read_text(encoding="utf-8").partition("[sagemaker]")[0], encoding="utf-8")
    done = command(sys.executable, "-m", "cloud", "sagemaker", "status", cwd=work)
    assert (done.returncode, done.stderr) == (1, "error: settings.toml has no section [sagemaker]\n")


def test_without_boto3_one_line_says_what_to_install(work: Path, command: Command) -> None:
    (work / "boto3.py").write_text("raise ImportError('no boto3')\n", encoding="utf-8")
    done = command(sys.executable, "-m", "cloud", "sagemaker", "status", "a-job", cwd=work)
    assert (done.returncode, done.stderr) == (
        1,
        "error: boto3 is missing; install it with: pip install -r requirements.txt\n",
    )


def test_the_last_of_a_kind_is_remembered_until_it_is_forgotten(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onstage.commands import state

    monkeypatch.setattr(state, "FOLDER", tmp_path)
    assert state.last("sagemaker", *state.JOBS) is None
    for count, (kind, name) in enumerate([("training", "a"), ("tuning", "b"), ("training", "c"), ("endpoint", "d")]):
        state.remember("sagemaker", kind, name)
        file = tmp_path / "sagemaker" / kind / f"{name}.json"
        os.utime(file, ns=(count, count))
    assert state.last("sagemaker", *state.JOBS) == ("training", "c")
    assert state.last("sagemaker", "tuning") == ("tuning", "b")
    assert state.last("vertex", *state.JOBS) is None
    state.forget("sagemaker", "training", "c")
    assert state.last("sagemaker", *state.JOBS) == ("tuning", "b")
    state.forget("sagemaker", "training", "c")


def test_a_change_in_src_makes_a_rehearsal_stale(work: Path, command: Command) -> None:
    note = "from cloud import rehearsed; rehearsed.note('sagemaker')"
    ask = "from cloud import rehearsed; print(rehearsed.problem('sagemaker'), rehearsed.problem('vertex'), sep='|')"

    def problems() -> list[str]:
        done = command(sys.executable, "-c", ask, cwd=work)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().split("|")

    assert problems() == ["src/ has not been rehearsed"] * 2
    subprocess.run([sys.executable, "-c", note], cwd=work, check=True)
    assert problems() == ["None", "src/ has not been rehearsed"]
    with (work / "src" / "trainer" / "model.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert problems()[0].startswith("src/ has changed since it was rehearsed (")
    (work / "runs" / "rehearsed.json").write_text("{", encoding="utf-8")
    assert problems()[0] == "src/ has not been rehearsed"


def test_pauses_grow_but_stay_short(project: Path) -> None:
    from onstage.commands.show import pauses

    first = list(itertools.islice(pauses(), 20))
    assert first == sorted(first)
    assert (first[0], first[-1]) == (0.3, 5.0)


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (200_000_000, "200.0 MB"), (3e13, "30.0 TB")]
)
def test_bytes_are_shown_in_the_unit_that_suits(project: Path, count: float, shown: str) -> None:
    from onstage.commands.show import size

    assert size(count) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(5.9, "00:05"), (61, "01:01"), (3723, "1:02:03")])
def test_seconds_are_shown_as_a_clock(project: Path, seconds: float, shown: str) -> None:
    from onstage.commands.show import clock

    assert clock(seconds) == shown
