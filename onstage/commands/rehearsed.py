# Owned by the template.
"""Whether what would be sent is what was rehearsed: a digest of `src/`, left by each rehearsal that passed."""

import hashlib
import json
from datetime import datetime, timezone

from cloud import ROOT, source

FILE = ROOT / "runs" / "rehearsed.json"


def note(*platforms: str) -> None:
    """Note that `src/`, as it is now, has passed the rehearsal of these platforms."""
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    noted = {
        **_noted(),
        **{name: {"src": _digest(), "when": when} for name in platforms},
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(noted, indent=2) + "\n", encoding="utf-8")


def problem(platform: str) -> str | None:
    """What to say when `src/` has not been rehearsed as it is; None when it has."""
    found = _noted().get(platform)
    if found is None:
        return "src/ has not been rehearsed"
    return None if found["src"] == _digest() else f"src/ has changed since it was rehearsed ({found['when']})"


def _noted() -> dict[str, dict[str, str]]:
    try:
        return json.loads(FILE.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        # A broken note is as good as none: the next rehearsal writes it anew.
        return {}


def _digest() -> str:
    digest = hashlib.sha256()
    for file in source.files():
        content = file.read_bytes()
        digest.update(f"{file.relative_to(source.SOURCE).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
