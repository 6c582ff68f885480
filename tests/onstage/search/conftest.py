"""Projects whose `train.py` says in a moment what a training would: the search starts whatever stands there."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Bake

# Prints an accuracy that is best at a learning rate of 0.01; `BEHAVIOUR` may do something else with the `flags` before.
SCRIPT = """
import math, os, sys, time
flags = {}
words = iter(sys.argv[1:])
for word in words:
    name, equals, value = word[2:].partition("=")
    flags[name.replace("-", "_")] = value if equals else next(words)
rate, folder = float(flags.get("learning_rate", 0.01)), flags["job_dir"]
number, epochs = int(os.path.basename(folder)), int(flags.get("epochs", 3))
def say(value, first=1):
    for epoch in range(first, epochs + 1):
        print(f"epoch={epoch} loss=1 val_loss=1 val_accuracy={value:.6g}", flush=True)
BEHAVIOUR
say(1 - abs(math.log10(rate) + 2) / 4)
os.makedirs(folder + "/model/1")
print("result: val_accuracy=0.5")
"""

Stub = Callable[[str], Path]


@pytest.fixture
def stub(bake: Bake, tmp_path: Path) -> Stub:
    """Makes the project; called with what its train.py does before it says its epochs."""

    def make(behaviour: str = "") -> Path:
        folder = tmp_path / "project"
        shutil.copytree(bake(), folder, ignore=shutil.ignore_patterns("__pycache__", "runs"))
        (folder / "train.py").write_text(SCRIPT.replace("BEHAVIOUR", behaviour), encoding="utf-8")
        return folder

    return make
