"""README.md says what is true."""

import importlib.util
import re

import start
from tests.conftest import QUESTIONS, ROOT, Bake
from tests.template.test_matrix import files_of

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, after: str) -> str:
    """The first fenced block of this language behind a heading."""
    return README[README.index(after) :].partition(f"```{language}\n")[2].partition("```")[0]


def test_the_tree_is_the_default_projects(bake: Bake) -> None:
    shown = [line.split()[0] for line in block("text", "## The project").splitlines() if not line.startswith(" ")]
    files = files_of(bake())
    for file in files:
        assert [name for name in shown if name == file or (name.endswith("/") and file.startswith(name))], file
    for name in shown:
        assert name in files or any(file.startswith(name) for file in files if name.endswith("/")), name


def test_the_model_is_the_default_projects(bake: Bake) -> None:
    assert block("python", "## The project") == (bake() / "src" / "trainer" / "model.py").read_text(encoding="utf-8")


def test_every_question_is_in_the_table_with_its_choices() -> None:
    table = README[README.index("## Questions") : README.index("## The project")]
    for question, choices in QUESTIONS.items():
        if not question.startswith("_"):
            assert f"`{question}`" in table
            for choice in choices if isinstance(choices, list) else []:
                assert f"`{choice}`" in table, f"{question}: {choice}"


def test_the_commands_are_those_that_the_tests_run() -> None:
    commands = [line for text in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in text.splitlines()]
    assert commands[:1] + commands[-1:] == ["python start.py", "python start.py test"]
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().endswith("exec python3 start.py test")


def test_every_linked_file_exists() -> None:
    project = ROOT / "{{cookiecutter.project_slug}}"
    named = r"`((?:hooks|tests|benchmarks|templates|onstage|packaging|docs)/[\w./]+|[a-z_]+\.(?:json|py))`"
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for link in re.findall(r"\]\((?!http)([^)]+)\)", text):
            assert (ROOT / link).exists(), link
        for name in re.findall(named, text):
            places = [ROOT / name, ROOT / "hooks" / name, project / name]
            places += [place for folder in (project, ROOT / "onstage") for place in folder.glob(f"**/{name}")]
            assert name == "model.py" or any(place.exists() for place in places), name


def test_every_benchmark_is_run_with_all_or_named_as_one_by_hand() -> None:
    spec = importlib.util.spec_from_file_location("all_benchmarks", ROOT / "benchmarks" / "all.py")
    assert spec and spec.loader
    every = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(every)
    named = [one.file for one in every.BENCHMARKS.values()] + list(every.BY_HAND)
    files = {file.name for file in (ROOT / "benchmarks").glob("*.py")}
    assert sorted(named) == sorted(files - {"all.py"})
    assert all(f"`.venv/bin/python benchmarks/{file}`" in every.by_hand() for file in every.BY_HAND)


def test_the_shown_run_ends_as_start_py_ends() -> None:
    shown = block("text", "## Start").splitlines()
    assert [line for line in shown if line.startswith("--- ")][:-1] == [
        f"--- {step}" for step in ("environment", "render", "install", "train", "rehearse")
    ]
    passed, last = shown[-2:]
    assert re.match(r"--- PASSED in [\d.]+ s \([\d.]+ s of CPU\): environment ", passed)
    project, environment = (folder.relative_to(ROOT) for folder in (start.PROJECT, start.PROJECT_ENVIRONMENT))
    assert last == f"The project is in {project}, its packages in {environment}; its README.md says how to go on."
