"""A project whose table has a column of each kind."""

import shutil
from pathlib import Path

from tests.conftest import Bake

DATA = """\
from trainer.columns import Categorical, Classes, Dropped, Hashed, Identity, Numeric, Table, Weight

DATA = Table(
    [
        Numeric("size"),
        Numeric("age", missing=0.0),
        Categorical("colour", ["blue", "red"], missing="?"),
        Categorical("door", [1, 2, 3]),
        Identity("floor", 9),
        Hashed("name", 100, missing=""),
        Dropped("note"),
        Weight("weight"),
        Classes("kind", ["a", "b", "c"], drop_missing=True),
    ],
    missing_text="NA",
)
"""
HEADER = "size,age,colour,door,floor,name,note,weight,kind"


def project(bake: Bake, folder: Path) -> Path:
    """The default project with these columns, and without data."""
    shutil.copytree(bake(platform="sagemaker"), folder, ignore=shutil.ignore_patterns("__pycache__", "data"))
    model = folder / "src" / "trainer" / "model.py"
    text = model.read_text(encoding="utf-8")
    trainer = "from trainer.encoding import joined\nfrom trainer.run import Objective, tunable\n"
    imports = f"import keras\nfrom dataclasses import dataclass\n{trainer}"
    model.write_text(imports + DATA + text[text.index("OBJECTIVE =") :], encoding="utf-8")
    return folder
