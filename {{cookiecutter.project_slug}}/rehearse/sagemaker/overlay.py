# Owned by the template.
"""Where a job's requirements are installed: an environment on top of the researcher's own, which stays as it is."""

import os
import subprocess
from pathlib import Path

from trainer.run import UserError

# What pip needs to reach its index, beside the variables of its own and its configuration in the home folder.
_FOR_PIP = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_HOME = ("HOME", "USERPROFILE", "APPDATA", "XDG_CONFIG_HOME")
# Runs in the interpreter below the overlay, which need not be this one. Its site folders are added with their own .pth
# files, so that editable installs work, and after the overlay's, so that what is installed there wins.
_CREATE = """
import importlib.util, os, site, subprocess, sys, venv
folder = sys.argv[1]
windows = os.name == "nt"
venv.EnvBuilder(with_pip=False, symlinks=not windows).create(folder)
library = ["Lib"] if windows else ["lib", f"python{sys.version_info[0]}.{sys.version_info[1]}"]
with open(os.path.join(folder, *library, "site-packages", "below.pth"), "w", encoding="utf-8") as file:
    file.writelines(f"import site; site.addsitedir({path!r})\\n" for path in site.getsitepackages())
if importlib.util.find_spec("pip") is None:
    python = os.path.join(folder, "Scripts" if windows else "bin", "python")
    subprocess.run([python, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
"""


def create(folder: Path, python: str) -> str:
    """An environment in `folder` that sees `python`'s packages and has pip; returns its own interpreter.

    Raises UserError when `python` has neither pip nor ensurepip.
    """
    done = subprocess.run(
        [python, "-c", _CREATE, str(folder)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"no environment for the job's requirements: {why}. Install pip beside {python}")
    own = folder / ("Scripts" if os.name == "nt" else "bin") / ("python.exe" if os.name == "nt" else "python")
    if os.name != "nt":
        _pip_commands(own)
    return str(own)


def wanted(requirements: Path) -> bool:
    """Whether the file names anything to install."""
    if not requirements.exists():
        return False
    lines = requirements.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.strip() and not line.strip().startswith("#") for line in lines)


def pip_settings(*, shown: bool = False) -> dict[str, str]:
    """What pip needs of the caller's environment.

    `shown` is for a command that prints its environment, as the SDK's drivers do: nothing that could hold a password.
    """
    wanted_names = _FOR_PIP if shown else (*_FOR_PIP, *_HOME)
    return {
        name: value
        for name, value in os.environ.items()
        if (name.upper() in wanted_names or name.startswith("PIP_")) and not (shown and "@" in value)
    }


def _pip_commands(python: Path) -> None:
    # The image has these, and drivers of the SageMaker SDK look for them.
    for name in ("pip", "pip3"):
        script = python.with_name(name)
        script.write_text(f'#!/bin/sh\nexec "{python}" -m pip "$@"\n', encoding="utf-8")
        script.chmod(0o755)
