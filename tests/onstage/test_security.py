"""SECURITY.md names files and tests that are there, and what travels is what it says."""

import ast
import os
import re
import sys
from pathlib import Path

import pytest

from onstage import source
from tests.conftest import ROOT

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
TESTS = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


def test_every_row_of_the_threats_has_a_test_that_is_there() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    threats = [line for line in rows if line.count(" | ") == 2 and not line.endswith(("tested by |", "prevented |"))]
    untested = [line for line in threats if "`tests/" not in line.rpartition(" | ")[2]]
    # The first table is of what nothing prevents.
    assert len(untested) == 4
    assert len(threats) - len(untested) == len(TESTS) > 25
    for file, name in TESTS:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not name or name in functions, f"{file} has no {name}"


def test_every_place_that_stops_a_threat_is_there() -> None:
    named = set(re.findall(r"`((?:onstage|hooks|packaging|templates|docs)/[\w./]*)`", PAGE))
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_hidden_files_and_bytecode_do_not_travel(tmp_path: Path) -> None:
    code = tmp_path / "src"
    for name in ("model.py", "words.txt", ".env", ".git/config", "__pycache__/model.pyc", "sub/more.py"):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text("x", encoding="utf-8")
    (tmp_path / "key.pem").write_text("mine", encoding="utf-8")
    os.symlink(tmp_path / "key.pem", code / "key.pem")
    os.symlink(tmp_path, code / "above", target_is_directory=True)
    names = [file.relative_to(code).as_posix() for file in source.files(code)]
    assert names == ["model.py", "sub/more.py", "words.txt"]
