"""[rehearsal.ignore] of settings.toml: checks whose findings do not count, by their ids, each with the reason."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from onstage.catalogue import check_ignored
from onstage.errors import StartError


def _flatten(value: object) -> object:
    """TOML makes a table in a table of vertex.package without quotes."""
    if not isinstance(value, Mapping):
        return value
    flat: dict[object, object] = {}
    for key, inner in value.items():
        flat |= {f"{key}.{name}": why for name, why in inner.items()} if isinstance(inner, Mapping) else {key: inner}
    return flat


def _check_reason(text: str) -> str:
    if not text.strip():
        raise ValueError("should say why")
    return text


def _check_ids(value: dict[str, str]) -> dict[str, str]:
    try:
        check_ignored(value)
    except StartError as error:
        raise ValueError(str(error)) from error
    return value


Reason = Annotated[str, AfterValidator(_check_reason)]
Ignored = Annotated[dict[str, Reason], BeforeValidator(_flatten), AfterValidator(_check_ids)]
