# Owned by the template.
"""What the clouds would run works on this machine; `python -m rehearse` shows the same with more words."""

import subprocess
import sys
from pathlib import Path

from cloud import ROOT


def test_every_platforms_job_and_endpoint_can_be_rehearsed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rehearse", "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
