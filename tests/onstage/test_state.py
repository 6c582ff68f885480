"""What is kept between two commands: what was sent last, what was rehearsed; and a command without its library."""

import os
from pathlib import Path

import pytest

from onstage.commands import rehearsed, state
from onstage.platform import Platform, connect
from onstage.project import Project
from onstage.settings import load
from tests.onstage import small
from tests.onstage.commands import start


@pytest.fixture
def sketch(tmp_path: Path) -> Project:
    return Project(small.write(tmp_path / "project"))


@pytest.fixture
def platforms(sketch: Project) -> tuple[Platform, Platform]:
    settings = load(sketch)
    return connect("sagemaker", settings), connect("vertex", settings)


def test_the_last_of_a_kind_is_remembered_until_it_is_forgotten(platforms: tuple[Platform, Platform]) -> None:
    sagemaker, vertex = platforms
    assert state.last(sagemaker, *state.JOBS) is None
    for count, (kind, name) in enumerate([("training", "a"), ("tuning", "b"), ("training", "c"), ("endpoint", "d")]):
        state.remember(sagemaker, kind, name)
        os.utime(sagemaker.project.runs / "cloud" / "sagemaker" / kind / f"{name}.json", ns=(count, count))
    assert state.last(sagemaker, *state.JOBS) == ("training", "c")
    assert state.last(sagemaker, "tuning") == ("tuning", "b")
    assert state.last(vertex, *state.JOBS) is None
    state.forget(sagemaker, "training", "c")
    assert state.last(sagemaker, *state.JOBS) == ("tuning", "b")
    state.forget(sagemaker, "training", "c")


def test_a_change_in_src_makes_a_rehearsal_stale(sketch: Project) -> None:
    def problems() -> list[str | None]:
        return [rehearsed.problem(sketch, platform) for platform in ("sagemaker", "vertex")]

    assert problems() == ["src/ has not been rehearsed"] * 2
    rehearsed.note(sketch, "sagemaker")
    assert problems() == [None, "src/ has not been rehearsed"]
    (sketch.source / "trainer" / "model.py").write_text("# changed\n", encoding="utf-8")
    assert problems()[0].startswith("src/ has changed since it was rehearsed (")
    (sketch.runs / "rehearsed.json").write_text("{", encoding="utf-8")
    assert problems()[0] == "src/ has not been rehearsed"


def test_without_boto3_one_line_says_what_to_install(sketch: Project) -> None:
    (sketch.root / "boto3.py").write_text("raise ImportError('no boto3')\n", encoding="utf-8")
    process = start("sagemaker", "status", "a-job", cwd=sketch.root)
    said = process.communicate(timeout=60)[0]
    expected = "error: boto3 cannot be used: no boto3; install the project's requirements.txt again\n"
    assert (process.returncode, said) == (1, expected)
