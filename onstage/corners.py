"""Which trials of a search space tell most: its low ends, its high ends, its middle, and every value of a condition.

Pure: a platform says what its tuning service would choose, and gets a list of choices.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

# Where a trial is in every range, for people.
PLACES = {"the low ends": 0.0, "the high ends": 1.0, "the middle": 0.5}
_MIDDLE = "the middle"


@dataclass(frozen=True)
class Parameter:
    """What a tuning service chooses: `value` is what it says of a place in the range, from 0 to 1.

    `values` are those of a list. Where `parent` is given, it counts only where that one says one of `wanted`.
    """

    name: str
    value: Callable[[float], str]
    values: Sequence[str] = ()
    parent: str | None = None
    wanted: Sequence[str] = ()

    def counts(self, chosen: Mapping[str, str]) -> bool:
        """Whether it counts beside what is `chosen` of others."""
        return self.parent is None or chosen.get(self.parent) in self.wanted


@dataclass(frozen=True)
class Corner:
    """A trial: `place` in every range, and of conditions the values that are `fixed`."""

    place: str
    fixed: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        given = " and ".join(f"{name}={value}" for name, value in self.fixed.items())
        return f"{self.place} with {given}" if given else self.place

    @property
    def at(self) -> float:
        """Its place as a number: 0 for the low ends, 1 for the high ones."""
        return PLACES[self.place]


def of(parameters: Sequence[Parameter]) -> list[Corner]:
    """As few trials as meet both ends and the middle of every range, and every value of a condition.

    A parent comes before what counts by it. The first are the low ends, the high ends and the middle; those that would
    choose the same are left out.
    """
    found: list[Corner] = []
    chosen: list[dict[str, str]] = []
    met: set[tuple[int | str, str]] = set()

    def add(corner: Corner) -> None:
        values = choose(parameters, corner.at, corner.fixed)
        if values not in chosen:
            found.append(corner)
            chosen.append(values)
        met.update(_met(parameters, corner.place, values))

    for place in PLACES:
        add(Corner(place))
    for number, one in enumerate(parameters):
        for place in PLACES if one.parent else ():
            if (number, place) not in met:
                add(Corner(place, _condition(one, parameters, met)))
    for parent in dict.fromkeys(one.parent for one in parameters if one.parent):
        for one in _named(parent, parameters):
            wanted = (text for child in parameters if child.parent == parent for text in child.wanted)
            for text in one.values or dict.fromkeys(wanted):
                if (parent, text) not in met:
                    add(Corner(_MIDDLE, {**_condition(one, parameters, met), parent: text}))
    return found


def choose(parameters: Sequence[Parameter], at: float, fixed: Mapping[str, str] | None = None) -> dict[str, str]:
    """What is said of each parameter that counts, where all are at `at`, but for those that are `fixed`."""
    chosen: dict[str, str] = {}
    for one in parameters:
        if one.counts(chosen):
            chosen[one.name] = fixed[one.name] if fixed and one.name in fixed else one.value(at)
    return chosen


def listed(values: Sequence[str], at: float) -> str:
    """The value of a list at a place from 0 to 1."""
    return values[min(int(at * len(values)), len(values) - 1)]


def between(low: float, high: float, at: float, scale: str = "") -> float:
    """The number of a range at a place from 0, which is exactly `low`, to 1, which is exactly `high`.

    `scale` is "log"; "reverse_log", where 1 - x is drawn on a log scale; "mirrored_log", where low + high - x is; or
    else linear.
    """
    if at in (0, 1):
        return high if at else low
    if scale == "log":
        value = _logarithmic(low, high, at)
    elif scale == "reverse_log":
        value = 1 - _logarithmic(1 - low, 1 - high, at)
    elif scale == "mirrored_log":
        value = low + high - _logarithmic(high, low, at)
    else:
        value = low + (high - low) * at
    # So that a person can type it: 0.0031622776601683794 says no more than 0.00316228.
    short = float(f"{value:.6g}")
    return short if low < short < high else min(max(value, low), high)


def _logarithmic(start: float, end: float, at: float) -> float:
    return math.exp(math.log(start) + (math.log(end) - math.log(start)) * at)


def _met(parameters: Sequence[Parameter], place: str, chosen: Mapping[str, str]) -> Iterator[tuple[int | str, str]]:
    for number, one in enumerate(parameters):
        if one.counts(chosen):
            yield number, place
            yield one.name, chosen[one.name]


def _condition(one: Parameter, parameters: Sequence[Parameter], met: set[tuple[int | str, str]]) -> dict[str, str]:
    """The values by which a parameter counts, its parent's own condition among them."""
    if one.parent is None:
        return {}
    new = [text for text in one.wanted if (one.parent, text) not in met]
    above = next(_named(one.parent, parameters), None)
    return {**(_condition(above, parameters, met) if above else {}), one.parent: (new or list(one.wanted))[0]}


def _named(name: str, parameters: Sequence[Parameter]) -> Iterator[Parameter]:
    return (one for one in parameters if one.name == name)
