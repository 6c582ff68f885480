"""What was sent from this machine, so that a command without a name means the last one: a file each, no secrets."""

import json
import os
from datetime import datetime, timezone
from pathlib import Path

from onstage.platform import Platform

JOBS = ("training", "tuning", "batch")


def remember(platform: Platform, kind: str, name: str) -> None:
    """Note a job or endpoint, before it is sent: a name that may exist must not be lost."""
    file = _file(platform, kind, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"kind": kind, "name": name, "sent": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    # Whoever kills this process leaves the file whole or not there.
    begun = file.with_suffix(".begun")
    begun.write_text(json.dumps(content) + "\n", encoding="utf-8")
    os.replace(begun, file)


def forget(platform: Platform, kind: str, name: str) -> None:
    """Remove the note of what does not exist any more."""
    _file(platform, kind, name).unlink(missing_ok=True)


def last(platform: Platform, *kinds: str) -> tuple[str, str] | None:
    """Kind and name of what was sent last, of these kinds; None when nothing was sent from here."""
    noted = [file for kind in kinds for file in _folder(platform, kind).glob("*.json")]
    newest = max(noted, key=lambda file: (file.stat().st_mtime_ns, file.name), default=None)
    return (newest.parent.name, newest.stem) if newest else None


def names(platform: Platform, kind: str) -> list[str]:
    """All that is noted of a kind."""
    return sorted(file.stem for file in _folder(platform, kind).glob("*.json"))


def _file(platform: Platform, kind: str, name: str) -> Path:
    return _folder(platform, kind) / f"{name}.json"


def _folder(platform: Platform, kind: str) -> Path:
    return platform.project.runs / "cloud" / platform.name / kind
