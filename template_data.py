"""The answer `data_file`: a CSV file of the user's own, which is looked at and never copied.

A module of its own, last in `_extensions`, as template_wheel.py says. Jinja gets functions, whose absence it can test:
a replay file of an older version names none of these extensions, and renders the keys that it lacks.
"""

import os
import sys
from pathlib import Path

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

LOOKED_AT = 2**16


def data_folder(answer: object) -> str:
    """The folder that a relative `answer` counts from, where cookiecutter was called; "" for no answer.

    Raises FailedHookException, which cookiecutter shows as its text alone, for a file that cannot be a table.
    """
    if answer == "":
        return ""
    if not isinstance(answer, str):
        raise FailedHookException(f"data_file {answer!r} cannot be used: it is no text. Put it in quotes.")
    check_file(answer, folder := os.getcwd())
    return folder


def data_path(answer: str, folder: str) -> str:
    """The file's whole path, or "" for no answer."""
    return os.path.abspath(Path(folder, answer).expanduser()) if answer else ""


def check_file(answer: str, folder: str) -> str:
    """Nothing. Raises FailedHookException for an answer that names no file, or one that holds no text."""
    wrong = what_is_wrong(answer, folder) if answer else ""
    # `cruft update` renders the old answers again, maybe on another machine.
    if wrong and "cruft" not in sys.modules:
        raise FailedHookException(f"data_file {answer!r} cannot be used: {wrong}")
    return ""


def what_is_wrong(answer: str, folder: str) -> str:
    """Why the file cannot be a table, and what to do; "" where it can."""
    if not answer.isprintable():
        return "it holds a control character. Rename the file."
    path = Path(data_path(answer, folder))
    if path.is_dir():
        return "it is a folder. Name one CSV file; others can follow in data/train."
    try:
        with path.open("rb") as file:
            start = file.read(LOOKED_AT)
    except FileNotFoundError:
        return f"there is no file {path}. Leave it empty for the example's data."
    except OSError as error:
        return f"{(error.strerror or str(error)).lower()}."
    if start.startswith(b"\x1f\x8b"):
        return ""
    if b"\0" in start:
        return "it is not text. Save the table as CSV (UTF-8) first."
    return "" if start.strip() else "it is empty. Leave the answer empty for the example's data."


class DataExtension(Extension):
    """Registers the functions; named in `_extensions` of cookiecutter.json."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals.update(data_folder=data_folder, data_path=data_path, check_file=check_file)
