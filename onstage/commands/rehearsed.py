"""Whether what would be sent is what was rehearsed: a digest of `src/`, left by each rehearsal that passed."""

import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path

from onstage import room, source
from onstage.project import Project, path_for_people


def note(project: Project, *platforms: str) -> None:
    """Note that `src/`, as it is now, has passed the rehearsal of these platforms."""
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    noted = {
        **_noted(project),
        **{name: {"src": _digest(project), "when": when} for name in platforms},
    }
    file = _file(project)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(noted, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        # As in a container of CI.
        room.note(path_for_people(file), error, "commands that send this source will not know that it was rehearsed")


def problem(project: Project, platform: str) -> str | None:
    """What to say when `src/` has not been rehearsed as it is; None when it has."""
    found = _noted(project).get(platform)
    if found is None:
        return "src/ has not been rehearsed"
    return None if found["src"] == _digest(project) else f"src/ has changed since it was rehearsed ({found['when']})"


def _noted(project: Project) -> dict[str, dict[str, str]]:
    try:
        return json.loads(_file(project).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        # A broken note is as good as none: the next rehearsal writes it anew.
        return {}


def _digest(project: Project) -> str:
    digest = hashlib.sha256()
    for file in source.files(project.source):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(project.source).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _file(project: Project) -> Path:
    return project.runs / "rehearsed.json"
