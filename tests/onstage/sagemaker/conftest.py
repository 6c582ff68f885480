"""The bench of SageMaker's jobs."""

from pathlib import Path

import pytest

from tests.onstage.sagemaker.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
