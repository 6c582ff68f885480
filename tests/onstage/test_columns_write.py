"""`onstage columns --write`: what it puts into model.py, and what it leaves to its author."""

import shutil
from pathlib import Path

import pytest

from onstage.commands import model_file
from tests.conftest import ROOT, Bake
from tests.onstage.mistakes import MODEL, change
from tests.onstage.tables import FILMS, number, rows, table
from tests.onstage.words import Say, speaker


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bake(platform="sagemaker"), tmp_path / "project"))


@pytest.fixture
def say(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    return speaker(project, monkeypatch, capsys)


def test_the_examples_carry_their_own_mark() -> None:
    for file in (ROOT / "{{cookiecutter.project_slug}}" / "src" / "trainer").glob("*model.py*"):
        text = file.read_text(encoding="utf-8")
        begin = text.index("# Table [")
        inner = text[text.index("\n", begin) + 1 : text.index(model_file.END)]
        assert text[begin : text.index(model_file.END)] + model_file.END + "\n" == model_file.owned(inner)


# What was done to the lines by hand, and what is said.
BY_HAND = {
    "a column": ("Numeric(\"sepal_width\")", "Numeric(\"sepal_width\", missing=0.0)", "the table was changed by hand"),
    "a comment": ("    [\n", "    [\n        # in cm\n", "the table was changed by hand"),
    "no comment around": (f"{model_file.END}\n", "", "are not there once each"),
    "one comment twice": (f"{model_file.END}\n", f"{model_file.END}\n" * 2, "are not there once each"),
    "no Python": ("    [\n", "    [[\n", "is not one statement DATA = ..."),
    "another statement": ("DATA = Table(", "SIZE = 3\nDATA = Table(", "is not one statement DATA = ..."),
    "no import": ("from trainer.columns import Classes, Numeric, Table", "from trainer.columns import *\n", ""),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "said"), BY_HAND.values(), ids=BY_HAND)
def test_what_was_changed_by_hand_is_not_overwritten(
    before: str, after: str, said: str, project: Path, say: Say
) -> None:
    if not said:
        before, after, said = "from trainer.columns import Classes, Numeric, Table\n", "", "there is no line: from"
    change(MODEL, before, after)(project)
    (project / "films.csv").write_bytes(FILMS)
    kept = (project / MODEL).read_bytes()
    ended = say("columns", "films.csv", "--write")
    assert ended.code == 2
    assert (project / MODEL).read_bytes() == kept
    assert said in ended.err
    assert "Nothing is written; put the text above in its place" in ended.err
    assert 'Classes("success", ["no", "yes"]),' in ended.out


def test_another_layout_is_no_change_and_the_rest_of_the_page_stays(project: Path, say: Say) -> None:
    model = project / MODEL
    change(MODEL, '    [\n        Numeric("sepal_length"),\n', "    [ Numeric(\n'sepal_length'),\n".replace("'", '"'))(
        project
    )
    change(MODEL, "OBJECTIVE = ", "# Mine.\nOBJECTIVE = ")(project)
    model.write_bytes(model.read_bytes().replace(b"\n", b"\r\n"))
    old = model.read_bytes()
    (project / "films.csv").write_bytes(FILMS)
    for _ in range(2):
        assert say("columns", "films.csv", "--write").code == 0
    new = model.read_bytes()
    assert new.replace(b"\r\n", b"").count(b"\n") == 0
    assert new[new.index(b"# Mine.") :] == old[old.index(b"# Mine.") :]
    assert b"from trainer.columns import Categorical, Classes, Date, Dropped, Numeric, Table, Text\r\n" in new


def test_an_older_trainer_gets_only_the_kinds_that_it_has(project: Path, say: Say) -> None:
    change("src/trainer/columns.py", "class Text(", "class Words(")(project)
    change("src/trainer/columns.py", "class Date(", "class Days(")(project)
    (project / "films.csv").write_bytes(FILMS)
    out = say("columns", "films.csv").out
    assert 'Dropped("title"),' in out
    assert "# a date, such as '2000-01-10': write a number" in out


def test_a_target_of_another_kind_than_the_model_is_said_with_what_to_do(project: Path, say: Say, bake: Bake) -> None:
    (project / "all.csv").write_bytes(table("a,price", rows(80, number(0, 1), number(0, 9000))))
    for _ in range(2):
        ended = say("columns", "all.csv", "--write")
        assert ended.code == 1
        assert "build_model and OBJECTIVE are for classes, and the target 'price' is Number" in ended.err
        assert "Render a project with problem=regression" in ended.err
    shutil.copy(bake(platform="sagemaker", problem="regression") / MODEL, project / MODEL)
    assert say("columns", "all.csv", "--write").code == 0
    (project / "all.csv").write_bytes(table("a,kind", rows(80, number(0, 1), ["p", "q"])))
    ended = say("columns", "all.csv")
    assert (ended.code, "problem=classification" in ended.err) == (1, True)
    # Whole numbers can be either: as the model has them.
    (project / "all.csv").write_bytes(table("a,grade", rows(80, number(0, 1), [1, 2, 3, 4])))
    assert 'Number("grade")' in say("columns", "all.csv").out


def test_outputs_that_are_counted_by_hand_are_compared_with_the_labels(project: Path, say: Say) -> None:
    (project / "films.csv").write_bytes(FILMS)
    change(MODEL, "Dense(len(DATA.target.labels)", "Dense(3")(project)
    ended = say("columns", "films.csv", "--write")
    assert ended.code == 1
    assert (
        "build_model ends in Dense(3), and 'success' has 2 labels: write Dense(len(DATA.target.labels), ...)"
        in ended.err
    )
