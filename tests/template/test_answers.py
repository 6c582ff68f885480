"""Answers that cannot be used are refused in one line before anything is written; any other string survives."""

import ast
import json
import keyword
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from cookiecutter import cli
from cookiecutter.exceptions import FailedHookException
from cookiecutter.main import cookiecutter
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import answer_rules
from template_extensions import literal, plain
from tests.conftest import QUESTIONS, ROOT
from tests.template.test_matrix import expected_files, files_of, tomllib

Render = Callable[..., Result]
# Any text; one in the template's folder has a name that cookiecutter renders.
A_TEXT = ROOT / "requirements.txt"
FREE_TEXT = ("project_name", "description", "author_name", "author_email")
SHOWN = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=40)


@pytest.fixture
def render(tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> Render:
    """The command line of cookiecutter, in this process, writing into `tmp_path / "out"`."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, stdin: str | None = None, no_input: bool = True) -> Result:
        options = ["--config-file", str(config_file), "--output-dir", str(tmp_path / "out")]
        return CliRunner().invoke(cli.main, [*options, *["--no-input"] * no_input, str(ROOT), *words], input=stdin)

    return run


def test_a_refusal_ends_the_process_in_one_line(tmp_path: Path, config_file: Path) -> None:
    """All others are asked in this process: the same lines, without the second that a start takes."""
    options = ["--config-file", str(config_file), "--output-dir", "out", "--no-input"]
    done = subprocess.run(
        [sys.executable, "-m", "cookiecutter", *options, str(ROOT), "project_slug=class"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    rule = "it is a Python keyword, a standard-library module or a package that the project uses"
    assert (done.stdout + done.stderr).strip() == f"project_slug 'class' cannot be used: {rule}. Try 'class_model'."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("project_slug=../escape", "project_slug '../escape' cannot be used: use 2 to 40 of a-z, 0-9 and _"),
        ("project_slug=/absolute", "project_slug '/absolute' cannot be used: use 2 to 40"),
        ("project_slug=a", "Try 'a_model'."),
        ("project_slug=2fast", "Try 'fast'."),
        ("project_slug=My-Model", "Try 'my_model'."),
        ("project_slug=" + "a" * 41, "Try '" + "a" * 40 + "'."),
        ("project_slug=lambda", "it is a Python keyword, a standard-library module or a package that the project uses"),
        ("project_slug=json", "Try 'json_model'."),
        ("project_slug=tensorflow", "Try 'tensorflow_model'."),
        ("project_slug=trainer", "Try 'trainer_model'."),
        ("project_slug=two\nlines", r"project_slug 'two\nlines' cannot be used"),
        ("project_name=bell\a", r"project_name 'bell\x07' cannot be used: it holds a control character. Try 'bell '."),
        ("project_name= ", "project_name ' ' cannot be used: a project needs a name. Try 'My Model'."),
        ("author_name=two\nlines", r"author_name 'two\nlines' cannot be used: it holds a control character."),
        ("description=tab\there", "Try 'tab here'."),
        ("author_email=a\u2028b", "author_email 'a\\u2028b' cannot be used"),
        ("aws_region=us-east1", "aws_region 'us-east1' cannot be used: it is none of the 45 regions"),
        ("aws_region=us-central1", "Try "),
        ("gcp_region=us-central-1", "Try 'us-central1'."),
        ("gcp_region=", "gcp_region '' cannot be used"),
        ("data_file=none.csv", "data_file 'none.csv' cannot be used: there is no file "),
        (f"data_file={ROOT}", "it is a folder. Name one CSV file; others can follow in data/train."),
        (f"data_file={sys.executable}", "it is not text. Save the table as CSV (UTF-8) first."),
        (f"data_file={ROOT}/onstage/py.typed", "it is empty. Leave the answer empty for the example's data."),
        ("data_file=two\nlines.csv", r"data_file 'two\nlines.csv' cannot be used: it holds a control character."),
    ],
)
def test_an_answer_that_cannot_be_used_ends_in_one_line(
    answer: str, message: str, render: Render, tmp_path: Path
) -> None:
    done = render(answer)
    said = done.output.strip()
    assert done.exit_code == 1
    assert message in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.few(4)
@pytest.mark.parametrize(
    "answer",
    [
        "project_slug=ab",
        "project_slug=" + "a" * 40,
        "project_slug=lambda_",
        "project_slug=json_2",
        "project_name=Ünï ☃ \"'`",
        "author_name=",
        "description=",
        "aws_region=eu-west-1",
        "gcp_region=europe-west4",
        "environment=uv",
        f"data_file={A_TEXT}",
    ],
)
def test_its_neighbour_is_accepted(answer: str, render: Render, tmp_path: Path) -> None:
    done = render(answer)
    assert done.exit_code == 0, done.output
    question, _, value = answer.partition("=")
    (project,) = (tmp_path / "out").iterdir()
    assert json.loads((project / ".cookiecutter.json").read_text(encoding="utf-8"))["answers"][question] == value


def test_a_bad_slug_at_the_prompt_stops_there(render: Render, tmp_path: Path) -> None:
    done = render(stdin="My Model\nMy-Model\n", no_input=False)
    assert done.exit_code == 1
    assert "Folder and package name" in done.output
    assert done.output.strip().endswith("Try 'my_model'.")
    assert "What the model does" not in done.output
    assert list(tmp_path.iterdir()) == []


def test_the_answers_typed_at_the_prompt_make_the_project(render: Render, tmp_path: Path) -> None:
    typed = ["Churn", "", "Who leaves", "Ada", "ada@example.com", "3", "2", "", "2", "1"]
    typed += ["", "europe-west4", "", "", "3", "2"]
    done = render(stdin="\n".join(typed) + "\n", no_input=False)
    assert done.exit_code == 0, done.output
    project = tmp_path / "out" / "churn"
    kept = json.loads((project / ".cookiecutter.json").read_text(encoding="utf-8"))["answers"]
    assert kept["gcp_region"] == "europe-west4"
    assert files_of(project) == expected_files(project, kept)
    assert "Google Vertex AI only" in done.output


@pytest.mark.parametrize("name", ["my table.csv", "it's.csv"])
@pytest.mark.parametrize("problem", QUESTIONS["problem"])
def test_a_file_of_ones_own_takes_the_place_of_the_example_and_is_not_copied(
    name: str, problem: str, render: Render, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    """A relative path counts from where cookiecutter was called; the printed one works in the project's folder."""
    (tmp_path / name).write_text("size,price\n1,2\n", encoding="utf-8")
    done = render(f"data_file={name}", f"problem={problem}", "environment=uv")
    assert done.exit_code == 0, done.output
    project = tmp_path / "out" / "iris_classifier"
    assert not (project / "data").exists()
    answers = json.loads((project / ".cookiecutter.json").read_text(encoding="utf-8"))["answers"]
    assert answers["data_file"] == name
    assert files_of(project) == expected_files(project, answers)
    steps = capfd.readouterr().out.split("Next:\n")[1].splitlines()
    commands = [shlex.split(step) for step in steps if step.startswith("  onstage ")]
    assert commands == [
        ["onstage", "columns", str(tmp_path / name), "--write"],
        ["onstage", "split", str(tmp_path / name)],
        ["onstage", "rehearse"],
    ]
    assert steps[1:4] == ["  uv venv --python 3.12", "  . .venv/bin/activate", "  uv pip install -r requirements.txt"]


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Render from a replay file, which cookiecutter takes as it is: neither rendered nor checked at the prompt."""
    folder = tmp_path_factory.mktemp("replay")
    config = folder / "config.yml"
    config.write_text(json.dumps({"cookiecutters_dir": str(folder), "replay_dir": str(folder)}), encoding="utf-8")
    cookiecutter(str(ROOT), no_input=True, output_dir=folder, config_file=str(config))
    answered = json.loads((folder / f"{ROOT.name}.json").read_text(encoding="utf-8"))["cookiecutter"]

    def run(output: Path, **changed: str) -> Path:
        file = folder / "changed.json"
        file.write_text(json.dumps({"cookiecutter": answered | changed}), encoding="utf-8")
        return Path(cookiecutter(str(ROOT), replay=str(file), output_dir=output, config_file=str(config)))

    return run


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"project_slug": "class"}, "Try 'class_model'"),
        ({"aws_region": "mars-1"}, "aws_region 'mars-1' cannot be used"),
        ({"data_file": "gone.csv"}, "data_file 'gone.csv' cannot be used: there is no file "),
    ],
)
def test_a_replay_that_skips_the_prompt_is_caught_by_the_net(
    changed: dict[str, str], message: str, tmp_path: Path, replay: Callable[..., Path]
) -> None:
    with pytest.raises(FailedHookException, match=message):
        replay(tmp_path, **changed)
    assert list(tmp_path.iterdir()) == []


def test_rendering_again_over_a_project_removes_no_file_of_its_owner(render: Render, tmp_path: Path) -> None:
    assert render("ci=github").exit_code == 0
    (project,) = (tmp_path / "out").iterdir()
    own = project / ".github" / "workflows" / "deploy.yml"
    own.write_text("on: push\n")
    done = render("ci=none", "--overwrite-if-exists")
    assert done.exit_code == 0, done.output
    assert own.read_text() == "on: push\n"
    assert not (project / ".github" / "workflows" / "ci.yml").exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.fixed_dictionaries({question: SHOWN for question in FREE_TEXT}))
@example(texts={question: "\"\"\"'''\\{{ 7*7 }}{% x %}${HOME}`id`$(id)#\U0001f600\u202e" for question in FREE_TEXT})
@example(texts={question: "\\" for question in FREE_TEXT})
@example(texts={question: '"; import os; os.abort() #' for question in FREE_TEXT})
def test_any_text_survives_in_every_file(
    texts: dict[str, str], tmp_path_factory: pytest.TempPathFactory, replay: Callable[..., Path]
) -> None:
    texts = texts | {"project_name": texts["project_name"].strip() or "x"}
    project = replay(tmp_path_factory.mktemp("hostile"), **texts)
    kept = json.loads((project / ".cookiecutter.json").read_text(encoding="utf-8"))["answers"]
    assert {question: kept[question] for question in FREE_TEXT} == texts
    call = ast.parse((project / "setup.py").read_text(encoding="utf-8")).body[-1].value
    written = {argument.arg: ast.literal_eval(argument.value) for argument in call.keywords[:5]}
    assert written["description"] == texts["description"]
    assert written["author"] == texts["author_name"]
    assert written["author_email"] == texts["author_email"]
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert readme.startswith(f"# {plain(texts['project_name'])}\n\n{plain(texts['description'])}\n")
    tomllib.loads((project / "settings.toml").read_text(encoding="utf-8"))
    yaml.safe_load((project / "environment.yml").read_text(encoding="utf-8"))


@settings(max_examples=500)
@given(st.text())
@example("\x00\x7f\x85\ufeff\U0001f600\\\"'\n\t")
def test_one_literal_is_read_back_by_python_toml_and_yaml(text: str) -> None:
    written = literal(text)
    assert ast.literal_eval(written) == text
    assert tomllib.loads(f"x = {written}")["x"] == text
    assert yaml.safe_load(f"x: {written}")["x"] == text


@settings(max_examples=500)
@given(st.text())
def test_any_project_name_gives_a_slug_that_can_be_used(name: str) -> None:
    answer_rules.check_slug(answer_rules.package_name(name))


@settings(max_examples=500)
@given(st.text())
def test_plain_text_stays_on_one_line(text: str) -> None:
    assert len(plain(text).splitlines()) <= 1
    assert len(plain(text)) == len(text)


def test_no_keyword_or_standard_module_is_a_slug() -> None:
    for name in {*keyword.kwlist, *sys.stdlib_module_names, "sagemaker", "keras", "src"}:
        with pytest.raises(answer_rules.AnswerError):
            answer_rules.check_slug(name)


def test_the_defaults_are_answers_that_can_be_used() -> None:
    answer_rules.check_all({**QUESTIONS, "project_slug": answer_rules.package_name(QUESTIONS["project_name"])})
