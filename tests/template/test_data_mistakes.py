"""A bad table is refused by file, row and column, before the first step."""

import gzip
import random
import re
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
    "x,c,y\n1,a,no\n,,\n": "{file}, row 3: every field is empty; delete the row",
    "x,c,y\n1,a,no\nx,c,y\n": "{file}, row 3: the header once more; delete the row",
    "<!DOCTYPE html>\n": "{file} is a web page: what was downloaded is not the data",
    "version https://git-lfs.github.com/spec/v1\n": "{file} is Git LFS's note of where the file is: git lfs pull",
    "x,c,y\n1,a,no\nwide,a,no\n": "{file}, row 3, column 'x': 'wide' is not a number",
    "x,c,y\n1,a,no\n1,a,perhaps\n": "{file}, row 3, column 'y': 'perhaps' is not one of the labels ['no', 'yes']",
    "x,c,y\n1,a,no\n1,a\n": "{file}, row 3: 2 columns where model.py has 3: '1,a'",
    "x,c,y\n1,a,no,1\n": "{file}, row 2: 4 columns where model.py has 3: '1,a,no,1'",
    "x,c,y\n,a,no\n": "{file}, row 2, column 'x': no value; say in model.py what an empty field means (missing=...)",
    "x,c,y\n1,,no\n": "{file}, row 2, column 'c': no value",
    "x,c,y\n1,a,\n": "row 2, column 'y': no value; say in model.py what an empty field means (drop_missing=True)",
    "\nx,c,y\n1,a,no\n": "{file}, row 1: an empty line where the header should be; delete it",
    "x,c,y\n\n \n": "{file} has a header and no rows",
    "x,z,w\n1,a,no\n": "the columns 'c', 'y' of model.py are missing. The header is ['x', 'z', 'w']\nthe columns "
    "'z', 'w' are not in model.py; add Dropped('z'), Dropped('w') to leave them out",
    "1,a,no\n2,b,yes\n": "row 1: ['1', 'a', 'no'] is no header, but holds numbers; if the files have no header, write "
    "Table(..., header=False) in model.py",
    'x,c,y\n1,"a\n,no\n2,b,no\n': "{file}, row 2: 2 columns where model.py has 3: '1,\"a",
    'x,c,y\n1,"a\n,no': "; quotes that nobody closes",
    "x,c,y\nnan,a,no\n": "{file}, row 2, column 'x': 'nan' is not a number",
    "x,c,y\ninf,a,no\n": "{file}, row 2, column 'x': 'inf' is not a number",
    "x,c,y\n1e39,a,no\n": "{file}, row 2, column 'x': '1e39' is not a finite number",
    'x,c,y\n"1,a,no\n': "{file}, row 2: 1 columns where model.py has 3",
    'x,c,y\n1,a,no\n1,5 inch",no\n': "{file}, row 3: Unquoted fields cannot have quotes/CRLFs inside",
}


@pytest.mark.few(12)
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
    assert [target.name for target in columns.Table([x, y, columns.Number("z")]).targets] == ["y", "z"]
    for wrong, message in (
        ([x], "the table needs a target: Classes or Number"),
        ([x, y, columns.Number("y")], "a column name stands twice in"),
        ([x, x, y], "a column name stands twice in"),
        ([columns.Numeric("a b"), columns.Numeric("a-b"), y], "'a b', 'a-b'. have one input name, 'a_b': rename one"),
        ([columns.Numeric("§"), y], "the column '§' has no a-z or 0-9 in its name: rename it"),
        ([y], "no column to learn from"),
        ([x, y, columns.Weight("w"), columns.Weight("v")], "one Weight column"),
    ):
        with pytest.raises(columns.UserError, match=message):
            columns.Table(wrong)
    dropped = [columns.Dropped("a"), columns.Dropped("a")]
    with pytest.raises(columns.UserError, match="stands twice"):
        columns.Table([*dropped, x, y])
    with pytest.raises(columns.UserError, match="the delimiter must be one character"):
        columns.Table([x, y], delimiter=", ")


def test_columns_that_cannot_be_are_refused_all_at_once(columns: Any) -> None:
    wrong = [
        (columns.Categorical("c", ["a", "a"]), "vocabulary of 'c' must be a list of distinct .*'a' stands there twice"),
        (columns.Categorical("d", []), "vocabulary of 'd' must be a list of distinct strings"),
        (columns.Categorical("e", "abc"), "vocabulary of 'e' must be a list .*, not 'abc'"),
        (columns.Categorical("f", [True, False]), 'for .True, False. write ."False", "True"., spelt as in the files'),
        (columns.Categorical("g", ["a"], missing=0), "missing of 'g' must be a text, not 0"),
        (columns.Numeric("n", missing="NA"), "missing of 'n' must be a finite number, not 'NA'; how .*missing_text"),
        (columns.Hashed("h", 0), "size of 'h' must be a whole number from 1 to 2.31 - 1, not 0"),
        (columns.Identity("i", 3, encoding="onehot"), "encoding is 'one_hot' or 'index', not 'onehot'"),
        (columns.Identity("j", 3, missing=3), "missing of 'j', 3, is not between 0 and 2"),
    ]
    with pytest.raises(columns.UserError) as refused:
        columns.Table([*(column for column, _ in wrong), columns.Classes("y", [0.0, 1.0])])
    lines = str(refused.value).splitlines()
    assert len(lines) == len(wrong) + 1
    for line, message in zip(lines, [*(message for _, message in wrong), r"write \[0, 1\], also in"], strict=True):
        assert re.search(f"^model.py: .*{message}", line)
    for labels, message in ((["only"], "two labels or more"), (["a", 1], "distinct strings or distinct whole numbers")):
        with pytest.raises(columns.UserError, match=message):
            columns.Table([columns.Numeric("x"), columns.Classes("y", labels)])
    sound = [
        columns.Categorical("c", ("a", "b"), missing="?"), columns.Categorical("d", range(2000, 2010), missing=0),
        columns.Numeric("n", missing=0), columns.Identity("i", 3, missing=2), columns.Hashed("h", 9, missing=""),
    ]  # fmt: skip
    assert columns.Table([*sound, columns.Classes("y", [0, 1])]).features == sound


FIELDS = {
    "0,5": "write 0.5, with a decimal point",
    "1.234,5": "write 1234.5, with",
    "1,234": "write 1234, or 1.234",
    "1,234,567.8": "write 1234567.8",
    "1 234": "write 1234",
    "0%": "write 0, without %, the same way in all rows",
    "12,5 %": "write 0.125 or 12.5, without %, the same way in all rows",
    "NaN": "if it means no value: Table(..., missing_text='NaN'), and say missing=... for the column",
    "n/a": "if it means no value: Table(..., missing_text='n/a')",
    "2024-05-01": "a date: Date('x', format=...), or leave it out by Dropped('x')",
    "1/5/2024": "a date",
    "2024-05-01T12:00:00Z": "a date",
    "True": 'for two values write Categorical(\'x\', ["False", "True"])',
    "no": 'for two values write Categorical(\'x\', ["no", "yes"])',
    "5 kg": "write 5 alone",
    "$5.20": "write 5.20 alone",
    "wide": "texts are Categorical('x', [...]) or Hashed",
}


@pytest.mark.parametrize("text", FIELDS)
def test_a_field_that_is_no_number_says_what_to_write(text: str, columns: Any) -> None:
    assert f"{text!r} is not a number; {FIELDS[text]}" in columns.Numeric("x").problem(text).replace("\u202f", " ")
    for number in ("1", " 1.5", "-.5", "1e-3", "+2."):
        assert columns.Numeric("x").problem(number) is None


def test_a_field_that_is_no_label_says_which_it_may_mean(columns: Any) -> None:
    whole, texts = columns.Classes("y", [0, 1]), columns.Classes("y", ["no", "yes", "1"])
    assert [whole.problem("1"), texts.problem("yes"), texts.problem("1")] == [None] * 3
    assert whole.problem("1.0") == "'1.0' is not a whole number of 64 bits; write 1"
    assert 'for two values write Classes(\'y\', ["FALSE", "TRUE"])' in whole.problem("TRUE")
    assert "'1.0' is not one of the labels ['no', 'yes', '1']; write '1', spelt" in texts.problem("1.0")
    assert "; write 'yes', spelt as in model.py" in texts.problem(" Yes")
    assert columns.Identity("i", 3).problem("0.5").endswith("; fractions are Numeric('i')")


ENCODINGS = {
    "x,c,y\n1,a,no\n2,Zürich,yes\n".encode(
        "cp1252"
    ): "row 3, column 'c': b'Z\\xfcrich' is not UTF-8; it is likely cp1252, "
    "'Zürich'. Convert it: iconv -f cp1252 -t utf-8 OLD > NEW",
    "x,ç,y\n1,a,no\n".encode("latin-1"): "row 1: b'\\xe7' is not UTF-8; it is likely cp1252, 'ç'",
    "x,c,y\n1,a,no\n".encode("utf-16"): "train.csv is UTF-16, not UTF-8. Convert it: iconv -f utf-16 -t utf-8",
    "x,c,y\n1,a,no\n".encode("utf-16-le"): "train.csv is UTF-16LE, not UTF-8",
    "x,c,y\n1,a,no\n".encode("utf-16-be"): "train.csv is UTF-16BE, not UTF-8",
    "x,c,y\n1,a,no\n".encode("utf-32"): "train.csv is UTF-32, not UTF-8",
    b"x,c,y\r1,a,no\r": "train.csv has lines that end in CR alone. Convert it: tr '\\r' '\\n'",
    # Without a time in it: the workers have to agree on the names of tests.
    gzip.compress(b"x,c,y\n1,a,no\n", mtime=0): "train.csv is compressed by gzip: unpack it",
    b"PK\x03\x04\x14\x00": "train.csv is a zip archive or an Excel file",
}


@pytest.mark.parametrize("content", ENCODINGS, ids=lambda content: repr(content)[:30])
def test_a_file_that_is_not_utf8_is_said_to_be_that(
    content: bytes, prepare: Prepare, simple: Any, columns: Any
) -> None:
    with pytest.raises(columns.DataError) as refused:
        prepare(simple, content)
    assert ENCODINGS[content] in str(refused.value)


def test_text_that_is_not_utf8_may_stand_in_a_column_that_is_left_out(prepare: Prepare, columns: Any) -> None:
    content = "id,x,c,y\nZürich,1,a,1\n".encode("cp1252")
    x, c, y = columns.Numeric("x"), columns.Hashed("c", 3), columns.Number("y")
    assert prepare(columns.Table([columns.Dropped("id"), x, c, y]), content).train_rows == 1
    with pytest.raises(columns.DataError, match="row 2, column 'id': b'Z.xfcrich' is not UTF-8"):
        prepare(columns.Table([columns.Hashed("id", 3), x, columns.Dropped("c"), y]), content)


def test_a_header_in_files_without_one_is_named(prepare: Prepare, columns: Any) -> None:
    table = columns.Table([columns.Numeric("x"), columns.Number("y")], header=False)
    assert prepare(table, "1,2\n").train_rows == 1
    with pytest.raises(columns.DataError, match="row 1 is a header; take header=False out"):
        prepare(table, "x,y\n1,2\n")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
def test_python_and_tensorflow_read_the_same_fields_or_refuse_both(delimiter: str, columns: Any) -> None:
    import tensorflow as tf

    from trainer import rows

    names = [columns.Hashed(name, 3, missing="-") for name in "ab"]
    table = columns.Table([*names, columns.Number("y", drop_missing=True)], header=False, delimiter=delimiter)
    chance = random.Random(1)
    pieces = ["a", delimiter, '"', delimiter, " ", "é", "\t", '"a"', "'"]
    accepted = 0
    for _ in range(500):
        line = "".join(chance.choices(pieces, k=chance.randint(3, 9)))
        if rows.is_blank(table, line):
            continue
        try:
            fields = tf.io.decode_csv([line], [tf.constant([""])] * 3, field_delim=delimiter)
            expected = [field.numpy()[0].decode() for field in fields]
            accepted += 1
        except tf.errors.InvalidArgumentError:
            expected = None
        ((texts, wrong),) = rows.read(table, "file", [f"{line}\r\n"])
        assert (None if "" in wrong else texts) == expected, line
    assert accepted > 20
