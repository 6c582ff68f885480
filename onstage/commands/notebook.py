"""`onstage notebook`: a Jupyter kernel of the project's name, notebooks that open with it, and git that suits them."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from onstage.commands import notebook_git
from onstage.commands.steps import Step, take
from onstage.errors import UserError
from onstage.project import Project, path_for_people

# What ipykernel itself calls the kernel of the environment that runs Jupyter: nobody's choice.
_ANY = ("", "python3")


def notebook(project: Project, *, user: bool, remove: bool, dry_run: bool) -> None:
    """Make or remove them, and say what became of each. Raises UserError where another kernel has the name.

    The kernel is this environment's, or with `user` one for all of the user's Jupyter servers.
    """
    name = kernel_name(project)
    steps = (_removed if remove else _made)(project, name, user)
    taken = take([*steps, *notebook_git.steps(project.root, sys.executable, remove=remove)], dry_run=dry_run)
    if any(step.do for step in taken) and dry_run:
        print("nothing was written: --dry-run", flush=True)
    elif not remove:
        kernel = f"choose the kernel {name} in your Jupyter" if user else "jupyter lab"
        print(f"next: {kernel}", flush=True)


def kernel_name(project: Project) -> str:
    """The name of the project's folder, in the letters that Jupyter allows: a-z, 0-9, dot, hyphen, underscore."""
    return re.sub(r"[^a-z0-9._-]+", "_", project.root.resolve().name.lower())


def _made(project: Project, name: str, user: bool) -> Iterator[Step]:
    folder = _folder(name, user)
    python = _python(folder)
    if python and Path(python).exists() and not _is_this(python):
        elsewhere = "another name for the project's folder" + ("" if user else ", or --user,") + " gives another kernel"
        raise UserError(
            f"{folder} is a kernel of the same name, which runs {python}: it is left alone. "
            f"jupyter kernelspec remove {name} removes it; {elsewhere}"
        )
    whose = "for all your Jupyter servers" if user else "for this environment's Jupyter; --user: for all of yours"

    def do() -> None:
        from ipykernel.kernelspec import install

        try:
            install(
                user=user,
                prefix=None if user else sys.prefix,
                kernel_name=name,
                display_name=project.root.resolve().name,
            )
        except OSError as error:
            hint = "" if user else "; --user puts it into your own folder"
            raise UserError(f"{folder}: {error.strerror}{hint}") from error

    if _is_this(python):
        yield Step(f"kernel {name}", "there already", f"{folder}, {whose}")
    else:
        yield Step(f"kernel {name}", "changed" if python else "made", f"{folder}, {whose}", do)
    for file, spec in _notebooks(project):
        title = path_for_people(file)
        if spec is None:
            yield Step(title, "left alone", "it is no notebook that can be read")
        elif spec.get("name") == name:
            yield Step(title, "there already", f"it opens with {name}")
        elif spec.get("name", "") in _ANY:
            yield Step(title, "changed", f"it opens with {name}", _writer(file, project, name))
        else:
            yield Step(title, "left alone", f"it opens with {spec['name']}, somebody's choice")


def _removed(project: Project, name: str, user: bool) -> Iterator[Step]:
    folder = _folder(name, user)
    python = _python(folder)
    if not folder.exists():
        yield Step(f"kernel {name}", "left alone", f"there is no {folder}")
    elif not _is_this(python) and Path(python).exists():
        yield Step(f"kernel {name}", "left alone", f"{folder} runs {python or 'something else'}")
    else:
        yield Step(f"kernel {name}", "removed", str(folder), lambda: shutil.rmtree(folder))
    for file, spec in _notebooks(project):
        if spec and spec.get("name") == name:
            yield Step(path_for_people(file), "changed", "it asks for a kernel", _writer(file, project, ""))


def _folder(name: str, user: bool) -> Path:
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir() if user else Path(sys.prefix, "share", "jupyter"), "kernels", name)


def _python(folder: Path) -> str:
    """What the kernel in this folder runs; empty where there is none that can be read."""
    try:
        return str(json.loads((folder / "kernel.json").read_text(encoding="utf-8"))["argv"][0])
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{folder / 'kernel.json'} cannot be read ({error}): mend it, or remove {folder}") from error


def _is_this(python: str) -> bool:
    """Whether it is the Python that runs, by its name: a virtual environment's is a link to what it was made from."""
    return bool(python) and os.path.normcase(os.path.abspath(python)) == os.path.normcase(sys.executable)


def _notebooks(project: Project) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """The project's notebooks, in its folder and in notebooks/, with the kernel that each names; None: unreadable."""
    for file in sorted([*project.root.glob("*.ipynb"), *project.root.glob("notebooks/*.ipynb")]):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            yield file, dict(content["metadata"].get("kernelspec", {}))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            yield file, None


def _writer(file: Path, project: Project, name: str) -> Callable[[], None]:
    """What lets a notebook open with the kernel `name`, or asks for one."""

    def write() -> None:
        import nbformat

        content = nbformat.read(file, as_version=nbformat.NO_CONVERT)
        content.metadata.pop("kernelspec", None)
        if name:
            spec = {"name": name, "display_name": project.root.resolve().name, "language": "python"}
            content.metadata["kernelspec"] = spec
        nbformat.write(content, file, version=nbformat.NO_CONVERT)

    return write
