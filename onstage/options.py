"""The options that every command has, and `onstage` itself: where, how much is said, and which version this is.

Hyperparameters of the same names come after `--`: onstage rehearse -- --verbose 1
"""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from onstage import verbosity
from onstage.errors import StartError

Function = TypeVar("Function", bound=Callable[..., Any])
_PANEL = "Options of every command"
# Where a model is served on this machine: where both clouds look for their container's server.
PORT = 8080


class Command(TyperCommand):
    """A command with the shared options."""

    def __init__(self, *args: Any, **options: Any) -> None:
        own = options.get("params") or ()
        for parameter in own:
            # Help is markup, in which [default: ...] would be a style.
            parameter.help = parameter.help and parameter.help.replace("[default: ", r"\[default: ")
        super().__init__(*args, **{**options, "params": [*own, *_shared()]})


class Group(TyperGroup):
    """A group of commands with the shared options: they may stand before a command's name, too."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "params": [*(options.get("params") or ()), *_shared()]})


class Application(typer.Typer):
    """A Typer whose group and commands have the shared options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=Group, **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[Function], Function]:
        """As Typer's."""
        return super().command(name, cls=Command, **options)


def _go(context: typer.Context, folders: list[Path] | None) -> None:
    for folder in () if context.resilient_parsing else folders or ():
        try:
            os.chdir(folder)
        except OSError as error:
            raise StartError(f"-C {folder}: {error.strerror}") from error


def _be_quiet(context: typer.Context, wanted: bool) -> None:
    _set_level(context, wanted, verbosity.QUIET)


def _be_verbose(context: typer.Context, wanted: bool) -> None:
    _set_level(context, wanted, verbosity.VERBOSE)


def _set_level(context: typer.Context, wanted: bool, level: int) -> None:
    if not wanted or context.resilient_parsing:
        return
    if verbosity.is_quiet() if level == verbosity.VERBOSE else verbosity.is_verbose():
        verbosity.set_level(verbosity.NORMAL)
        raise StartError("--quiet or --verbose, not both")
    verbosity.set_level(level)


def _print_version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from onstage import installation

        print("onstage", installation.version(), flush=True)
        raise typer.Exit


@cache
def _shared() -> list[Any]:
    """The options as parameters of a command, made as Typer makes them; no function gets their values."""
    app = typer.Typer(add_completion=False)
    app.command()(_options)
    parameters: list[Any] = typer.main.get_command(app).params
    for parameter in parameters:
        parameter.expose_value = False
    return parameters


# No command has a parameter of these names: one of the two would get the value of the other.
def _options(
    start_in: Annotated[
        list[Path] | None,
        typer.Option(
            "-C", metavar="DIR", callback=_go, is_eager=True, rich_help_panel=_PANEL, help="Start in another folder."
        ),
    ] = None,
    be_quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", callback=_be_quiet, rich_help_panel=_PANEL, help="Only what is wrong, and results."
        ),
    ] = False,
    be_verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", callback=_be_verbose, rich_help_panel=_PANEL, help="A job's whole log, and tracebacks."
        ),
    ] = False,
    say_version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            rich_help_panel=_PANEL,
            help="Say which version this is, and from where.",
        ),
    ] = False,
) -> None:
    """What the functions of commands do not see."""
