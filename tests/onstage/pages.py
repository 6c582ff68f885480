"""What a page of docs/ tells its reader to write and to type."""

import random
import re
import shlex
from pathlib import Path

from tests.conftest import ROOT

# A paragraph whose first word in backticks is a file, and the block below it.
_FILE = re.compile(r"^`([\w./-]+\.\w+)`[^\n]*(?:\n[^\n`#]+)*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_files(page: str, folder: Path) -> list[str]:
    """Write every file of a page into `folder`, as its reader would; returns their names."""
    found = _FILE.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    for name, content in found:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return [name for name, _ in found]


def commands(page: str, beginning: str) -> list[list[str]]:
    """The words of every command of a page that begins so, without `onstage`."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith(beginning)]


def write_houses(file: Path) -> None:
    """A table of three numbers and a price."""
    chance = random.Random(1)
    rows = [[chance.randint(1, 6), chance.randint(30, 200), chance.randint(0, 90)] for _ in range(100)]
    lines = [",".join(map(str, [*row, 20 * row[0] + 3 * row[1] - row[2]])) for row in rows]
    file.write_text("\n".join(["rooms,area,age,price", *lines, ""]), encoding="utf-8")
