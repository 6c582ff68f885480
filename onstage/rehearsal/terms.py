"""Under which terms a job is rehearsed, and how advice about it is worded."""

import re
from dataclasses import dataclass
from pathlib import Path

from onstage.settings import Settings


@dataclass(frozen=True)
class Terms:
    """`time_limit` is in seconds. `places` are folders of this machine, which nothing that is served may name.

    `command` rehearses again; `of_project` says whether advice may name files of the template's projects.
    """

    time_limit: float
    places: tuple[Path, ...]
    command: str
    of_project: bool = True
    # The channels of a job, and the folders of the project that their files come from.
    data: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, settings: Settings, platform: str) -> "Terms":
        """Those of a project's own job."""
        places = (settings.project.root, Path.home())
        root, data = settings.project.root, []
        for channel, location in settings.data:
            folder = location if (root / location).is_dir() else location.rpartition("/")[0]
            data.append((channel, folder.rstrip("/") or "."))
        return cls(settings.rehearsal.time_limit, places, f"onstage rehearse {platform}", data=tuple(data))

    def at_home(self, text: str) -> str:
        """`text` with the project's folders in place of those that a job's data has."""
        for channel, folder in self.data:
            job = rf"(/[^\s'\"]*/input|gs://[^\s'\"]*|/gcs/[^\s'\"]*)/data/{channel}(?![\w-])"
            text = re.sub(job, lambda _, folder=folder: folder, text)  # type: ignore[misc]
        return text

    @property
    def unless_meant(self) -> str:
        """What to do about what is odd, but no error."""
        return "unless it is meant, correct the data, or src/trainer/model.py"

    @property
    def again(self) -> str:
        """What to do after a failure that says what was wrong."""
        return f"correct it and rehearse again: {self.command}"

    @property
    def longer(self) -> str:
        """What to do about a job that had too little time."""
        if self.of_project:
            return "raise [rehearsal] time_limit in settings.toml"
        return f"raise --time-limit (it is {self.time_limit:.0f})"

    def example(self, file: str) -> str:
        """Where a project of the template does it right."""
        return f", as {file} does" if self.of_project else ""

    def missing_module(self, name: str) -> str:
        """What to do about a module that the job did not find."""
        if self.of_project:
            return f"add {name} to src/requirements.txt, or the file to src/"
        return f"add {name} to the requirements, or the file to the source"
