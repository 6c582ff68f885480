"""What is said about a search space that makes no sense.

A project's trainer runs this file where ONSTAGE_ADVICE names it: on the researcher's machine, and in a rehearsed job,
which has no onstage. It does not travel. Standard library only.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

_SCALES = ("linear", "log", "reverse_log")


def ranges(hyperparameters: type) -> list[str]:
    """What is wrong with the search space of model.py's dataclass, a sentence each, which names the field."""
    kinds = typing.get_type_hints(hyperparameters)
    fields = {item.name: item for item in dataclasses.fields(hyperparameters) if "search" in item.metadata}
    found = [f"model.py: {name}: {said}" for name, item in fields.items() for said in _of_field(item, kinds[name])]
    if not found:
        found = [f"model.py: {name}: {said}" for name in fields for said in _of_condition(name, fields, kinds)]
    return found


def _of_field(item: Any, kind: Any) -> Iterator[str]:
    search, (needed, optional) = item.metadata["search"], _required(kind)
    has_ends, has_values = [name for name in ("low", "high") if name in search], "values" in search
    others = [name for name in ("step", "scale") if name in search]
    if search.get("scale", "linear") not in _SCALES:
        yield f"scale is 'linear', 'log' or 'reverse_log', not {search['scale']!r}"
    elif has_values and (has_ends or others):
        yield f"tunable() has values and {', '.join(has_ends + others)}: give a list or a range"
    elif has_values:
        yield from _of_values(search["values"], item.default, needed, optional)
    elif needed is bool and not has_ends and not others:
        return
    elif len(has_ends) < 2:
        yield f"tunable() needs low and high, or values{_only(has_ends)}"
    elif needed not in (int, float):
        yield f"low and high are for numbers; of a {getattr(needed, '__name__', needed)} give values=[...]"
    else:
        yield from _of_ends(search, item.default, needed is int, optional)


def _only(names: list[str]) -> str:
    return f"; it has only {names[0]}" if names else ""


def _of_values(values: Any, default: Any, kind: type, optional: bool) -> Iterator[str]:
    if not isinstance(values, (list, tuple)):
        yield f"values must be a list, not {values!r}"
    elif len(values) < 2:
        yield f"values={list(values)} is nothing to search: give two or more, or write {default!r} without tunable()"
    elif wrong := [one for one in values if not (_is(one, kind) or (one is None and optional))]:
        yield f"values has {wrong[0]!r}, which is no {getattr(kind, '__name__', kind)}"
    elif twice := [one for number, one in enumerate(values) if one in values[:number]]:
        yield f"values has {twice[0]!r} twice"
    elif default not in values:
        yield f"the default {default!r} is none of the values {list(values)}"


def _of_ends(search: Mapping[str, Any], default: Any, whole: bool, optional: bool) -> Iterator[str]:
    low, high, step, scale = search["low"], search["high"], search.get("step"), search.get("scale", "linear")
    what = "a whole number" if whole else "a finite number"
    told = {name: search[name] for name in ("low", "high", "step") if name in search}
    wrong = {name: one for name, one in told.items() if not _is_number(one) or (whole and one != int(one))}
    if wrong:
        name, value = next(iter(wrong.items()))
        yield f"{name} must be {what}, not {value!r}"
    elif low >= high:
        yield f"low={low} is not below high={high}"
    elif scale == "log" and low <= 0:
        yield f"a log scale begins above 0, not at low={low}: choose a larger low, or scale='linear'"
    elif scale == "reverse_log" and whole and low <= 0:
        yield f"a reverse log scale of whole numbers begins at 1 or more, not at low={low}"
    elif scale == "reverse_log" and not whole and not (low >= 0 and high < 1):
        # Source: SageMaker, "Hyperparameter scaling": only for ranges within 0 <= x < 1.
        yield f"a reverse log scale is for numbers from 0 to less than 1, not {low} to {high}: 1 - x is drawn"
    elif step is not None and not 0 < step <= high - low:
        yield f"step={step} must be above 0 and at most high - low, {high - low:g}"
    elif default is None and optional:
        return
    elif not _is_number(default) or not low <= default <= high:
        yield f"the default {default!r} is not between low={low} and high={high}"


def _of_condition(name: str, fields: Mapping[str, Any], kinds: Mapping[str, Any]) -> Iterator[str]:
    when = fields[name].metadata["search"].get("when")
    if when is None:
        return
    if not isinstance(when, Mapping) or len(when) != 1:
        yield f"when names one other field, as in when={{'optimizer': 'sgd'}}, not {when!r}"
        return
    parent, wanted = next(iter(when.items()))
    if parent not in fields or parent == name:
        others = [one for one in fields if one != name]
        yield f"when names {parent!r}, which is no other tunable field: {', '.join(others) or 'there is none'}"
    elif name in _above(parent, fields):
        yield f"when goes in a circle: {name} counts by {parent}, and {parent} by {name}"
    else:
        search, values = fields[parent].metadata["search"], wanted if isinstance(wanted, (list, tuple)) else [wanted]
        yield from _of_wanted(parent, search, _required(kinds[parent])[0], values)


def _of_wanted(parent: str, search: Mapping[str, Any], kind: type, wanted: Any) -> Iterator[str]:
    if "low" in search and kind is float:
        yield f"{parent} is a range of real numbers, and never has just one value: give it values=[...]"
        return
    if "low" in search:
        low, high = int(search["low"]), int(search["high"])
        possible: Any = range(low, high + 1, int(search.get("step", 1)))
        told = f"low={low}, high={high}"
    else:
        possible = search.get("values", [False, True])
        told = str(list(possible))
    if not wanted:
        yield f"when lists no value of {parent}"
    for one in wanted:
        if one not in possible:
            yield f"when wants {parent} to be {one!r}, which it never is: {told}"


def _above(name: str, fields: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    while name in fields and name not in found:
        found.append(name)
        name = next(iter(fields[name].metadata["search"].get("when") or [""]), "")
    return found


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return _is_number(value)
    return type(value) is kind


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _required(kind: Any) -> tuple[Any, bool]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        return (members[0] if len(members) == 1 else kind), True
    return kind, False
