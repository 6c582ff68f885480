"""What `project.data` says about files, and that it says nothing about those that are right."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import MODEL, add, both, change

TRAIN, EVAL = "data/train/iris.csv", "data/eval/iris.csv"
PACKED = "data/train/deep/iris.CSV.gz"
SPECIES = 'Classes("species", ["setosa", "versicolor", "virginica"])'
# A text column beside the flowers'.
COLOUR = change(
    MODEL, f"        {SPECIES}", f'        Categorical("colour", ["blue", "red"], missing="?"),\n        {SPECIES}'
)
IMPORT = change(MODEL, "from trainer.columns import Classes", "from trainer.columns import Categorical, Classes")


def each_row(change_row: Callable[[int, str], str], *files: str, header: str | None = None) -> Callable[[Path], object]:
    """Change every row, by its number from 0, of these files."""

    def plant(project: Path) -> None:
        for file in files or (TRAIN, EVAL):
            first, *rows = (project / file).read_text(encoding="utf-8").splitlines()
            lines = [header or first, *(change_row(number, row) for number, row in enumerate(rows))]
            (project / file).write_text("\n".join(lines) + "\n", encoding="utf-8")

    return plant


def colours(*names: str) -> Callable[[Path], object]:
    """A column of these colours, in turn."""
    header = "colour,sepal_length,sepal_width,petal_length,petal_width,species"
    return both(IMPORT, COLOUR, each_row(lambda number, row: f"{names[number % len(names)]},{row}", header=header))


def recoded(encoding: str, *files: str) -> Callable[[Path], object]:
    def plant(project: Path) -> None:
        for file in files or (TRAIN, EVAL):
            (project / file).write_bytes((project / file).read_text(encoding="utf-8").encode(encoding))

    return plant


def copied(source: str, target: str) -> Callable[[Path], object]:
    def plant(project: Path) -> None:
        (project / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project / source, project / target)

    return plant


def renamed(source: str, target: str) -> Callable[[Path], object]:
    return both(copied(source, target), lambda project: (project / source).unlink())


def without_header(file: str) -> Callable[[Path], object]:
    return lambda project: (project / file).write_text(
        (project / file).read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8"
    )


# What is planted, the status, words that are said.
FOUND = {
    "a blank before each category": (
        colours(" blue", " red"), "failed",
        ["train, column 'colour': every value is outside its vocabulary ['blue', 'red']; the first: ' blue' (did you "
         + "mean 'blue'?), ' red' (did you mean 'red'?)"],
    ),
    "some categories in another spelling": (
        colours("blue", "red", "Red", "blue"), "warning",
        ["colour: 30 of 120 train rows (25 %) are outside its vocabulary; the first: 'Red' (did you mean 'red'?)",
         "colour: 7 of 30 eval rows", "a job reads train 120 rows of 1 file, eval 30 rows of 1 file"],
    ),
    "another encoding": (
        both(colours("blue", "röt"), recoded("cp1252")), "failed",
        [f"{TRAIN}, row 3, column 'colour': b'r\\xf6t' is not UTF-8; it is likely cp1252, 'röt'. Convert it: iconv -f"],
    ),
    "UTF-16": (recoded("utf-16"), "failed", [f"{TRAIN} is UTF-16, not UTF-8", f"{EVAL} is UTF-16"]),
    "CR alone at the ends of lines": (
        lambda project: (project / TRAIN).write_bytes((project / TRAIN).read_bytes().replace(b"\n", b"\r")), "failed",
        [f"{TRAIN} has lines that end in CR alone"],
    ),
    "files that are not read": (
        both(copied(TRAIN, "data/train/b.tsv"), copied(TRAIN, "data/train/c.csv.zip"),
             copied(TRAIN, "data/train/d/e.txt"), copied(TRAIN, "data/train/f/g.CSV")),
        "warning",
        ["train: only *.csv and TFRecord shards are read, and this is left out: b.tsv, c.csv.zip, d/e.txt",
         "b.tsv: write delimiter=", "c.csv.zip: unpack it", "a job reads train 240 rows of 2 files"],
    ),
    "no file that is read": (
        renamed(TRAIN, "data/train/iris.csv.bz2"), "failed",
        ["data/train has no *.csv file", "this is left out: iris.csv.bz2", "iris.csv.bz2: unpack it"],
    ),
    "a gzip file that is none": (
        renamed(TRAIN, "data/train/iris.csv.gz"), "failed", ["data/train/iris.csv.gz cannot be unpacked"],
    ),
    "text and shards side by side": (
        copied(TRAIN, "data/train/iris.tfrecord"), "failed", ["train: text and TFRecord shards side by side"],
    ),
    "eval is train": (copied(TRAIN, EVAL), "warning", ["eval has the very rows of train"]),
    "eval is a part of train": (
        both(copied(TRAIN, EVAL), lambda project: (project / EVAL).write_text("".join(
            (project / TRAIN).read_text(encoding="utf-8").splitlines(keepends=True)[:21]), encoding="utf-8")),
        "warning", ["each of the 20 eval rows is a row of train, too"],
    ),
    "one class alone": (
        each_row(lambda _, row: f"{row.rpartition(',')[0]},setosa", TRAIN), "warning",
        ["species: no train row has the label 'versicolor', 'virginica', and 20 eval rows have such a label"],
    ),
    "a constant column": (
        each_row(lambda _, row: f"5.1,{row.partition(',')[2]}", TRAIN), "warning",
        ["sepal_length: every train row has 5.1: nothing to learn from"],
    ),
    "no header": (
        without_header(TRAIN), "failed",
        [f"{TRAIN}, row 1:", "is no header, but holds numbers; if the files have no header, write Table("],
    ),
    "two columns that are missing": (
        each_row(lambda _, row: row, TRAIN, header="length,width,petal_length,petal_width,species"), "failed",
        ["the columns 'sepal_length', 'sepal_width' of model.py are missing",
         "add Dropped('length'), Dropped('width')"],
    ),
    "several fields": (
        both(change(TRAIN, "5.0,3.4,1.5,0.2", '"5,0",3.4,1.5,20%'), change(EVAL, "5.7,2.6,3.5,1.0", "5.7,2.6,NaN,1.0")),
        "failed",
        ["column 'sepal_length': '5,0' is not a number; write 5.0",
         "column 'petal_width': '20%' is not a number; write 0.2 or 20",
         "column 'petal_length': 'NaN' is not a number; if it means no value: Table(..., missing_text='NaN')"],
    ),
    "a quote inside a field, and a decimal comma": (
        both(change(MODEL, 'Numeric("sepal_length")', 'Hashed("sepal_length", 9)'),
             change(MODEL, "import Classes", "import Hashed, Classes"),
             change(TRAIN, "5.0,3.4,1.5,0.2", '5 inch",3.4,1.5,0.2'), change(EVAL, "5.7,2.6,3.5", "5,7,2,6,3,5")),
        "failed",
        ["Unquoted fields cannot have quotes/CRLFs inside; write 5\" as \"5\"\"\": '5 inch\",3.4,",
         "8 columns where model.py has 5: '5,7,2,6,3,5,1.0,versicolor'; write a field that has a comma in quotes"],
    ),
    "another order of the columns": (
        each_row(lambda _, row: ",".join(row.split(",")[::-1]), EVAL,
                 header="species,petal_width,petal_length,sepal_width,sepal_length"),
        "failed", [f"{EVAL}, row 1: the columns are in another order than in {TRAIN}"],
    ),
    "a bad field far below the first rows": (
        add(TRAIN, "5.0,3.0,1.0,0.2,setosa\n" * 20_000 + "5.0,wide,1.0,0.2,setosa"), "failed",
        [f"{TRAIN}, row 20122, column 'sepal_width': 'wide' is not a number"],
    ),
    "a link to nothing": (
        lambda project: (project / "data" / "train" / "more.csv").symlink_to("nowhere.csv"), "failed",
        ["data/train/more.csv is a link to what is not there"],
    ),
    "no data at two places": (
        both(change("settings.toml", '"data/train"', '"data/trian"'), change("settings.toml", '"data/eval"', '"eval"')),
        "failed",
        ["there is no data at data/trian and none at eval",
         "of a CSV file of yours: onstage columns FILE.csv --write, then onstage split FILE.csv"],
    ),
}  # fmt: skip

LONGER = add(TRAIN, "5.0,3.0,1.0,0.2,setosa\n" * 1500)

# As TensorFlow writes one byte: length, its checksum, the byte, its checksum.
RECORD = bytes.fromhex("01000000000000000175de4178503daa61")
# What is planted, the line about it.
ACCEPTED = {
    "nothing": (lambda project: None, "train 120 rows of 1 file, eval 30 rows of 1 file"),
    "blank lines": (both(add(TRAIN, "\n \n"), change(EVAL, "5.7,2.6,3.5,1.0", "\n5.7,2.6,3.5,1.0")), "train 120 rows"),
    "Windows and Excel": (
        lambda project: (project / TRAIN).write_bytes(
            b"\xef\xbb\xbf" + (project / TRAIN).read_bytes().replace(b"\n", b"\r\n")), "train 120 rows"),
    "a declared missing value": (colours("blue", "", "red", "?"), "train 120 rows of 1 file"),
    "a quoted comma and odd names": (
        both(change(MODEL, 'Numeric("sepal_length")', 'Numeric("sepal, Länge (cm)")'),
             each_row(lambda _, row: row, header='"sepal, Länge (cm)",sepal_width,petal_length,petal_width,species')),
        "train 120 rows",
    ),
    "an eval without a rare label": (
        each_row(lambda _, row: row.replace("virginica", "setosa"), EVAL), "eval 30 rows of 1 file"),
    "more files, and some about them": (
        both(copied(EVAL, "data/train/more.csv"), change("data/train/more.csv", "5.7,2.6,3.5,1.0", "5.7,2.6,3.5,1.1"),
             add("data/train/README.md", "Flowers."), add("data/train/.hidden", ""), add("data/train/_SUCCESS", "")),
        None,
    ),
    "tables in folders that the trainer skips": (
        both(*(copied(TRAIN, f"data/train/{folder}/a.csv") for folder in (".ipynb_checkpoints", "_old", "a/.b/c"))),
        "train 120 rows of 1 file, eval 30 rows of 1 file",
    ),
    "packed, and in a folder below": (
        both(renamed(TRAIN, PACKED),
             lambda project: (project / PACKED).write_bytes(gzip.compress((project / PACKED).read_bytes()))),
        "train 120 rows of 1 file"),
    "an encoding that model.py names": (
        both(colours("blue", "röt"), recoded("cp1252"), change(MODEL, '"red"', '"röt"'),
             change(MODEL, "    ]\n)", '    ],\n    encoding="cp1252",\n)')), "train 120 rows of 1 file"),
    "line ends inside of quotes": (
        both(colours("blue", '"re\nd"'), change(MODEL, '"red"', '"re\\nd"')), "train 120 rows of 1 file"),
    "TFRecord shards": (
        both(renamed(TRAIN, "data/train/a.tfrecord"), renamed(EVAL, "data/eval/b.tfrecord-00000-of-00001"),
             *(lambda project, file=file: (project / file).write_bytes(RECORD)
               for file in ("data/train/a.tfrecord", "data/eval/b.tfrecord-00000-of-00001"))),
        "train 1 row of 1 file, eval 1 row of 1 file; TFRecord shards, which are not looked at before the job"),
    "many rows": (LONGER, "train 1,620 rows of 1 file, eval 30 rows of 1 file"),
    "many rows and blank lines": (both(LONGER, add(TRAIN, "\n\n5.0,3.0,1.0,0.2,setosa")), "train 1,621 rows of 1 file"),
}  # fmt: skip


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    shutil.copytree(bake(platform="sagemaker"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


def checked(project: Path) -> tuple[set[str], str]:
    """The statuses of `project.data`, and what it says."""
    command = ("rehearse", "sagemaker", "--select", "project.data", "--json", project / "report.json")
    ended = onstage(*command, cwd=project)
    assert not ended.err
    report = json.loads((project / "report.json").read_text(encoding="utf-8"))
    found = [check for check in report["checks"] if check["name"] == "data"]
    return {check["status"] for check in found}, "\n".join(
        f"{check['detail']}\n{check['cloud']}\n{check['fix']}" for check in found
    )


@pytest.mark.few(8)
@pytest.mark.parametrize("name", FOUND)
def test_what_is_wrong_or_odd_is_said(name: str, project: Path) -> None:
    plant, status, words = FOUND[name]
    plant(project)
    statuses, said = checked(project)
    assert statuses == {status}, said
    for word in words:
        assert word in said
    assert str(project) not in said


@pytest.mark.few(5)
@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_right_passes(name: str, project: Path) -> None:
    plant, line = ACCEPTED[name]
    plant(project)
    statuses, said = checked(project)
    if line is None:
        # Most of eval's rows stand in train now, but not all.
        line = "train 150 rows of 2 files"
    assert statuses == {"passed"}, said
    assert line in said


@pytest.mark.long
def test_rows_that_no_look_reached_are_said_and_the_rest_is_a_sample(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, *rows = (project / TRAIN).read_text(encoding="utf-8").splitlines(keepends=True)
    for number in range(100):
        (project / "data" / "train" / f"{number}.csv").write_text(header + "".join(rows) * 100, encoding="utf-8")
    statuses, said = checked(project)
    assert statuses == {"passed"}
    assert "train 4,000 of 1,200,120 rows of 16 of 101 files, eval 30 rows of 1 file (a sample; --all-rows" in said


def test_all_mistakes_of_model_py_are_said_in_one_run(project: Path) -> None:
    both(
        change(MODEL, 'Numeric("sepal_length")', 'Numeric("sepal_length", missing="NA")'),
        change(MODEL, 'Numeric("sepal_width")', 'Categorical("sepal_width", [True, False])'),
        IMPORT,
        change(MODEL, '"maximize"', '"max"'),
        change(MODEL, "tunable(0.01, low=1e-4, ", "tunable(0.01, "),
    )(project)
    ended = onstage("rehearse", "sagemaker", "--json", project / "report.json", cwd=project)
    assert ended.code == 1
    report = json.loads((project / "report.json").read_text(encoding="utf-8"))
    (said,) = [check["detail"] for check in report["checks"] if check["id"] == "project.model"]
    for line, words in zip(
        said.splitlines(),
        ["missing of 'sepal_length' must be a finite number, not 'NA'", 'write ["False", "True"]',
         "OBJECTIVE's goal is 'maximize' or 'minimize', not 'max'", "tunable() needs low and high"],
        strict=True,
    ):  # fmt: skip
        assert line.startswith("model.py: ")
        assert words in line
