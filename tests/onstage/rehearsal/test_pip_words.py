"""pip's reason in one line, from what the real pip says."""

import subprocess
import sys
from pathlib import Path

import pytest

from onstage.rehearsal.pip_words import reason

SETUP = 'from setuptools import setup, Extension\nsetup(name="mine", version="1"{})\n'
SOURCES = {
    "a build that needs another package": ("import not_there",
                                           "mine cannot be built: ModuleNotFoundError: No module named 'not_there'"),
    "a C extension without its headers": (SETUP.format(', ext_modules=[Extension("e", ["e.c"])]'),
                                          "mine cannot be built: e.c:1:10: fatal error: nosuch.h: No such file"),
    "another Python": (SETUP.format(', python_requires=">=3.99"'), "Package 'mine' requires a different Python: "),
}  # fmt: skip


def pip(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "pip", "install", "--target", str(folder / "target"), "--no-build-isolation"]
    done = subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode, done.stdout
    return done.stdout + done.stderr


@pytest.mark.few(1)
@pytest.mark.parametrize("case", SOURCES)
def test_a_package_that_cannot_be_built_or_used_is_named_with_what_it_lacks(tmp_path: Path, case: str) -> None:
    text, said = SOURCES[case]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "setup.py").write_text(text, encoding="utf-8")
    (tmp_path / "mine" / "e.c").write_text("#include <nosuch.h>\n", encoding="utf-8")
    assert (reason(pip(tmp_path, "./mine")) or "").startswith(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--no-index", "polars==0.0.1"),
         "No matching distribution found for polars==0.0.1, of which there is no version at all"),
        (("numpy==2.2.0", "numpy==2.1.0"), "Cannot install numpy==2."),
    ],
)  # fmt: skip
def test_a_version_that_there_is_not_is_named(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    assert (reason(pip(tmp_path, *words)) or "").startswith(said)


@pytest.mark.parametrize("log", ["", "epoch=1 loss=0.5\nValueError: no", "ERROR: of my own\n", "Collecting x\nSuccess"])
def test_a_log_without_a_failure_of_pip_has_no_reason(log: str) -> None:
    assert reason(log) is None
