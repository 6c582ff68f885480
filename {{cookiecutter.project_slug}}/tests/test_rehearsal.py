# Owned by the template.
"""What each cloud would run works on this machine; `onstage rehearse PLATFORM` shows the same with more words."""

import subprocess
import sys
from pathlib import Path

import pytest

from onstage.project import find

PROJECT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("platform", find(PROJECT).platforms)
def test_the_job_and_the_endpoint_can_be_rehearsed(platform: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "onstage", "rehearse", platform, "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
