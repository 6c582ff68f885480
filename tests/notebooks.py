"""Executes a project's notebooks, as Jupyter does."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

_SECONDS = 300


@dataclass(frozen=True)
class Executed:
    """A notebook with outputs, and what its cells show: all text, and how many pictures."""

    notebook: Any
    text: str
    pictures: int


def execute(
    project: Path,
    name: str,
    parameters: str,
    environment: Mapping[str, str] | None = None,
    kernel: str = "python3",
) -> Executed:
    """Run a notebook of the project, with other `parameters`, in its folder; an error of a cell is one of the test."""
    file = project / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(file, as_version=4)
    [cell] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    cell.source = parameters
    with pytest.MonkeyPatch.context() as patch:
        for variable in [one for one in os.environ if one.startswith(("PYTHON", "PYTEST"))]:
            patch.delenv(variable)
        for variable, value in (environment or {}).items():
            patch.setenv(variable, value)
        where = {"metadata": {"path": str(file.parent)}}
        NotebookClient(notebook, timeout=_SECONDS, kernel_name=kernel, resources=where).execute()
    outputs: list[Any] = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    texts = (one.get("text") or one.get("data", {}).get("text/plain", "") for one in outputs)
    return Executed(notebook, "".join(texts), sum("image/png" in one.get("data", {}) for one in outputs))
