"""What is released, by packaging/release.py of a clone: the changelog's dated headings, each with its commit."""

import importlib.util
from pathlib import Path
from types import ModuleType

from tests.conftest import ROOT


def release_of(clone: Path) -> ModuleType:
    """A clone's packaging/release.py; `packaging` itself is another package's name."""
    spec = importlib.util.spec_from_file_location("make_release", clone / "packaging" / "release.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RELEASES = release_of(ROOT).released()
