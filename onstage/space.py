"""The search space of model.py: its one definition, of which every tuning service and the local search get their own.

The trainer's `tunable` notes what was written; `range_advice` refuses what makes no sense, when the project starts.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onstage.errors import UserError

LINEAR, LOG, REVERSE_LOG = "linear", "log", "reverse_log"
# A range with more steps is not spelt out.
MOST_STEPS = 1000
# Of a search in a cloud, unless the command says how many.
DEFAULT_TRIALS = 10


@dataclass(frozen=True)
class Range:
    """A hyperparameter that is searched: from `low` to `high` on `scale`, in steps if `step` is given; or `values`.

    `kind` is bool, int, float or str. Where `parent` is given, it counts only when that one has one of `parent_values`.
    """

    name: str
    kind: type
    low: float | None = None
    high: float | None = None
    step: float | None = None
    scale: str = LINEAR
    values: Sequence[Any] | None = None
    parent: str | None = None
    parent_values: Sequence[Any] = ()

    @property
    def listed(self) -> list[Any] | None:
        """All values of a list or of a range in steps, in order; None for another range, and for too many steps."""
        if self.values is not None:
            return list(self.values)
        if self.low is None or self.high is None or self.step is None:
            return None
        # A hair more: 0.1 + 2 * 0.1 is more than 0.3.
        steps = math.floor((self.high - self.low) / self.step * (1 + 1e-12) + 1e-9)
        if steps >= MOST_STEPS:
            return None
        return [self.stepped(self.low + number * self.step) for number in range(steps + 1)]

    @property
    def has_every_whole(self) -> bool:
        """Whether its steps are those that whole numbers have anyway."""
        return self.kind is int and self.step == 1

    def stepped(self, value: float) -> Any:
        """The value of a range next to `value`, of its kind, on a step if there are steps."""
        low, high = self.low or 0, self.high or 0
        if self.step is not None:
            most = math.floor((high - low) / self.step * (1 + 1e-12) + 1e-9)
            number = min(max(round((value - low) / self.step), 0), most)
            # As a person would write it: 0.30000000000000004 is 0.3.
            value = float(f"{low + number * self.step:.12g}")
        value = min(max(value, low), high)
        return round(value) if self.kind is int else float(value)

    def counts(self, values: Mapping[str, Any]) -> bool:
        """Whether it counts beside the `values` of others; what one that does not count is the parent of does not."""
        return self.parent is None or (self.parent in values and values[self.parent] in self.parent_values)

    def __str__(self) -> str:
        if self.values is not None:
            text = ", ".join(map(str, self.values))
        else:
            steps = f" in steps of {self.step}" if self.step is not None else ""
            scale = {LINEAR: "", LOG: ", log", REVERSE_LOG: ", reverse log"}[self.scale]
            text = f"{self.low} to {self.high}{steps}{scale}"
        return f"{text}, where {self.condition}" if self.parent else text

    @property
    def condition(self) -> str:
        """When it counts, for people: "optimizer is sgd"."""
        return f"{self.parent} is {' or '.join(map(str, self.parent_values))}"


class Space(tuple[Range, ...]):
    """The ranges of a project in the order of their conditions: a parent comes before what depends on it."""

    __slots__ = ()

    @property
    def names(self) -> list[str]:
        """The names of what is searched."""
        return [one.name for one in self]

    def described(self) -> dict[str, str]:
        """Each range by its name, for people and for comparing."""
        return {one.name: str(one) for one in self}

    def counting(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Of `values`, those that count."""
        found: dict[str, Any] = {}
        for one in self:
            if one.name in values and one.counts(found):
                found[one.name] = values[one.name]
        return found

    def children(self, name: str) -> "Iterator[Range]":
        """What depends on a range."""
        return (one for one in self if one.parent == name)


def of(hyperparameters: type, fixed: Collection[str] = ()) -> Space:
    """The search space of model.py's dataclass, without what `fixed` names: a flag has said its value.

    What depends on a fixed one depends on nothing. Raises UserError where nothing is left to search.
    """
    kinds = typing.get_type_hints(hyperparameters)
    searched = [item for item in dataclasses.fields(hyperparameters) if "search" in item.metadata]
    if not searched:
        raise UserError("model.py: no hyperparameter is tunable(): nothing to search")
    found = [_range(item, kinds[item.name], fixed) for item in searched if item.name not in fixed]
    if not found:
        raise UserError(f"nothing to search: flags say the values of all that is tunable(): {', '.join(fixed)}")
    ordered: list[Range] = []
    while len(ordered) < len(found):
        known = [None, *(one.name for one in ordered)]
        ordered += [one for one in found if one not in ordered and one.parent in known]
    return Space(ordered)


def given(hyperparameters: type, argv: Sequence[str]) -> list[str]:
    """The fields that a command line says the values of."""
    names = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in argv if word.startswith("-")}
    return [item.name for item in dataclasses.fields(hyperparameters) if item.name in names]


def _range(item: "dataclasses.Field[Any]", kind: Any, fixed: Collection[str]) -> Range:
    search: Mapping[str, Any] = item.metadata["search"]
    parent, wanted = next(iter(search.get("when", {}).items()), (None, ()))
    if parent in fixed:
        parent, wanted = None, ()
    values = search.get("values")
    if values is None and "low" not in search:
        # A truth value needs no list.
        values = [False, True]
    whole = required(kind) is int
    ends = {end: (int if whole else float)(search[end]) for end in ("low", "high", "step") if end in search}
    listed = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    return Range(
        item.name, required(kind), **ends, scale=search.get("scale", LINEAR), values=values, parent=parent,
        parent_values=list(listed) if parent else (),
    )  # fmt: skip


def required(kind: Any) -> Any:
    """A field's type without None."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        return members[0] if len(members) == 1 else kind
    return kind
