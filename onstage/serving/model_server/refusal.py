"""Why a request is not answered."""

import sys
from typing import NoReturn

# Characters of a line in the log.
_MOST = 2000


class RefusedError(Exception):
    """A request that gets an error. `key` is the input at fault, where one is known; a `silent` one has no body."""

    def __init__(self, message: str, status: int = 400, key: str = "", silent: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.key = key
        self.silent = silent


def refuse(message: str, status: int = 400, key: str = "", silent: bool = False) -> NoReturn:
    """Raise RefusedError."""
    raise RefusedError(message, status, key, silent)


def log(*lines: str) -> None:
    """Write to the server's log, in one piece; of a line, no more than a screen."""
    cut = (line if len(line) <= _MOST else f"{line[:_MOST]}... ({len(line)} characters)" for line in lines)
    sys.stderr.write("\n".join(cut) + "\n")
    sys.stderr.flush()
