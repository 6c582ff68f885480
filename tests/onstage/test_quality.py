"""What tools say about the package's source: types, and who imports whom."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_types_are_right(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


# The package of the working directory, not the installed one.
LINT = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-c", LINT, "--no-cache", "--no-logo"],
        cwd=folder, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_imports_run_downwards() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "imported", "broken"),
    [
        ("errors.py", "onstage.cli", "Floors"),
        ("serving/archive.py", "onstage.sagemaker.requests.images", "Floors"),
        ("vertex/requests/names.py", "onstage.sagemaker.requests.images", "Floors"),
        ("vertex/requests/names.py", "onstage.vertex.client.errors", "A tower"),
        ("sagemaker/requests/images.py", "onstage.report", "Requests are pure"),
    ],
)
def test_an_import_that_runs_upwards_is_seen_inside_of_a_function_too(
    file: str, imported: str, broken: str, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "onstage", tmp_path / "onstage", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "onstage" / file).open("a", encoding="utf-8") as module:
        module.write(f"\n\ndef upwards():\n    import {imported}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(line.startswith(broken) and "BROKEN" in line for line in done.stdout.splitlines()), done.stdout
