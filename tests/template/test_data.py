"""Any table of numbers and categories is read as `model.py` says; a bad one is refused by file, row and column."""

import math
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Prepare = Callable[..., Any]


@pytest.fixture(scope="module")
def columns(project: Path) -> Any:
    from trainer import columns

    return columns


@pytest.fixture
def prepare(project: Path, tmp_path: Path) -> Prepare:
    """A CsvReader over a table and the text of its training file (and evaluation file), prepared."""
    from trainer.data import CsvReader

    def run(table: Any, train: str | bytes, evaluation: str | bytes | None = None) -> Any:
        files = []
        for name, text in (("train", train), ("eval", train if evaluation is None else evaluation)):
            files.append(tmp_path / f"{name}.csv")
            files[-1].write_bytes(text.encode() if isinstance(text, str) else text)
        reader = CsvReader(table)
        reader.prepare(*(str(file) for file in files))
        return reader

    return run


def everything(reader: Any) -> tuple[dict[str, list], list, list]:
    """The evaluation data in one batch, as lists."""
    (batch,) = reader.batches(False, 1000)
    features, target, weight = batch
    return (
        {key: value.numpy().tolist() for key, value in features.items()},
        target.numpy().tolist(),
        weight.numpy().tolist(),
    )


@pytest.fixture
def simple(columns: Any) -> Any:
    return columns.Table(
        [columns.Numeric("x"), columns.Categorical("c", ["a", "b"]), columns.Classes("y", ["no", "yes"])]
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


BAD_FILES = {
    "": "{file} is empty",
    "x,c,y\n": "{file} has a header and no rows",
    "x,c\n1,a\n": "{file}, row 1: the column 'y' of model.py is missing. The header is ['x', 'c']",
    "x;c;y\n1;a;no\n": "{file}, row 1: one column, 'x;c;y'; is ',' the right delimiter?",
    "X,c,y\n1,a,no\n": "the column 'x' of model.py is missing. ",
    "x,cc,y\n1,a,no\n": "the column 'c' of model.py is missing. did you mean 'cc'? The header is",
    "x,c,y,z\n1,a,no,1\n": "{file}, row 1: the column 'z' is not in model.py; add Dropped('z') to leave it out",
    "x,c,y,y\n1,a,no,no\n": "{file}, row 1: the column 'y' stands twice in the header",
    "x,c,y\n1,a,no\nwide,a,no\n": "{file}, row 3, column 'x': 'wide' is not a number",
    "x,c,y\n1,a,no\n1,a,perhaps\n": "{file}, row 3, column 'y': 'perhaps' is not one of the labels ['no', 'yes']",
    "x,c,y\n1,a,no\n1,a\n": "{file}, row 3: 2 columns where model.py has 3: '1,a'",
    "x,c,y\n1,a,no,1\n": "{file}, row 2: 4 columns where model.py has 3: '1,a,no,1'",
    "x,c,y\n,a,no\n": "{file}, row 2, column 'x': no value; say in model.py what an empty field means (missing=...)",
    "x,c,y\n1,,no\n": "{file}, row 2, column 'c': no value",
    "x,c,y\n1,a,\n": "row 2, column 'y': no value; say in model.py what an empty field means (drop_missing=True)",
    "x,c,y\n1,a,no\n\n1,a,no\n": "{file}, row 3: an empty line; delete it",
    "x,c,y\nnan,a,no\n": "{file}, row 2, column 'x': 'nan' is not a number",
    "x,c,y\ninf,a,no\n": "{file}, row 2, column 'x': 'inf' is not a number",
    "x,c,y\n1e39,a,no\n": "{file}, row 2, column 'x': '1e39' is not a finite number",
    'x,c,y\n"1,a,no\n': "{file}, row 2: 1 columns where model.py has 3",
    'x,c,y\n1,a,no\n1,5 inch",no\n': "{file}, row 3: Unquoted fields cannot have quotes/CRLFs inside",
}


@pytest.mark.parametrize("where", ["train", "eval"])
@pytest.mark.parametrize("text", BAD_FILES, ids=lambda text: repr(text)[:30])
def test_a_bad_file_is_refused_by_file_row_and_column(
    text: str, where: str, prepare: Prepare, simple: Any, columns: Any, tmp_path: Path
) -> None:
    good = "x,c,y\n1,a,no\n2,b,yes\n"
    assert prepare(simple, good).train_rows == 2
    with pytest.raises(columns.DataError) as refused:
        prepare(simple, text if where == "train" else good, text if where == "eval" else good)
    assert BAD_FILES[text].format(file=tmp_path / f"{where}.csv") in str(refused.value)


def test_bad_values_of_the_other_columns_are_refused_too(prepare: Prepare, columns: Any) -> None:
    table = columns.Table(
        [
            columns.Identity("m", 3),
            columns.Categorical("code", [1, 2]),
            columns.Weight("w"),
            columns.Classes("y", [0, 1]),
        ]
    )
    good = "m,code,w,y\n2,1,1,0\n"
    assert prepare(table, good).train_rows == 1
    for row, message in {
        "3,1,1,0": "column 'm': 3 is not between 0 and 2",
        "-1,1,1,0": "column 'm': -1 is not between 0 and 2",
        "1.0,1,1,0": "column 'm': '1.0' is not a whole number",
        "1,one,1,0": "column 'code': 'one' is not a whole number",
        "1,1,-1,0": "column 'w': the weight -1 is negative",
        "1,1,heavy,0": "column 'w': 'heavy' is not a number",
        "1,1,1,2": "column 'y': '2' is not one of the labels [0, 1]",
        "1,1,1,no": "column 'y': 'no' is not a whole number",
    }.items():
        with pytest.raises(columns.DataError, match="row 3") as refused:
            prepare(table, f"{good}{row}\n")
        assert message in str(refused.value)


def test_a_bad_row_is_named_in_the_file_that_holds_it(project: Path, simple: Any, columns: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    for number in range(4):
        rows = "1,a,no\n" * 3000
        (tmp_path / f"{number}.csv").write_text("x,c,y\n" + rows + ("?,a,no\n" if number == 2 else ""))
    with pytest.raises(columns.DataError, match=r"2\.csv, row 3002, column 'x': '\?' is not a number"):
        CsvReader(simple).prepare(str(tmp_path), str(tmp_path))


def test_batches_stay_full_where_rows_without_target_are_left_out(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Numeric("x"), columns.Number("y", drop_missing=True)])
    reader = prepare(table, "x,y\n" + "".join(f"{n},{'' if n % 10 else n}\n" for n in range(200)))
    assert reader.train_rows == 20
    assert [len(target) for _, target, _ in reader.batches(True, 8).take(3)] == [8, 8, 8]
    assert [len(target) for _, target, _ in reader.batches(False, 8)] == [8, 8, 4]


def test_categories_outside_the_vocabulary_are_counted(
    prepare: Prepare, simple: Any, capsys: pytest.CaptureFixture
) -> None:
    prepare(simple, "x,c,y\n1,a,no\n2,B,yes\n3,A,no\n", "x,c,y\n1,a,no\n")
    assert capsys.readouterr().out == "note: c: 2 of 3 train rows are outside its vocabulary\n"


def test_a_byte_order_mark_without_a_header_is_refused(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Categorical("c", ["a"]), columns.Number("y")], header=False)
    assert prepare(table, "a,1\n").train_rows == 1
    with pytest.raises(columns.DataError, match="starts with a byte order mark; save it as UTF-8 without one"):
        prepare(table, b"\xef\xbb\xbfa,1\n")


def test_a_folder_whose_name_looks_like_a_pattern_is_read(project: Path, simple: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    folder = tmp_path / "old [1]"
    folder.mkdir()
    (folder / "d.csv").write_text("x,c,y\n1,a,no\n")
    reader = CsvReader(simple)
    reader.prepare(str(folder), str(folder / "d.csv"))
    assert (reader.train_rows, reader.eval_rows) == (1, 1)


def test_data_that_is_not_there_is_refused(project: Path, simple: Any, columns: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    with pytest.raises(columns.DataError, match="there is no data at"):
        CsvReader(simple).prepare(str(tmp_path / "nowhere"), str(tmp_path))
    with pytest.raises(columns.DataError, match=r"holds no \*.csv file; name a file or a pattern"):
        CsvReader(simple).prepare(str(tmp_path), str(tmp_path))


def test_files_whose_columns_differ_in_order_are_refused(prepare: Prepare, simple: Any, columns: Any) -> None:
    with pytest.raises(
        columns.DataError, match="eval.csv, row 1: the columns are in another order than in .*train.csv"
    ):
        prepare(simple, "x,c,y\n1,a,no\n", "c,x,y\na,1,no\n")


def test_columns_that_cannot_be_one_table_are_refused(columns: Any) -> None:
    x, y = columns.Numeric("x"), columns.Classes("y", ["a", "b"])
    assert columns.Table([x, y]).target is y
    for wrong, message in (
        ([x], "exactly one target"),
        ([x, y, columns.Number("z")], "exactly one target"),
        ([x, x, y], "a column name stands twice in"),
        ([columns.Numeric("a b"), columns.Numeric("a-b"), y], "'a b', 'a-b'. have one input name, 'a_b': rename one"),
        ([columns.Numeric("§"), y], "the column '§' has no a-z or 0-9 in its name: rename it"),
        ([y], "no column to learn from"),
        ([x, y, columns.Weight("w"), columns.Weight("v")], "one Weight column"),
    ):
        with pytest.raises(columns.UserError, match=message):
            columns.Table(wrong)
    for make, message in (
        (lambda: columns.Table([columns.Dropped("a"), columns.Dropped("a"), x, y]), "stands twice"),
        (lambda: columns.Classes("y", ["only"]), "two labels or more"),
        (lambda: columns.Classes("y", ["a", 1]), "distinct strings or distinct whole numbers"),
        (lambda: columns.Categorical("c", ["a", "a"]), "distinct strings"),
        (lambda: columns.Categorical("c", []), "distinct strings"),
        (lambda: columns.Hashed("h", 0), "size of 'h' must be 1 or more"),
        (lambda: columns.Identity("i", 3, encoding="onehot"), "encoding is 'one_hot' or 'index', not 'onehot'"),
        (lambda: columns.Table([x, y], delimiter=", "), "the delimiter must be one character"),
    ):
        with pytest.raises(columns.UserError, match=message):
            make()


def test_memory_does_not_grow_with_the_data(prepare: Prepare, columns: Any, tmp_path: Path) -> None:
    from trainer.data import CsvReader

    table = columns.Table([columns.Numeric("x"), columns.Numeric("z"), columns.Number("y")])
    rows = "0.123456789,9.87654321,1\n"
    prepare(table, "x,z,y\n" + rows * 20_000, "x,z,y\n" + rows)
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
