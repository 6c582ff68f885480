"""What `onstage settings --schema` prints: a JSON schema, with which an editor completes and checks settings.toml."""

from typing import Any

from onstage.catalogue import CHECKS, ESSENTIAL
from onstage.settings import Settings


def schema() -> dict[str, Any]:
    """The schema, which is docs/settings.schema.json; a key that is not known does not fit."""
    described = _plain(Settings.model_json_schema())
    described["$defs"]["Rehearsal"]["properties"]["ignore"] |= _ignored()
    return {"$schema": "http://json-schema.org/draft-07/schema#", **described, "title": "settings.toml of onstage"}


def _plain(node: Any) -> Any:
    """Without what is for Python: titles made of names, and sections that may be null."""
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    choices = [one for one in node.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        return _plain(choices[0])
    # A key of settings.toml may be called title or default: those of a schema are no tables.
    kept = {key: value for key, value in node.items() if key != "title" or isinstance(value, dict)}
    # A docstring has line breaks.
    return {key: " ".join(one.split()) if isinstance(one, str) else _plain(one) for key, one in kept.items()}


def _ignored() -> dict[str, Any]:
    """Ids as keys, quoted, or as a table in a table."""
    reason = {"type": "string", "pattern": r"\S"}
    found: dict[str, Any] = {}
    for one, sentence in CHECKS.items():
        if one not in ESSENTIAL:
            place, name = one.split(".")
            described = {**reason, "description": f"Passes if {sentence}."}
            found[one] = described
            inner = found.setdefault(place, {"type": "object", "additionalProperties": False, "properties": {}})
            inner["properties"][name] = described
    return {"properties": found, "additionalProperties": False}
