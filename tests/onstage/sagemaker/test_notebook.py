"""The notebook of SageMaker, from the rehearsal to a removed endpoint, in front of the cloud on loopback."""

import re
from pathlib import Path

import pytest

from tests.emulators.aws import FakeAws
from tests.notebooks import execute
from tests.onstage.sagemaker.desk import make_desk

# As few as show everything.
PARAMETERS = """
HYPERPARAMETERS = {"epochs": 2}
TRIALS, AT_A_TIME = 1, 1
"""


@pytest.mark.long
def test_all_cells_run_and_leave_nothing_that_costs(project: Path, aws: FakeAws, tmp_path: Path) -> None:
    desk = make_desk(project, tmp_path / "project", aws)
    done = execute(desk.folder, "02_sagemaker", PARAMETERS, desk.environment)
    assert re.search(r"PASSED\S*, \d+ checks", done.text)
    # Here, and in the cloud.
    assert done.text.count("epoch=2 loss=") >= 2
    assert re.search(r"training job \S+ is sent", done.text)
    assert "asked it for 3 predictions: as the trainer has them" in done.text
    assert "removed endpoint " in done.text
    assert "nothing runs that costs money" in done.text
    assert done.pictures == 1
    assert desk.left() == []
