"""What the template needs to add the package `onstage` to a project: this clone's folder, and what 0.1.0 did not check.

A module of its own, because `cruft update` renders a project's old version and the new one in one process, which keeps
the old version's modules: what a released extension module registers, and which rules it has, stays as it is.
"""

from pathlib import Path

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment, Undefined
from jinja2.ext import Extension

# cookiecutter's `_repo_dir` is relative, cruft has none.
FOLDER = str(Path(__file__).resolve().parent)
# An import of the package, and the folder of its wheel.
RESERVED = ("onstage", "wheels")
# No folder of such a name can be made on Windows.
DEVICES = ("aux", "con", "nul", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)))


def free_name(slug: str) -> str:
    """The slug, or one like it when it is reserved."""
    return f"{slug}_model" if slug in (*RESERVED, *DEVICES) else slug


def check_free(slug: str) -> str:
    """Nothing. Raises FailedHookException, which cookiecutter shows as its text alone, for a reserved slug."""
    if slug in (*RESERVED, *DEVICES):
        ours = "the project has a package or a folder of that name"
        rule = "it is the name of a device on Windows" if slug in DEVICES else ours
        raise FailedHookException(f"project_slug {slug!r} cannot be used: {rule}. Try {free_name(slug)!r}.")
    return ""


def check_is_text(answer: object, question: str) -> str:
    """Nothing. Raises FailedHookException for an answer of a configuration file that YAML does not take for a text."""
    if not isinstance(answer, str):
        # cookiecutter makes a table known only after the answers that are texts.
        value = "" if isinstance(answer, Undefined) else f" {answer!r}"
        raise FailedHookException(f"{question}{value} cannot be used: it is no text. Put it in quotes.")
    return ""


class WheelExtension(Extension):
    """Registers the filters and the folder; named in `_extensions` of cookiecutter.json."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals.update(template_folder=FOLDER)
        environment.filters.update(free_name=free_name, check_free=check_free, check_is_text=check_is_text)
