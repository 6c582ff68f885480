"""`python start.py` does everything on a machine that has nothing but Python."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import start
from tests.conftest import ROOT, Command, copy_repository
from tests.template.clones import UV, wheel_of

WORDS = tuple[str, ...]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """start.py's folders, moved to `tmp_path`, with the Python of these tests."""
    monkeypatch.setattr(start, "ENVIRONMENT", tmp_path / ".venv")
    monkeypatch.setattr(start, "BUILD", tmp_path / "build")
    monkeypatch.setattr(start, "PROJECT", tmp_path / "build" / "iris_classifier")
    monkeypatch.setattr(start, "PROJECT_ENVIRONMENT", tmp_path / "build" / "iris_classifier-venv")
    return tmp_path


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[WORDS]:
    """The commands that start.py runs, each in words; they run as always."""
    seen: list[WORDS] = []
    run = start.run

    def watched(*words: str | Path, **options: object) -> None:
        seen.append(tuple(map(str, words)))
        run(*words, **options)

    monkeypatch.setattr(start, "run", watched)
    return seen


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[WORDS]:
    """The commands that start.py would run, each in words; none runs."""
    seen: list[WORDS] = []
    monkeypatch.setattr(start, "run", lambda *words, **options: seen.append(tuple(map(str, words))))
    return seen


def test_a_copy_of_the_repository_trains_and_rehearses(started: Path, project_python: Path, command: Command) -> None:
    said = (started.parent / "said.txt").read_text(encoding="utf-8")
    assert re.findall(r"^--- (\w+)", said, re.MULTILINE) == [
        "environment", "render", "install", "train", "rehearse", "PASSED",
    ]  # fmt: skip
    trained, rehearsal = said.split("--- train")[1].split("--- rehearse")
    assert "result: loss=" in trained
    assert "predictions" in rehearsal
    assert "both.weights" in rehearsal
    assert re.search(r"^PASSED, \d+ checks in", rehearsal, re.MULTILINE)
    assert "The project is in build/iris_classifier, its packages in build/iris_classifier-venv;" in said
    # The project's environment has what its user has, with pip; the template's has what renders.
    wheel = wheel_of(started / "build" / "iris_classifier")
    version = command(project_python, "-m", "onstage", "--version", cwd=started.parent).stdout
    assert version == f"onstage {wheel.name.split('-')[1]}\n"
    assert command(project_python, "-m", "pip", "--version", cwd=started.parent).returncode == 0
    assert command(project_python, "-c", "import cookiecutter", cwd=started.parent).returncode == 1
    tools = start.python_of(started / ".venv")
    assert command(tools, "-c", "import cookiecutter", cwd=started.parent).returncode == 0
    assert command(tools, "-c", "import onstage", cwd=started.parent).returncode == 1


@pytest.fixture
def template(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository whose projects need `onstage` alone, in the place of start.py's own."""
    copy = copy_repository(place / "repository")
    file = copy / "{{cookiecutter.project_slug}}" / "requirements.txt"
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(("--find", "onstage["))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setattr(start, "ROOT", copy)
    # It has cookiecutter and uv.
    monkeypatch.setattr(start, "ENVIRONMENT", Path(sys.prefix))
    return copy


@pytest.mark.long
def test_a_second_run_installs_nothing_and_a_changed_line_of_onstage_arrives(
    template: Path, commands: list[WORDS]
) -> None:
    source = template / "onstage" / "problem.py"
    as_it_was = source.read_text(encoding="utf-8")

    def again() -> int:
        """Render and install; the number of commands that were needed to install."""
        commands.clear()
        start.render()
        start.install_project()
        return len([words for words in commands if "install" in words])

    def installed() -> str:
        code = "import onstage.problem; print(open(onstage.problem.__file__, encoding='utf-8').read(), end='')"
        words = [start.python_of(start.PROJECT_ENVIRONMENT), "-c", code]
        # Such a process looks into its working directory first: not one with an `onstage`.
        return subprocess.run(words, capture_output=True, text=True, check=True, cwd=start.BUILD).stdout

    start.make_environment(start.PROJECT_ENVIRONMENT)
    assert again() == 1
    (start.PROJECT / "mine.txt").write_text("edited", encoding="utf-8")
    assert again() == 0
    assert (start.BUILD / "previous" / "mine.txt").read_text(encoding="utf-8") == "edited"
    source.write_text(as_it_was + "\n# A change.\n", encoding="utf-8")
    assert again() == 1
    assert installed().endswith("# A change.\n")
    assert again() == 0
    # What was installed once is not what is installed now.
    source.write_text(as_it_was, encoding="utf-8")
    assert again() == 1
    assert installed() == as_it_was


def test_the_tests_import_the_working_tree(project: Path, command: Command) -> None:
    """What `python start.py test` installs with `-e .`: in a rendered project, too, `onstage` is this folder's."""
    version = command(sys.executable, "-m", "onstage", "--version", cwd=project)
    assert re.fullmatch(r"onstage [\d.]+ \(editable, (.+)\)\n", version.stdout), version.stdout + version.stderr
    assert str(ROOT) in version.stdout
    file = command(sys.executable, "-c", "import onstage; print(onstage.__file__)", cwd=project)
    assert Path(file.stdout.strip()) == ROOT / "onstage" / "__init__.py"


def test_the_tests_are_run_with_the_working_tree_and_installed_once_until_the_package_is_described_anew(
    place: Path, noted: list[WORDS], monkeypatch: pytest.MonkeyPatch
) -> None:
    described = place / "METADATA"
    described.write_text("Name: onstage\n", encoding="utf-8")
    monkeypatch.setattr(start, "PACKAGE", [described])
    monkeypatch.setattr(start, "make_environment", lambda folder: folder.mkdir(exist_ok=True))
    python = str(start.python_of(place / ".venv"))

    def commands(*arguments: str) -> list[WORDS]:
        noted.clear()
        assert start.main(["test", *arguments]) == 0
        return list(noted)

    first = commands("-k", "answers")
    assert [words[-2:] for words in first] == [("-e", ".[sagemaker,vertex]"), ("-k", "answers")]
    assert {str(start.TOOLS), str(start.TEST_TOOLS)} < set(first[0])
    assert commands("-k", "answers") == [(python, "-m", "pytest", "-k", "answers")]
    assert commands("-x", "--long") == [(python, "-m", "pytest", "-m", "", "-x")]
    described.write_text("Name: onstage\nRequires-Dist: six\n", encoding="utf-8")
    assert [words[1:3] for words in commands()] == [first[0][1:3], ("-m", "pytest")]


@pytest.mark.long
def test_tests_marked_long_are_left_out_unless_asked_for(command: Command) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--collect-only", "tests/template/test_training.py"]
    few, all_of_them = (command(*words, *more, cwd=ROOT).stdout for more in ([], ["-m", ""]))
    assert "nine_of_ten_seeds" not in few
    assert "nine_of_ten_seeds" in all_of_them
    assert re.search(r"\d+ deselected", few)


def version_of_six() -> str:
    code = "import six; print(six.__version__)"
    python = start.python_of(start.ENVIRONMENT)
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.long
def test_an_environment_is_made_once_and_filled_again_when_requirements_change(place: Path) -> None:
    requirements = place / "requirements.txt"
    requirements.write_text("six==1.16.0\n")

    def fill() -> None:
        start.make_environment(start.ENVIRONMENT)
        start.install(start.ENVIRONMENT, ["-r", requirements], [requirements])

    fill()
    assert version_of_six() == "1.16.0"
    assert start.has_uv()
    subprocess.run([*UV, "pip", "uninstall", "-q", "six", "--python", start.python_of(start.ENVIRONMENT)], check=True)
    fill()
    with pytest.raises(subprocess.CalledProcessError):
        version_of_six()
    requirements.write_text("six==1.17.0\n")
    fill()
    assert version_of_six() == "1.17.0"


def test_without_uv_pip_fills_the_environment(place: Path) -> None:
    subprocess.run([*UV, "venv", "--quiet", "--seed", "--python", sys.executable, start.ENVIRONMENT], check=True)
    requirements = place / "requirements.txt"
    requirements.write_text("six==1.16.0\n")
    assert not start.has_uv()
    start.install(start.ENVIRONMENT, ["-r", requirements], [requirements])
    assert version_of_six() == "1.16.0"


def test_where_uv_and_pip_fail_pip_has_the_last_word_and_nothing_passes_for_installed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(start, "ENVIRONMENT", Path(sys.prefix))
    words = ["--no-index", "no-such-package"]
    monkeypatch.setattr(start, "start", lambda: start.install(start.PROJECT_ENVIRONMENT, words, []))
    start.make_environment(start.PROJECT_ENVIRONMENT)
    for _ in range(2):
        assert start.main([]) == 1
        said = capsys.readouterr()
        assert re.fullmatch(r"uv failed: .*; going on with venv and pip, which takes minutes longer\n", said.out)
        assert "No matching distribution found for no-such-package" in said.err
        assert f"{start.python_of(start.PROJECT_ENVIRONMENT)} -m pip install" in said.err
    assert not list(start.PROJECT_ENVIRONMENT.glob("installed-*"))


@pytest.mark.parametrize("problem", [start.StepError("ensurepip is not available"), KeyboardInterrupt()])
def test_half_an_environment_is_removed(
    problem: BaseException, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def break_off(*words: str | Path, **options: object) -> None:
        start.python_of(Path(words[-1])).parent.mkdir(parents=True)
        start.python_of(Path(words[-1])).touch()
        raise problem

    monkeypatch.setattr(start, "run", break_off)
    assert start.main([]) == (130 if isinstance(problem, KeyboardInterrupt) else 1)
    said = capsys.readouterr().err
    assert ("apt-get install python3-venv" in said) == isinstance(problem, start.StepError)
    assert not start.ENVIRONMENT.exists()


def test_a_step_that_fails_ends_with_its_output_and_its_command(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    broken = place / "broken"
    shutil.copytree(ROOT / "hooks", broken / "hooks")
    (broken / "cookiecutter.json").write_text('{"project_slug": "x", "_extensions": ["no.such.Extension"]}')
    monkeypatch.setattr(start, "ROOT", broken)
    monkeypatch.setattr(start, "ENVIRONMENT", Path(sys.prefix))
    monkeypatch.setattr(start, "prepare", lambda: None)
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
