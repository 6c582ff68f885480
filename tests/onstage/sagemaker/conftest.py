"""The bench of SageMaker's jobs, and desks in front of an AWS."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators.aws import FakeAws
from tests.onstage.sagemaker.bench import Bench
from tests.onstage.sagemaker.desk import Desk, copied, make_desk, mend


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeAws]:
    with FakeAws(tmp_path_factory.mktemp("aws")) as fake:
        yield fake


@pytest.fixture(scope="module")
def trained(project: Path, aws: FakeAws, iris: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, str]:
    """A desk with a bucket and a job, and what was printed when it was sent; jobs leave a model trained elsewhere."""
    desk = make_desk(project, tmp_path_factory.mktemp("trained") / "project", aws)
    aws.model = iris
    desk.run("upload", "--create-bucket")
    return desk, desk.run("train", "--epochs", "2")


@pytest.fixture
def desk(trained: tuple[Desk, str], tmp_path: Path) -> Iterator[Desk]:
    """A copy of the desk, in front of an AWS that works again afterwards."""
    with copied(trained[0], tmp_path / "desk") as copy:
        yield copy


@pytest.fixture
def new_desk(project: Path, tmp_path: Path, aws: FakeAws) -> Iterator[Desk]:
    """A desk whose bucket does not exist yet."""
    bucket = f"new-{hashlib.md5(str(tmp_path).encode()).hexdigest()[:12]}"
    yield make_desk(project, tmp_path / "new", aws, bucket)
    mend(aws)
