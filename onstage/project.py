"""The contract between this package and a project, and where the project is.

A project of contract 1 has: `settings.toml`; `src/`, all that travels to a cloud, with `trainer.model` (DATA,
OBJECTIVE, Hyperparameters, build_model), `trainer.run`, `trainer.columns`, `trainer.rows` and `trainer.checkpoints`,
the entry points of ENTRY_POINTS and `requirements.txt`; for Vertex AI `setup.py` and `MANIFEST.in`; `runs/`, where
trainings and notes are left; `wheels/`, this package; and in pyproject.toml `[tool.onstage] contract = 1`.
"""

import contextlib
import errno
import itertools
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from onstage import room
from onstage.errors import StartError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONTRACT = 1
SETTINGS = "settings.toml"
MODEL_FILE = "src/trainer/model.py"
# A platform's entry point in `src/`: a project that has the file runs on the platform.
ENTRY_POINTS = {"sagemaker": "sagemaker_entry.py", "vertex": "trainer/task.py"}


class NoProjectError(StartError):
    """No folder on the way up has a project."""


@dataclass(frozen=True)
class Project:
    """A project by its folder."""

    root: Path

    @property
    def source(self) -> Path:
        """The folder of what travels."""
        return self.root / "src"

    @property
    def runs(self) -> Path:
        """The folder of what trainings, rehearsals and cloud commands leave."""
        return self.root / "runs"

    @property
    def platforms(self) -> list[str]:
        """The platforms that the project has an entry point for."""
        return [platform for platform, file in ENTRY_POINTS.items() if (self.source / file).is_file()]

    def name(self, file: Path) -> str:
        """`file` as its author knows it: its path from the project's folder."""
        return file.relative_to(self.root).as_posix()

    def has_module(self, name: str) -> bool:
        """Whether the top of a dotted name is a module of `src/`."""
        return has_module(self.source, name)

    def locate(self, location: str) -> str:
        """A location of settings.toml: a URI as it is, a path from the project's folder."""
        return location if "://" in location else str(self.root / location)

    def new_run(self) -> Path:
        """Make a folder in `runs/` that no other training has, named by the time; a temporary one where that cannot be.

        Raises StartError where the temporary folder, which TensorFlow needs, is full.
        """
        room.check()
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        for number in itertools.count(1):
            folder = self.runs / (stamp if number == 1 else f"{stamp}-{number}")
            with contextlib.suppress(FileExistsError):
                try:
                    folder.mkdir(parents=True)
                except OSError as error:
                    if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                        raise
                    other = Path(tempfile.mkdtemp(prefix=f"{self.root.name}-"))
                    room.note(
                        path_for_people(self.runs), error, f"this training is in {other}; --job-dir names another"
                    )
                    return other
                return folder
        raise AssertionError("itertools.count does not end")

    def newest_model(self) -> Path:
        """The version folder of the last training in `runs/`. Raises StartError when there is none."""
        models = sorted(self.runs.glob("*/model/1/saved_model.pb"), key=lambda file: file.stat().st_mtime)
        if not models:
            train = path_for_people(self.root / "train.py")
            raise StartError(f"there is no trained model in runs/; train one: python {train}")
        return models[-1].parent


def read_toml(file: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises StartError when it cannot be read."""
    try:
        # Windows' editors begin a file with a byte order mark.
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StartError(f"{path_for_people(file)} cannot be read: {error}") from error


def find(start: Path | None = None) -> Project:
    """The project that `start`, by default the working directory, lies in: the nearest one on the way up.

    Raises StartError where there is none, or one that this package cannot serve.
    """
    try:
        start = start or Path.cwd()
    except FileNotFoundError as error:
        raise StartError("the working directory does not exist any more; go to the project's folder") from error
    strangers = []
    for folder in (start, *start.parents):
        # Unlike Path.is_file, a folder above that may not be searched has none.
        if os.path.isfile(folder / SETTINGS):
            if os.path.isdir(folder / "src" / "trainer") or _is_marked(folder):
                _check_contract(folder)
                return _checked(Project(folder))
            strangers.append(folder)
    found = f" ({strangers[0] / SETTINGS} belongs to something else: no src/trainer beside it)" if strangers else ""
    raise NoProjectError(
        f"no project here: neither {start} nor a folder above it has a project's {SETTINGS}{found}; "
        "go to its folder, or render one with cookiecutter"
    )


def has_module(folder: Path, name: str) -> bool:
    """Whether the top of a dotted name is a module of `folder`."""
    top = name.partition(".")[0]
    return (folder / top).is_dir() or (folder / f"{top}.py").is_file()


def path_for_people(file: Path) -> str:
    """`file` as one types it from the working directory."""
    try:
        path = os.path.relpath(file)
    except ValueError:
        # Another drive of Windows.
        path = str(file)
    return subprocess.list2cmdline([path]) if os.name == "nt" else shlex.quote(path)


def install_line(root: Path) -> str:
    """The command that installs what the project in `root` requires, as one types it from the working directory."""
    return f"{_installer()} install -r {path_for_people(root / 'requirements.txt')}"


def _installer() -> str:
    """What installs into this environment: one that uv made may have no pip, and the path would find another one's."""
    folder = Path(sys.executable).parent
    with contextlib.suppress(OSError):
        made_by_uv = re.search(r"^uv = ", (folder.parent / "pyvenv.cfg").read_text(encoding="utf-8"), re.MULTILINE)
        if made_by_uv and not any((folder / name).exists() for name in ("pip", "pip.exe")):
            return "uv pip"
    return "pip"


def _checked(project: Project) -> Project:
    if not project.platforms:
        files = " nor ".join(ENTRY_POINTS.values())
        raise StartError(f"{path_for_people(project.source)} has no platform's entry point: neither {files}")
    return project


def _is_marked(folder: Path) -> bool:
    """Whether pyproject.toml has [tool.onstage]; one that cannot be read is somebody else's."""
    try:
        return _marks(folder) is not None
    except StartError:
        return False


def _marks(folder: Path) -> dict[str, Any] | None:
    """[tool.onstage] of pyproject.toml. Raises StartError when the file cannot be read."""
    tool = read_toml(folder / "pyproject.toml").get("tool")
    marks = tool.get("onstage") if isinstance(tool, dict) else None
    return marks if isinstance(marks, dict) else None


def _check_contract(folder: Path) -> None:
    found = (_marks(folder) or {}).get("contract")
    place = path_for_people(folder)
    update = "cruft update" if place == "." else f"cruft update --project-dir {place}"
    if found is None:
        raise StartError(
            f"{folder} was rendered before onstage (pyproject.toml has no [tool.onstage] contract): {update}, or see "
            "the template's CHANGELOG.md for a project without .cruft.json"
        )
    # True == 1.
    if type(found) is not int:
        raise StartError(
            f"{path_for_people(folder / 'pyproject.toml')}: [tool.onstage] contract is a whole number, not {found!r}"
        )
    if found != CONTRACT:
        raise StartError(
            f"{folder} follows contract {found}, and what runs serves contract {CONTRACT}: install the project's own "
            f"({install_line(folder)}), or {update}"
        )
