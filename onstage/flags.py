"""Hyperparameters as the flags that `train.py` and the cloud commands take."""

import shlex
from collections.abc import Mapping
from typing import Any


def of_values(values: Mapping[str, Any]) -> list[str]:
    """A flag for each value, in one word, so that a negative number is not taken for a flag."""
    return [f"--{name.replace('_', '-')}={text(value)}" for name, value in values.items()]


def for_people(words: list[str]) -> str:
    """Flags as one types them: `--learning-rate 0.01`."""
    apart = []
    for word in words:
        name, equals, value = word.partition("=")
        apart += [word] if not equals or not value or value.startswith("-") else [name, value]
    return shlex.join(apart)


def text(value: Any) -> str:
    """A value as a flag has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
