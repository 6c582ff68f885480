"""Rows that are read in blocks, at the speed of C: every row is what the trainer's own reader says it is."""

import gzip
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from onstage.checks import row_checks, table_checks
from onstage.checks.model_page import ModelPage, read_model
from onstage.checks.quick_rows import QuickRows
from onstage.checks.row_checks import ChannelRows
from onstage.project import Project
from onstage.report import Finding
from onstage.sections import Data
from onstage.tables.sample import Sample, whole
from tests.conftest import Bake
from tests.onstage import every_column
from tests.onstage.every_column import HEADER

RIGHT = [
    "1.5,2,blue,1,0,Ann,x,1,a", "-1e3,NA,red,3,8,,,0,b", "+.5,,NA,2,5,Zoë,\xe4,2.5,c", '1,2,"blue",1,0,"A, B",x,1,a',
    '7,2,green,9,0,"say ""so""",x,1,b', " 1 ,2,blue, 1,0,Ann,x,1,a", "3,3,,3,3,n,,1,", "3,3,red,3,3,n,,1,NA",
    "1_0".replace("_", "") + ",2,blue,1,0,x_y,_,1,a",
]  # fmt: skip
WRONG = [
    "nan,2,blue,1,0,Ann,x,1,a", "1_000,2,blue,1,0,Ann,x,1,a", "1e39,2,blue,1,0,Ann,x,1,a", ",2,blue,1,0,Ann,x,1,a",
    "1,inf,blue,1,0,Ann,x,1,a", "1,2,blue,1.5,0,Ann,x,1,a", "1,2,blue,1,9,Ann,x,1,a", "1,2,blue,1,0,Ann,x,-1,a",
    "1,2,blue,1,0,Ann,x,1,d", "1,2,blue,1,0,Ann,x,1", "1,2,blue,1,0,Ann,x,1,a,b", HEADER, ",,,,,,,,",
    "\u0661,2,blue,1,0,Ann,x,1,a", '1,2,blue,1,0,5" pipe" b,x,1,a', "NA,2,NA,NA,NA,Ann,x,NA,NA",
    "1,2,b\udce4,1,0,A,x,1,a",
    "1,2,blue,99999999999999999999,0,Ann,x,1,a",
]  # fmt: skip


@pytest.fixture
def page(bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelPage:
    # What a machine manages within the time is not what these tests are about.
    monkeypatch.setattr(row_checks, "SECONDS", 600.0)
    return read_model(Project(every_column.project(bake, tmp_path / "project")))


def write(file: Path, lines: Sequence[str], end: str = "\n") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes((end.join([HEADER, *lines]) + end).encode("utf-8", "surrogateescape"))
    return file


def slowly(page: ModelPage, file: Path) -> tuple[Any, list[Sequence[str]], list[tuple[str, str]]]:
    """What the trainer's reader says, row by row."""
    rows = page.modules["trainer.rows"]
    seen, right, wrong = page.notes.Seen(page.table, "train"), [], []
    columns = page.columns_of("t.csv", file)
    for texts, found in rows.read(page.table, "t.csv", rows.local_lines(file)):
        wrong += found.items()
        if not found:
            right.append(tuple(texts))
            seen.add(columns, texts)
    return seen, right, wrong


@pytest.mark.parametrize("size", [1, 300, 2**17])
@pytest.mark.parametrize("seed", range(6))
def test_blocks_have_the_rows_and_the_problems_of_the_trainers_reader(
    seed: int, size: int, page: ModelPage, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    kinds = [RIGHT, RIGHT, RIGHT, RIGHT, ["", "  "], WRONG if seed % 2 else RIGHT]
    lines = [chance.choice(chance.choice(kinds)) for _ in range(400)]
    file = write(tmp_path / "t.csv", lines, "\r\n" if seed % 3 else "\n")
    seen, right, wrong = slowly(page, file)
    columns, blocks = page.columns_of("t.csv", file), []
    # From block to block, as a look that goes on later.
    start = (0, 1)
    while found := next(QuickRows(page).blocks("t.csv", file, columns, start, size), None):
        blocks.append(found)
        start = found.end
    assert [row for block in blocks for row in zip(*block.texts, strict=True)] == right
    assert [problem for block in blocks for problem in block.problems] == wrong
    assert [line for block in blocks for line in block.lines] == [
        line for line, texts in ((line, line) for line in lines) if texts.strip() and line not in WRONG
    ]
    assert bool(wrong) == bool(seed % 2)
    look = ChannelRows(page, "train", {"t.csv": file}, whole({"t.csv": file}, ["t.csv"]))
    look.look_at_starts(1, None)
    for name in ("rows", "without_target", "known", "unknown", "first_unknown", "labels", "only", "whole"):
        assert getattr(look.seen, name) == getattr(seen, name), name
    first: dict[str, str] = {}
    for column, problem in wrong:
        first.setdefault(column, problem.replace("t.csv", str(file)))
    assert look.problems == list(first.values())


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_the_rest_of_packed_files_is_looked_at_too(name: str, page: ModelPage) -> None:
    files = {}
    for channel in ("train", "eval"):
        file = write(page.project.root / "data" / channel / name, [*rows(20_000), "1,2,blue,1,0,Ann,x,1,c"])
        files[channel] = file
        if name.endswith(".gz"):
            file.write_bytes(gzip.compress(file.read_bytes()))
    looks = [ChannelRows(page, channel, {name: file}, whole({name: file}, [name])) for channel, file in files.items()]
    for look in looks:
        look.look_at_starts(2, None)
        assert look.looked
        assert look.looked < 20_000
    row_checks.look_at_rest(looks)
    assert [(look.looked, look.seen.rows, look.problems) for look in looks] == [(None, 20_001, [])] * 2
    assert looks[0].seen.labels["kind", "c"] == 1


def checked(page: ModelPage, most: int) -> tuple[list[Finding] | str, dict[str, Sample]]:
    samples: dict[str, Sample] = {}
    answer = table_checks.check_data(page, Data(train="data/train", eval="data/eval"), most, samples)
    return answer, samples


def rows(count: int, kind: str = "a", size: str = "") -> list[str]:
    return [
        f"{size or n},{n % 7},{'blue' if n % 2 else 'red'},{n % 3 + 1},{n % 9},n{n},x,1,{kind}" for n in range(count)
    ]


def rare(page: ModelPage) -> None:
    """20,000 rows a channel, in which one far from the start has the label c, and few the label b."""
    for channel in ("train", "eval"):
        lines = rows(20_000, size=f"{len(channel)}.5" if channel == "eval" else "")
        lines[7003] = "3,2,blue,1,0,rare,x,1,c"
        lines[10:12] = rows(2, "b")
        write(page.project.root / "data" / channel / "t.csv", lines)


def test_a_sample_gets_a_row_of_a_label_that_it_lacks(page: ModelPage, tmp_path: Path) -> None:
    rare(page)
    answer, samples = checked(page, 100)
    assert isinstance(answer, str), answer
    line = "101 of 20,000 rows of 1 file"
    assert answer == f"train {line}, eval {line} (a sample; --all-rows takes all)"
    for channel in ("train", "eval"):
        samples[channel].parts["t.csv"].write(tmp_path / channel, link=True)
        last = (tmp_path / channel).read_text(encoding="utf-8").splitlines()
        assert len(last) == 102
        assert last[-1] == "3,2,blue,1,0,rare,x,1,c"
    # With all labels, nothing is added.
    assert checked(page, 10_000)[0] == answer.replace("101 of", "10,000 of")
    assert checked(page, 0)[0] == "train 20,000 rows of 1 file, eval 20,000 rows of 1 file"


def test_what_the_time_did_not_allow_is_said(page: ModelPage, monkeypatch: pytest.MonkeyPatch) -> None:
    rare(page)
    for channel in ("train", "eval"):
        file = page.project.root / "data" / channel / "t.csv"
        file.write_text(file.read_text(encoding="utf-8").replace("x,1,a", f"{'x' * 90},1,a"), encoding="utf-8")
    monkeypatch.setattr(row_checks, "SECONDS", 0)
    answer, samples = checked(page, 100)
    looked = samples["train"].looked
    assert looked
    assert looked < 7000
    assert (
        f"; rows looked at in 0 s: {looked:,} of train, {samples['eval'].looked:,} of eval; not found in that" in answer
    )
    assert "not found in that time, nor in the sample: 'c' of train, 'c' of eval" in answer


def test_a_mistake_in_any_row_is_found_and_its_neighbour_is_right(page: ModelPage) -> None:
    rare(page)
    file = page.project.root / "data" / "train" / "t.csv"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("19000,2,", "19000,2.,"), encoding="utf-8")
    assert isinstance(checked(page, 100)[0], str)
    file.write_text(text.replace("19000,2,", "19000,two,"), encoding="utf-8")
    ((finding,), _) = checked(page, 100)
    assert isinstance(finding, Finding)
    assert finding.detail.startswith("data/train/t.csv, row 19002, column 'age': 'two' is not a number")


def test_warnings_are_of_all_rows_not_of_the_sample(page: ModelPage) -> None:
    rare(page)
    file = page.project.root / "data" / "eval" / "t.csv"
    lines = (page.project.root / "data" / "train" / "t.csv").read_text(encoding="utf-8").splitlines()[1:]
    random.Random(1).shuffle(lines)
    write(file, [line.replace(",blue,", ",green,") if number < 5 else line for number, line in enumerate(lines)])
    answer, _ = checked(page, 100)
    assert isinstance(answer, list)
    (said,) = [finding.detail for finding in answer]
    assert "of 20000 eval rows" in said
    write(file, lines)
    answer, _ = checked(page, 100)
    assert isinstance(answer, list)
    assert [finding.detail for finding in answer] == [page.notes.SAME_ROWS]
    assert answer[0].cloud == "a job reads train 20,000 rows of 1 file, eval 20,000 rows of 1 file"
