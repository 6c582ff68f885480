"""The names that the package takes from a project, and replay files, which skip every check at the prompt."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from template_wheel import RESERVED, check_free, free_name
from tests.conftest import QUESTIONS, ROOT, Command
from tests.template.clones import own_environment

Render = Callable[..., CompletedProcess]


@pytest.fixture
def render(tmp_path: Path, command: Command) -> Render:
    """The command line of cookiecutter, writing into `tmp_path / "out"`."""

    def run(*words: str | Path) -> CompletedProcess:
        options = ["--output-dir", tmp_path / "out", ROOT]
        environment = own_environment(tmp_path / "home")
        return command(sys.executable, "-m", "cookiecutter", *options, *words, cwd=tmp_path, environment=environment)

    return run


@pytest.fixture
def replay(render: Render, tmp_path: Path) -> Render:
    """Render from the replay file of the default answers, with some of its values changed."""

    def run(**changed: object) -> CompletedProcess:
        assert render("--no-input").returncode == 0
        (project,) = (tmp_path / "out").iterdir()
        project.rename(tmp_path / "first")
        answered = json.loads((tmp_path / "home" / ".cookiecutter_replay" / f"{ROOT.name}.json").read_text())
        file = tmp_path / "changed.json"
        file.write_text(json.dumps({"cookiecutter": answered["cookiecutter"] | changed}), encoding="utf-8")
        return render("--replay-file", file)

    return run


@pytest.mark.parametrize("slug", RESERVED)
def test_a_name_that_the_package_takes_is_refused_in_one_line(slug: str, render: Render, tmp_path: Path) -> None:
    done = render("--no-input", f"project_slug={slug}")
    assert done.returncode == 1
    rule = "the project has a package or a folder of that name"
    said = (done.stdout + done.stderr).strip()
    assert said == f"project_slug '{slug}' cannot be used: {rule}. Try '{slug}_model'."
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("slug", ["onstage_model", "wheel", "wheels_2", "on_stage"])
def test_its_neighbour_is_accepted(slug: str, render: Render, tmp_path: Path) -> None:
    done = render("--no-input", f"project_slug={slug}")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [slug]


@pytest.mark.parametrize(("name", "slug"), [("Onstage", "onstage_model"), ("wheels", "wheels_model"), ("On", "on")])
def test_a_project_name_gives_a_slug_that_is_free(name: str, slug: str, render: Render, tmp_path: Path) -> None:
    done = render("--no-input", f"project_name={name}")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [slug]
    assert check_free(free_name(slug)) == ""


@pytest.mark.parametrize("slug", RESERVED)
def test_a_replay_that_skips_the_prompt_is_caught_by_the_net(slug: str, replay: Render, tmp_path: Path) -> None:
    done = replay(project_slug=slug)
    assert done.returncode == 1
    assert done.stdout.strip().splitlines()[-1].endswith(f"Try '{slug}_model'.")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_replay_of_this_version_gives_the_same_files(replay: Render, tmp_path: Path) -> None:
    done = replay(project_name="Another")
    assert done.returncode == 0, done.stderr
    (project,) = (tmp_path / "out").iterdir()
    first, second = (
        {path.relative_to(folder) for path in folder.rglob("*")} for folder in (tmp_path / "first", project)
    )
    assert first == second


@pytest.mark.parametrize(
    ("version", "extensions"),
    [("0.1.0", QUESTIONS["_extensions"][:1]), ("0.1.9", QUESTIONS["_extensions"])],
    ids=["without the extension", "with it"],
)
def test_a_replay_of_another_version_ends_in_one_line_of_ours(
    version: str, extensions: list[str], replay: Render, tmp_path: Path
) -> None:
    done = replay(_template_version=version, _extensions=extensions)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR: the replay file")]
    assert line == (
        f"ERROR: the replay file is of version {version} of this template, not of this one: answer the questions anew, "
        f"or render that version (--checkout {version})"
    )
    # cookiecutter shows its own stack after a hook that fails; nothing of ours is in it.
    assert str(ROOT) not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
