# Owned by the template.
"""Where the researcher's own code failed, and why, without what Keras and TensorFlow put around it.

Standard library only.
"""

import linecache
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
MOST_CHARACTERS = 400
_KERAS = re.compile(
    r"Exception encountered when calling (.+?)\.\n\s*\n(.*?)(?:\n\s*\nArguments received by|\Z)", re.DOTALL
)
_IN_GRAPH = re.compile(r"\n\n([^\n]+)\n\s*\[\[\{\{node")
_FILE = re.compile(r'^\s*File "([^"\n]+)", line (\d+)(?:, in (\S+))?', re.MULTILINE)


@dataclass(frozen=True)
class Failure:
    """`place` is the innermost line of the researcher's code, as in "model.py, line 12"; None where there is none.

    `code` is that line, `function` what it belongs to, `call` the layer's method that Keras was in.
    """

    place: str | None
    code: str
    function: str
    call: str | None
    reason: str

    def __str__(self) -> str:
        called = f", in {self.call}" if self.call else ""
        return f"{self.place or 'model.py'}{called}: {self.reason}"


def explain(error: BaseException) -> Failure:
    """What is to be said of an exception, on one line."""
    text = str(error.args[0]) if len(error.args) == 1 and isinstance(error.args[0], str) else str(error)
    text = re.sub(r"\x1b\[\d*m", "", text)
    keras = _KERAS.search(text)
    in_graph = _IN_GRAPH.search(text)
    if keras:
        said = keras[2].rpartition("Error encountered:")[2]
    elif in_graph:
        said = in_graph[1]
    elif text.startswith("in user code:"):
        said = text.rstrip().rpartition("\n\n")[2].partition(": ")[2]
    else:
        said = str(error)
    said = " ".join(said.split())
    if len(said) > MOST_CHARACTERS:
        said = f"{said[:MOST_CHARACTERS]}..."
    reason = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = [(frame.filename, frame.lineno or 0, frame.name) for frame in traceback.extract_tb(error.__traceback__)]
    # What AutoGraph translated, and what a graph computed, stands in the message only.
    frames += [(file, int(line), name) for file, line, name in _FILE.findall(text)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno or 0, ""))
    for file, line, function in reversed(frames):
        if name := _name(file):
            code = linecache.getline(file, line).strip()
            return Failure(f"{name}, line {line}", code, function, keras[1] if keras else None, reason)
    return Failure(None, "", "", keras[1] if keras else None, reason)


def _name(file: str) -> str | None:
    """How a file of the researcher's is called; None for any other."""
    path = Path(file)
    folders = [Path(folder) for folder in getattr(sys.modules.get("trainer"), "__path__", ())]
    # Installed, as on Vertex AI, the package has everybody else's beside it.
    others = [] if SOURCE.name in ("site-packages", "dist-packages") else [SOURCE]
    for folder, prefix in (*((folder, "trainer/") for folder in folders), *((folder, "") for folder in others)):
        if path.is_relative_to(folder) and not linecache.getline(file, 1).startswith("# Owned by the template"):
            name = prefix + path.relative_to(folder).as_posix()
            return "model.py" if name == "trainer/model.py" else name
    return None
