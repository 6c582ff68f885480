"""The environment in which Google's own libraries are asked what they would do."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

REQUIREMENTS = ["google-cloud-aiplatform==2.7.0", "google-cloud-storage==3.*", "cloudml-hypertune==0.1.0.dev6"]


def vertex_python() -> Path:
    """The interpreter of an environment that has `REQUIREMENTS`; made once, in build/, compiled: it starts in half the
    time."""
    digest = hashlib.sha256("\n".join([*REQUIREMENTS, sys.version]).encode()).hexdigest()[:12]
    folder = ROOT / "build" / "oracles" / f"vertex-{digest}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        install = ["pip", "install", "--quiet", "--compile-bytecode", "--python", python]
        subprocess.run([*uv, *install, *REQUIREMENTS], check=True)
        (folder / "complete").touch()
    return python
