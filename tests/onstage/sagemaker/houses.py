"""The folder of docs/any-job.md with a plain script: its job rehearsed, changed, packed."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.onstage import pages
from tests.onstage.commands import Ended, onstage

PAGE = "any-job.md"
(COMMAND,) = pages.commands(PAGE, "onstage body job.json")
TRAIN = "code/train.py"
PYTORCH = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.6-cpu-py312"


def body(folder: Path, *words: str | Path) -> tuple[Ended, dict[str, tuple[str, str]]]:
    """What is printed; statuses and texts by the checks' ids."""
    ended = onstage(*COMMAND, *words, "--json", folder / "report.json", cwd=folder)
    if not (folder / "report.json").exists():
        return ended, {}
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return ended, {one["id"]: (one["status"], f"{one['detail']}\n{one['cloud']}") for one in report["checks"]}


def edit(folder: Path, change_body: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "job.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    change_body(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def hyperparameters(**values: str | None) -> Callable[[dict[str, Any]], object]:
    """A change of the request: values of its HyperParameters, None for one that is taken out."""

    def change_them(content: dict[str, Any]) -> None:
        told = {**content["HyperParameters"], **values}
        content["HyperParameters"] = {name: value for name, value in told.items() if value is not None}

    return change_them


def packed(folder: Path, name: str) -> None:
    """Make the request's code an archive, in which the script has this name; the command names it as it did."""
    with tarfile.open(folder / "packed", "w:gz") as archive:
        archive.add(folder / TRAIN, name)
    shutil.rmtree(folder / "code")
    (folder / "packed").rename(folder / "code")
