"""A log that would be large in a whole training is warned of, by the epochs of model.py and of the rehearsal."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from onstage.checks.model_page import read_model
from onstage.project import Project
from onstage.rehearsal.amounts import MUCH, of_log
from onstage.report import Report
from tests.conftest import Bake


@pytest.fixture(scope="module")
def project(bake: Bake) -> Path:
    return bake(platform="sagemaker")


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("size", "values", "said"),
    [
        (72_000_000, {"epochs": 2}, ["the job wrote 72 MB of log in 2 epochs: 1440 MB in 40"]),
        (6_000_000, {"epochs": 1}, ["the job wrote 6 MB of log in 1 epoch: 240 MB in 40"]),
        (MUCH, {"epochs": 400}, ["the job wrote 100 MB of log"]),
        (MUCH, {}, ["the job wrote 100 MB of log"]),
        (4_000_000, {"epochs": 2}, []),
        (MUCH - 1, {"epochs": 40}, []),
        (0, {"epochs": 2}, []),
    ],
)
def test_a_log_is_named_with_what_it_is_for_in_full(
    project: Path, size: int, values: dict[str, Any], said: list[str]
) -> None:
    report = Report(Console())
    report.project = (read_model(Project(project)), values)
    found = of_log("x" * size, report)
    assert [one.text for one in found] == said
    assert all(one.warning and one.fix for one in found)


def test_a_job_from_elsewhere_has_no_epochs() -> None:
    assert [one.text for one in of_log("x" * MUCH, Report(Console()))] == ["the job wrote 100 MB of log"]
    assert of_log("x", Report(Console())) == []
