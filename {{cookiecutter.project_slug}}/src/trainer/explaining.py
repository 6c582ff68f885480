# Owned by the template.
"""Where the researcher's own code failed, and why, without what Keras and TensorFlow put around it."""

import linecache
import re
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

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
