"""The source distribution that Vertex AI installs, built as its documentation says: python setup.py sdist.

https://cloud.google.com/vertex-ai/docs/training/create-python-pre-built-container
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from onstage import progress, source, stopping
from onstage.errors import UserError
from onstage.project import Project

# What setuptools reads beside src/.
_BUILD_FILES = ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README*", "LICENSE*", "*requirements*.txt")


# For a project without setup.py, what pip and `build` call.
_BACKEND = "import sys, setuptools.build_meta as backend; backend.build_sdist(sys.argv[1])"


def build_sdist(folder: Path, project: Project) -> Path:
    """Build the project's source distribution in the empty `folder`; returns its file, whatever setuptools called it.

    Nothing is written into the project: the build runs in a copy of what travels. Raises UserError when it fails.
    """
    found = [found for name in _BUILD_FILES for found in project.root.glob(name)]
    return build(folder, project.root, [*source.files(project.source), *found])


def build(folder: Path, root: Path, files: Iterable[Path]) -> Path:
    """`build_sdist` of a copy of these files of `root`."""
    with tempfile.TemporaryDirectory(prefix="sdist-") as temporary:
        copy = Path(temporary)
        for file in files:
            target = copy / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        by_script = ["setup.py", "-q", "sdist", "--formats", "gztar", "--dist-dir", str(folder)]
        words = by_script if (copy / "setup.py").is_file() else ["-c", _BACKEND, str(folder)]
        with progress.doing("building the package"):
            done = stopping.call(
                [sys.executable, "-W", "ignore", *words],
                cwd=copy,
                # The folder of the project must not be on the path: the copy is what is built.
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            )
    built = list(folder.glob("*.tar.gz"))
    if done.returncode or len(built) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        hint = "; pip install setuptools" if "No module named 'setuptools'" in done.stderr else ""
        raise UserError(
            f"{words[0] if words is by_script else 'pyproject.toml'} builds no source distribution: "
            f"{said[-1] if said else 'it says nothing'}{hint}"
        )
    return built[0]
