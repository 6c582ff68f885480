"""Says what SageMaker would refuse in a request, without asking it: no network, no account.

botocore itself checks types and required members only. The service's model in it also has the enumerations, patterns,
lengths and ranges, which are walked here; `rules` adds what the model does not say.
"""

import functools
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onstage import problem
from onstage.errors import UserError
from onstage.problem import Key, Problem, dotted, spelling
from onstage.sagemaker.requests import rules
from onstage.sagemaker.requests.refusal import refusal

__all__ = ["Problem", "problems"]

_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
}
_SIZES = {"string": "length", "list": "length", "map": "length", "integer": "value", "long": "value", "float": "value"}
# What the patterns have from Java: classes that Python's `re` does not know, and a dot that matches no line separator.
_JAVA = {
    r"\p{L}": r"\w",
    r"\p{N}": "",
    r"\p{Z}": " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    r"\p{Alnum}": "a-zA-Z0-9",
}


class _WrongType(Problem):
    pass


def problems(operation: str, body: dict[str, Any], region: str | None = None) -> list[Problem]:
    """What SageMaker would refuse in the body of an operation such as CreateTrainingJob.

    `region` is the job's; without it, that of the image's registry counts. Raises UserError for an unknown operation.
    """
    operations, shapes = _model()
    if operation not in operations:
        near = get_close_matches(operation, operations, n=1)
        raise UserError(f"SageMaker has no operation {operation!r}" + (f"; did you mean {near[0]}?" if near else ""))
    found = list(_walk(shapes, operations[operation]["input"]["shape"], body, ()))
    # The rules rely on the types.
    if not any(isinstance(one, _WrongType) for one in found):
        found += rules.broken(operation, body, region)
    return found


def members(operation: str) -> frozenset[str]:
    """The members that the body of an operation may have."""
    operations, shapes = _model()
    return frozenset(shapes[operations[operation]["input"]["shape"]]["members"])


def spelt(operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A body with the API's own names for members in another spelling, such as training_job_name; without null."""
    operations, shapes = _model()
    answered: dict[str, Any] = _spelt(shapes, operations[operation]["input"]["shape"], body)
    return answered


@functools.cache
def _model() -> tuple[dict[str, Any], dict[str, Any]]:
    """The operations and the shapes of the SageMaker model that the installed botocore has."""
    # Not through botocore's loader, which takes longer and lets models in the user's ~/.aws win.
    spec = find_spec("botocore")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise UserError("botocore is missing; install it with: pip install boto3")
    newest = max(Path(folders[0]).glob("data/sagemaker/*/service-2.json*"))
    content = newest.read_bytes()
    model = json.loads(gzip.decompress(content) if newest.suffix == ".gz" else content)
    return model["operations"], model["shapes"]


def _spelt(shapes: dict[str, Any], name: str, value: Any) -> Any:
    shape = shapes[name]
    if shape["type"] == "structure" and isinstance(value, Mapping):
        known = shape["members"]
        named = [(spelling(str(key), known), item) for key, item in value.items() if item is not None]
        return {key: _spelt(shapes, known[key]["shape"], item) if key in known else item for key, item in named}
    if shape["type"] == "list" and isinstance(value, list):
        return [_spelt(shapes, shape["member"]["shape"], item) for item in value]
    return value


def _walk(shapes: dict[str, Any], name: str, value: Any, path: problem.Path) -> Iterator[Problem]:
    shape = shapes[name]
    kind = shape["type"]
    expected: Any = _TYPES[kind]
    if not isinstance(value, expected) or (isinstance(value, bool) and kind != "boolean"):
        yield _WrongType(dotted(path), f"must be {_named(kind)}, not {_shown(value)}", _type_fix(kind, value))
        return
    wrong_size = list(_size(shape, value, path))
    yield from wrong_size
    if kind == "structure":
        yield from _structure(shapes, shape, value, path)
    elif kind == "list":
        for number, item in enumerate(value):
            yield from _walk(shapes, shape["member"]["shape"], item, (*path, number))
    elif kind == "map":
        for key, item in value.items():
            yield from _walk(shapes, shape["key"]["shape"], key, (*path, Key(key)))
            yield from _walk(shapes, shape["value"]["shape"], item, (*path, Key(key)))
    elif kind == "string" and not wrong_size:
        yield from _text(shape, value, path)


def _structure(
    shapes: dict[str, Any], shape: dict[str, Any], value: dict[str, Any], path: problem.Path
) -> Iterator[Problem]:
    members = shape["members"]
    for name in shape.get("required", ()):
        if name not in value:
            yield Problem(dotted((*path, name)), "is missing", f"add {name}")
    for name, item in value.items():
        if name in members:
            yield from _walk(shapes, members[name]["shape"], item, (*path, name))
        else:
            near = get_close_matches(str(name), members, n=1)
            meant = f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(sorted(members))}"
            yield Problem(dotted((*path, name)), f"is not known{meant}", f"write {near[0]}" if near else "remove it")


def _text(shape: dict[str, Any], value: str, path: problem.Path) -> Iterator[Problem]:
    allowed = shape.get("enum")
    if allowed and value not in allowed:
        near = get_close_matches(value, allowed, n=3)
        shown = allowed if len(allowed) <= 8 else [*allowed[:4], f"... {len(allowed)} values"]
        yield Problem(
            dotted(path),
            f"{value!r} does not exist"
            + (f"; did you mean {near[0]}?" if near else f"; choose from {', '.join(shown)}"),
            f"choose {' or '.join(near)}" if near else "",
            refusal(path, value, f"Member must satisfy enum value set: [{', '.join(shown)}]"),
        )
    pattern = shape.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        yield Problem(
            dotted(path),
            f"{_shown(value)} does not have the form {pattern}{_odd_characters(pattern, value)}",
            "",
            refusal(path, value, f"Member must satisfy regular expression pattern: {pattern}"),
        )


def _size(shape: dict[str, Any], value: Any, path: problem.Path) -> Iterator[Problem]:
    what = _SIZES.get(shape["type"])
    if what is None:
        return
    size = len(value) if what == "length" else value
    unit = {"string": " characters", "list": " items", "map": " entries"}.get(shape["type"], "")
    for limit, broken, words in (
        ("min", size < shape.get("min", size), "greater"),
        ("max", size > shape.get("max", size), "less"),
    ):
        if broken:
            bound = shape[limit]
            said = f"has {size}{unit}" if what == "length" else f"is {size}"
            allowed = f"{bound}{unit} or {'more' if limit == 'min' else 'fewer' if unit else 'less'}"
            yield Problem(
                dotted(path),
                f"{said}; {allowed} are allowed" if unit else f"{said}; it must be {allowed}",
                "",
                refusal(path, value, f"Member must have {what} {words} than or equal to {bound}"),
            )


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern in (".*", ".+"):
        # Java's dot.
        return re.compile(pattern.replace(".", r"[^\n\r\u0085\u2028\u2029]"))
    for java, python in _JAVA.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _odd_characters(pattern: str, value: str) -> str:
    """Which characters are to blame, if the pattern is of letters, digits and dashes."""
    odd = sorted({character for character in value if not re.fullmatch(r"[a-zA-Z0-9-]", character)})
    if not odd or "a-zA-Z0-9" not in pattern or ":" in pattern:
        return ""
    return f": {' '.join(repr(character) for character in odd)} not allowed"


def _named(kind: str) -> str:
    return {
        "structure": "an object", "map": "an object", "list": "a list", "string": "a text",
        "integer": "a whole number", "long": "a whole number", "boolean": "true or false",
    }.get(kind, "a number")  # fmt: skip


def _type_fix(kind: str, value: Any) -> str:
    if kind == "string" and isinstance(value, (bool, int, float)):
        return f"write {json.dumps(json.dumps(value))}"
    return ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
