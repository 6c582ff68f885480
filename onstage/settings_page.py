"""What `onstage settings` prints: every key of settings.toml with its type, its default and what it means."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from onstage.errors import StartError
from onstage.settings import Settings

_REFERENCE = "#/$defs/"
_NAMES = {"string": "string", "integer": "integer", "number": "float", "boolean": "boolean"}


@dataclass(frozen=True)
class Key:
    """A key: `kind` is its type in TOML's words, `default` a value as one writes it; None: the key is required."""

    name: str
    kind: str
    default: str | None
    meaning: str


@dataclass(frozen=True)
class Table:
    """A section by its name, such as "sagemaker.serverless"; "" is the place above the first one."""

    name: str
    meaning: str
    keys: Sequence[Key]

    @property
    def title(self) -> str:
        """The section's line in settings.toml."""
        return f"[{self.name}]" if self.name else "settings.toml"


def tables(section: str = "") -> list[Table]:
    """Every section, or the one of that name with what lies in it. Raises StartError for one that there is not."""
    schema = Settings.model_json_schema()
    found = list(_tables("", schema, schema))
    if not section:
        return found
    chosen = [one for one in found if f"{one.name}.".startswith(f"{section}.")]
    if not chosen:
        names = [one.name for one in found if one.name]
        near = get_close_matches(section, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise StartError(f"settings.toml has no section {section}; {hint}")
    return chosen


def text(section: str = "", width: int | None = None) -> str:
    """The sections for a terminal of `width` columns; for a log, without a width, a sentence is one line."""
    parts = []
    for table in tables(section):
        parts.append("\n".join([table.title, *_wrapped(table.meaning, "", width)]))
        for key in table.keys:
            default = "required" if key.default is None else f"default {key.default}"
            head = _wrapped(f"{key.name}  {key.kind}; {default}", "  ", width)
            parts.append("\n".join([*head, *_wrapped(key.meaning, "      ", width)]))
    return "\n\n".join(parts)


def markdown(section: str = "") -> str:
    """The sections as a page of tables; all of them are docs/settings.md."""
    editors = (
        "An editor completes the keys and marks what is wrong with `settings.schema.json`, beside this page, which\n"
        "`onstage settings --schema` prints: taplo, and so Even Better TOML in VS Code, takes it from a first line\n"
        "`#:schema PATH_OR_URL`."
    )
    parts = [
        "# settings.toml",
        "This page is what `onstage settings --markdown` prints. Types and defaults are TOML's.",
        editors,
    ]
    for table in tables(section):
        rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        for key in table.keys:
            default = "required" if key.default is None else f"`{key.default}`"
            cells = (f"`{key.name}`", key.kind, default, key.meaning)
            rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        parts += [*([f"## {table.title}"] if table.name else []), table.meaning, "\n".join(rows)]
    return "\n\n".join(parts)


def _tables(name: str, table: dict[str, Any], schema: dict[str, Any]) -> Iterator[Table]:
    keys, inner = [], []
    for key, described in table["properties"].items():
        reference = next((one["$ref"] for one in [described, *described.get("anyOf", ())] if "$ref" in one), None)
        if reference:
            inner.append((f"{name}.{key}".lstrip("."), schema["$defs"][reference.removeprefix(_REFERENCE)]))
        else:
            default = None if key in table.get("required", ()) else json.dumps(described["default"])
            keys.append(Key(key, _kind(described), default, described["description"]))
    yield Table(name, " ".join(table["description"].split()), keys)
    for inner_name, one in inner:
        yield from _tables(inner_name, one, schema)


def _kind(described: dict[str, Any]) -> str:
    """The type of a key from its JSON schema."""
    if "enum" in described:
        return " or ".join(json.dumps(value) for value in described["enum"])
    if "anyOf" in described:
        *others, last = (_kind(one) for one in described["anyOf"])
        return f"{', '.join(others)} or {last}"
    if described["type"] == "array":
        return f"array of {_kind(described['items'])}s"
    if described["type"] == "object":
        return f"table, each value a {_kind(described['additionalProperties'])}"
    low, high, step = (described.get(bound) for bound in ("minimum", "maximum", "multipleOf"))
    limits = "" if low is None else f", {low} or more" if high is None else f", {low} to {high}"
    steps = "" if step is None else f" in steps of {step}"
    pattern = f" that matches {described['pattern']}" if "pattern" in described else ""
    return f"{_NAMES[described['type']]}{limits}{steps}{pattern}"


def _wrapped(line: str, indent: str, width: int | None) -> list[str]:
    if width is None:
        return [indent + line]
    # A value such as projects/PROJECT/locations/REGION is not torn apart.
    return textwrap.wrap(
        line, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
