"""Any table of numbers and categories is read as `model.py` says."""

import math
import resource
import shutil
import types
from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Prepare


def everything(reader: Any) -> tuple[dict[str, list], list, list]:
    """The evaluation data in one batch, as lists."""
    (batch,) = reader.batches(False, 1000)
    features, target, weight = batch
    return (
        {key: value.numpy().tolist() for key, value in features.items()},
        target.numpy().tolist(),
        weight.numpy().tolist(),
    )


def test_numbers_are_normalised_by_the_training_data(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Numeric("x"), columns.Numeric("same"), columns.Number("y")])
    reader = prepare(table, "x,same,y\n1,5,1\n3,5,2\n5,5,3\n", "x,same,y\n3,5,9\n11,6,9\n")
    features, target, weight = everything(reader)
    deviation = math.sqrt(8 / 3)
    assert features["x"] == [[0.0], [pytest.approx(8 / deviation)]]
    assert features["same"] == [[0.0], [1.0]]
    assert target == [[9.0], [9.0]]
    assert weight == [1.0, 1.0]


def test_statistics_are_exact_over_many_batches_and_large_offsets(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Numeric("x"), columns.Number("y")])
    rows = "\n".join(f"{1e6 + index % 7},0" for index in range(7000))
    reader = prepare(table, f"x,y\n{rows}\n", "x,y\n1000003,0\n1000005,0\n")
    assert everything(reader)[0]["x"] == [[pytest.approx(0.0, abs=1e-3)], [pytest.approx(1.0, abs=1e-3)]]


def test_categories_become_one_hot_or_an_index(prepare: Prepare, columns: Any) -> None:
    table = columns.Table(
        [
            columns.Categorical("c", ["a", "b"]),
            columns.Categorical("code", [10, 20], encoding="index"),
            columns.Hashed("h", 5),
            columns.Identity("m", 3, encoding="index"),
            columns.Classes("y", ["no", "yes"]),
        ]
    )
    features, target, _ = everything(prepare(table, "c,code,h,m,y\nb,10,zip,0,yes\nzzz,30,zip,2,no\n"))
    assert features["c"] == [[0, 0, 1], [1, 0, 0]]
    assert features["code"] == [1, 0]
    assert features["h"][0] == features["h"][1]
    assert sorted(features["h"][0]) == [0, 0, 0, 0, 1]
    assert features["m"] == [0, 2]
    assert target == [1, 0]


def test_labels_may_be_whole_numbers(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Numeric("x"), columns.Classes("y", [7, -1, 30])])
    assert everything(prepare(table, "x,y\n1,30\n2,7\n3,-1\n"))[1] == [2, 0, 1]


def test_missing_values_have_a_stated_default(prepare: Prepare, columns: Any) -> None:
    table = columns.Table(
        [
            columns.Numeric("x", missing=2.0),
            columns.Categorical("c", ["a", "b"], missing="b"),
            columns.Identity("m", 3, missing=1, encoding="index"),
            columns.Number("y", drop_missing=True),
        ],
        missing_text="NA",
    )
    reader = prepare(table, "x,c,m,y\n0,a,0,1\n,,,2\nNA,NA,NA,3\n4,b,2,NA\n4,b,2,\n4,a,2,4\n")
    features, target, _ = everything(reader)
    assert (reader.train_rows, reader.eval_rows) == (4, 4)
    assert features["x"][1] == features["x"][2] == [0.0]
    assert features["c"][1] == features["c"][2] == [0, 0, 1]
    assert features["m"] == [0, 1, 1, 2]
    assert target == [[1.0], [2.0], [3.0], [4.0]]


def test_a_dropped_column_may_have_any_name(prepare: Prepare, columns: Any) -> None:
    """Such as the nameless first column that pandas writes."""
    table = columns.Table([columns.Dropped(""), columns.Dropped("年"), columns.Numeric("x"), columns.Number("y")])
    assert prepare(table, ",年,x,y\n0,1,2,3\n").train_rows == 1


def test_a_weight_column_counts_and_a_dropped_column_does_not(prepare: Prepare, columns: Any) -> None:
    table = columns.Table(
        [columns.Dropped("id"), columns.Numeric("x"), columns.Weight("w"), columns.Classes("y", ["no", "yes"])]
    )
    features, _, weight = everything(prepare(table, 'id,x,w,y\n"not, a number",1,0.5,no\n,2,0,yes\n'))
    assert set(features) == {"x"}
    assert weight == [0.5, 0.0]


def test_columns_may_stand_in_another_order_than_in_model_py(prepare: Prepare, simple: Any) -> None:
    features, target, _ = everything(prepare(simple, "y,c,x\nyes,b,1\nno,a,3\n"))
    assert (features["x"], features["c"], target) == ([[-1.0], [1.0]], [[0, 0, 1], [0, 1, 0]], [1, 0])


def test_a_file_without_header_has_the_order_of_model_py(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Numeric("x"), columns.Classes("y", ["no", "yes"])], header=False, delimiter="\t")
    reader = prepare(table, "1\tno\n3\tyes\n")
    assert (reader.train_rows, everything(reader)[1]) == (2, [0, 1])


def test_headers_with_spaces_get_inputs_that_tensorflow_can_name(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Numeric("bill length (mm)"), columns.Numeric("2nd"), columns.Number("y")])
    assert set(everything(prepare(table, '"bill length (mm)",2nd,y\n1,2,3\n'))[0]) == {"bill_length_mm", "2nd"}


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "text", [b"x,c,y\r\n1,a,no\r\n3,b,yes\r\n", b"\xef\xbb\xbfx,c,y\n1,a,no\n3,b,yes", b'x,c,y\n1,"a",no\n3,b,"yes"\n']
)
def test_files_of_windows_and_excel_are_read(text: bytes, prepare: Prepare, simple: Any) -> None:
    features, target, _ = everything(prepare(simple, text))
    assert (features["x"], features["c"], target) == ([[-1.0], [1.0]], [[0, 1, 0], [0, 0, 1]], [0, 1])


def test_a_folder_of_shards_and_a_pattern_are_read_whole(project: Path, simple: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    for number in range(3):
        (tmp_path / f"part-{number}.csv").write_text(f"x,c,y\n{number},a,no\n")
    (tmp_path / "notes.txt").write_text("no table")
    (tmp_path / "._part-0.csv").write_bytes(b"what macOS leaves")
    for location, rows in ((tmp_path, 3), (tmp_path / "part-[12].csv", 2), (tmp_path / "part-0.csv", 1)):
        reader = CsvReader(simple)
        reader.prepare(str(location), str(tmp_path))
        assert (reader.train_rows, reader.eval_rows) == (rows, 3)


def test_training_batches_are_full_endless_and_the_same_for_the_same_seed(prepare: Prepare, simple: Any) -> None:
    import keras

    keras.utils.set_random_seed(1)
    reader = prepare(simple, "x,c,y\n" + "".join(f"{number},a,no\n" for number in range(10)))
    first, again, other = (
        [features["x"].numpy().tolist() for features, _, _ in reader.batches(True, 4, seed).take(5)]
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert [len(batch) for batch in first] == [4] * 5
    assert len({value for batch in first[:2] for (value,) in batch}) == 8


def test_batches_stay_full_where_rows_without_target_are_left_out(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Numeric("x"), columns.Number("y", drop_missing=True)])
    reader = prepare(table, "x,y\n" + "".join(f"{n},{'' if n % 10 else n}\n" for n in range(200)))
    assert reader.train_rows == 20
    assert [len(target) for _, target, _ in reader.batches(True, 8).take(3)] == [8, 8, 8]
    assert [len(target) for _, target, _ in reader.batches(False, 8)] == [8, 8, 4]


@pytest.mark.few(1)
@pytest.mark.parametrize("end", ["\n", "\n\n", "\n  \n \n", ""])
def test_blank_lines_are_no_rows_wherever_they_stand(end: str, prepare: Prepare, simple: Any) -> None:
    reader = prepare(simple, f"x,c,y\n1,a,no\n\n3,b,yes\r\n\r\n5,a,no{end}")
    assert (reader.train_rows, reader.eval_rows) == (3, 3)
    assert [len(target) for _, target, _ in reader.batches(False, 2)] == [2, 1]
    assert [len(target) for _, target, _ in reader.batches(True, 2).take(4)] == [2, 2, 2, 2]
    assert everything(reader)[1] == [0, 1, 0]
    assert [row["x"] for row in reader.examples()] == [1, 3, 5]


def test_a_row_of_empty_fields_is_a_row(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Numeric("x", missing=0), columns.Numeric("y", missing=0), columns.Number("z")])
    assert prepare(table, "x,y,z\n,,1\n1,2,3\n").train_rows == 2


def test_a_constant_that_no_float_holds_is_not_divided_by_its_rounding_error(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Numeric("x"), columns.Number("y")])
    reader = prepare(table, "x,y\n" + "0.1,1\n" * 3001, "x,y\n0.1,1\n1.1,1\n")
    assert everything(reader)[0]["x"] == [[pytest.approx(0.0, abs=1e-6)], [pytest.approx(1.0)]]


def test_a_folder_whose_name_looks_like_a_pattern_is_read(project: Path, simple: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    folder = tmp_path / "old [1]"
    folder.mkdir()
    (folder / "d.csv").write_text("x,c,y\n1,a,no\n")
    reader = CsvReader(simple)
    reader.prepare(str(folder), str(folder / "d.csv"))
    assert (reader.train_rows, reader.eval_rows) == (1, 1)


def test_memory_does_not_grow_with_the_data(
    prepare: Prepare, columns: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.data import CsvReader

    # Where rows are kept, they take what they are allowed to.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=0))
    table = columns.Table([columns.Numeric("x"), columns.Numeric("z"), columns.Number("y")], memory_mb=0)
    rows = "0.123456789,9.87654321,1\n"
    # What reads side by side has its own memory, of so many bytes whatever the data's size.
    for _ in prepare(table, "x,z,y\n" + rows * 100_000, "x,z,y\n" + rows).batches(True, 1024).take(50):
        pass
    (tmp_path / "large.csv").write_text("x,z,y\n" + rows)
    with (tmp_path / "large.csv").open("a") as file:
        for _ in range(40):
            file.write(rows * 20_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reader = CsvReader(table)
    reader.prepare(str(tmp_path / "large.csv"), str(tmp_path / "eval.csv"))
    for _ in reader.batches(True, 1024).take(200):
        pass
    assert reader.train_rows == 800_001
    # Kilobytes: 20 MB were read.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 12_000
