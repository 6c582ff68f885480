"""What is odd about data and no error is said in lines `note: ...`, and nothing about what is right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Prepare

Notes = Callable[..., list[str]]


@pytest.fixture
def notes(prepare: Prepare, capsys: pytest.CaptureFixture) -> Notes:
    """The notes about two files of this table."""

    def run(table: Any, train: str, evaluation: str) -> list[str]:
        capsys.readouterr()
        prepare(table, train, evaluation)
        return capsys.readouterr().out.splitlines()

    return run


SOUND = "x,c,y\n1,a,no\n2,b,yes\n3,a,no\n"


def test_sound_data_has_no_notes(notes: Notes, simple: Any, columns: Any) -> None:
    assert notes(simple, SOUND, "x,c,y\n1,a,no\n") == []
    assert notes(simple, "\ufeff" + SOUND.replace("\n", "\r\n"), "x,c,y\n4,b,yes") == []
    missing = columns.Table(
        [columns.Numeric("x"), columns.Categorical("c", ["a", "b"], missing="?"), columns.Classes("y", ["no", "yes"])],
        missing_text="NA",
    )
    assert notes(missing, SOUND + "4,,yes\n5,NA,yes\n6,?,no\n", "x,c,y\n7,,no\n") == []
    many = columns.Table([columns.Numeric("a, b"), columns.Hashed("Größe (m)", 5), columns.Number("y")])
    assert notes(many, '"a, b",Größe (m),y\n1,"u, v",1\n2,ü,2\n', '"a, b",Größe (m),y\n1,w,1\n') == []


def test_values_outside_the_vocabulary_are_counted_and_their_nearest_named(notes: Notes, simple: Any) -> None:
    assert notes(simple, "x,c,y\n1,a,no\n2,B,yes\n3, a,no\n4,zebra,no\n", "x,c,y\n1,a,no\n2,q,no\n") == [
        "note: c: 3 of 4 train rows (75 %) are outside its vocabulary; the first: 'B' (did you mean 'b'?), ' a' (did "
        + "you mean 'a'?), 'zebra'",
        "note: c: 1 of 2 eval rows (50 %) are outside its vocabulary; the first: 'q'",
    ]


@pytest.mark.parametrize("where", ["train", "eval"])
def test_a_column_of_unknown_values_only_is_refused(where: str, prepare: Prepare, simple: Any, columns: Any) -> None:
    odd = "x,c,y\n1, a,no\n2, b,yes\n"
    with pytest.raises(columns.DataError) as refused:
        prepare(simple, odd if where == "train" else SOUND, odd if where == "eval" else SOUND)
    assert str(refused.value) == (
        f"{where}, column 'c': every value is outside its vocabulary ['a', 'b']; the first: ' a' (did you mean 'a'?), "
        "' b' (did you mean 'b'?)"
    )


def test_labels_without_a_row_are_named(notes: Notes, simple: Any) -> None:
    one = "x,c,y\n1,a,no\n2,b,no\n"
    assert notes(simple, one, "x,c,y\n1,a,no\n3,a,no\n") == ["note: y: no train row has the label 'yes'"]
    assert notes(simple, one, "x,c,y\n1,a,yes\n3,a,no\n") == [
        "note: y: no train row has the label 'yes', and 1 eval row has such a label"
    ]


def test_columns_that_never_change_are_named(notes: Notes, columns: Any) -> None:
    table = columns.Table(
        [columns.Numeric("x"), columns.Hashed("h", 3), columns.Identity("i", 5), columns.Numeric("z"),
         columns.Dropped("d"), columns.Number("y")]
    )  # fmt: skip
    header = "x,h,i,z,d,y\n"
    assert notes(table, f"{header}0.1,a,3,1,d,2\n0.1,a,3,2,d,2\n", f"{header}1,b,4,2,d,1\n") == [
        "note: y: every train row has 2",
        "note: x: every train row has 0.1: nothing to learn from",
        "note: h: every train row has 'a': nothing to learn from",
        "note: i: every train row has 3: nothing to learn from",
    ]


def test_an_eval_of_the_same_rows_is_named_in_whatever_order(notes: Notes, simple: Any) -> None:
    (note,) = notes(simple, SOUND, "x,c,y\n3,a,no\n1,a,no\n2,b,yes\n")
    assert note.startswith("note: eval has the very rows of train: ")
    assert notes(simple, SOUND, "x,c,y\n3,a,no\n1,a,no\n2,a,yes\n") == []


def test_files_that_are_not_read_are_named(
    project: Path, simple: Any, columns: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from trainer.data import CsvReader

    for name in ("train", "eval", "train/more", "train/.ipynb_checkpoints"):
        (tmp_path / name).mkdir()
    (tmp_path / "eval" / "b.csv").write_text("x,c,y\n1,a,no\n")
    others = (
        "README.md",
        "_SUCCESS",
        ".DS_Store",
        "b.tsv",
        "c.CSV.zip",
        "d.parquet",
        "more/e.txt",
        ".ipynb_checkpoints/f.csv",
    )
    for name in others:
        (tmp_path / "train" / name).write_text(SOUND)
    said = "only *.csv and TFRecord shards are read, and this is left out: b.tsv, c.CSV.zip, d.parquet, more/e.txt"
    folders = [str(tmp_path / name) for name in ("train", "eval")]
    with pytest.raises(columns.DataError) as refused:
        CsvReader(simple).prepare(*folders)
    assert "holds no *.csv file" in str(refused.value)
    assert said in str(refused.value)
    (tmp_path / "train" / "a.csv").write_text(SOUND)
    CsvReader(simple).prepare(*folders)
    assert capsys.readouterr().out.splitlines() == [f"note: train: {said}"]


def test_what_only_a_part_of_the_rows_says_is_no_verdict(simple: Any, columns: Any) -> None:
    from trainer.rows import Seen, find_notes

    train, evaluation = Seen(simple, "train"), Seen(simple, "eval")
    for number in range(300):
        train.add(simple.columns, ["1", "A" if number else "a", "no"])
    evaluation.add(simple.columns, ["1", "a", "no"])
    assert "299 of 300 train rows (99.7 %)" in find_notes(train, evaluation)[0]
    train = Seen(simple, "train")
    train.add(simple.columns, ["1", "A", "no"])
    with pytest.raises(columns.DataError, match="every value is outside"):
        train.refuse_unknown()
    # Other rows may have another class, another value.
    train.whole = False
    train.refuse_unknown()
    assert find_notes(train, evaluation) == [
        "c: 1 of 1 train rows (100 %) are outside its vocabulary; the first: 'A' (did you mean 'a'?)"
    ]
