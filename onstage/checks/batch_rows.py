"""The rows of a batch job: a file of JSON lines, each with a key that the model does not see, if there is one."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onstage.errors import UserError
from onstage.report import Finding

# Of a row that is shown.
_LONGEST = 120


def lines_of(file: Path) -> Iterator[str]:
    """The lines of a file, without their ends. Raises UserError when it cannot be read, or has none."""
    empty = True
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                empty = False
                yield line.rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"no rows in {file}: {error}") from error
    if empty:
        raise UserError(f"{file} is empty; write one row a line, as JSON")


def problems(lines: Iterable[str], file: str, key: str, example: Any = None) -> Iterator[Finding]:
    """What a batch job does not take of these rows of `file`, or answers with no key that they can be told apart by.

    `example` is a row that the model takes, None: not known. Where there is no `key`, a row can be any JSON value.
    """
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            found: Finding | None = Finding(f"the row is not JSON: {error}", "write one row a line")
        else:
            found = (_of_key(row, key, seen, number) if key else None) or _of_inputs(row, key, example)
        if found:
            found.file, found.line = file, number
            yield found


def nested(line: str, key: str, place: str) -> str:
    """A row with its key beside its inputs, which stand at `place`: SageMaker's filters cannot take a field out."""
    row = json.loads(line)
    value = row.pop(key)
    return json.dumps({key: value, place: row})


def with_keys(rows: Sequence[Any], key: str, name: str) -> list[dict[str, Any]]:
    """Rows with a key each, numbers from 1; those that are no objects are what the model's one input, `name`, takes."""
    named = [row if _is_named(row) else {name: row} for row in rows]
    return [{key: number, **row} for number, row in enumerate(named, 1)]


def without_key(row: Any, key: str) -> Any:
    """What the model is given of a row."""
    return {name: value for name, value in row.items() if name != key} if key and isinstance(row, dict) else row


def shown(row: Any) -> str:
    """A row as JSON, the beginning of a long one."""
    text = json.dumps(row)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _of_key(row: Any, key: str, seen: dict[str, int], number: int) -> Finding | None:
    named = f"[batch] key of settings.toml is {key!r}"
    if not isinstance(row, dict):
        first = json.dumps({key: 1, "features": row if isinstance(row, list) else ["..."]})
        fix = f"{named}: write it and the model's inputs, such as {first}"
        return Finding(f"the row is no object with the key {key!r}", fix)
    if key not in row:
        return Finding(f"the row has no key {key!r}", f"{named}, which every row needs")
    if isinstance(row[key], bool) or not isinstance(row[key], str | int):
        return Finding(f"the row has {json.dumps(row[key])} as its key {key!r}", "write a text or a whole number")
    before = seen.setdefault(json.dumps(row[key]), number)
    if before == number:
        return None
    fix = "give each row its own, by which its answer is told"
    return Finding(f"the row has the same {key!r} as that in line {before}: {shown(row[key])}", fix)


def _of_inputs(row: Any, key: str, example: Any) -> Finding | None:
    """What differs between the names in a row and those of the model's inputs, as far as these are known."""
    if not isinstance(row, Mapping):
        return None
    given = [name for name in row if name != key]
    if not _is_named(example):
        # Its one input's name is not known.
        if not key or example is None or len(given) == 1:
            return None
        sample = json.dumps({key: row[key], "features": ["..."]})
        what = f"the row names {len(given)} inputs, and the model takes one"
        return Finding(what, f"write what it takes under its name, which is features for lists of numbers: {sample}")
    more = [name for name in given if name not in example]
    less = [name for name in example if name not in row]
    if more and len(example) == 1:
        sample = json.dumps({**({key: row[key]} if key else {}), **dict.fromkeys(example, "...")})
        return Finding(f"the row has {more[0]!r}, and the model takes one input", f"write it by its name: {sample}")
    if more:
        hint = "" if key else f'; as an id, write key = "{more[0]}" into [batch] of settings.toml'
        return Finding(f"the row has {more[0]!r}, which is no input of the model", f"leave it out{hint}")
    return Finding(f"the row has no {less[0]!r}, which the model takes", "give it its value") if less else None


def _is_named(row: Any) -> bool:
    """Whether a row names its inputs; {"b64": ...} is bytes."""
    return isinstance(row, dict) and list(row) != ["b64"]
