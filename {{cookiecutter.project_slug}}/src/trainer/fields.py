# Owned by the template.
"""What is wrong with the text of one field. Standard library only.

What to write instead, only `onstage` knows: it is on the researcher's machine, and not in the cloud.
"""

import functools
import math
import os
import re
import runpy
from typing import Any

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


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
