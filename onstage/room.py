"""Room for what a command writes: in the temporary folder, and in a project that may be read only."""

import contextlib
import shutil
import sys
import tempfile

from onstage.errors import StartError

# A rehearsal without large data takes about 20 MB.
_LEAST = 16 << 20


def check() -> None:
    """Raise StartError where the temporary folder is full, or there is none."""
    try:
        place = tempfile.gettempdir()
    except FileNotFoundError:
        raise StartError("no temporary folder can be written: TMPDIR=FOLDER before the command names one") from None
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(place).free
        if free < _LEAST:
            said = f"the temporary folder {place} has {free / 1e6:.1f} MB left, of at least {_LEAST / 1e6:.0f} MB"
            raise StartError(f"{said}: remove something, or name another, TMPDIR=FOLDER before the command")


def note(what: str, error: OSError, then: str) -> None:
    """Say that something was not written, and what follows from it."""
    print(f"note: {what} cannot be written ({error.strerror}): {then}", file=sys.stderr, flush=True)
