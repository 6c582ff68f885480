"""Mistakes that their author can mend, and the border at which every command shows them."""

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from onstage import stopping, verbosity

_SIGNALS = 128
_INTERRUPTED = 130


class UserError(Exception):
    """A mistake that its author can mend: shown as one message, without a traceback."""

    exit_code = 1


class StartError(UserError):
    """A command that cannot start, such as one outside of a project: nothing was checked, nothing was sent."""

    exit_code = 2


def is_user_error(error: BaseException) -> bool:
    """Whether `error` is a UserError, ours or a trainer's own: that one is known by its name, and not imported."""
    return any(kind.__name__ == UserError.__name__ for kind in type(error).__mro__)


def main(run: Callable[[], object]) -> int:
    """Call `run` and show what it raises. The exit code: 0; 1 for a failure; 2 for a command that cannot start; 128 and
    the signal's number where it was stopped.
    """
    _print_anything()
    with stopping.listening():
        return _main(run)


def _print_anything() -> None:
    """Print what a terminal's code page lacks, such as cp1252 on Windows, as an escape: it is no reason to end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _main(run: Callable[[], object]) -> int:
    try:
        run()
    except (KeyboardInterrupt, SystemExit) as end:
        # Typer makes an exit of an interrupt.
        if isinstance(end, SystemExit) and end.code != _INTERRUPTED:
            raise
        print("stopped", file=sys.stderr, flush=True)
        return stopping.exit_code()
    except Exception as error:  # noqa: BLE001 - the last line of defence: everything is reported, nothing swallowed
        known = is_user_error(error)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = error.filename2 or error.filename or "a file"
            known, error = True, UserError(f"{where}: {error.strerror}; TMPDIR=FOLDER names another temporary folder")
        if verbosity.is_verbose() or not known:
            print(traceback.format_exc(), file=sys.stderr, flush=True)
        if known:
            print(f"error: {error}", file=sys.stderr, flush=True)
        return getattr(error, "exit_code", 1) if known else 1
    return 0


def run_script(run: Callable[[], object]) -> NoReturn:
    """`main`, as a process."""
    code = main(run)
    if code > _SIGNALS:
        # Everything was unwound on the way here; what an interpreter that ends would still do can crash among
        # TensorFlow's threads, which go on reading.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
