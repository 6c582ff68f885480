"""Desks in front of a Google."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.onstage.vertex.desk import Desk, FakeGoogle, make_desk


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGoogle]:
    fake = FakeGoogle(tmp_path_factory.mktemp("google"))
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def trained(
    project: Path, google: FakeGoogle, iris: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Desk, str]:
    """A desk with a bucket and a job, and what was printed when it was sent; jobs leave a model trained elsewhere."""
    desk = make_desk(project, tmp_path_factory.mktemp("trained") / "project", google)
    google.model = iris
    desk.run("upload", "--create-bucket")
    return desk, desk.run("train", "--epochs", "2")


@pytest.fixture
def desk(trained: tuple[Desk, str], tmp_path: Path) -> Iterator[Desk]:
    """A copy of the desk, in front of a Google that works again afterwards."""
    used, _ = trained
    yield Desk(Path(shutil.copytree(used.folder, tmp_path / "desk")), used.google)
    used.google.mend()
