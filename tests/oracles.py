"""Environments in which the vendors' own packages are asked what they would do: each made once, in build/."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from onstage import uv
from tests.conftest import ROOT

AIPLATFORM = ["google-cloud-aiplatform==2.7.0", "google-cloud-storage==3.*", "cloudml-hypertune==0.1.0.dev6"]


def environment(
    name: str,
    requirements: Sequence[str],
    *options: str,
    alone: Sequence[str] = (),
    finish: Callable[[Path], None] | None = None,
) -> Path:
    """The interpreter of an environment with `requirements`, and `alone` without what these need.

    `options` are uv's for the first; `finish` gets the folder before it is used for the first time.
    """
    key = hashlib.sha256("\n".join([*requirements, *alone, *options, sys.version]).encode()).hexdigest()[:12]
    folder = ROOT / "build" / "oracles" / f"{name}-{key}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Two workers may ask at once.
    with FileLock(f"{folder}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            words = [sys.executable, "-m", "uv"]
            subprocess.run([*words, "venv", "--quiet", "--python", sys.executable, folder], check=True)
            install = [*words, "pip", "install", "--quiet", "--python", python]
            subprocess.run([*install, *options, *requirements], check=True)
            if alone:
                subprocess.run([*install, "--no-deps", *alone], check=True)
            if finish:
                finish(folder)
            (folder / "complete").touch()
    return python


def aiplatform() -> Path:
    """The interpreter of an environment with Google's SDK; compiled, it starts in half the time."""
    return environment("vertex", AIPLATFORM, "--compile-bytecode")


def scikit_learn() -> Path:
    """The interpreter of an environment with scikit-learn, which Keras imports in every process where it is there."""
    return environment("sklearn", ["scikit-learn==1.*"], "--compile-bytecode")


def older_tensorflow() -> dict[str, str]:
    """Variables with which `--serving-version` installs versions here: once for all runs, by the usual cache of uv."""
    own = os.environ.get("UV_CACHE_DIR", str(uv.cache().with_name("uv")))
    return {"XDG_CACHE_HOME": str(ROOT / "build" / "oracles"), "UV_CACHE_DIR": own}
