"""`onstage` in this process, for commands that import nothing heavy."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onstage import cli
from tests.onstage.commands import Ended

Say = Callable[..., Ended]


def speaker(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs `onstage` with these words in this folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")

    def say(*words: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["onstage", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.run()
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return say
