# Owned by the template.
"""What SageMaker would run works on this machine; `onstage rehearse sagemaker` shows the same with more words."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def test_the_job_and_the_endpoint_of_sagemaker_can_be_rehearsed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "onstage", "rehearse", "sagemaker", "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
