"""Makes the pictures of this folder anew, from real rehearsals: `.venv/bin/python docs/pictures.py`."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

DOCS = Path(__file__).resolve().parent
WIDTH = 100
COLOURS = {r"\bpassed\b|^PASSED": "bold green", r"\bFAILED\b": "bold red", r"\bwarning\b": "bold yellow"}
COLOURS |= {
    r"^[a-z]+\.[a-z-]+ ": "cyan",
    r"^\$ .*": "bold white",
    r"^    -> .*": "yellow",
    r"(?<=   )\d+\.\d s(?=  )": "dim",
}
# What is written in a notebook, and what it needs there.
MISTAKE = """
import pandas as pd

MEANS = pd.read_csv("data/train/iris.csv").mean(numeric_only=True)
"""


def rehearsal(project: Path, *words: str) -> list[str]:
    """The command and the lines that it prints."""
    command = [sys.executable, "-m", "onstage", *words]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    return [f"$ {' '.join(['onstage', *words])}", *done.stdout.splitlines()]


def draw(lines: list[str], title: str, file: Path) -> None:
    """The lines as a terminal's window; its background is its own, so that a light and a dark page show it alike."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        for line in lines:
            text = Text(line)
            for pattern, style in COLOURS.items():
                text.highlight_regex(pattern, style)
            console.print(text, overflow="ellipsis", no_wrap=True)
        picture = console.export_svg(title=title, theme=MONOKAI, unique_id=file.stem)
    # A page that shows a picture loads no fonts for it; without their addresses it takes its own.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    file.write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n", encoding="utf-8")


def main() -> None:
    """Render the default project, rehearse it, then with a mistake in it."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"no_input": True, "output_dir": folder, "extra_context": {"platform": "sagemaker"}}
        project = Path(cookiecutter(str(DOCS.parent), **options))
        draw(rehearsal(project, "rehearse"), "A rehearsal that passes", DOCS / "passes.svg")
        with (project / "src" / "trainer" / "model.py").open("a", encoding="utf-8") as file:
            file.write(MISTAKE)
        draw(rehearsal(project, "rehearse"), "A rehearsal that catches a mistake", DOCS / "catches.svg")


if __name__ == "__main__":
    main()
