"""The search space of model.py as Vertex AI's studySpec.parameters, what is another there, and its strategies.

Pure functions. Sources: StudySpec.ParameterSpec of the REST reference; for scales, google/vizier, the service's open
twin, whose reverse log is the mirror image of log: low + high - x is drawn in log.
"""

import math
from typing import Any

from onstage.errors import UserError
from onstage.space import DEFAULT_TRIALS, LOG, REVERSE_LOG, Range, Space
from onstage.vertex.requests.search_rules import MOST_VALUES
from onstage.vertex.requests.values import as_text

GRID = "GRID_SEARCH"
# By what --strategy and --early-stopping say. Bayesian optimisation is what the service does when nothing is said.
STRATEGIES = {"bayesian": "", "random": "RANDOM_SEARCH", "grid": GRID}
STOPPINGS = {"off": "", "median": "medianAutomatedStoppingSpec", "decay-curve": "decayCurveStoppingSpec"}
_SCALES = {LOG: "UNIT_LOG_SCALE", REVERSE_LOG: "UNIT_REVERSE_LOG_SCALE"}
Body = dict[str, Any]


def parameters(space: Space, strategy: str = "") -> list[Body]:
    """The parameters of a study, in each those that depend on it. Raises UserError for what a grid cannot try."""
    return [_parameter(one, space, strategy) for one in space if one.parent is None]


def notes(space: Space, strategy: str = "", trials: int = DEFAULT_TRIALS) -> list[str]:
    """What Vertex AI does another way than model.py says, a sentence each, which names the field."""
    found = [note for one in space for note in _notes(one)]
    if strategy == GRID and (number := combinations(space)) > trials:
        found.append(
            f"{', '.join(space.names)}: {trials} of {number} combinations are tried; --trials {number} tries all"
        )
    return found


def combinations(space: Space) -> int:
    """How many trials try everything, of what depends on others only what counts. Raises UserError for real numbers."""
    return math.prod(_combinations(one, space) for one in space if one.parent is None)


def _parameter(one: Range, space: Space, strategy: str) -> Body:
    spec = _spec(one)
    if strategy == GRID:
        # Refuses what has no values to count.
        _tried(one)
    nested = [
        {**_condition(one, spec, other), "parameterSpec": _parameter(other, space, strategy)}
        for other in space.children(one.name)
    ]
    return {"parameterId": one.name, **spec, **({"conditionalParameterSpecs": nested} if nested else {})}


def _spec(one: Range) -> Body:
    """The values of a parameter and their scale."""
    listed = one.listed if one.values is not None or not one.has_every_whole else None
    scale = _SCALES[one.scale] if one.scale in _SCALES and not _begins_at_zero(one) else "UNIT_LINEAR_SCALE"
    if listed is not None and all(type(value) in (int, float) for value in listed):
        spec = {"discreteValueSpec": {"values": sorted(map(float, listed))}}
        return spec if one.values is not None else {**spec, "scaleType": scale}
    if listed is not None:
        return {"categoricalValueSpec": {"values": [as_text(one.name, value) for value in listed]}}
    kind = "integerValueSpec" if one.kind is int else "doubleValueSpec"
    return {kind: {"minValue": one.low, "maxValue": one.high}, "scaleType": scale}


def _condition(parent: Range, spec: Body, child: Range) -> Body:
    """When a parameter counts, in the words that its parent's kind has for it."""
    if "categoricalValueSpec" in spec:
        return {"parentCategoricalValues": {"values": [as_text(parent.name, one) for one in child.parent_values]}}
    if "discreteValueSpec" in spec:
        return {"parentDiscreteValues": {"values": sorted(map(float, child.parent_values))}}
    return {"parentIntValues": {"values": sorted(map(int, child.parent_values))}}


def _notes(one: Range) -> list[str]:
    found = []
    if one.step is not None and one.listed is None and not one.has_every_whole:
        found.append(
            f"Vertex AI takes at most {MOST_VALUES} values: {one.low} to {one.high} is sent without its steps, and "
            "values between them come, too"
        )
    if one.scale == REVERSE_LOG and _begins_at_zero(one):
        found.append("Vertex AI's reverse log scale needs a range above 0: it is searched on a linear scale")
    elif one.scale == REVERSE_LOG and one.kind is float:
        found += _mirrored(one.low or 0, one.high or 0)
    return [f"{one.name}: {note}" for note in found]


def _mirrored(low: float, high: float) -> list[str]:
    """What another distance from the end means, from which both scales have their name."""
    if math.isclose(low + high, 1):
        return []
    note = (
        f"Vertex AI's reverse log is of {low + high:.12g} - x, not of 1 - x: values near {high:g} come "
        f"{high / low:.3g} times as often as values near {low:g}, not {(1 - low) / (1 - high):.3g} times"
    )
    return [note]


def _combinations(one: Range, space: Space) -> int:
    children = list(space.children(one.name))
    if not children:
        return len(_tried(one))
    return sum(
        math.prod(_combinations(other, space) for other in children if value in other.parent_values)
        for value in _tried(one)
    )


def _tried(one: Range) -> "list[Any] | range":
    """What a grid tries. Raises UserError for a range of real numbers."""
    if one.listed is not None:
        return one.listed
    if one.kind is not int or one.low is None or one.high is None:
        raise UserError(
            f"model.py: {one.name}: GRID_SEARCH takes no real numbers, and {one} is a range of them: give it "
            f"values=[...], or a step that leaves at most {MOST_VALUES}, or its value as a flag"
        )
    return range(int(one.low), int(one.high) + 1)


def _begins_at_zero(one: Range) -> bool:
    return one.low is not None and one.low <= 0
