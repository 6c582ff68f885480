"""`onstage columns` says what a table's columns are, in words that the data check and ruff accept."""

import gzip
import json
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import MODEL
from tests.onstage.tables import CHANCE, FILMS, film, number, rows, table
from tests.onstage.words import Say, speaker


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bake(platform="sagemaker"), tmp_path / "project"))


@pytest.fixture
def say(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    return speaker(project, monkeypatch, capsys)


ADULT = table(
    "",
    rows(
        300, lambda _: CHANCE.randint(17, 90), [" Private", " Private", " State-gov", " ?"],
        lambda row: f" {row * 991}", [" HS-grad", " 11th"], [" <=50K", " >50K"],
    ),
)  # fmt: skip
# A file's bytes, and lines that its Table has.
KINDS: dict[str, tuple[bytes, list[str]]] = {
    "films": (
        FILMS,
        [
            'Dropped("film_id"),', 'Text("title", length=7),', 'Date("released", format="%Y-%m-%d"),',
            'Categorical("genre", ["drama", "comedy"]),', 'Numeric("minutes", missing=', 'Categorical("sequel", [',
            'Numeric("budget", missing=', 'Classes("success", ["no", "yes"]),', 'delimiter=";",', 'missing_text="NA",',
        ],
    ),
    "adult: no header, a blank after each comma, a question mark": (
        ADULT,
        [
            'Categorical("column_2", [" Private", " State-gov"], missing="unknown"),', 'Numeric("column_3"),',
            'Classes("column_5", [" <=50K", " >50K"]),', "header=False,", 'missing_text=" ?",',
        ],
    ),
    "an index without a name, whole numbers that are labels": (
        table(",size,target", rows(60, lambda row: row, number(0, 9), [0, 1, 2])),
        ["# it counts the rows", 'Dropped(""),', 'Classes("target", [0, 1, 2]),'],
    ),
    "a blank for no value": (
        table("customerID,total,Churn", rows(90, lambda row: f"{row:04}-AB", ["1.5", "3", " "], ["Yes", "No"])),
        ['Dropped("customerID"),', 'Numeric("total", missing=', 'Classes("Churn", ["No", "Yes"]),',
         'missing_text=" ",'],
    ),
    "several spellings of no value": (
        table("a,b,c,y", rows(200, ["NA", "?", *range(30)], ["NA", "3", "4"], number(0, 1), ["p", "q"])),
        ["# a number, but beside 'NA', '?' says that there is none, too", 'Dropped("a"),', 'missing_text="NA",'],
    ),
    "codes with zeros in front": (
        table("zip,size,y", rows(200, ["00501", "10001", "99999"], number(0, 1), ["p", "q"])),
        ['Categorical("zip", ["'],
    ),
    "JSON, decimal commas, percents, American dates, one value": (
        table("meta;half;part;day;same;x;y", rows(
            60, lambda row: '"' + json.dumps({"a": row}).replace('"', '""') + '"', lambda row: f"{row},5",
            lambda row: f"{row} %", lambda row: f"{1 + row % 12}/{1 + row % 28}/2020", "m", number(0, 1), ["p", "q"],
        ), ";"),
        [
            "# JSON", "# numbers with a decimal comma; write '0.5'", "# numbers such as '0 %'",
            "dates of different width", "# every row has 'm'", 'Dropped("same"),', 'Numeric("x"),',
        ],
    ),
    "years in the header": (
        table("name,2019,2020,z", rows(60, lambda row: f"n{row % 9}", number(0, 1), number(0, 1), ["p", "q"])),
        ['Categorical("name", ["n0", ', 'Numeric("2019"),', 'Classes("z", ["p", "q"]),'],
    ),
    "two names of one input": (
        table("a b,a_b,ü,y", rows(60, number(0, 1), number(0, 1), number(0, 1), ["p", "q"])),
        ['Numeric("a b"),', "# it has one input name with 'a b'", 'Dropped("a_b"),', 'Dropped("ü"),'],
    ),
    "cp1252": (
        table("größe,ort,y", rows(80, number(0, 1), ["Köln", "Bern"], ["p", "q"])).decode().encode("cp1252"),
        ['Numeric("größe"),', '"Köln"', 'encoding="cp1252",'],
    ),
    "mixed line ends, and lines in quotes": (
        b'a,note,y\n1,"two\r\nlines, and ""words"" %d",p\r\n2,x,q\n\n3,z,p\n' * 1
        + b"".join(b'%d.5,"more of\nthe words %d",q\r\n' % (n, n) for n in range(60)),
        ['Numeric("a"),', 'Text("note", length=5),', 'Classes("y", ["p", "q"]),'],
    ),
    "labels that rows lack": (
        table("a,y", rows(60, number(0, 1), ["p", "q", ""])),
        ["rows without it are left out", 'Classes("y", ["p", "q"], drop_missing=True),'],
    ),
    "many categories": (
        table("city,x,y", rows(900, lambda row: f"w{row % 200}", number(0, 1), ["p", "q"])),
        ["# 200 different values in 900 rows", 'Hashed("city", 512),'],
    ),
}  # fmt: skip


@pytest.mark.few(2)
@pytest.mark.parametrize(("content", "lines"), KINDS.values(), ids=KINDS)
def test_what_is_written_passes_the_check_of_the_data(
    content: bytes, lines: list[str], project: Path, say: Say
) -> None:
    (project / "all.csv").write_bytes(content)
    printed = say("columns", "all.csv")
    assert printed.code == 0, printed.said
    for line in lines:
        assert line in printed.out
    written = say("columns", "all.csv", "--write")
    assert written.code == 0, written.said
    model = (project / MODEL).read_text(encoding="utf-8")
    assert printed.out.partition("\n\n")[2].strip() in model
    split = say("split", "all.csv", "--replace")
    assert split.code == 0, split.said
    ended = onstage("rehearse", "--select", "project.data", cwd=project)
    assert (ended.code, "FAILED" in ended.out) == (0, False), ended.said
    for words in (["check"], ["format", "--check"]):
        ruff = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "."], cwd=project, capture_output=True, check=False
        )
        assert ruff.returncode == 0, ruff.stdout.decode()


# What cannot be a table, and what is said.
BAD = {
    "empty": (b"", "all.csv is empty"),
    "only a header": (b"a,b,c\n", "all.csv has one row, 'a, b, c': a header and no rows"),
    "two columns of one name": (b"a,b,a\n1,2,3\n2,3,4\n", "row 1: the column 'a' stands twice in the header"),
    "aligned by blanks": (b" 0.1  2.50  3\n10.1  2.5   4\n", "Convert it: sed -E"),
    "one column": (b"a\n1\n2\n", "has one column, or nothing that separates columns"),
    "a title above the header": (b"Sales of 2026\na,b\n1,2\n3,4\n", "row 1 has 1 column, and other rows have 2"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "is UTF-16, not UTF-8. Convert it: iconv"),
    "an Excel file": (b"PK\x03\x04" + bytes(99), "a zip archive or an Excel file"),
    "CR alone": (b"a,b\r1,2\r", "lines that end in CR alone"),
    "a blank first line": (b"\na,b\n1,2\n", "row 1 is empty: delete it"),
    "a target of one value": (b"x,y\n1,a\n2,a\n", "the target 'y' has 'a' in every row"),
    "a target of many labels": (
        table("x,y", rows(3000, number(0, 1), lambda row: f"n{row // 2}")), "different texts in 3,000 rows: too many",
    ),
    "a target that is nearly a number": (
        table("x,y", rows(300, number(0, 1), lambda row: row if row else "many")), "but 'many' is none: ",
    ),
    "a target of dates": (b"x,y\n1,2026-01-02\n2,2026-01-03\n", "the target 'y' has dates"),
    "a target without a name that TensorFlow takes": ("x,y,ü\n1,a,b\n2,c,d\n".encode(), "no column 'y'"),
    "nothing to learn from": (b"id,y\n0,a\n1,b\n2,a\n3,b\n", "has no column to learn 'y' from:\n  Dropped("),
}  # fmt: skip


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=BAD)
def test_what_is_no_table_is_one_message(content: bytes, said: str, project: Path, say: Say) -> None:
    (project / "all.csv").write_bytes(content)
    before = (project / MODEL).read_bytes()
    target = "ü" if said.startswith("no column") else "y"
    ended = say("columns", "all.csv", "--write", "--target", target)
    assert (ended.code, ended.out) == (2, "")
    assert ("the target 'ü' has no a-z or 0-9" if target == "ü" else said) in ended.err
    assert (project / MODEL).read_bytes() == before


def test_a_target_that_is_not_there_is_named_with_the_nearest(project: Path, say: Say) -> None:
    (project / "films.csv").write_bytes(FILMS)
    ended = say("columns", "films.csv", "--target", "Gerne")
    assert (ended.code, ended.out) == (2, "")
    assert "--target Gerne: there is no such column; did you mean 'genre'? The columns are 'film_id', " in ended.err
    assert 'Classes("genre", ["comedy", "drama"])' in say("columns", "films.csv", "--target", "genre").out


@pytest.mark.parametrize(
    ("header", "target"),
    [("a,b,c", "c"), ("label,a,b", "label"), ("Survived,a,b", "Survived"), ("a,x,y", "y"), ("x,y,z,b,price", "price"),
     ("is_target,a,b", "is_target"), ("y,a,b", "y")],
)  # fmt: skip
def test_a_guessed_target_is_said_to_be_guessed(header: str, target: str, project: Path, say: Say) -> None:
    width = header.count(",") + 1
    (project / "all.csv").write_bytes(table(header, rows(50, *[number(0, 1)] * width)))
    # Numbers do not fit the example's classes, which is another matter.
    ended = say("columns", "all.csv")
    assert f'# the target is guessed, by its name: --target NAME names another\n        Number("{target}")' in (
        ended.out.replace("the last column", "by its name")
    )
    assert f"note: the target is guessed: '{target}'" in ended.err
    assert "guessed" not in say("columns", "all.csv", "--target", target).said


def test_rows_that_a_job_refuses_are_named_and_the_others_read(project: Path, say: Say) -> None:
    body = table("a,note,y", rows(50, number(0, 1), ["m", "n"], ["p", "q"])).decode().splitlines(keepends=True)
    body[5:5] = ['1,5" wide,p\n', "1,2\n", ",,\n", "a,note,y\n", " \n"]
    (project / "all.csv").write_text("".join(body), encoding="utf-8")
    ended = say("columns", "all.csv")
    assert (ended.code, "50 rows of 3 columns" in ended.out) == (1, True)
    found = [
        "6: quotes beside text",
        "7: 2 columns where there are 3: '1,2'",
        "8: every field is empty",
        "9: the header",
    ]
    for said in found:
        assert f"all.csv, row {said}" in ended.err
    assert "row 10" not in ended.err


def test_outside_of_a_project_the_table_is_printed_but_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "films.csv").write_bytes(FILMS)
    here = speaker(tmp_path, monkeypatch, capsys)
    assert (here("columns", "films.csv").code, here("columns", "films.csv", "--write").code) == (0, 2)
    ended = here("columns", "nowhere.csv")
    assert (ended.code, ended.err) == (2, "error: there is no nowhere.csv\n")


def test_files_of_one_table_are_read_together(project: Path, say: Say) -> None:
    head, *body = FILMS.decode().splitlines(keepends=True)
    folder = project / "some [1]"
    folder.mkdir()
    (folder / "a.csv").write_text("".join([head, *body[:100]]), encoding="utf-8")
    (folder / "b.csv.gz").write_bytes(gzip.compress("".join([head, *body[100:]]).encode()))
    for skipped in (".ipynb_checkpoints", "_old/below"):
        (folder / skipped).mkdir(parents=True)
        (folder / skipped / "a.csv").write_text("other;names\n1;2\n", encoding="utf-8")
    assert "400 rows of 8 columns" in say("columns", folder).out
    (folder / "c.csv").write_text("other;names\n1;2\n", encoding="utf-8")
    ended = say("columns", folder)
    assert (ended.code, "c.csv' has another header than" in ended.err) == (2, True)


def test_thousands_of_columns_are_read(project: Path, say: Say) -> None:
    header = ",".join([*(f"p{number}" for number in range(3000)), "y"])
    (project / "wide.csv").write_bytes(table(header, rows(60, *[number(0, 255, 0)] * 3000, [0, 1])))
    ended = say("columns", "wide.csv")
    assert (ended.code, "60 rows of 3001 columns" in ended.out) == (0, True)


@pytest.mark.long
def test_memory_does_not_grow_with_the_rows(project: Path, say: Say) -> None:
    body = table("", rows(2000, number(0, 1, 9), film, [0, 1]))
    peaks = []
    for times in (20, 60):
        (project / "long.csv").write_bytes(b"a,note,y\n" + body * times)
        tracemalloc.start()
        assert say("columns", "long.csv").code == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] < 60e6
