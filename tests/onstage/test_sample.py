"""A sample of a channel's rows: whole rows of the files themselves, found without reading everything."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from onstage.errors import UserError
from onstage.tables import files as kinds
from onstage.tables.sample import MOST_FILES, Sample, take

HEADER = "number,text\n"


def table(rows: int, first: int = 0) -> str:
    return HEADER + "".join(f"{first + number:05},row {first + number:05}\n" for number in range(rows))


def write(folder: Path, contents: dict[str, str | bytes]) -> dict[str, Path]:
    """Files by their names, packed where the name says so."""
    found = {}
    for name, content in contents.items():
        found[name] = folder / "data" / name
        found[name].parent.mkdir(parents=True, exist_ok=True)
        raw = content.encode("utf-8") if isinstance(content, str) else content
        found[name].write_bytes(gzip.compress(raw) if kinds.is_packed(name) else raw)
    return found


def sampled(files: dict[str, Path], most: int, *, header: bool = True) -> Sample:
    return take(files, [name for name in files if kinds.kind(name)], most, header=header, delimiter=",")


def written(sample: Sample, folder: Path) -> dict[str, bytes]:
    """The unpacked content of the files that a job gets."""
    for name, part in sample.parts.items():
        part.write(folder / name, link=False)
    found = {}
    for name in sample.parts:
        with kinds.unpacked(folder / name, name) as content:
            found[name] = content.read()
    return found


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.tsv", "deep/er/a.csv"])
def test_a_text_gives_its_header_its_start_and_rows_from_places_spread_over_it(name: str, tmp_path: Path) -> None:
    files = write(tmp_path, {name: table(50_000)})
    sample = sampled(files, 400)
    header, *rows = written(sample, tmp_path / "job")[name].decode().splitlines(keepends=True)
    all_rows = table(50_000).splitlines(keepends=True)[1:]
    numbers = [all_rows.index(row) for row in rows]
    assert header == HEADER
    assert numbers == sorted(set(numbers))
    assert numbers[:200] == list(range(200))
    assert len(rows) == sample.rows == 400
    # In each eighth of the file there is a place, or the start.
    assert {number // 6250 for number in numbers} >= set(range(1, 8))
    assert sample.all_rows == pytest.approx(50_000, rel=0.05)
    assert sample.in_words.startswith("400 of about 50,0")


@pytest.mark.parametrize("name", ["a.csv.gz", "a.tsv.gz", "a.CSV.GZ"])
def test_a_packed_text_gives_rows_from_its_start_packed_again(name: str, tmp_path: Path) -> None:
    files = write(tmp_path, {name: table(5000)})
    sample = sampled(files, 400)
    assert written(sample, tmp_path / "job")[name].decode() == table(400)
    assert (tmp_path / "job" / name).read_bytes()[:2] == b"\x1f\x8b"
    assert sample.all_rows == pytest.approx(5000, rel=0.1)


def records(count: int) -> list[bytes]:
    return [bytes([65 + number % 26]) * (number % 50) for number in range(count)]


def shard(file: Path, contents: list[bytes]) -> Path:
    import tensorflow as tf

    file.parent.mkdir(parents=True, exist_ok=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP" if kinds.is_packed(file.name) else "")
    with tf.io.TFRecordWriter(str(file), options) as writer:
        for content in contents:
            writer.write(content)
    return file


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz", "deep/a.tfrecord-00000-of-00010", "a.TFRECORDS"])
def test_a_shard_gives_records_that_tensorflow_reads(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    sample = sampled({name: shard(tmp_path / "data" / name, records(900))}, 300)
    written(sample, tmp_path / "job")
    packed = "GZIP" if kinds.is_packed(name) else ""
    read = [one.numpy() for one in tf.data.TFRecordDataset(str(tmp_path / "job" / name), packed)]
    assert read == records(900)[:300]
    assert sample.rows == 300
    if not packed:
        assert sample.all_rows == pytest.approx(900, rel=0.1)


def test_the_same_files_give_the_same_sample(tmp_path: Path) -> None:
    contents = {"a.csv": table(9000), "b.csv.gz": table(3000), "c.csv": table(50)}
    one, other = (
        written(sampled(write(tmp_path / place, contents), 1000), tmp_path / place / "job") for place in ("one", "two")
    )
    assert one == other
    for name in contents:
        assert (tmp_path / "one" / "job" / name).read_bytes() == (tmp_path / "two" / "job" / name).read_bytes()


def test_small_files_are_whole_and_leave_their_share_to_the_larger(tmp_path: Path) -> None:
    sample = sampled(write(tmp_path, {"a.csv": table(9000), "b.csv": table(10), "c.csv": table(5000)}), 1000)
    assert sample.parts["b.csv"].ranges is None
    assert {name: part.rows for name, part in sample.parts.items()} == {"a.csv": 495, "b.csv": 10, "c.csv": 495}


def test_of_many_files_some_are_taken_evenly_chosen(tmp_path: Path) -> None:
    sample = sampled(write(tmp_path, {f"{number:03}.csv": table(100) for number in range(100)}), 320)
    assert len(sample.parts) == MOST_FILES
    assert {"000.csv", "099.csv"} <= set(sample.parts)
    assert sample.rows == 320
    assert sample.in_words == "320 of about 10,000 rows of 16 of 100 files"


def test_a_channel_within_the_limit_is_linked_to_as_it_is(tmp_path: Path) -> None:
    files = write(tmp_path, {"a.csv": table(60), "b.csv": table(40) + "\n\n"})
    sample = sampled(files, 100)
    assert sample.is_all
    sample.parts["b.csv"].write(tmp_path / "job" / "b.csv", link=True)
    assert os.readlink(tmp_path / "job" / "b.csv") == str(files["b.csv"])
    assert sample.in_words == "100 rows of 2 files"
    assert not sampled(files, 99).is_all
    assert sampled(files, 0).is_all


def test_files_without_rows_are_whole_beside_a_sample(tmp_path: Path) -> None:
    files = write(tmp_path, {"a.csv": table(900), "README.md": "Numbers.", "images/1.png": b"\x89PNG"})
    sample = sampled(files, 100)
    assert not sample.is_all
    assert [name for name, part in sample.parts.items() if part.ranges is None] == ["README.md", "images/1.png"]


def quoted(inside: Callable[[int], str]) -> str:
    return HEADER + "".join(f'{number},"{inside(number)}"\n' for number in range(3000))


@pytest.mark.parametrize(
    "inside",
    [
        lambda number: f"first,\nsecond {number}",
        lambda number: "one" if number < 1500 else "first,\nsecond\n\nthird",
        lambda number: "one" if number < 1500 else 'he said ""a\nb""',
    ],
    ids=["everywhere", "late", "with quotes inside"],
)
def test_a_field_with_line_ends_inside_is_never_cut(inside: Callable[[int], str], tmp_path: Path) -> None:
    import csv
    import io

    text = quoted(inside)
    (content,) = written(sampled(write(tmp_path, {"a.csv": text}), 100), tmp_path / "job").values()
    wanted = list(csv.reader(io.StringIO(text)))[:101]
    assert list(csv.reader(io.StringIO(content.decode()))) == wanted
    # A neighbour: quotes alone are no reason to stay at the start.
    plain = quoted(lambda number: f"a, b {number}")
    (content,) = written(sampled(write(tmp_path / "plain", {"a.csv": plain}), 100), tmp_path / "other").values()
    assert len(content.splitlines()) == 101
    assert any(int(line.split(b",")[0]) > 2000 for line in content.splitlines()[1:])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_is_named_by_its_number_in_its_own_file(end: str, tmp_path: Path) -> None:
    text = table(5000).replace("\n", end).replace(f"00040,row 00040{end}", f"{end}00040,row 00040{end}").rstrip()
    files = write(tmp_path, {"a.csv": text})
    sample = sampled(files, 300)
    lines = written(sample, tmp_path / "job")["a.csv"].decode().split("\n")
    own = text.split("\n")
    part = sample.parts["a.csv"]
    for row, line in enumerate(lines, start=1):
        if line:
            there = part.row_at_home(row)
            assert there is not None
            assert own[there - 1] == line


def test_tables_without_header_lose_no_row_to_it(tmp_path: Path) -> None:
    files = write(tmp_path, {"a.csv": table(1000).removeprefix(HEADER)})
    (content,) = written(sampled(files, 10, header=False), tmp_path / "job").values()
    assert content.startswith(b"00000,row 00000\n00001,row 00001\n")
    assert len(content.splitlines()) == 10


def test_lines_that_are_added_stand_on_their_own(tmp_path: Path) -> None:
    files = write(tmp_path, {"a.csv": table(1000).rstrip(), "b.csv": table(9000, 1000)})
    chosen = sampled({"a.csv": files["a.csv"]}, 999)
    more = chosen.with_rows({"a.csv": (files["a.csv"], len(HEADER), [b"7,seven\n"])})
    more = more.with_rows({"b.csv": (files["b.csv"], len(HEADER), [b"8,eight\n"])})
    found = written(more, tmp_path / "job")
    assert found["a.csv"].endswith(b"\n7,seven\n")
    assert found["b.csv"] == f"{HEADER}8,eight\n".encode()
    assert more.rows == chosen.rows + 2


def broken(plant: Callable[[bytes], bytes], name: str) -> Callable[[Path], dict[str, Path]]:
    def make(folder: Path) -> dict[str, Path]:
        file = shard(folder / name, records(50)) if "tfrecord" in name else folder / name
        if "tfrecord" not in name:
            file.write_bytes(gzip.compress(os.urandom(4000).hex(sep="\n").encode()))
        file.write_bytes(plant(file.read_bytes()))
        return {name: file}

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (broken(lambda raw: raw[:-3], "a.tfrecord"), "a.tfrecord ends inside of record 50: it was not written to its"),
        (broken(lambda raw: raw[:20], "a.tfrecord"), "a.tfrecord ends inside of record 2"),
        (broken(lambda raw: b"a,b\n" * 9, "a.tfrecord"), "a.tfrecord is no TFRecord: the length of record 1 does not"),
        (
            broken(lambda raw: raw[:16] + b"12345678" + raw[24:], "a.tfrecord"),
            "a.tfrecord is damaged: the length of rec",
        ),
        (broken(lambda raw: raw[:-200], "a.csv.gz"), "a.csv.gz cannot be unpacked: Compressed file ended before"),
        (broken(lambda raw: b"a,b\n1,2\n", "a.csv.gz"), "a.csv.gz cannot be unpacked: Not a gzipped file"),
    ],
)
def test_a_damaged_file_is_named(make: Callable[[Path], dict[str, Path]], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        sampled(make(tmp_path), 10_000)
    assert str(caught.value).startswith(said)
