"""Says what Vertex AI would refuse in a request, without asking it: no network, no account, no SDK.

schema.json has the documented messages; `rules` adds what no schema says.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timezone
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from onstage import problem
from onstage.errors import UserError
from onstage.problem import Key, Problem, dotted, spelling
from onstage.vertex.requests import rules

__all__ = ["Problem", "problems"]

_TYPES: dict[str, tuple[str, Any]] = {
    "string": ("a text", (str,)),
    "bytes": ("a text", (str,)),
    "Duration": ("a text", (str,)),
    "Timestamp": ("a text", (str,)),
    "bool": ("true or false", (bool,)),
    "int32": ("a whole number", (int,)),
    # JSON's numbers end at 2**53, so Google's APIs write and take these as texts, too.
    "int64": ("a whole number", (int, str)),
    "float": ("a number", (int, float)),
    "double": ("a number", (int, float)),
}
# Source: protobuf.dev, JSON mapping of google.protobuf.Duration.
_DURATION = re.compile(r"\d{1,12}(\.\d{1,9})?s")


class _WrongType(Problem):
    pass


def problems(kind: str, body: dict[str, Any], region: str, *, today: date | None = None) -> list[Problem]:
    """What Vertex AI would refuse in the body of a request.

    `kind` is CustomJob, HyperparameterTuningJob, UploadModelRequest, Endpoint, DeployModelRequest or
    BatchPredictionJob; `today` (UTC) decides which images are available. Raises UserError for an unknown kind.
    """
    messages, enums = _schema()
    if kind not in rules.RULES:
        raise UserError(f"{kind!r} is not one of {', '.join(rules.RULES)}")
    found = list(_message(messages, enums, kind, body, ()))
    # The rules rely on the types.
    if not any(isinstance(one, _WrongType) for one in found):
        found += rules.broken(kind, body, region, today or datetime.now(timezone.utc).date())
    return found


def members(kind: str) -> frozenset[str]:
    """The members that a message may have in a request."""
    return frozenset(_schema()[0][kind])


def spelt(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A body with the API's own names for members in another spelling, such as job_spec, and for the numbers of
    enumerations, as the SDK's to_dict has them: the API takes both, too.
    """
    messages, enums = _schema()
    answered: dict[str, Any] = _spelt(messages, enums, kind, body)
    return answered


def _spelt(messages: dict[str, Any], enums: dict[str, Any], kind: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_spelt(messages, enums, kind, item) for item in value]
    if kind in enums and isinstance(value, int) and not isinstance(value, bool):
        return next((name for name, number in enums[kind].items() if number == value), value)
    known = messages.get(kind)
    if known is None or not isinstance(value, Mapping):
        return value
    named = [(spelling(str(key), known), item) for key, item in value.items() if item is not None]
    named = [(key, item) for key, item in named if not (known.get(key, {}).get("type") in enums and _is_none(item))]
    # The names in a map are its owner's.
    return {
        key: _spelt(messages, enums, known[key]["type"], item)
        if key in known and known[key].get("many") != "map"
        else item
        for key, item in named
    }


def _is_none(item: Any) -> bool:
    """Whether a value of an enumeration says nothing, as what the SDK writes of one that was not set."""
    return item == 0 or (isinstance(item, str) and item.endswith("_UNSPECIFIED"))


@functools.cache
def _schema() -> tuple[dict[str, Any], dict[str, Any]]:
    content = json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8"))
    return content["messages"], content["enums"]


def _message(
    messages: dict[str, Any], enums: dict[str, Any], name: str, value: Any, path: problem.Path
) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _WrongType(dotted(path), f"must be an object, not {_shown(value)}")
        return
    members = messages.get(name)
    if members is None:
        # A message that the schema does not follow.
        return
    for member, described in members.items():
        if described.get("required") and value.get(member) in (None, "", [], {}):
            yield Problem(dotted((*path, member)), "is missing", f"add {member}")
    chosen: dict[str, list[str]] = {}
    for member, item in value.items():
        if member not in members:
            near = get_close_matches(str(member), members, n=1)
            meant = f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(sorted(members))}"
            yield Problem(
                dotted((*path, member)),
                f"is not known{meant}",
                f"write {near[0]}" if near else "remove it",
                f'400 Invalid JSON payload received. Unknown name "{member}": Cannot find field.',
            )
            continue
        if "oneof" in members[member]:
            chosen.setdefault(members[member]["oneof"], []).append(member)
        yield from _member(messages, enums, members[member], item, (*path, member))
    for names in chosen.values():
        if len(names) > 1:
            yield Problem(dotted(path), f"only one of {' and '.join(names)} can be given", f"remove {names[-1]}")


def _member(
    messages: dict[str, Any], enums: dict[str, Any], described: dict[str, Any], value: Any, path: problem.Path
) -> Iterator[Problem]:
    kind, many = described["type"], described.get("many")
    if many == "list":
        if not isinstance(value, (list, tuple)):
            yield _WrongType(dotted(path), f"must be a list, not {_shown(value)}", "put it in [ ]")
            return
        for number, item in enumerate(value):
            yield from _single(messages, enums, kind, item, (*path, number))
    elif many == "map":
        if not isinstance(value, dict):
            yield _WrongType(dotted(path), f"must be an object, not {_shown(value)}")
            return
        for key, item in value.items():
            yield from _single(messages, enums, kind, item, (*path, Key(key)))
    else:
        yield from _single(messages, enums, kind, value, path)


def _single(
    messages: dict[str, Any], enums: dict[str, Any], kind: str, value: Any, path: problem.Path
) -> Iterator[Problem]:
    if kind in enums:
        yield from _enum(enums[kind], value, path)
    elif kind in _TYPES:
        yield from _scalar(kind, value, path)
    elif kind not in ("Value", "Struct"):
        yield from _message(messages, enums, kind, value, path)


def _scalar(kind: str, value: Any, path: problem.Path) -> Iterator[Problem]:
    name, expected = _TYPES[kind]
    number = not isinstance(value, str) or re.fullmatch(r"-?\d+", value) is not None
    if (
        not isinstance(value, expected)
        or (isinstance(value, bool) and kind != "bool")
        or (kind == "int64" and not number)
    ):
        fix = f"write {json.dumps(str(value))}" if name == "a text" and isinstance(value, (int, float)) else ""
        fix = f"write {json.dumps(f'{value}s')}" if kind == "Duration" and isinstance(value, (int, float)) else fix
        yield _WrongType(dotted(path), f"must be {name}, not {_shown(value)}", fix)
    elif kind == "Duration" and not _DURATION.fullmatch(value):
        yield _WrongType(dotted(path), f"{value!r} is no duration in seconds", 'write it as "3600s"')
    elif kind == "int32" and not -(2**31) <= value < 2**31:
        yield Problem(dotted(path), f"{value} is too large")


def _enum(numbers: Mapping[str, int], value: Any, path: problem.Path) -> Iterator[Problem]:
    allowed = list(numbers)
    if isinstance(value, int) and not isinstance(value, bool):
        yield _WrongType(dotted(path), f"{value} is the number of nothing that is known", "write the name")
    elif not isinstance(value, str):
        yield _WrongType(dotted(path), f"must be a text, not {_shown(value)}")
    elif value not in allowed:
        near = get_close_matches(value.upper(), allowed, n=3)
        shown = ", ".join(allowed if len(allowed) <= 8 else [*allowed[:4], f"... {len(allowed)} values"])
        yield Problem(
            dotted(path),
            f"{value!r} does not exist" + (f"; did you mean {near[0]}?" if near else f"; choose from {shown}"),
            f"choose {' or '.join(near)}" if near else "",
            f"400 Invalid value at '{dotted(path)}', \"{value}\"",
        )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
