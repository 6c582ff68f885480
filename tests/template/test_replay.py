"""Names that a project cannot have, replay files, which skip every check at the prompt, and configuration files."""

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


@pytest.mark.parametrize("slug", ["con", "lpt9"])
def test_a_name_of_a_device_on_windows_is_refused_in_one_line(slug: str, render: Render, tmp_path: Path) -> None:
    done = render("--no-input", f"project_slug={slug}")
    assert done.returncode == 1
    said = (done.stdout + done.stderr).strip()
    assert said == f"project_slug '{slug}' cannot be used: it is the name of a device on Windows. Try '{slug}_model'."
    assert not (tmp_path / "out").exists()


@pytest.mark.few(2)
@pytest.mark.parametrize("slug", ["onstage_model", "wheel", "wheels_2", "on_stage", "com10", "console"])
def test_its_neighbour_is_accepted(slug: str, render: Render, tmp_path: Path) -> None:
    done = render("--no-input", f"project_slug={slug}")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [slug]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "slug"), [("Onstage", "onstage_model"), ("wheels", "wheels_model"), ("On", "on"), ("Nul", "nul_model")]
)
def test_a_project_name_gives_a_slug_that_is_free(name: str, slug: str, render: Render, tmp_path: Path) -> None:
    done = render("--no-input", f"project_name={name}")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [slug]
    assert check_free(free_name(slug)) == ""


@pytest.mark.few(1)
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


@pytest.mark.few(1)
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


@pytest.fixture
def configure(render: Render, tmp_path: Path) -> Render:
    """Render with a ~/.cookiecutterrc of this text."""

    def run(text: str, *words: str) -> CompletedProcess:
        (tmp_path / "home").mkdir(exist_ok=True)
        (tmp_path / "home" / ".cookiecutterrc").write_text(text, encoding="utf-8")
        return render("--no-input", *words)

    return run


def answers_of(folder: Path) -> dict[str, str]:
    (project,) = (folder / "out").iterdir()
    return json.loads((project / ".cookiecutter.json").read_text(encoding="utf-8"))["answers"]


def test_a_configuration_file_gives_answers_and_its_other_names_are_ignored(configure: Render, tmp_path: Path) -> None:
    done = configure(
        "default_context:\n  full_name: Ada\n  author_name: Ada\n  platform: vertex\n  description: 12\n"
        "  project_name: Churn\n  license: Apache-2.0\n"
        f"cookiecutters_dir: {json.dumps(str(tmp_path / 'templates'))}\n"
        f"replay_dir: {json.dumps(str(tmp_path / 'replay'))}\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = answers_of(tmp_path)
    given = {"author_name": "Ada", "platform": "vertex", "description": "12", "project_name": "Churn"}
    assert given.items() <= answers.items()
    assert answers["project_slug"] == "churn"
    assert "full_name" not in answers
    assert [path.name for path in (tmp_path / "replay").iterdir()] == [f"{ROOT.name}.json"]
    assert [path.name for path in (tmp_path / "home").iterdir()] == [".cookiecutterrc"]


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "project_slug: class",
            "project_slug 'class' cannot be used: it is a Python keyword, a standard-library module",
        ),
        ("aws_region: 1", "aws_region '1' cannot be used: it is none of the 45 regions"),
        ("description: yes", "description True cannot be used: it is no text. Put it in quotes."),
        ("author_name: {first: Ada}", "author_name cannot be used: it is no text. Put it in quotes."),
        ("project_slug: no", "project_slug False cannot be used: it is no text. Put it in quotes."),
        ("data_file: yes", "data_file True cannot be used: it is no text. Put it in quotes."),
        ("data_file: no", "data_file False cannot be used: it is no text. Put it in quotes."),
        ("data_file: gone.csv", "data_file 'gone.csv' cannot be used: there is no file "),
    ],
)
def test_an_answer_of_a_configuration_file_that_cannot_be_used_is_refused_in_one_line(
    line: str, said: str, configure: Render, tmp_path: Path
) -> None:
    done = configure(f"default_context:\n  {line}\n")
    assert done.returncode == 1
    (only,) = (done.stdout + done.stderr).strip().splitlines()
    assert only.startswith(said)
    assert not (tmp_path / "out").exists()


def test_a_choice_that_there_is_not_is_warned_of_and_the_defaults_taken_from_there_on(
    configure: Render, tmp_path: Path
) -> None:
    """By cookiecutter itself, as docs/updates.md says."""
    done = configure('default_context:\n  notebooks: "no"\n  platform: azure\n  ci: none\n')
    assert done.returncode == 0
    assert "Invalid default received: azure provided for choice variable platform" in done.stderr
    answers = answers_of(tmp_path)
    assert [answers[question] for question in ("notebooks", "platform", "ci")] == ["no", "both", "github"]


def test_a_short_name_of_a_configuration_file_finds_the_template(
    command: Command, repository: Path, tmp_path: Path
) -> None:
    home = own_environment(tmp_path / "home")
    place = json.dumps(f"{repository.parent.as_posix()}/{{0}}")
    (tmp_path / "home" / ".cookiecutterrc").write_text(f"abbreviations:\n  work: {place}\n", encoding="utf-8")
    words = [sys.executable, "-m", "cookiecutter", "--no-input", "--output-dir", tmp_path / "out", "work:repository"]
    done = command(*words, cwd=tmp_path, environment=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert answers_of(tmp_path)["project_slug"] == "iris_classifier"
