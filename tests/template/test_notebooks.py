"""The notebooks: one source each, stored without outputs, and executed on tables of every kind."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

from tests.conftest import ROOT, TEMPLATE, Bake
from tests.notebooks import execute
from tests.onstage.commands import onstage

SOURCES = sorted((ROOT / "templates" / "notebooks").glob("*.py"))
NAMES = [source.stem for source in SOURCES]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def stored(name: str) -> Any:
    return nbformat.read(TEMPLATE / "notebooks" / f"{name}.ipynb", as_version=4)


def cells_of(notebook: Any) -> list[tuple[str, str, dict]]:
    return [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]


def test_a_notebook_is_what_its_script_makes(name: str) -> None:
    made = jupytext.read(ROOT / "templates" / "notebooks" / f"{name}.py")
    assert cells_of(stored(name)) == cells_of(made)
    # Which kernel is each person's own: `onstage notebook` writes it, and its filter keeps it out of commits.
    assert not {"kernelspec", "language_info"} & set(stored(name).metadata)
    assert {path.stem for path in (TEMPLATE / "notebooks").iterdir()} == set(NAMES)


def test_a_notebook_is_stored_without_outputs_and_calls_python_only(name: str) -> None:
    notebook = stored(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code if cell.outputs or cell.execution_count] == []
    escapes = re.compile(r"^\s*[!%]|get_ipython|subprocess|os\.system", re.MULTILINE)
    assert [cell.source for cell in code if escapes.search(cell.source)] == []
    # The one cell to change.
    assert [cell.metadata.get("tags") for cell in code if cell.metadata.get("tags")] == [["parameters"]]


def test_each_part_of_a_notebook_says_what_it_costs(name: str) -> None:
    texts = [cell.source for cell in stored(name).cells if cell.cell_type == "markdown"]
    parts = [text for text in texts if text.startswith("## ")]
    assert len(parts) >= 8
    assert not [text.splitlines()[0] for text in parts if "ost: " not in text]


def homes(count: int) -> str:
    """Dates, words, categories, missing values and a column's name that is no name in Python."""
    lines = ["sold;title;district;rooms;area (m2);lift;code;price"]
    for number in range(count):
        rooms, area = 1 + number % 6, 30 + number * 37 % 101
        words = " ".join(("red", "old", "new", "big", "lake", "near")[(number * step) % 6] for step in (1, 5, 7))
        sold = f"{1 + number % 28:02}.{1 + number % 12:02}.{2015 + number % 9}"
        lines.append(
            f"{sold};{words};{'ABCDEFGHIJKL'[number * 7 % 12]};{rooms};"
            f"{'' if number % 11 == 0 else area + 0.5};{('yes', 'no', '')[number % 3]};{1000 + number * 613 % 8999};"
            f"{2000 * area + 15000 * rooms}"
        )
    return "\n".join([*lines, ""])


def own_table(project: Path) -> None:
    """A table of the researcher's own, by two commands and without an edit."""
    shutil.rmtree(project / "data")
    (project.parent / "homes.csv").write_text(homes(300), encoding="utf-8")
    for words in (("columns", "../homes.csv", "--write", "--target", "price"), ("split", "../homes.csv")):
        done = onstage(*words, cwd=project)
        assert done.code == 0, done.said


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("answers", "prepare", "shown"),
    [
        pytest.param({}, None, "of 30 are right", id="labels"),
        pytest.param({"problem": "regression"}, own_table, "nine of ten within", id="a table of one's own"),
        pytest.param({"problem": "regression"}, None, "nine of ten within", id="numbers", marks=pytest.mark.long),
    ],
)
def test_explore_and_train_runs_and_draws(
    answers: dict[str, str], prepare: Callable[[Path], None] | None, shown: str, bake: Bake, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(bake(**answers), project, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    if prepare:
        prepare(project)
    done = execute(project, "01_explore_and_train", 'HYPERPARAMETERS = {"epochs": 2}\nROWS = 200')
    assert shown in done.text
    assert "epoch=2 loss=" in done.text
    # Correlations, distributions, pairs, eval among train, learning curves, answers, importance.
    assert done.pictures == 7
    assert "Warning" not in done.text, done.text
    assert len(list((project / "runs").glob("*/report.html"))) == 1
