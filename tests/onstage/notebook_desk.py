"""A project's notebook between git and Jupyter, in a home without their settings."""

import json
import subprocess
from pathlib import Path

import nbformat
import pytest

from tests.onstage import small
from tests.onstage.commands import Ended
from tests.onstage.words import speaker

CODE = "sum([1, 2])"


class Desk:
    """A project named `iris demo`, a home without settings of git or Jupyter, and the command in between."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self.project = small.write(folder / "repository" / "iris demo")
        self.notebook = write_notebook(self.project / "notebooks" / "01.ipynb")
        self.data = folder / "jupyter"
        self.git_settings = folder / "gitconfig"
        self.git_settings.write_text("[user]\nname = Iris\nemail = iris@example.org\n[init]\ndefaultBranch = main\n")
        variables = {
            "HOME": folder, "XDG_CONFIG_HOME": folder / ".config", "JUPYTER_DATA_DIR": self.data,
            "GIT_CONFIG_GLOBAL": self.git_settings, "GIT_CONFIG_NOSYSTEM": "1",
        }  # fmt: skip
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    @property
    def kernel(self) -> Path:
        return self.data / "kernels" / "iris_demo"

    def say(self, *words: str) -> Ended:
        """Run `onstage notebook --user` with these words."""
        return speaker(self.project, self.monkeypatch, self.capsys)("notebook", "--user", *words)

    def states(self, *words: str) -> dict[str, str]:
        """What it says has become of each thing."""
        ended = self.say(*words)
        assert (ended.code, ended.err) == (0, "")
        pairs = [line.split(": ", 2)[:2] for line in ended.out.splitlines() if line.count(": ") > 1]
        return dict(pairs)

    def git(self, *words: str, folder: Path | None = None) -> str:
        """What git prints, with this home."""
        done = subprocess.run(["git", *words], cwd=folder or self.project, capture_output=True, text=True, check=True)
        return done.stdout

    def written(self) -> dict[Path, bytes]:
        """All files, of git and Jupyter too."""
        root = self.project.parents[1]
        return {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}

    def kernel_of_notebook(self) -> str:
        return json.loads(self.notebook.read_text())["metadata"].get("kernelspec", {}).get("name", "")


def write_notebook(file: Path, code: str = CODE, *, kernel: str = "") -> Path:
    """A notebook as Jupyter saves it, with an output."""
    four = nbformat.v4
    shown = four.new_output("execute_result", data={"text/plain": "three"}, execution_count=7)
    content = four.new_notebook(
        cells=[four.new_markdown_cell("# One", id="first"), four.new_code_cell(code, outputs=[shown], id="sum")],
        metadata={"kernelspec": {"name": kernel, "display_name": kernel}} if kernel else {},
    )
    content.cells[1].execution_count = 7
    file.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, file)
    return file
