"""Why a request is not answered."""

import sys
from typing import NoReturn


class RefusedError(Exception):
    """A request that gets an error. `key` is the input at fault, where one is known."""

    def __init__(self, message: str, status: int = 400, key: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.key = key


def refuse(message: str, status: int = 400, key: str = "") -> NoReturn:
    """Raise RefusedError."""
    raise RefusedError(message, status, key)


def log(*lines: str) -> None:
    """Write to the server's log, in one piece."""
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()
