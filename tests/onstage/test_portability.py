"""What differs on Windows and macOS, as far as Linux can show it: code pages, line ends, paths with a drive letter.

Names of files are in tests/template/test_matrix.py, and there is a linter for the encoding of each file that is opened.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Bake

# Python's own text is ASCII then, and what it prints has to be in the code page of Windows in the West.
WESTERN = {
    "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "cp1252", "COLUMNS": "200",
}  # fmt: skip
TEXTS = (".py", ".toml", ".csv", ".txt", ".in", ".md")


def onstage(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "onstage", *words],
        cwd=folder, env={**os.environ, **WESTERN}, capture_output=True, encoding="cp1252", check=False,
    )  # fmt: skip


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    """A project with names in many scripts, each text file of which a Windows editor has saved."""
    made = bake(project_name="Ünï ☃ 名", description="Zażółć 名", author_name="É")
    project = Path(shutil.copytree(made, tmp_path / "prøject 名"))
    for file in project.rglob("*"):
        if file.is_file() and file.suffix in TEXTS:
            text = file.read_text(encoding="utf-8").replace("setosa", "sétosa 名")
            file.write_bytes(text.replace("\n", "\r\n").encode())
    return project


def test_a_code_page_that_lacks_a_letter_ends_no_command(tmp_path: Path) -> None:
    rows = "".join(f"{number / 7:.3f},{name}\n" for number in range(40) for name in ("Zürich", "名古屋"))
    (tmp_path / "cities.csv").write_text(f"size,city\n{rows}", encoding="utf-8")
    done = onstage("columns", "cities.csv", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    # As Python reads it back.
    assert 'Classes("city", ["Zürich", "\\u540d\\u53e4\\u5c4b"])' in done.stdout


@pytest.mark.long
def test_a_project_that_windows_saved_passes_the_checks_that_read_its_files(project: Path) -> None:
    chosen = ["project.settings", "project.files", "project.model", "project.data", "sagemaker.code", "vertex.request"]
    done = onstage("rehearse", *(word for check in chosen for word in ("--select", check)), folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = set(re.findall(r"(?m)^([\w.]+) .* passed\b", done.stdout))
    assert passed >= set(chosen)
    assert "Traceback" not in done.stderr


def test_a_path_of_windows_is_named_as_one_that_is_not_there(project: Path) -> None:
    """Not found here, and said so with its name; TOML's own escapes are the first stumbling block."""
    settings = project / "settings.toml"
    text = settings.read_text(encoding="utf-8")
    for written, said in (
        (r"'C:\data\train'", r"C:\data\train"),
        (r'"data\\train"', r"data\train"),
        (r'"C:\data"', "settings.toml cannot be read"),
    ):
        settings.write_text(text.replace('"data/train"', written), encoding="utf-8")
        done = onstage("rehearse", "--select", "project.data", folder=project)
        assert done.returncode in (1, 2)
        assert said in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
