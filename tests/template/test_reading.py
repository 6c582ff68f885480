"""A table is read whatever form it lies there in: text, gzip, shards; what cannot be read is named."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Prepare


def numbered(rows: int, start: int = 0) -> str:
    return "x,c,y\n" + "".join(f"{n},{'ab'[n % 2]},{('no', 'yes')[n % 3 == 0]}\n" for n in range(start, start + rows))


FORMS = {
    "a.CSV": lambda text: text.encode(),
    "deep/er/a.csv": lambda text: text.encode(),
    "a.csv.gz": lambda text: gzip.compress(text.encode()),
    "two.csv.GZ": lambda text: gzip.compress(text[:9].encode()) + gzip.compress(text[9:].encode()),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_lies_there_is_read(name: str, table: Callable, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    file = tmp_path / "train" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(FORMS[name](numbered(3000)))
    reader = CsvReader(table())
    reader.prepare(str(tmp_path / "train"), str(file))
    assert (reader.train_rows, reader.eval_rows) == (3000, 3000)
    assert reader.examples(2) == [{"x": 0, "c": "a"}, {"x": 1, "c": "b"}]


def test_tabs_are_read_from_tsv_where_they_separate_columns(table: Callable, columns: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    (tmp_path / "a.tsv").write_text(numbered(5).replace(",", "\t"))
    reader = CsvReader(table(delimiter="\t"))
    reader.prepare(str(tmp_path), str(tmp_path))
    assert reader.train_rows == 5
    with pytest.raises(columns.DataError, match="holds no .*left out: a.tsv"):
        CsvReader(table()).prepare(str(tmp_path), str(tmp_path))


def test_a_field_may_have_line_ends_in_quotes(columns: Any, prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer import files

    monkeypatch.setattr(files, "BLOCK", 3)
    words = columns.Categorical("c", ["a", "a\nb", 'say "a"\n\n'])
    table = columns.Table([columns.Numeric("x"), words, columns.Classes("y", ["no", "yes"])])
    cells = ["a", '"a\nb"', '"say ""a""\n\n"', '"a"', '"a\r\nb"']
    text = "x,c,y\r\n" + "".join(f"{number},{cells[number % 5]},no\r\n" for number in range(50))
    reader = prepare(table, text)
    assert reader.train_rows == 50
    (batch,) = reader.batches(False, 50)
    assert batch[0]["c"].numpy().argmax(axis=1).tolist() == [1, 2, 3, 1, 2] * 10
    assert reader.examples(2)[1] == {"x": 1, "c": "a\nb"}
    placed = [place for places, _ in reader.placed(False) for place in places]
    assert placed[3].partition(":")[0].endswith("row 8")
    with pytest.raises(columns.DataError, match="row 3, column 'x': 'no' is not a number"):
        prepare(table, 'x,c,y\n1,a,no\nno,"a\nb",no\n')


def test_bytes_of_another_encoding_are_read_as_model_py_says(columns: Any, prepare: Prepare) -> None:
    table = lambda encoding: columns.Table(
        [columns.Numeric("x"), columns.Categorical("c", ["größer", "€"]), columns.Classes("y", ["no", "yes"])],
        encoding=encoding,
    )
    text = "x,c,y\n1,größer,no\n2,€,yes\n"
    reader = prepare(table("windows-1252"), text.encode("cp1252"))
    (batch,) = reader.batches(False, 2)
    assert batch[0]["c"].numpy().argmax(axis=1).tolist() == [1, 2]
    assert reader.examples(1) == [{"x": 1, "c": "größer"}]
    with pytest.raises(columns.DataError, match="is not UTF-8; it is likely cp1252"):
        prepare(table("utf-8"), text.encode("cp1252"))


@pytest.mark.parametrize("name", ["utf-16", "shift_jis", "gbk", "cp037", "utf-8-sig", "klingon", 8])
def test_an_encoding_that_lines_cannot_be_found_in_is_refused_by_name(name: Any, table: Callable) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match=f"encoding is utf-8, or one with a byte a character, .*not '?{name}"):
        table(encoding=name)
    assert table(encoding="UTF8").encoding == "utf-8"
    assert table(encoding="latin-1").encoding == "iso8859-1"


@pytest.mark.parametrize("size", [-1, 1.5, "1 GB", True])
def test_a_budget_that_is_no_number_of_megabytes_is_refused(size: Any, table: Callable) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match="memory_mb must be a whole number, 0 or more"):
        table(memory_mb=size)


def shard(file: Path, rows: list[dict[str, Any]], compression: str = "") -> None:
    import tensorflow as tf

    def feature(value: Any) -> Any:
        if isinstance(value, str):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        if isinstance(value, float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    with tf.io.TFRecordWriter(str(file), compression) as writer:
        for row in rows:
            features = {name: feature(value) for name, value in row.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz", "a.tfrecord-00000-of-00001"])
def test_tfrecord_shards_are_read_as_the_same_text_is(name: str, columns: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    table = columns.Table([
        columns.Numeric("bill (mm)", missing=2.0), columns.Hashed("h", 7), columns.Identity("i", 9),
        columns.Categorical("k", [10, 20], missing=20), columns.Dropped("no"), columns.Weight("w"),
        columns.Number("y", drop_missing=True),
    ])  # fmt: skip
    one = lambda n: {"bill (mm)": n / 3, "h": f"h{n}", "i": n % 9, "k": 10 + n % 2 * 10, "w": 1.0, "y": n / 7}
    rows = [one(number) for number in range(40)]
    del rows[3]["bill (mm)"], rows[4]["k"], rows[5]["y"]
    for folder in ("text", "shards"):
        (tmp_path / folder).mkdir()
    lines = [",".join(str(row.get(column.name, "")) for column in table.columns) for row in rows]
    (tmp_path / "text" / "a.csv").write_text("\n".join(["bill (mm),h,i,k,no,w,y", *lines]) + "\n")
    shard(tmp_path / "shards" / name, rows, "GZIP" if name.endswith("gz") else "")
    answers = []
    for folder in ("text", "shards"):
        reader = CsvReader(table)
        reader.prepare(str(tmp_path / folder), str(tmp_path / folder))
        (batch,) = reader.batches(False, 64)
        answers.append(([value.numpy().tolist() for value in (*batch[0].values(), *batch[1:])], reader.examples()))
    assert answers[0] == answers[1]
    assert reader.train_rows == 39


def test_a_broken_shard_is_named(columns: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    table = columns.Table([columns.Numeric("x"), columns.Classes("y", ["a", "b"])])
    rows = [{"x": float(n), "y": "ab"[n % 2]} for n in range(50)]
    good, bad = tmp_path / "good.tfrecord", tmp_path / "bad.tfrecord"
    shard(good, rows)
    content = good.read_bytes()
    size = struct.unpack("<Q", content[:8])[0] + 16
    wrong = {
        content[:-3]: "bad.tfrecord cannot be read beyond row ",
        content[:20] + b"!" + content[21:]: "bad.tfrecord cannot be read beyond row 0: corrupted record",
        b"x,y\n1,a\n" * 9: "bad.tfrecord cannot be read beyond row 0: corrupted record",
    }
    for broken, said in wrong.items():
        bad.write_bytes(broken)
        with pytest.raises(columns.DataError, match=said):
            CsvReader(table).prepare(str(bad), str(good))
    shard(bad, [*rows, {"x": 1, "y": "a"}])
    with pytest.raises(columns.DataError, match=r"bad.tfrecord, row 51: .*Data types don't match"):
        CsvReader(table).prepare(str(bad), str(good))
    shard(bad, [*rows, {"x": 1.0, "y": "c"}])
    with pytest.raises(columns.DataError, match="bad.tfrecord, row 51: "):
        CsvReader(table).prepare(str(bad), str(good))
    # Cut between two records it is whole, as far as anybody knows.
    bad.write_bytes(content[: size * 50])
    CsvReader(table).prepare(str(bad), str(good))


def test_a_cut_or_corrupt_gzip_file_is_refused(table: Callable, columns: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    whole = gzip.compress(numbered(5000).encode())
    file = tmp_path / "a.csv.gz"
    for broken in (whole[:-500], whole[:-4], whole[:3000] + b"\0\0\0" + whole[3003:], whole + b"\0", b"x"):
        file.write_bytes(broken)
        with pytest.raises(columns.DataError, match="a.csv.gz is no whole gzip file"):
            CsvReader(table()).prepare(str(file), str(file))
    file.write_bytes(whole)
    CsvReader(table()).prepare(str(file), str(file))


def test_text_and_shards_side_by_side_are_refused(table: Callable, columns: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    (tmp_path / "a.csv").write_text(numbered(3))
    shard(tmp_path / "a.tfrecord", [{"x": 1.0, "c": "a", "y": "no"}])
    with pytest.raises(columns.DataError, match=r"has text .*a.csv.* and TFRecord shards .*a.tfrecord"):
        CsvReader(table()).prepare(str(tmp_path), str(tmp_path))
    CsvReader(table()).prepare(str(tmp_path / "*.tfrecord"), str(tmp_path / "*.csv"))


def test_a_field_of_ten_megabytes_and_zero_bytes_are_read(columns: Any, prepare: Prepare) -> None:
    table = columns.Table([columns.Hashed("t", 5), columns.Numeric("x"), columns.Classes("y", ["no", "yes"])])
    assert prepare(table, f"t,x,y\n{'a' * 10_000_000},1,no\nb\0c,2,yes\n").train_rows == 2
    with pytest.raises(columns.DataError, match="row 2, column 'x'"):
        prepare(table, f"t,x,y\n{'a' * 10_000_000},one,no\n")
