"""Projects that are right, and that a check could take for wrong: they pass on both platforms."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import both, change

pytestmark = pytest.mark.long

MODEL = "src/trainer/model.py"


def keep_columns(*names: str) -> Callable[[Path], None]:
    """Leave only these columns in the data and in model.py, and the target."""

    def plant(project: Path) -> None:
        for file in project.glob("data/*/iris.csv"):
            header, *rows = [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()]
            kept = [index for index, name in enumerate(header) if name in (*names, "species")]
            lines = [",".join(row[index] for index in kept) for row in [header, *rows]]
            file.write_text("\n".join([*lines, ""]), encoding="utf-8")
        page = project / MODEL
        dropped = [f'Numeric("{name}"),' for name in header if name not in (*names, "species")]
        lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.strip() not in dropped]
        page.write_text("\n".join([*lines, ""]), encoding="utf-8")

    return plant


RIGHT = {
    "one feature": keep_columns("petal_width"),
    "a name that ends in _ and one of 63 characters": both(
        change("settings.toml", 'name = "iris_classifier"', f'name = "{"i" * 60}_"'),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_project_passes(bake: Bake, tmp_path: Path, case: str) -> None:
    project = Path(shutil.copytree(bake(platform="both"), tmp_path / "project"))
    RIGHT[case](project)
    ended = onstage("rehearse", "--epochs", "1", "--json", "report.json", cwd=project)
    assert ended.code == 0, ended.said
    report = json.loads((project / "report.json").read_text(encoding="utf-8"))
    details = {check["id"]: check["detail"] for check in report["checks"]}
    if case == "one feature":
        assert "not asked: text/csv, of which the container makes" in details["sagemaker.predictions"]
