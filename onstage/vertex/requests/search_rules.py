"""What Vertex AI refuses in the search of a tuning job, its StudySpec.

Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/StudySpec
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onstage.problem import Path, Problem, dotted, twice

Body = Mapping[str, Any]
# Of DiscreteValueSpec: how many, and how far apart at least.
MOST_VALUES, CLOSEST = 1000, 1e-10
# What a condition may name, by its parent's kind.
_CONDITIONS = {
    "categoricalValueSpec": "parentCategoricalValues",
    "discreteValueSpec": "parentDiscreteValues",
    "integerValueSpec": "parentIntValues",
}


def study(study: Body) -> Iterator[Problem]:
    """The problems of a study's parameters."""
    path: Path = ("studySpec", "parameters")
    parameters = study.get("parameters") or ()
    yield from twice(_names(parameters), path, "parameter")
    for number, one in enumerate(parameters):
        yield from _parameter(one, (*path, number), study.get("algorithm") == "GRID_SEARCH")


def _names(parameters: Sequence[Body]) -> Iterator[Any]:
    """Each parameter's name; one below a parent once, because it may be there for several of its values."""
    for one in parameters:
        yield one.get("parameterId")
        nested = [item.get("parameterSpec") or {} for item in one.get("conditionalParameterSpecs") or ()]
        yield from {name: None for each in nested for name in _names([each])}


def _parameter(one: Body, path: Path, is_grid: bool) -> Iterator[Problem]:
    kinds = [name for name in one if name.endswith("ValueSpec")]
    if not kinds:
        yield Problem(dotted(path), "has no values: doubleValueSpec, integerValueSpec ...", "give one of them")
        return
    if is_grid and kinds[0] == "doubleValueSpec":
        fix = "use discrete values, or RANDOM_SEARCH"
        yield Problem(dotted((*path, "doubleValueSpec")), "GRID_SEARCH takes no real numbers", fix)
    yield from _range(one, kinds[0], path)
    nested = one.get("conditionalParameterSpecs") or ()
    for number, item in enumerate(nested):
        where = (*path, "conditionalParameterSpecs", number)
        yield from _condition(item, one, kinds[0], where)
        yield from _parameter(item.get("parameterSpec") or {}, (*where, "parameterSpec"), is_grid)
    yield from _overlapping(nested, (*path, "conditionalParameterSpecs"))


def _condition(item: Body, parent: Body, kind: str, path: Path) -> Iterator[Problem]:
    given = next((name for name in _CONDITIONS.values() if name in item), None)
    needed = _CONDITIONS.get(kind)
    if needed is None:
        fix = "give the parent a list of values"
        yield Problem(dotted(path), "depends on a parameter of real numbers, which never has just one value", fix)
    elif given is None:
        yield Problem(dotted((*path, needed)), "is missing", f"add {needed}")
    elif given != needed:
        yield Problem(dotted((*path, given)), f"does not fit a parent with {kind}", f"write {needed}")
    else:
        spec, wanted = parent[kind], item[given].get("values") or ()
        if "values" in spec:
            odd = [one for one in wanted if one not in spec["values"]]
            known = ", ".join(map(str, spec["values"]))
        else:
            low, high = int(spec.get("minValue", 0)), int(spec.get("maxValue", 0))
            odd, known = [one for one in wanted if not low <= int(one) <= high], f"{low} to {high}"
        if odd:
            message = f"{odd[0]!r} is no value of {parent.get('parameterId')}: {known}"
            yield Problem(dotted((*path, given, "values")), message, "choose one of its values")


def _overlapping(nested: Sequence[Body], path: Path) -> Iterator[Problem]:
    """Parameters of one name below one parent are for different values of it."""
    for one, other in itertools.combinations(nested, 2):
        names = [(item.get("parameterSpec") or {}).get("parameterId") for item in (one, other)]
        values = [{str(value) for value in _wanted(item)} for item in (one, other)]
        if names[0] is not None and names[0] == names[1] and values[0] & values[1]:
            same = ", ".join(sorted(values[0] & values[1]))
            yield Problem(dotted(path), f"{names[0]!r} is there twice where the parent is {same}", "remove one")


def _wanted(item: Body) -> Sequence[Any]:
    return next((item[name].get("values") or () for name in _CONDITIONS.values() if name in item), ())


def _range(parameter: Body, kind: str, path: Path) -> Iterator[Problem]:
    spec, where = parameter[kind], (*path, kind)
    if kind == "categoricalValueSpec":
        return
    if kind == "discreteValueSpec":
        least, low = "values", float(min(spec.get("values") or [1]))
        yield from _discrete(spec.get("values") or (), (*where, "values"))
    else:
        least, low, high = "minValue", float(spec.get("minValue", 0)), float(spec.get("maxValue", 0))
        if low >= high:
            message = f"{high:g} is not more than minValue, {low:g}"
            yield Problem(dotted((*where, "maxValue")), message, _mend(low, high))
    if parameter.get("scaleType") in ("UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE") and low <= 0:
        message = f"{low:g} is not above 0, which a logarithmic scale needs"
        yield Problem(dotted((*where, least)), message, 'choose a larger low, or scale="linear"')


def _discrete(values: Sequence[float], path: Path) -> Iterator[Problem]:
    if list(values) != sorted(set(values)):
        yield Problem(dotted(path), "must increase", "sort the values")
    elif any(after - before < CLOSEST for before, after in itertools.pairwise(values)):
        yield Problem(dotted(path), f"has values less than {CLOSEST} apart", "give fewer, or search their logarithm")
    if len(values) > MOST_VALUES:
        yield Problem(dotted(path), f"has {len(values)} values; {MOST_VALUES} are allowed", "give a range")


def _mend(low: float, high: float) -> str:
    if low > high:
        return "swap them"
    return f"one value is no range: leave the range out and give {low:g} alone, or a higher maxValue"
