"""How much a command says: --quiet, --verbose."""

QUIET, NORMAL, VERBOSE = -1, 0, 1
_level = NORMAL


def set_level(level: int) -> None:
    """What the command line asked for."""
    global _level
    _level = level


def is_quiet() -> bool:
    """Only what is wrong, and results."""
    return _level == QUIET


def is_verbose() -> bool:
    """A job's whole log, and tracebacks."""
    return _level == VERBOSE
