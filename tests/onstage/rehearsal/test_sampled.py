"""What the words of a job that got a sample mean for all of the data."""

from dataclasses import replace
from pathlib import Path

import pytest

from onstage.rehearsal import sampled
from onstage.tables.sample import Sample, take, whole


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    file = tmp_path / "t.csv"
    file.write_text("a\n" + "".join(f"{number:05}\n" for number in range(1000)), encoding="utf-8")
    return {"t.csv": file}


@pytest.fixture
def sample(files: dict[str, Path]) -> Sample:
    return take(files, files, 100, header=True, delimiter=",")


@pytest.mark.parametrize("folder", ["/tmp/x/opt/ml/input/data/train", "gs://bucket/name/data/train"])
def test_a_row_is_the_one_of_the_researchers_file(folder: str, sample: Sample, tmp_path: Path) -> None:
    sample.parts["t.csv"].write(tmp_path / "job.csv", link=False)
    row = (tmp_path / "job.csv").read_text(encoding="utf-8").splitlines()[59]
    said = sampled.rows_at_home(f"loss is nan: {folder}/t.csv, row 60: {row!r}", {"train": sample})
    assert said == f"loss is nan: {folder}/t.csv, row {int(row) + 2}: {row!r}"
    assert sampled.rows_at_home(f"{folder}/t.csv, row 3 is odd", {"train": sample}) == f"{folder}/t.csv, row 3 is odd"


def test_other_rows_keep_their_numbers(files: dict[str, Path], sample: Sample) -> None:
    for text in ("/data/eval/t.csv, row 60", "/data/train/u.csv, row 60", "/elsewhere/t.csv, row 60"):
        assert sampled.rows_at_home(text, {"train": sample}) == text
    assert (
        sampled.rows_at_home("/data/train/t.csv, row 60", {"train": whole(files, files)}) == "/data/train/t.csv, row 60"
    )


def test_a_row_that_was_looked_for_is_said_to_be_of_the_sample(files: dict[str, Path], sample: Sample) -> None:
    more = sample.with_rows({"t.csv": (files["t.csv"], 2, [b"00999\n"])})
    assert sampled.rows_at_home("/data/train/t.csv, row 102", {"train": more}).endswith("row 102 of its sample")


def test_what_a_job_notices_of_a_sample_is_said_to_be_of_it(files: dict[str, Path], sample: Sample) -> None:
    said = ["every train row has 1"]
    assert sampled.notes(said, {"train": whole(files, files)}) == said
    part = replace(sample, looked=500, counted="1,000 rows")
    assert sampled.notes(said, {"train": part}) == ["every train row has 1 (of the sample that the job got)"]
    assert sampled.notes(said, {"train": sample}) == ["every train row has 1 (of the sample that the job got)"]
    # All rows were looked at: that check knows better.
    assert sampled.notes(said, {"train": replace(part, looked=None)}) == []
