"""`onstage convert`: TensorFlow reads back what CSV files hold, whatever happened in between."""

import fcntl
import functools
import gzip
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake
from tests.onstage import every_column
from tests.onstage.commands import Ended, onstage, stop_when
from tests.onstage.every_column import HEADER
from tests.onstage.mistakes import change
from tests.onstage.words import speaker

ROWS = [
    '1.5,2,blue,1,0,"Ann, B.",x,1,a',
    "-2e3,NA,,3,8,,,0.5,NA",
    '.25,,violet,99,5,"Zoë ""Z""",y,2,c',
]
# What TensorFlow has to read of them.
VALUES: list[dict[str, Any]] = [
    {"size": 1.5, "age": 2, "colour": b"blue", "door": 1, "floor": 0, "name": b"Ann, B.", "weight": 1, "kind": b"a"},
    {"size": -2000.0, "door": 3, "floor": 8, "weight": 0.5},
    {"size": 0.25, "colour": b"violet", "door": 99, "floor": 5, "name": 'Zoë "Z"'.encode(), "weight": 2, "kind": b"c"},
]  # fmt: skip
Convert = Callable[..., Ended]
LISTS = {float: "float_list", int: "int64_list", bytes: "bytes_list"}


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    return every_column.project(bake, tmp_path / "project")


def table(file: Path, rows: list[str], end: str = "\n") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = end.join([HEADER, *rows, ""]).encode()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def numbered(count: int) -> list[str]:
    return [f"{number},2,blue,1,0,Ann,x,1,a" for number in range(count)]


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a shard, each feature's only value with its type."""
    import tensorflow as tf

    found = []
    for record in tf.data.TFRecordDataset(str(file), "GZIP" if file.suffix == ".gz" else ""):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        row: dict[str, Any] = {}
        for name, feature in features.items():
            kind = feature.WhichOneof("kind")
            (row[name],) = getattr(feature, kind).value
            assert LISTS[type(row[name])] == kind
        found.append(row)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """The shards, and nothing else may be there but hidden notes."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert all(".tfrecord" in file.name for file in files if not file.name.startswith("."))
    assert not list(folder.rglob("*.part"))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files if not file.name.startswith(".")}


@pytest.fixture
def convert(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Convert:
    """The command in this process, which has imported TensorFlow already."""
    return functools.partial(speaker(project, monkeypatch, capsys), "convert")


@pytest.mark.parametrize("words", [(), ("--gzip",)])
@pytest.mark.parametrize("name", ["t.csv", "t.CSV.gz", "t.tsv"])
def test_tensorflow_reads_back_every_field(name: str, words: tuple[str, ...], project: Path, convert: Convert) -> None:
    table(project / "data" / "deep" / name, ["", *ROWS, " "], "\r\n")
    ended = convert("data", "--to", "shards", *words)
    assert ended.code == 0, ended.said
    assert ended.out.endswith("3 rows in 1 shard in shards\n")
    assert read(project / "shards" / "deep" / f"t-00000.tfrecord{'.gz' * bool(words)}") == VALUES


def test_other_encodings_become_utf_8_and_line_ends_in_quotes_stay(project: Path, convert: Convert) -> None:
    change("src/trainer/model.py", 'missing_text="NA"', 'missing_text="NA", encoding="cp1252"')(project)
    table(project / "t.csv", [ROWS[0], '.25,,violet,99,5,"Zoë\nor not",y,2,c', ROWS[0]])
    (project / "t.csv").write_bytes((project / "t.csv").read_bytes().decode().encode("cp1252"))
    ended = convert("t.csv", "--to", "shards")
    assert ended.code == 0, ended.said
    found = read(project / "shards" / "t-00000.tfrecord")
    assert found == [VALUES[0], {**VALUES[2], "name": "Zoë\nor not".encode()}, VALUES[0]]


def test_shards_have_as_many_rows_as_asked_for_in_the_files_order(project: Path, convert: Convert) -> None:
    table(project / "big.csv", numbered(2500))
    for count, expected in ((1000, [1000, 1000, 500]), (1250, [1250, 1250]), (3000, [2500])):
        assert convert("big.csv", "--to", "shards", "--rows-per-shard", str(count)).code == 0
        shards = [read(project / "shards" / name) for name in sorted(contents(project / "shards"))]
        assert [len(shard) for shard in shards] == expected
        assert [row["size"] for shard in shards for row in shard] == list(range(2500))


@pytest.mark.long
@pytest.mark.parametrize(("name", "how"), [("big.csv", signal.SIGINT), ("big.csv.gz", signal.SIGKILL)])
def test_a_run_that_was_stopped_goes_on(name: str, how: int, project: Path, convert: Convert) -> None:
    table(project / name, numbered(100_000))
    words = ("convert", name, "--rows-per-shard", "7000", "--to")
    stopped = project / "stopped"
    said = stop_when(lambda: (stopped / "big-00001.tfrecord").exists(), *words, "stopped", how=how, cwd=project)
    assert how == signal.SIGKILL or "stopped; finished shards stay. To go on: the same command" in said
    before = {file.name: file.stat().st_mtime_ns for file in stopped.glob("big-*")}
    assert 2 <= len(before) < 15
    ended = onstage(*words, "stopped", cwd=project)
    assert ended.out.endswith(f"100,000 rows in 15 shards in stopped, {len(before)} of them there already\n")
    assert {name: (stopped / name).stat().st_mtime_ns for name in before} == before
    assert convert(*words[1:], "whole").code == 0
    assert contents(stopped) == contents(project / "whole")


def test_only_what_is_missing_is_written_again(project: Path, convert: Convert) -> None:
    table(project / "data" / "a.csv", numbered(2500))
    table(project / "data" / "b.csv", numbered(10))
    words = ("data", "--to", "shards", "--rows-per-shard", "1000")
    convert(*words)
    first = contents(project / "shards")
    again = convert(*words)
    assert again.out == "2,510 rows in 4 shards in shards, 4 of them there already\n"
    (project / "shards" / "a-00001.tfrecord").unlink()
    assert convert(*words).out.endswith("2,510 rows in 4 shards in shards, 3 of them there already\n")
    assert contents(project / "shards") == first


def test_another_input_replaces_the_shards_that_were_its_own(project: Path, convert: Convert) -> None:
    table(project / "a.csv", numbered(2500))
    words = ("a.csv", "--to", "shards", "--rows-per-shard", "1000")
    convert(*words)
    table(project / "a.csv", numbered(1001))
    assert convert(*words).out.endswith("1,001 rows in 2 shards in shards\n")
    assert sorted(contents(project / "shards")) == ["a-00000.tfrecord", "a-00001.tfrecord"]
    assert convert(*words, "--gzip").code == 0
    assert sorted(contents(project / "shards")) == ["a-00000.tfrecord.gz", "a-00001.tfrecord.gz"]


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (lambda shards: (shards / "a-00007.tfrecord").write_bytes(b"mine"), "a-00007.tfrecord was not written by ons"),
        (lambda shards: (shards / "a-00000.tfrecord.gz").write_bytes(b"mine"), "a-00000.tfrecord.gz was not written"),
        (lambda shards: (shards / "a-00000.tfrecord").write_bytes(b"mine"), "a-00000.tfrecord was changed after onst"),
        (lambda shards: (shards / ".a.convert.json").write_bytes(b"{}"), ".a.convert.json should say which shards are"),
    ],
)
def test_what_is_not_its_own_is_never_overwritten(
    plant: Callable[[Path], object], said: str, project: Path, convert: Convert
) -> None:
    table(project / "a.csv", numbered(10))
    convert("a.csv", "--to", "shards")
    (project / "shards" / "other-00000.tfrecord").write_bytes(b"mine")
    (project / "shards" / "a-b-00000.tfrecord").write_bytes(b"mine")
    table(project / "a.csv", numbered(12))
    assert convert("a.csv", "--to", "shards").code == 0
    plant(project / "shards")
    before = contents(project / "shards")
    table(project / "a.csv", numbered(14))
    ended = convert("a.csv", "--to", "shards")
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1
    assert contents(project / "shards") == before


def test_wrong_rows_are_named_by_file_row_and_column(project: Path, convert: Convert) -> None:
    rows = numbered(12_000)
    table(project / "data" / "a.csv", rows)
    rows[11_000], rows[11_001], rows[11_002] = ROWS[0], "1,two,blue,1,0,Ann,x,1,a", "1,2,blue,1,0,Ann,x,1,z"
    table(project / "data" / "b.csv", rows)
    ended = convert("data", "--to", "shards", "--rows-per-shard", "1000")
    assert ended.code == 1
    assert "data/b.csv, row 11003, column 'age': 'two' is not a number" in ended.err
    assert "data/b.csv, row 11004, column 'kind': 'z' is not one of the labels" in ended.err
    assert "-> correct the file, or the columns in src/trainer/model.py" in ended.err
    assert "finished shards stay; the same command goes on" in ended.err
    assert len(ended.err.splitlines()) < 10
    kept = contents(project / "shards")
    assert {"a-00011.tfrecord", "b-00000.tfrecord"} <= set(kept)
    rows[11_001:11_003] = rows[:2]
    table(project / "data" / "b.csv", rows)
    assert convert("data", "--to", "shards", "--rows-per-shard", "1000").code == 0
    assert read(project / "shards" / "b-00011.tfrecord")[0] == VALUES[0]


def test_files_that_are_no_table_are_left_out_and_said(project: Path, convert: Convert) -> None:
    table(project / "data" / "a.csv", ROWS)
    table(project / "data" / "_b.csv", ROWS)
    table(project / "data" / ".ipynb_checkpoints" / "c.csv", ROWS)
    (project / "data" / "README.md").write_text("Numbers.", encoding="utf-8")
    ended = convert("data", "--to", "shards")
    assert ended.code == 0
    assert "left out of data: README.md, _b.csv\n" in ended.out
    assert sorted(contents(project / "shards")) == ["a-00000.tfrecord"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere.csv", "--to", "x"), 2, "there is no nowhere.csv"),
        (("settings.toml", "--to", "x"), 2, "settings.toml is no CSV file: its name has no .csv, .tsv, .csv.gz or .ts"),
        (("more/_b.csv", "--to", "x"), 2, "the name of more/_b.csv begins with _, as its shards would, and a job"),
        (("src", "--to", "x"), 2, "src has no CSV file: *.csv, *.tsv, or those with .gz"),
        (("data", "--to", "data/shards"), 2, "--to data/shards lies in data: a job would read both"),
        (("data", "--to", "settings.toml"), 2, "--to settings.toml is a file: name a folder"),
        (("data", "more/a.tsv", "--to", "x"), 2, "the shards of data/a.csv and more/a.tsv would have the same names"),
        (("bad/a.csv", "--to", "x"), 1, "bad/a.csv, row 1: the columns 'size'"),
        (("bad/b.csv.gz", "--to", "x"), 1, "bad/b.csv.gz cannot be unpacked: Not a gzipped file"),
    ],
)
def test_what_cannot_begin_is_one_message(
    words: tuple[str, ...], code: int, said: str, project: Path, convert: Convert
) -> None:
    table(project / "data" / "a.csv", ROWS)
    table(project / "more" / "a.tsv", ROWS)
    table(project / "more" / "_b.csv", ROWS)
    (project / "bad").mkdir()
    (project / "bad" / "a.csv").write_text("one,two\n1,2\n", encoding="utf-8")
    (project / "bad" / "b.csv.gz").write_text("one,two\n1,2\n", encoding="utf-8")
    ended = convert(*words)
    assert ended.code == code, ended.said
    assert ended.err.startswith(f"error: {said}")
    assert not (project / "x").exists()
    assert not list((project / "data").rglob("*.tfrecord"))


def test_inputs_that_are_named_twice_are_converted_once(project: Path, convert: Convert) -> None:
    table(project / "data" / "a.csv", ROWS)
    assert convert("data", os.path.join("data", "a.csv"), "--to", "x").out.endswith("3 rows in 1 shard in x\n")


def test_two_at_once_do_not_write_the_same_shards(project: Path, convert: Convert) -> None:
    table(project / "data.csv", ROWS)
    convert("data.csv", "--to", "shards")
    with (project / "shards" / ".converting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = convert("data.csv", "--to", "shards")
        assert done.code == 2
        assert done.err == ("error: another onstage convert writes to shards: wait for it, or name another folder\n")
    assert convert("data.csv", "--to", "shards").code == 0
