# Owned by the template.
"""What is said of a mistake: where the researcher's own code failed, and what is wrong with a field of the data.

Standard library only. What to write instead, only `onstage` knows: it is on the researcher's machine, not in the cloud.
"""

import contextlib
import functools
import linecache
import math
import os
import re
import runpy
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SOURCE = Path(__file__).resolve().parent.parent
MOST_CHARACTERS = 400
_SAID = (
    re.compile(
        r"Exception encountered when calling (?P<call>.+?)\.\n\s*\n(?P<said>.*?)(\n\s*\n\s*Arguments rec|\Z)", re.DOTALL
    ),
    re.compile(r"\n\n(?P<said>[^\n]+)\n\s*\[\[\{\{node"),
    re.compile(r"\Ain user code:.*\n\n\s*\w+: (?P<said>.*)\Z", re.DOTALL),
)
_FILE = re.compile(r'^\s*File "([^"\n]+)", line (\d+)', re.MULTILINE)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


class UserError(Exception):
    """A mistake that its author can mend: shown as one message, without a traceback."""


class Failure(NamedTuple):
    """`place`: the innermost line of her code ("model.py, line 12"); `code`: its text; `call`: what Keras was in."""

    place: str | None
    code: str
    call: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.place or 'model.py'}{self.call and f', in {self.call}' or ''}: {self.reason}"


def explain(error: BaseException) -> Failure:
    """What is to be said of an exception, on one line."""
    # str() of a KeyError would quote its text.
    text = re.sub(r"\x1b\[\d*m", "", str(error.args[0]) if len(error.args) == 1 else str(error))
    found = next(filter(None, (pattern.search(text) for pattern in _SAID)), None)
    call = found.groupdict().get("call") if found else None
    said = (found["said"] if found else str(error)).rpartition("Error encountered:")[2].partition(" for '{")[0]
    said = " ".join(said.split())[:MOST_CHARACTERS]
    reason = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    # What AutoGraph translated, and what a graph computed, stands in the message only.
    frames += [(file, int(line)) for file, line in _FILE.findall(text)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno or 0))
    for file, line in reversed(frames):
        if name := _name(file):
            return Failure(f"{name}, line {line}", linecache.getline(file, line).strip(), call, reason)
    return Failure(None, "", call, reason)


def _name(file: str) -> str | None:
    """How a file of the researcher's is called; None for any other."""
    package = [(Path(folder), "trainer/") for folder in getattr(sys.modules.get("trainer"), "__path__", ())]
    # Installed, as on Vertex AI, the package has everybody else's beside it.
    beside = [] if SOURCE.name in ("site-packages", "dist-packages") else [(SOURCE, "")]
    for folder, prefix in package + beside:
        if Path(file).is_relative_to(folder) and not linecache.getline(file, 1).startswith("# Owned by the template"):
            return f"{prefix}{Path(file).relative_to(folder).as_posix()}".replace("trainer/model.py", "model.py")
    return None


@contextlib.contextmanager
def explaining_model(hint: str = "", *, others: bool = True) -> Iterator[None]:
    """Turn an exception of the researcher's code into a UserError with its line there; `hint` says what is expected.

    `others`: also one that no line of hers has raised. A script that ends itself in there has failed, too.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        failure = explain(error)
        if isinstance(error, SystemExit):
            if failure.place is None:
                raise
            raise UserError(
                f"{failure.place} ended the program, before the training was done: {failure.code}"
            ) from error
        if failure.place is None and not others:
            raise
        about_inputs = "inputs" in failure.code + failure.reason or "Model(" in failure.code
        fits = failure.place is None or (about_inputs and not failure.call)
        raise UserError(f"{failure}. {hint}" if hint and fits else str(failure)) from error


@functools.cache
def _advice() -> dict[str, Any]:
    files = filter(None, os.environ.get("ONSTAGE_ADVICE", "").split(os.pathsep))
    return {name: value for file in files for name, value in runpy.run_path(file).items()}


def ask(name: str, *arguments: Any, otherwise: Any = "") -> Any:
    """What `onstage`'s function of this name says; `otherwise` where there is none."""
    functions = _advice()
    return functions[name](*arguments) if name in functions else otherwise


def not_a_number(name: str, text: str, classes: str = "Categorical") -> str | None:
    """What is wrong with a number of the column `name`; `classes` is the kind of column that lists values."""
    if not _NUMBER.fullmatch(text.strip()):
        return f"{text!r} is not a number{ask('field', name, text, classes)}"
    # TensorFlow reads float32: a larger number would become infinite.
    return None if math.isfinite(float(text)) and abs(float(text)) < 3.4e38 else f"{text!r} is not a finite number"


def not_whole(name: str, text: str, classes: str = "Categorical") -> str | None:
    """What is wrong with a whole number of the column `name`."""
    if _INTEGER.fullmatch(text.strip()) and -(2**63) <= int(text) < 2**63:
        return None
    is_number = _NUMBER.fullmatch(text.strip()) and math.isfinite(float(text))
    advice = ask("whole", name, text) if is_number else ask("field", name, text, classes)
    return f"{text!r} is not a whole number of 64 bits{advice}"


def not_utf8(text: str) -> str | None:
    """What is wrong with a text in which bytes that are no UTF-8 were read as surrogates; None where there are none."""
    if text.isascii() or not (found := re.search(r"[^,;\t\"\r\n]{0,20}[\udc80-\udcff][^,;\t\"\r\n]{0,20}", text)):
        return None
    raw = found[0].encode("utf-8", "surrogateescape")
    return f"{raw!r} is not UTF-8{ask('not_utf8', raw)}"
