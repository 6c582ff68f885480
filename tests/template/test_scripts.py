"""train.py and predict.py where `onstage` is missing or another one: one line, with a command that works as printed."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import Bake, Command


@pytest.mark.few(2)
@pytest.mark.parametrize("script", ["train.py", "predict.py"])
@pytest.mark.parametrize("other", [False, True], ids=["none", "another version"])
def test_without_its_onstage_a_script_says_what_to_type(
    script: str, other: bool, bake: Bake, tmp_path: Path, command: Command
) -> None:
    project = tmp_path / "my models"
    shutil.copytree(bake(), project)
    if other:
        (project / "src" / "onstage").mkdir()
        (project / "src" / "onstage" / "errors.py").write_text("")
        (project / "src" / "onstage" / "__init__.py").write_text("")
    # Without site-packages.
    done = command(sys.executable, "-E", "-S", project / script, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    why = "cannot import name 'run_script'" if other else "No module named 'onstage'"
    assert line.startswith(f"error: {why}")
    assert line.endswith(f'pip install -r "{project}/requirements.txt"')
