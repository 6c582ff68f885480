"""Where a job's requirements are installed: an environment on top of the researcher's own, which stays as it is."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from onstage import progress, stopping
from onstage.errors import UserError

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


def create(folder: Path, python: str, settings: Mapping[str, str] | None = None) -> str:
    """An environment in `folder` that sees `python`'s packages and has pip; returns its own interpreter.

    `settings` are variables that its commands `pip` and `pip3` have, and nothing else gets. Raises UserError when
    `python` has neither pip nor ensurepip.
    """
    with progress.doing("making an environment"):
        done = stopping.call([python, "-c", _CREATE, str(folder)])
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"no environment for the job's requirements: {why}. Install pip beside {python}")
    own = folder / ("Scripts" if os.name == "nt" else "bin") / ("python.exe" if os.name == "nt" else "python")
    if os.name != "nt":
        _pip_commands(own, settings or {})
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


def for_sdists() -> dict[str, str]:
    """Settings for `create` with which pip builds source distributions without downloading setuptools for each.

    A password in the caller's own settings is left out: these are written to a file.
    """
    home = {name: os.environ[name] for name in _HOME if name in os.environ}
    # pip takes 0 for yes: the option's opposite is what it stores.
    return {**home, **pip_settings(shown=True), "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _pip_commands(python: Path, settings: Mapping[str, str]) -> None:
    # The images have these, and drivers of the SageMaker SDK look for them.
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
    for name in ("pip", "pip3"):
        script = python.with_name(name)
        script.write_text(f'#!/bin/sh\n{exports}exec "{python}" -m pip "$@"\n', encoding="utf-8")
        script.chmod(0o755)
