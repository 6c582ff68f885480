"""Prints docs/versions.md: `.venv/bin/python -m docs.versions > docs/versions.md`.

One dated table of images, Python, TensorFlow and regions, with sources, from the tables that the package reads.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TABLES = {
    title: ROOT / "onstage" / name / "requests" / "images.json"
    for title, name in (("SageMaker", "sagemaker"), ("Vertex AI", "vertex"))
}
PINS = ROOT / "tests" / "requirements.txt"
# What a project pins because the training image has it.
PINNED = ("tensorflow-cpu", "keras", "numpy", "protobuf", "h5py")
_HEAD = """\
# Images, Python, TensorFlow, regions

What this version of the template knows, when that was read, and where. The first image of a role is the default;
`settings.toml` chooses another. `onstage rehearse` warns of an image without security patches, and fails for one that
can no longer be pulled.

`.venv/bin/python -m docs.versions` makes this page from the tables that the package reads.
`.venv/bin/python packaging/dates.py` compares them with the newest SDKs and prints the difference; a test fails 60 days
before a default image gets its last patches."""


def page() -> str:
    """The whole page."""
    blocks = [_HEAD, *_python()]
    for title, file in TABLES.items():
        blocks += _platform(title, json.loads(file.read_text(encoding="utf-8")))
    return "\n\n".join(blocks) + "\n"


def _python() -> Iterator[str]:
    """What a project installs."""
    lines = PINS.read_text(encoding="utf-8").splitlines()
    (python,) = re.findall(r"(?m)^Requires-Python: (\S+)$", (ROOT / "packaging/METADATA").read_text(encoding="utf-8"))
    pins = [line for line in lines if re.split(r"[=<>\[]", line)[0] in PINNED]
    yield "## What a project installs"
    needs = f"`onstage` needs Python {python}; TensorFlow runs on 3.10 to 3.13."
    yield f"{needs} Pinned, as in SageMaker's newest training image:"
    rows = [line.partition(";") for line in pins]
    yield _table(
        ["package", "where"],
        [[f"`{pin.strip()}`", f"`{where.strip()}`" if where else "everywhere"] for pin, _, where in rows],
    )


def _platform(title: str, table: Mapping[str, Any]) -> Iterator[str]:
    """One platform's images and regions."""
    yield f"## {title}"
    yield f"Read on {table['read_on']}. Sources: {table['source']}."
    columns = ["role", "TensorFlow", "Python", "CPU", "GPU", "patched until", "there until"]
    rows = [
        [
            f"{row['role']}, {row['kind']}" if "kind" in row else row["role"],
            row["tensorflow"],
            row.get("python", "none"),
            f"`{row['cpu']}`",
            f"`{row['gpu']}`",
            row.get("end_of_patch", "not said"),
            row.get("end_of_availability", "not said"),
        ]
        for row in table["images"]
    ]
    if all(row[-1] == "not said" for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    yield _table(columns, rows)
    if "accounts" in table:
        few = table["only_with_everywhere"]
        every = [row["tensorflow"] for row in table["images"] if "everywhere" in row]
        yield (
            f"{len(table['accounts'])} regions, with the account of the registry. "
            f"{', '.join(f'`{one}`' for one in few)} have only the training image of TensorFlow {', '.join(every)}."
        )
        yield _table(["region", "account"], [[f"`{one}`", f"`{number}`"] for one, number in table["accounts"].items()])
    else:
        yield f"{len(table['regions'])} regions that train: {', '.join(f'`{one}`' for one in table['regions'])}."


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows))


if __name__ == "__main__":
    sys.stdout.write(page())
