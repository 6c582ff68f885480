"""`onstage split`: every row of a file is in train or in eval, with the bytes that it had."""

import csv
import gzip
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import change
from tests.onstage.tables import FILMS, number, rows, table
from tests.onstage.words import Say, speaker

VISITS = table("patient,visit,day,x,y", rows(
    200, lambda row: f"p{row % 20}", lambda row: row * 7 % 200, lambda row: f"{1 + row % 28}/3/2021", number(0, 1),
    lambda row: "q" if row % 4 == 0 else "p",
))  # fmt: skip


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(bake(platform="sagemaker"), tmp_path / "project"))
    (folder / "visits.csv").write_bytes(VISITS)
    return folder


@pytest.fixture
def bare(project: Path) -> Path:
    """A project without data."""
    for channel in ("train", "eval"):
        shutil.rmtree(project / "data" / channel)
    return project


@pytest.fixture
def say(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    return speaker(project, monkeypatch, capsys)


def lines(project: Path, channel: str, name: str = "visits.csv") -> list[bytes]:
    return (project / "data" / channel / name).read_bytes().splitlines(keepends=True)


def values(project: Path, channel: str, column: int) -> list[str]:
    return [line.decode().split(",")[column].strip() for line in lines(project, channel)[1:]]


def test_each_label_has_its_share_in_both_parts_and_no_byte_changes(bare: Path, say: Say) -> None:
    ended = say("split", "visits.csv", "--target", "y")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == ("data/train/visits.csv: 160 rows (p 120, q 40)\ndata/eval/visits.csv: 40 rows (p 30, q 10)\n")
    train, evaluation = lines(bare, "train"), lines(bare, "eval")
    whole = VISITS.splitlines(keepends=True)
    assert train[0] == evaluation[0] == whole[0]
    # In the file's order.
    assert train[1:] == [line for line in whole[1:] if line in set(train)]
    assert sorted(train[1:] + evaluation[1:]) == sorted(whole[1:])
    assert not list((bare / "data").rglob("*.part"))


def test_a_seed_says_which_rows(bare: Path, say: Say) -> None:
    found = []
    for words in ((), ("--seed", "0"), ("--seed", "1"), ("--eval", "0.5")):
        assert say("split", "visits.csv", "--target", "y", "--replace", *words).code == 0
        found.append(lines(bare, "eval"))
    assert found[0] == found[1] != found[2]
    assert [len(one) - 1 for one in found] == [40, 40, 40, 100]


def test_groups_stay_together(bare: Path, say: Say) -> None:
    assert say("split", "visits.csv", "--by", "patient").code == 0
    train, evaluation = (set(values(bare, channel, 0)) for channel in ("train", "eval"))
    assert (len(train), len(evaluation), train & evaluation) == (16, 4, set())


@pytest.mark.parametrize(("column", "place"), [("visit", 1), ("day", 2)])
def test_the_latest_rows_are_eval(column: str, place: int, bare: Path, say: Say) -> None:
    assert say("split", "visits.csv", "--time", column).code == 0
    key = {"visit": int, "day": lambda text: int(text.split("/")[0])}[column]
    train, evaluation = ([key(text) for text in values(bare, channel, place)] for channel in ("train", "eval"))
    assert max(train) < min(evaluation)
    # Rows of one day stay together.
    assert 40 <= len(evaluation) <= 48


def test_dates_of_several_ways_are_refused_and_those_of_one_are_not(bare: Path, say: Say) -> None:
    dates = ["2021-03-04T10:00:00+00:00", "2021-03-05T10:00:00.250+00:00", "2021-03-06T10:00:00+02:00"]
    (bare / "t.csv").write_text("t,x\n" + "".join(f"{date},1\n" for date in dates), encoding="utf-8")
    assert say("split", "t.csv", "--time", "t").code == 0
    assert b"2021-03-06" in lines(bare, "eval", "t.csv")[1]
    (bare / "t.csv").write_text("t,x\n2021-03-04,1\n4.3.2021,2\n", encoding="utf-8")
    ended = say("split", "t.csv", "--time", "t", "--replace")
    assert (ended.code, "'4.3.2021' is no time like the first, '2021-03-04'" in ended.err) == (1, True)
    (bare / "t.csv").write_text("t,x\n2021-03-04,1\n2021-03-04,2\n", encoding="utf-8")
    ended = say("split", "t.csv", "--time", "t", "--replace")
    assert (ended.code, "--time t: all rows have the same time" in ended.err) == (2, True)


def test_quotes_line_ends_encodings_and_a_last_line_without_end_are_kept(bare: Path, say: Say) -> None:
    body = [b'%d,"two\r\nlines, %d \xe9",%s\r\n' % (n, n, b"pq"[n % 2 : n % 2 + 1]) for n in range(20)]
    (bare / "t.csv").write_bytes(b"\xef\xbb\xbfa,note,y\r\n" + b"\r\n".join([b"".join(body), b""]).rstrip(b"\r\n"))
    assert say("split", "t.csv", "--target", "y").code == 0
    parts = [(bare / "data" / channel / "t.csv").read_bytes() for channel in ("train", "eval")]
    assert all(part.startswith(b"\xef\xbb\xbfa,note,y\r\n") and part.endswith(b"\r\n") for part in parts)
    assert sorted(b"".join(part[13:] for part in parts)) == sorted(b"".join(body))
    for line in body:
        assert sum(line in part for part in parts) == 1


def test_packed_files_stay_packed_and_other_names_become_csv(bare: Path, say: Say) -> None:
    (bare / "v.csv.gz").write_bytes(gzip.compress(VISITS))
    (bare / "v.data").write_bytes(VISITS.replace(b",", b"|"))
    assert say("split", "v.csv.gz", "--target", "y").code == 0
    read = [gzip.decompress((bare / "data" / channel / "v.csv.gz").read_bytes()) for channel in ("train", "eval")]
    assert sum(part.count(b"\n") for part in read) == 202
    assert say("split", "v.data", "--target", "y", "--replace").code == 0
    assert [file.name for file in (bare / "data" / "train").iterdir()] == ["v.csv"]


def test_what_is_there_is_moved_only_when_asked_and_never_deleted(project: Path, say: Say) -> None:
    before = {file: file.read_bytes() for file in (project / "data").rglob("*.csv")}
    ended = say("split", "visits.csv", "--target", "y")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "error: there is data already: data/train/iris.csv, data/eval/iris.csv (the template's example); --replace "
        "moves it to data/replaced-1/ and deletes nothing\n"
    )
    assert {file: file.read_bytes() for file in (project / "data").rglob("*.csv")} == before
    ended = say("split", "visits.csv", "--target", "y", "--replace")
    assert ended.out.startswith("moved: data/train/iris.csv to data/replaced-1/train/iris.csv\n")
    moved = {
        Path(str(file).replace("replaced-1/", "")): file.read_bytes()
        for file in (project / "data" / "replaced-1").rglob("*.csv")
    }
    assert moved == before
    own = say("split", "visits.csv", "--target", "y")
    assert "(the template's example)" not in own.err
    assert "--replace moves it to data/replaced-2/" in own.err
    assert say("split", "data/train/visits.csv", "--target", "y", "--replace").err == (
        "error: data/train/visits.csv is where train or eval is written to: move it out of there first\n"
    )


def test_a_file_that_model_py_does_not_describe_needs_its_columns_first(bare: Path, say: Say) -> None:
    ended = say("split", "visits.csv")
    assert (ended.code, ended.out) == (2, "")
    assert (
        "visits.csv has not the columns of DATA in src/trainer/model.py. First onstage columns visits.csv --write"
        in (ended.err)
    )
    assert say("columns", "visits.csv", "--write").code == 0
    assert "(p 120, q 40)" in say("split", "visits.csv").out


@pytest.mark.parametrize("problem", ["classification", "regression"])
def test_a_foreign_table_becomes_the_projects_own(
    problem: str, bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Path(shutil.copytree(bake(platform="sagemaker", problem=problem), tmp_path / problem))
    (project / "films.csv").write_bytes(FILMS)
    here = speaker(project, monkeypatch, capsys)
    target = {"classification": "success", "regression": "budget"}[problem]
    assert here("columns", "films.csv", "--write", "--target", target).code == 0
    ended = here("split", "films.csv", "--replace")
    assert ended.code == 0, ended.said
    checked = onstage("rehearse", "--select", "project.data", cwd=project)
    assert checked.code == 0, checked.said
    assert "passed   train 320 rows" in checked.out or "more without budget" in checked.out, checked.out


def test_a_label_of_one_row_is_in_train_and_said_to_lack_in_eval(bare: Path, say: Say) -> None:
    (bare / "t.csv").write_text("x,y\n1,a\n2,a\n3,b\n4,c\n5,c\n", encoding="utf-8")
    ended = say("split", "t.csv", "--target", "y")
    assert ended.out.splitlines()[-1] == "note: eval has no row of y = 'b'"
    assert Counter(row[1] for row in csv.reader(map(bytes.decode, lines(bare, "train", "t.csv"))))["b"] == 1


# What cannot be split, by its words, and what is said.
BAD = {
    "no file": (["nowhere.csv"], "there is no nowhere.csv"),
    "a folder": (["data"], "data is a folder: name a file"),
    "a share": (["visits.csv", "--eval", "1"], "--eval 1: a share of the rows, between 0 and 1"),
    "two ways": (["visits.csv", "--by", "patient", "--time", "day"], "--by or --time, not both"),
    "no such column": (["visits.csv", "--by", "patients"], "has no such column; did you mean 'patient'? It has"),
    "large groups": (
        ["visits.csv", "--by", "y"], "2 groups of 200 rows, and the smallest has 25 %, which is more than --eval",
    ),
    "one group": (["one.csv", "--by", "x"], "1 group of 2 rows, and the smallest has 100 %"),
    "one row": (["row.csv", "--target", "y"], "row.csv has 1 row: nothing to split"),
    "no labels": (["unlike.csv", "--target", "y"], "'y' has another value in each row"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), BAD.values(), ids=BAD)
def test_what_cannot_be_split_is_one_message(words: list[str], said: str, bare: Path, say: Say) -> None:
    (bare / "one.csv").write_text("x,y\n1,a\n1,b\n", encoding="utf-8")
    (bare / "row.csv").write_text("x,y\n1,a\n", encoding="utf-8")
    (bare / "unlike.csv").write_text("x,y\n1,a\n2,b\n", encoding="utf-8")
    ended = say("split", *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert not (bare / "data" / "train").exists()


@pytest.mark.parametrize(
    ("train", "said"),
    [("s3://bucket/train", "is not on this machine"), ("data/*.csv", "is a pattern"), ("data", "lies in the other")],
)
def test_where_it_cannot_be_written_is_said(train: str, said: str, bare: Path, say: Say) -> None:
    change("settings.toml", 'train = "data/train"', f'train = "{train}"')(bare)
    ended = say("split", "visits.csv", "--target", "y")
    assert (ended.code, said in ended.err) == (2, True), ended.err


def test_files_that_settings_name_are_written(bare: Path, say: Say) -> None:
    change("settings.toml", 'train = "data/train"', 'train = "data/a.csv"')(bare)
    change("settings.toml", 'eval = "data/eval"', 'eval = "data/b.csv"')(bare)
    assert say("split", "visits.csv", "--target", "y").code == 0
    assert len((bare / "data" / "b.csv").read_bytes().splitlines()) == 41


def test_a_wrong_row_ends_it_and_leaves_nothing(bare: Path, say: Say) -> None:
    (bare / "visits.csv").write_bytes(VISITS + b"1,2\n")
    ended = say("split", "visits.csv", "--target", "y")
    assert (ended.code, "row 202, blank lines and those in quotes not counted: 2 columns" in ended.err) == (1, True)
    assert not [file for file in (bare / "data").rglob("*") if file.is_file() and file.name != "README.md"]


@pytest.mark.few(1)
@pytest.mark.parametrize("before", [0, 30_000])
def test_quotes_that_nobody_closes_are_no_field_without_end(before: int, bare: Path, say: Say) -> None:
    (bare / "t.csv").write_bytes(b"a,note,y\n" + b"1,x,p\n2,z,q\n" * before + b'1,"open,p\n' + b"2,x,q\n" * 60_000)
    for words in (("columns", "--target", "y"), ("split", "--target", "y")):
        ended = say(words[0], "t.csv", *words[1:])
        assert (ended.code, f"t.csv, row {2 * before + 2}" in ended.err) == (1 if before else 2, True), ended.err
