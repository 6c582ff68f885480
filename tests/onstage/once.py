"""What is made once for all workers of a run: the first one that needs it makes it, the others wait."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE = 600


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name`, which `make` has filled; nobody may write into it afterwards."""
    base = factory.getbasetemp()
    # Each worker has a folder of its own in that of the run.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, ended = shared / f"once-{name}", shared / f"once-{name}.ended"
    try:
        folder.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + PATIENCE
        while not ended.exists():
            assert time.monotonic() < deadline, f"nobody has made {name}"
            time.sleep(0.1)
        assert ended.read_text() == "made", f"making {name} failed"
        return folder
    try:
        make(folder)
    except BaseException:
        ended.write_text("failed")
        raise
    ended.write_text("made")
    return folder
