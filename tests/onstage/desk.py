"""A project folder and the cloud that its commands talk to."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.onstage import commands


@dataclass
class Desk:
    """A project folder in which `onstage PLATFORM ...` is typed."""

    platform: ClassVar[str]
    # What nobody must ever see.
    secrets: ClassVar[Sequence[str]]
    # More lines than a command prints that fails; `setup` prints a policy.
    screen: ClassVar[int]

    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """By which commands find the cloud."""
        raise NotImplementedError

    def ask(self, *words: str, text: str = "", **environment: str) -> commands.Ended:
        """Run a command."""
        return commands.onstage(
            self.platform, *words, cwd=self.folder, environment={**self.environment, **environment}, text=text
        )

    def run(self, *words: str, code: int = 0, text: str = "", **environment: str) -> str:
        """What a command prints; it has to end with `code`, and neither secret nor traceback may be in it."""
        ended = self.ask(*words, text=text, **environment)
        self._check(ended.said)
        assert (ended.code, ended.said) == (code, ended.said)
        assert len(ended.said.splitlines()) < self.screen or code == 0
        return ended.said

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command that runs while the test goes on."""
        return commands.start(self.platform, *words, cwd=self.folder, environment=self.environment)

    def stop_when(self, seen: Callable[[], bool], *words: str, **options: int) -> str:
        """What a command prints that gets a signal as soon as `seen` says so; Ctrl-C has to end it with 130."""
        said = commands.stop_when(seen, self.platform, *words, cwd=self.folder, environment=self.environment, **options)
        self._check(said)
        return said

    def change(self, old: str, new: str) -> None:
        """Replace a text in settings.toml."""
        file = self.folder / "settings.toml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    def _check(self, said: str) -> None:
        assert "Traceback" not in said, said
        assert not any(secret in said for secret in self.secrets), said
