"""A bad table is refused by file, row and column, before the first step."""

from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Prepare

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


def test_a_byte_order_mark_without_a_header_is_refused(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Categorical("c", ["a"]), columns.Number("y")], header=False)
    assert prepare(table, "a,1\n").train_rows == 1
    with pytest.raises(columns.DataError, match="starts with a byte order mark; save it as UTF-8 without one"):
        prepare(table, b"\xef\xbb\xbfa,1\n")


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
