"""Keeps what somebody else's code does to logging from this process."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Afterwards, all loggers that are there now have their level, handlers and filters again, and are as enabled."""
    root = logging.getLogger()
    loggers = [root, *(one for one in root.manager.loggerDict.values() if isinstance(one, logging.Logger))]
    before = [(one, one.level, one.propagate, one.disabled, [*one.handlers], [*one.filters]) for one in loggers]
    disabled = root.manager.disable
    try:
        yield
    finally:
        logging.disable(disabled)
        for one, level, propagate, was_disabled, handlers, filters in before:
            one.setLevel(level)
            one.propagate, one.disabled, one.handlers[:], one.filters[:] = propagate, was_disabled, handlers, filters
