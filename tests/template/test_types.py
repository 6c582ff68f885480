"""A project passes mypy by its own settings, so that a researcher's editor shows none but the researcher's mistakes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Bake

PROBLEMS = ("classification", "regression")
CASES = [
    pytest.param(platform, problem, marks=() if platform == "both" else pytest.mark.long)
    for platform in ("both", "sagemaker", "vertex")
    for problem in PROBLEMS
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy knows of NumPy and of onstage."""
    return tmp_path_factory.mktemp("mypy")


def check(project: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run plain `mypy` in a project. onstage, which an environment of the project has, is found in this repository."""
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(cache), "--no-color-output"],
        cwd=project, env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("platform", "problem"), CASES)
def test_a_project_has_no_error_of_types(platform: str, problem: str, bake: Bake, cache: Path) -> None:
    project = bake(platform=platform, problem=problem, notebooks="no")
    done = check(project, cache)
    assert done.returncode == 0, done.stdout + done.stderr
    # All of what trains and predicts, the entry points of the platforms, too.
    files = [*(project / "src").rglob("*.py"), project / "train.py", project / "predict.py"]
    assert done.stdout == f"Success: no issues found in {len(files)} source files\n"


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        ("src/trainer/model.py", '"maximize")', "1)", 'Argument 2 to "Objective" has incompatible type "int"'),
        ("src/trainer/loop.py", "steps -= count\n", "steps -= str(count)\n", "Unsupported operand types for -"),
        ("src/sagemaker_entry.py", "PORT = 2222", 'PORT = "2222"', 'expected "tuple[str, int]"'),
        ("src/trainer/task.py", "return name, int(port)", "return name, port", "Incompatible return value type"),
        ("train.py", "locate(data.train)", "locate(1)", 'Argument 1 has incompatible type "int"; expected "str"'),
    ],
)
def test_an_error_of_types_is_found(
    file: str, right: str, wrong: str, said: str, bake: Bake, cache: Path, tmp_path: Path
) -> None:
    project = Path(shutil.copytree(bake(platform="both", problem="classification", notebooks="no"), tmp_path / "copy"))
    text = (project / file).read_text(encoding="utf-8")
    assert text.count(right) == 1
    (project / file).write_text(text.replace(right, wrong), encoding="utf-8")
    done = check(project, cache)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{Path(file)}:" in done.stdout
    assert said in done.stdout
