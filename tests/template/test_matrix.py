"""Every combination of the structural answers gives a whole and valid project."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from template_wheel import DEVICES
from tests.conftest import QUESTIONS, ROOT, TEMPLATE, Bake
from tests.template.pairs import covering, pairs_of, product

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STRUCTURAL = ("platform", "problem", "environment", "accelerator")
CYCLED = ("sagemaker_sdk", "notebooks", "ci", "license")
# Every combination of what changes most of the files, 36; with the other answers it would be 1,728, which take half
# an hour to render: of those, any two answers meet in one of the 36.
COMBINATIONS = covering({question: QUESTIONS[question] for question in STRUCTURAL + CYCLED}, whole=STRUCTURAL)
# Words of the one platform. `src/trainer/` is the same on both, to the byte, so that it trains the same: its comments
# say what for. The answers that were given are kept whole.
WORDS = {
    "sagemaker": r"(?i)sagemaker|s3://|\bSM_|\baws\b|amazon|boto3|\bml\.[a-z]\d",
    "vertex": r"(?i)vertex|gs://|google|gcloud|\bgcs\b|\bAIP_|\bgcp\b|cloud storage",
}
OTHER = {"sagemaker": "vertex", "vertex": "sagemaker"}
SHARED = ("src/trainer/", ".cookiecutter.json")
# What Windows makes of a path: 260 characters in all, most of them the user's own folders.
LONGEST_PATH = 100

ALWAYS = {
    ".cookiecutter.json", ".gitattributes", ".gitignore", "AGENTS.md", "LICENSE", "README.md", "predict.py",
    "pyproject.toml", "requirements.txt", "settings.toml", "src/requirements.txt", "tests/test_model.py",
    "train.py",
    *(
        f"src/trainer/{name}.py"
        for name in (
            "__init__", "checkpoints", "cluster", "columns", "data", "encoding", "export", "files", "model",
            "values", "reader", "reporting", "rows", "run", "scan", "training", "explaining", "loop", "store",
        )
    ),
}  # fmt: skip
SAGEMAKER = {"src/sagemaker_entry.py"}
VERTEX = {"src/trainer/task.py", "setup.py", "MANIFEST.in"}
# What a researcher is asked to look at: files and lines of Python, tests aside.
MOST_FILES, MOST_LINES = 45, 5200


def files_of(project: Path) -> set[str]:
    """The project's files; other tests may have imported from it, and so left bytecode."""
    files = (path.relative_to(project) for path in project.rglob("*") if path.is_file())
    return {file.as_posix() for file in files if "__pycache__" not in file.parts}


def texts_of(project: Path) -> dict[str, str]:
    """The project's files that are text, all but the wheel, with what they hold."""
    names = sorted(name for name in files_of(project) if not name.endswith(".whl"))
    return {name: (project / name).read_text(encoding="utf-8") for name in names}


def notebooks_of(platform: str) -> list[str]:
    """The notebooks of a project by its platform."""
    clouds = {"sagemaker": "02_sagemaker", "vertex": "03_vertex_ai"}
    return ["01_explore_and_train", *(name for one, name in clouds.items() if platform in ("both", one))]


def expected_files(project: Path, answers: dict[str, str]) -> set[str]:
    """What a project of these answers has, with the one wheel that its requirements name."""
    data = "iris" if answers["problem"] == "classification" else "penguins"
    requirements = (project / "requirements.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^onstage\[[a-z,]+\]==(\S+)$", requirements, re.MULTILINE)
    files = ALWAYS | {f"wheels/onstage-{version}-py3-none-any.whl"}
    if not answers.get("data_file"):
        files |= {f"data/train/{data}.csv", f"data/eval/{data}.csv"}
    if answers["platform"] != "vertex":
        files |= SAGEMAKER
    if answers["platform"] != "sagemaker":
        files |= VERTEX
    if answers["environment"] == "conda":
        files |= {"environment.yml"}
    if answers.get("notebooks", "yes") == "yes":
        files |= {f"notebooks/{name}.ipynb" for name in notebooks_of(answers["platform"])}
    ci = {"github": {".github/workflows/ci.yml", ".github/workflows/train.yml"}, "gitlab": {".gitlab-ci.yml"}}
    return files | ci.get(answers["ci"], set())


@pytest.fixture(params=COMBINATIONS, ids=["-".join(answers.values()) for answers in COMBINATIONS])
def answers(request: pytest.FixtureRequest) -> dict[str, str]:
    return request.param


def test_the_project_holds_exactly_its_files(answers: dict[str, str], bake: Bake) -> None:
    project = bake(**answers)
    assert files_of(project) == expected_files(project, answers)


def test_a_researcher_finds_few_files_and_little_python(answers: dict[str, str], bake: Bake) -> None:
    texts = texts_of(bake(**answers))
    wheel = 1
    assert len(texts) + wheel <= MOST_FILES
    code = {name: text for name, text in texts.items() if name.endswith(".py") and not name.startswith("tests/")}
    assert sum(len(text.splitlines()) for text in code.values()) <= MOST_LINES
    # Longer than a reader likes.
    assert [name for name, text in texts.items() if name.endswith(".py") and len(text.splitlines()) > 375] == []


def test_no_file_of_the_package_is_copied_into_the_project(answers: dict[str, str], bake: Bake) -> None:
    package = {path.read_text(encoding="utf-8"): path.name for path in (ROOT / "onstage").rglob("*.py")}
    project = bake(**answers)
    assert len(package) > 50
    assert [name for name, text in texts_of(project).items() if text in package] == []
    assert [path.name for path in project.iterdir() if path.name in ("onstage", "packaging", "wheel_builder.py")] == []


def test_every_file_is_valid_in_its_language(answers: dict[str, str], bake: Bake) -> None:
    readers = {
        ".py": lambda text: ast.parse(text, feature_version=(3, 10)),
        ".toml": tomllib.loads,
        ".yml": yaml.safe_load,
        ".json": json.loads,
    }
    for name, text in texts_of(bake(**answers)).items():
        if reader := readers.get(Path(name).suffix):
            assert reader(text) is not None, name


def test_nothing_of_the_template_is_left_in_the_project(answers: dict[str, str], bake: Bake) -> None:
    for name, whole in texts_of(bake(**answers)).items():
        # GitHub fills in expressions itself.
        text = re.sub(r"\$\{\{ [\w.]+ \}\}", "", whole.replace(".cookiecutter.json", ""))
        # The README may say how a project was made.
        answer = r"cookiecutter\s*[.|\[]" if name == "README.md" else "cookiecutter"
        # A notebook's Python formats shares as {share:.0%}.
        ends = "" if name.endswith(".ipynb") else r"\}\}|%\}|"
        assert not re.search(ends + r"\{\{|\{%|\{#|" + answer, text), name
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
    named = re.findall(r"`((?:src|data|tests|wheels)/[\w./-]*|[\w.-]+\.(?:py|toml|txt|yml|in))`", text)
    assert "src/trainer/model.py" in named
    for name in named:
        assert (project / name).exists() or (project / "src" / "trainer" / name).exists(), name


def test_python_files_that_the_template_owns_say_so_in_their_first_line(answers: dict[str, str], bake: Bake) -> None:
    yours = {"src/trainer/model.py", "tests/test_model.py"}
    for name, text in texts_of(bake(**answers)).items():
        if name.endswith(".py") and name not in yours:
            assert text.startswith("# Owned by the template"), name


def test_a_project_shows_no_trace_of_the_platform_that_was_not_chosen(answers: dict[str, str], bake: Bake) -> None:
    texts = texts_of(bake(**answers))
    chosen = answers["platform"]
    for platform in (name for name in WORDS if chosen in (name, "both")):
        assert re.search(WORDS[platform], texts["settings.toml"]), platform
    if chosen in OTHER:
        found = {
            f"{name}, line {number}: {line.strip()}"
            for name, text in texts.items() if not name.startswith(SHARED)
            for number, line in enumerate(text.splitlines(), 1) if re.search(WORDS[OTHER[chosen]], line)
        }  # fmt: skip
        assert found == set()


def test_a_project_can_lie_on_windows_and_macos(answers: dict[str, str], bake: Bake) -> None:
    """Names that differ in more than case, are no device, and have only characters that Windows takes."""
    project = bake(**answers)
    names = sorted(files_of(project))
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert len(f"{'x' * 40}/{name}") <= LONGEST_PATH, name
        for part in name.split("/"):
            assert re.fullmatch(r"[\w.+-]*[\w]", part), name
            assert part.partition(".")[0].casefold() not in DEVICES, name
    # Scripts of a shell and Python alike have one line end, whatever git would make of them.
    assert [name for name, text in texts_of(project).items() if "\r" in text] == []
    assert "* text=auto eol=lf" in (project / ".gitattributes").read_text(encoding="utf-8").splitlines()


def test_any_two_answers_meet_in_one_of_the_combinations() -> None:
    questions = {name: QUESTIONS[name] for name in STRUCTURAL + CYCLED}
    choices = {name for name, answers in QUESTIONS.items() if isinstance(answers, list) and not name.startswith("_")}
    assert choices == set(questions)
    every = set().union(*map(pairs_of, product(questions, questions)))
    assert set().union(*map(pairs_of, COMBINATIONS)) == every
    structural = [tuple(answers[name] for name in STRUCTURAL) for answers in COMBINATIONS]
    assert len(set(structural)) == len(structural) == 36


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
    # A text file that is opened without its encoding is read by the machine's own: cp1252, where this is Windows.
    encodings = ["check", "--no-cache", "--preview", "--select", "PLW1514"]
    for arguments in (["check", "--no-cache"], ["format", "--no-cache", "--check"], encodings):
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
