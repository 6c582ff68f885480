"""`python start.py` does everything on a machine that has nothing but Python."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import start
from tests.conftest import ROOT, Command


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """start.py's folders, moved to `tmp_path`, with the Python of these tests."""
    monkeypatch.setattr(start, "ENVIRONMENT", tmp_path / ".venv")
    monkeypatch.setattr(start, "PYTHON", tmp_path / ".venv" / start.PYTHON.relative_to(ROOT / ".venv"))
    monkeypatch.setattr(start, "BUILD", tmp_path / "build")
    monkeypatch.setattr(start, "PROJECT", tmp_path / "build" / "iris_classifier")
    return tmp_path


def test_a_copy_of_the_repository_trains_and_rehearses_and_the_second_run_is_prepared(
    repository: Path, command: Command
) -> None:
    first = command(sys.executable, "start.py", cwd=repository)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "--- PASSED in " in first.stdout
    rehearsal = first.stdout.split("--- rehearse")[1]
    assert "predictions" in rehearsal
    assert re.search(r"^PASSED, \d+ checks in", rehearsal, re.MULTILINE)
    (repository / "build" / "iris_classifier" / "mine.txt").write_text("edited")
    stamps = sorted((repository / ".venv").glob("installed-*"))
    assert len(stamps) == 2
    second = command(sys.executable, "start.py", cwd=repository)
    assert second.returncode == 0, second.stderr
    assert sorted((repository / ".venv").glob("installed-*")) == stamps
    assert (repository / "build" / "previous" / "mine.txt").read_text() == "edited"


def test_an_environment_is_made_once_and_filled_again_when_requirements_change(place: Path) -> None:
    requirements = place / "requirements.txt"
    requirements.write_text("six==1.16.0\n")

    def version() -> str:
        code = "import six; print(six.__version__)"
        return subprocess.run([start.PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    start.make_environment()
    start.install(requirements)
    assert version() == "1.16.0"
    subprocess.run([start.PYTHON, "-m", "uv", "pip", "uninstall", "-q", "six", "--python", start.PYTHON], check=True)
    start.make_environment()
    start.install(requirements)
    with pytest.raises(subprocess.CalledProcessError):
        version()
    requirements.write_text("six==1.17.0\n")
    start.install(requirements)
    assert version() == "1.17.0"


def test_without_uv_pip_fills_the_environment(place: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", start.ENVIRONMENT], check=True)
    requirements = place / "requirements.txt"
    requirements.write_text("six==1.16.0\n")
    start.install(requirements)
    code = "import six; print(six.__version__)"
    done = subprocess.run([start.PYTHON, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1.16.0\n"


def test_a_step_that_fails_ends_with_its_output_and_its_command(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    broken = place / "broken"
    shutil.copytree(ROOT / "hooks", broken / "hooks")
    (broken / "cookiecutter.json").write_text('{"project_slug": "x", "_extensions": ["no.such.Extension"]}')
    monkeypatch.setattr(start, "ROOT", broken)
    monkeypatch.setattr(start, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(start, "install", lambda *files: None)
    assert start.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("--- FAILED: ")
    assert "Unable to load extension: No module named 'no'" in said
    assert "exit code 1: " in said
    assert "cookiecutter --no-input" in said


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["-h"], 0), (["tests"], 2), (["run", "test"], 2)])
def test_other_words_show_the_usage(words: list[str], code: int, capsys: pytest.CaptureFixture) -> None:
    assert start.main(words) == code
    assert "python start.py test" in capsys.readouterr().err


@pytest.mark.parametrize(("version", "code"), [((3, 9, 0), 2), ((3, 14, 0), 2), ((3, 10, 0), 0), ((3, 13, 9), 0)])
def test_a_python_without_tensorflow_is_refused(
    version: tuple[int, int, int], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert start.main(["--help"]) == code
    assert ("TensorFlow 2.21 runs on Python 3.10 to 3.13" in capsys.readouterr().err) == (code == 2)
