"""Where the project is, whether this package can serve it, and what a project knows of itself."""

import os
import re
import shlex
from pathlib import Path

import pytest

from onstage.errors import StartError
from onstage.project import Project, find
from tests.onstage import small


def refused(folder: Path) -> str:
    with pytest.raises(StartError) as error:
        find(folder)
    text = str(error.value)
    assert "\n" not in text
    assert error.value.exit_code == 2
    return text


def strange(folder: Path, pyproject: str | None = None) -> Path:
    """A folder with settings.toml of another program."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.toml").write_text("[editor]\ntabs = 4\n", encoding="utf-8")
    if pyproject is not None:
        (folder / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    return folder


def test_the_project_is_found_from_deep_inside(tmp_path: Path) -> None:
    project = small.write(tmp_path / "project")
    assert find(project).root == project
    assert find(small.deep(project)).root == project
    assert find(project / "src" / "trainer").root == project


def test_a_mark_is_as_good_as_a_trainer(tmp_path: Path) -> None:
    project = strange(tmp_path, "[tool.onstage]\ncontract = 1\n")
    (project / "src").mkdir()
    (project / "src" / "sagemaker_entry.py").touch()
    assert find(project).root == project


def test_no_project_is_one_line(tmp_path: Path) -> None:
    said = refused(tmp_path)
    assert said.startswith(f"no project here: neither {tmp_path} nor a folder above it has a project's settings.toml; ")
    assert "belongs to something else" not in said


@pytest.mark.parametrize(
    "pyproject", [None, "", "[tool.ruff]\n", "[tool]\nonstage = 3\n", "tool = 3\n", "[tool", "\x00"]
)
def test_settings_of_another_program_are_no_project(tmp_path: Path, pyproject: str | None) -> None:
    strange(tmp_path, pyproject)
    assert f"({tmp_path / 'settings.toml'} belongs to something else: no src/trainer beside it)" in refused(tmp_path)


def test_the_nearest_project_wins(tmp_path: Path) -> None:
    outer = small.write(tmp_path / "outer")
    inner = small.write(outer / "examples" / "inner")
    assert find(small.deep(inner)).root == inner
    assert find(small.deep(outer)).root == outer


@pytest.mark.parametrize("pyproject", [None, "[tool.ruff]\n", "[broken"])
def test_a_stranger_in_between_is_passed_over(tmp_path: Path, pyproject: str | None) -> None:
    project = small.write(tmp_path / "project")
    stranger = strange(project / "tools" / "editor", pyproject)
    assert find(stranger).root == project


def test_a_nearest_project_that_cannot_be_served_hides_one_above(tmp_path: Path) -> None:
    outer = small.write(tmp_path / "outer")
    inner = small.write(outer / "inner", pyproject="[tool.onstage]\ncontract = 2\n")
    assert "follows contract 2" in refused(inner)


@pytest.mark.parametrize(
    ("pyproject", "said"),
    [
        (
            "[tool.onstage]\ncontract = 2\n",
            (
                "{root} follows contract 2, and what runs serves contract 1: install the project's own "
                "(pip install -r ../../requirements.txt), or cruft update --project-dir ../.."
            ),
        ),
        ("[tool.onstage]\ncontract = 0\n", "{root} follows contract 0, and what runs serves contract 1"),
        (
            "[tool.onstage]\ncontract = '1'\n",
            "../../pyproject.toml: [tool.onstage] contract is a whole number, not '1'",
        ),
        ("[tool.onstage]\ncontract = true\n", "[tool.onstage] contract is a whole number, not True"),
        ("[tool.onstage]\ncontract = 1.0\n", "[tool.onstage] contract is a whole number, not 1.0"),
        (
            "[tool.onstage]\n",
            (
                "{root} was rendered before onstage (pyproject.toml has no [tool.onstage] contract): "
                "cruft update --project-dir ../.., or see the template's CHANGELOG.md"
            ),
        ),
        ("[tool.ruff]\n", "{root} was rendered before onstage"),
        ("[tool]\nonstage = 1\n", "{root} was rendered before onstage"),
        ("[tool.onstage\n", "../../pyproject.toml cannot be read: "),
        (None, "../../pyproject.toml cannot be read: "),
    ],
)
def test_another_contract_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pyproject: str | None, said: str
) -> None:
    project = small.write(tmp_path / "project", pyproject=pyproject)
    monkeypatch.chdir(small.deep(project))
    assert said.format(root=project) in refused(Path.cwd())


def test_in_the_project_itself_commands_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small.write(tmp_path / "project", pyproject="[tool.onstage]\ncontract = 2\n"))
    assert refused(Path.cwd()).endswith("(pip install -r requirements.txt), or cruft update")


def test_a_path_is_printed_as_a_shell_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = small.write(tmp_path / "my project", pyproject="[tool.onstage]\ncontract = 2\n")
    monkeypatch.chdir(tmp_path)
    found = re.search(r"\(pip install -r (.*)\), or", refused(project))
    assert found
    assert [Path(word).resolve() for word in shlex.split(found[1])] == [project / "requirements.txt"]


def test_a_project_without_entry_point_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = small.write(tmp_path / "project", "vertex")
    monkeypatch.chdir(project)
    assert find().platforms == ["vertex"]
    (project / "src" / "trainer" / "task.py").unlink()
    assert refused(project) == "src has no platform's entry point: neither sagemaker_entry.py nor trainer/task.py"


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a working directory, and wants rights for links")
def test_strange_working_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = small.write(tmp_path / "project")
    (tmp_path / "link").symlink_to(small.deep(project))
    monkeypatch.chdir(tmp_path / "link")
    assert find().root == project
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(StartError, match="^the working directory does not exist any more; .*$"):
        find()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="may look everywhere")
def test_a_folder_above_that_may_not_be_searched_has_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = small.write(tmp_path / "above" / "project")
    stranger = tmp_path / "above" / "other"
    stranger.mkdir()
    monkeypatch.chdir(project)
    (tmp_path / "above").chmod(0o600)
    try:
        assert "no project here" in refused(stranger)
    finally:
        (tmp_path / "above").chmod(0o700)


def test_a_project_knows_its_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(small.write(tmp_path / "project"))
    assert project.platforms == ["sagemaker", "vertex"]
    assert project.name(project.source / "trainer" / "task.py") == "src/trainer/task.py"
    assert (project.has_module("trainer.task"), project.has_module("sagemaker_entry")) == (True, True)
    assert (project.has_module("numpy"), project.has_module("train")) == (False, False)
    assert project.locate("data/train") == str(project.root / "data" / "train")
    assert project.locate("gs://bucket/train") == "gs://bucket/train"
    assert len({project.new_run() for _ in range(3)}) == 3
    monkeypatch.chdir(small.deep(project.root))
    with pytest.raises(
        StartError, match=r"^there is no trained model in runs/; train one: python \.\./\.\./train\.py$"
    ):
        project.newest_model()
    for number, run in enumerate(sorted(project.runs.iterdir())):
        saved = run / "model" / "1" / "saved_model.pb"
        saved.parent.mkdir(parents=True)
        saved.touch()
        os.utime(saved, (number, number))
    assert project.newest_model() == saved.parent
