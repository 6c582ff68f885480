"""The source distribution that travels to Vertex AI."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from onstage.errors import UserError
from onstage.project import Project
from onstage.vertex.agent.package import build_sdist


def test_the_source_distribution_is_built_without_a_trace_in_the_project(project: Path, tmp_path: Path) -> None:
    def state() -> dict[str, str]:
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(project.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }

    before = state()
    sdist = build_sdist(tmp_path, Project(project))
    assert state() == before
    with tarfile.open(sdist) as tar:
        names = [name.partition("/")[2] for name in tar.getnames()]
    assert "src/trainer/task.py" in names and "src/requirements.txt" in names
    assert not [name for name in names if name.startswith(("tests", "wheels", "data", "src/sagemaker"))]


def test_a_setup_that_does_not_run_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "src" / "trainer").mkdir(parents=True)
    (tmp_path / "setup.py").write_text("import nothing_there\n", encoding="utf-8")
    (tmp_path / "dist").mkdir()
    with pytest.raises(UserError, match="ModuleNotFoundError: No module named 'nothing_there'"):
        build_sdist(tmp_path / "dist", Project(tmp_path))
