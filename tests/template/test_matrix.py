"""Every combination of the structural answers gives a whole and valid project."""

import ast
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import QUESTIONS, ROOT, TEMPLATE, Bake

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STRUCTURAL = ("platform", "problem", "environment", "accelerator")
CYCLED = ("sagemaker_sdk", "ci", "license")
COMBINATIONS = [
    dict(zip(STRUCTURAL, choices, strict=True))
    | {question: QUESTIONS[question][number % len(QUESTIONS[question])] for question in CYCLED}
    for number, choices in enumerate(itertools.product(*(QUESTIONS[question] for question in STRUCTURAL)))
]


def template_files(folder: str, depth: str = "*") -> set[str]:
    """The template's own files in a folder, whose names have no conditions."""
    return {path.relative_to(TEMPLATE).as_posix() for path in (TEMPLATE / folder).glob(depth) if path.is_file()}


def only(platform: str) -> set[str]:
    """What a project has for one platform only."""
    return template_files(f"cloud/{platform}") | template_files(f"rehearse/{platform}")


ALWAYS = {
    ".cookiecutter.json", ".gitattributes", ".gitignore", "LICENSE", "README.md", "data/README.md", "predict.py",
    "pyproject.toml", "requirements.txt", "settings.toml", "src/requirements.txt", "tests/test_model.py",
    "tests/test_rehearsal.py", "train.py",
    *(
        f"src/trainer/{name}.py"
        for name in (
            "__init__", "checkpoints", "columns", "data", "encoding", "export", "model", "predictor", "reporting",
            "run", "training",
        )
    ),
}  # fmt: skip
SAGEMAKER = only("sagemaker") | {
    "src/sagemaker_entry.py", "rehearse/recorded_s3.py", "rehearse/sdk_recorder.py", "infra/sagemaker.yaml",
    "rehearse/serving/model_server/sagemaker_front.py",
}  # fmt: skip
VERTEX = only("vertex") | {
    "src/trainer/task.py", "setup.py", "MANIFEST.in", "rehearse/serving/model_server/vertex_front.py",
    "infra/vertex.sh",
}  # fmt: skip
SHARED = (
    template_files("cloud") | template_files("rehearse") | template_files("rehearse/serving", "**/*")
) - SAGEMAKER - VERTEX  # fmt: skip


def files_of(project: Path) -> set[str]:
    """The project's files; other tests may have imported from it, and so left bytecode."""
    files = (path.relative_to(project) for path in project.rglob("*") if path.is_file())
    return {file.as_posix() for file in files if "__pycache__" not in file.parts}


def expected_files(answers: dict[str, str]) -> set[str]:
    data = "iris" if answers["problem"] == "classification" else "penguins"
    files = ALWAYS | SHARED | {f"data/train/{data}.csv", f"data/eval/{data}.csv"}
    if answers["platform"] != "vertex":
        files |= SAGEMAKER | ({"sdk_example.py"} if answers["sagemaker_sdk"] == "yes" else set())
    if answers["platform"] != "sagemaker":
        files |= VERTEX
    if answers["environment"] == "conda":
        files |= {"environment.yml"}
    return files | {"github": {".github/workflows/ci.yml"}, "gitlab": {".gitlab-ci.yml"}, "none": set()}[answers["ci"]]


@pytest.fixture(params=COMBINATIONS, ids=["-".join(answers.values()) for answers in COMBINATIONS])
def answers(request: pytest.FixtureRequest) -> dict[str, str]:
    return request.param


def test_the_project_holds_exactly_its_files(answers: dict[str, str], bake: Bake) -> None:
    assert files_of(bake(**answers)) == expected_files(answers)


def test_every_file_is_valid_in_its_language(answers: dict[str, str], bake: Bake) -> None:
    project = bake(**answers)
    readers = {
        ".py": lambda text: ast.parse(text, feature_version=(3, 10)),
        ".toml": tomllib.loads,
        ".yml": yaml.safe_load,
        ".json": json.loads,
    }
    for name in files_of(project):
        if reader := readers.get(Path(name).suffix):
            assert reader((project / name).read_text(encoding="utf-8")) is not None, name


def test_nothing_of_the_template_is_left_in_the_project(answers: dict[str, str], bake: Bake) -> None:
    project = bake(**answers)
    for name in files_of(project):
        text = (project / name).read_text(encoding="utf-8").replace(".cookiecutter.json", "")
        assert not re.search(r"\{\{|\}\}|\{%|%\}|\{#|cookiecutter", text), name
        assert text.endswith("\n"), f"{name} has no line break at its end"
        assert not text.endswith("\n\n"), f"{name} ends in empty lines"
        assert "\n\n\n\n" not in text, f"{name} has a hole where a condition was"


def test_the_project_passes_its_own_linter(answers: dict[str, str], bake: Bake) -> None:
    project = bake(**answers)
    for arguments in (["check", "--no-cache", "--quiet"], ["format", "--no-cache", "--check", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "."], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_readme_names_no_file_that_is_not_there(answers: dict[str, str], bake: Bake) -> None:
    project = bake(**answers)
    text = (project / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:src|data|tests|cloud|rehearse)/[\w./-]*|[\w.-]+\.(?:py|toml|txt|yml|in))`", text)
    assert "src/trainer/model.py" in named
    for name in named:
        assert (project / name).exists() or (project / "src" / "trainer" / name).exists(), name


def test_files_that_the_template_owns_say_so_in_their_first_line(bake: Bake) -> None:
    project = bake()
    yours = {"src/trainer/model.py", "tests/test_model.py", "settings.toml", "src/requirements.txt"}
    for name in sorted(files_of(project)):
        if Path(name).suffix == ".py" and name not in yours:
            first = (project / name).read_text(encoding="utf-8").splitlines()[0]
            assert first.startswith("# Owned by the template"), name


def test_no_python_file_of_the_project_is_longer_than_a_reader_likes(bake: Bake) -> None:
    for file in bake().rglob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 330, file


def test_the_answers_and_the_templates_version_are_kept(bake: Bake) -> None:
    kept = json.loads((bake(platform="vertex") / ".cookiecutter.json").read_text(encoding="utf-8"))
    assert kept["template_version"] == QUESTIONS["_template_version"]
    assert kept["answers"]["platform"] == "vertex"
    assert set(kept["answers"]) == {name for name in QUESTIONS if not name.startswith("_")}


def test_no_folder_of_the_template_has_a_condition_in_its_name() -> None:
    folders = [path.name for path in TEMPLATE.rglob("*") if path.is_dir()]
    assert folders
    assert not [name for name in folders if "{" in name]


def test_the_templates_own_code_is_linted_and_formatted() -> None:
    for arguments in (["check", "--no-cache"], ["format", "--no-cache", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--config", "pyproject.toml", "."],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_every_question_and_choice_has_a_readable_label() -> None:
    labels = QUESTIONS["__prompts__"]
    for question, choices in QUESTIONS.items():
        if question.startswith("_"):
            continue
        label = labels[question]
        if isinstance(choices, list):
            assert set(label) == {"__prompt__", *choices}, question
        else:
            # rich would take square brackets for markup and swallow them.
            assert "[" not in label, question
