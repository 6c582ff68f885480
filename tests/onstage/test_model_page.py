"""Reading model.py leaves nothing in this process."""

import logging
import shutil
from pathlib import Path

import pytest

from onstage.checks.model_page import read_model
from onstage.project import Project

LOUD = """
import logging
import logging.config
logging.basicConfig(level=logging.DEBUG, force=True)
logging.getLogger("onstage.test").handlers.append(logging.NullHandler())
logging.disable(logging.CRITICAL)
logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
"""


@pytest.mark.parametrize("planted", [LOUD, ""])
def test_what_a_page_does_to_logging_ends_with_it(planted: str, project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "project")
    page = tmp_path / "project" / "src" / "trainer" / "model.py"
    page.write_text(page.read_text(encoding="utf-8") + planted, encoding="utf-8")
    root, mine = logging.getLogger(), logging.getLogger("onstage.test")
    before = root.level, [*root.handlers], [*mine.handlers]
    assert read_model(Project(tmp_path / "project")).objective.metric == "val_accuracy"
    assert (root.level, [*root.handlers], [*mine.handlers]) == before
    assert not mine.disabled
    assert mine.isEnabledFor(logging.ERROR)
