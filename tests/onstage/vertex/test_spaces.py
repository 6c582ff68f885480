"""model.py's ranges as Vertex AI's: each kind, what is another there and said, and what each strategy can search."""

import copy
import re
from typing import Any

import pytest

from onstage import space
from onstage.cloud import Search
from onstage.commands import application
from onstage.errors import StartError, UserError
from onstage.vertex.client.platform import _tuning
from onstage.vertex.requests import bodies, spaces, validate, values
from onstage.vertex_section import Vertex
from tests.onstage.test_ranges import searched
from tests.onstage.trainer import run
from tests.onstage.vertex.bodies import PLAIN

LINEAR, LOG, REVERSED = "UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE"
Field = tuple[str, Any, Any, dict[str, Any]]


def real(low: float, high: float, scale: str = LINEAR) -> dict[str, Any]:
    return {"doubleValueSpec": {"minValue": low, "maxValue": high}, "scaleType": scale}


def whole(low: int, high: int, scale: str = LINEAR) -> dict[str, Any]:
    return {"integerValueSpec": {"minValue": low, "maxValue": high}, "scaleType": scale}


def discrete(*numbers: float, **others: str) -> dict[str, Any]:
    return {"discreteValueSpec": {"values": list(numbers)}, **others}


def categorical(*texts: str) -> dict[str, Any]:
    return {"categoricalValueSpec": {"values": list(texts)}}


# What model.py says, what is sent, and what is said of it.
KINDS: dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any], str]] = {
    "linear": (float, 0.1, {"low": 0, "high": 1}, real(0, 1), ""),
    "log": (float, 0.1, {"low": 1e-4, "high": 1, "scale": "log"}, real(1e-4, 1, LOG), ""),
    "reverse log": (float, 0.9, {"low": 0.9, "high": 0.999, "scale": "reverse_log"}, real(0.9, 0.999, REVERSED),
                    "x: Vertex AI's reverse log is of 1.899 - x, not of 1 - x: values near 0.999 come 1.11 times as"),
    "reverse log that is the same": (float, 0.9, {"low": 0.001, "high": 0.999, "scale": "reverse_log"},
                                     real(0.001, 0.999, REVERSED), ""),
    "reverse log from 0": (float, 0.9, {"low": 0, "high": 0.999, "scale": "reverse_log"}, real(0, 0.999),
                           "x: Vertex AI's reverse log scale needs a range above 0: it is searched on a linear scale"),
    "whole": (int, 8, {"low": 4.0, "high": 64, "scale": "log"}, whole(4, 64, LOG), ""),
    "whole in steps of 1": (int, 8, {"low": 4, "high": 9, "step": 1}, whole(4, 9), ""),
    "whole, reverse log": (int, 8, {"low": 4, "high": 64, "scale": "reverse_log"}, whole(4, 64, REVERSED), ""),
    "steps": (float, 0.1, {"low": 0.1, "high": 0.3, "step": 0.1}, discrete(0.1, 0.2, 0.3, scaleType=LINEAR), ""),
    "steps, log": (int, 8, {"low": 8, "high": 24, "step": 8, "scale": "log"}, discrete(8, 16, 24, scaleType=LOG), ""),
    "steps, reverse log from 0": (float, 0.5, {"low": 0, "high": 0.5, "step": 0.5, "scale": "reverse_log"},
                                  discrete(0, 0.5, scaleType=LINEAR), "needs a range above 0"),
    "a thousand steps": (int, 2, {"low": 2, "high": 2000, "step": 2}, discrete(*range(2, 2001, 2), scaleType=LINEAR),
                         ""),
    "more steps": (int, 2, {"low": 2, "high": 2002, "step": 2}, whole(2, 2002),
                   "x: Vertex AI takes at most 1000 values: 2 to 2002 is sent without its steps, and values between"),
    "numbers": (int, 8, {"values": [32, 8]}, discrete(8, 32), ""),
    "texts": (str, "8", {"values": ["relu", "8"]}, categorical("relu", "8"), ""),
    "truth": (bool, True, {}, categorical("false", "true"), ""),
    "none among values": (float | None, None, {"values": [None, 1.5]}, categorical("null", "1.5"), ""),
}  # fmt: skip


def body(*fields: Field, fixed: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    hyperparameters, objective = searched(*fields)(), run.Objective("val_loss", "minimize")
    return bodies.tuning_job(Vertex(**PLAIN), "iris", "tune-1", hyperparameters, objective, fixed=fixed, **options)


def problems(made: dict[str, Any]) -> list[str]:
    return [str(one) for one in validate.problems("HyperparameterTuningJob", made, "us-central1")]


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_range_is_sent_as_what_is_nearest_and_what_is_lost_is_said(name: str) -> None:
    *described, sent, said = KINDS[name]
    made = body(("x", *described))
    assert made["studySpec"]["parameters"] == [{"parameterId": "x", **sent}]
    assert problems(made) == []
    notes = spaces.notes(space.of(searched(("x", *described))))
    assert (said in notes[0], len(notes)) == (True, 1) if said else notes == []


CONDITIONS: list[Field] = [
    ("nesterov", bool, False, {"when": {"momentum": [0.5, 0.9]}}),
    ("momentum", float, 0.5, {"values": [0.9, 0.5, 0.0], "when": {"optimizer": "sgd"}}),
    ("optimizer", str, "sgd", {"values": ["sgd", "adam"]}),
    ("layers", int, 1, {"low": 1, "high": 3}),
    ("second", int, 8, {"low": 4, "high": 8, "when": {"layers": [3, 2]}}),
    ("warm", bool, False, {}),
    ("steps", int, 2, {"values": [2, 4], "when": {"warm": True}}),
]


def test_what_counts_only_sometimes_is_nested_below_what_it_depends_on() -> None:
    made = body(*CONDITIONS)
    optimizer, layers, warm = made["studySpec"]["parameters"]
    [momentum] = optimizer["conditionalParameterSpecs"]
    assert momentum["parentCategoricalValues"] == {"values": ["sgd"]}
    [nesterov] = momentum["parameterSpec"]["conditionalParameterSpecs"]
    assert nesterov == {
        "parentDiscreteValues": {"values": [0.5, 0.9]},
        "parameterSpec": {"parameterId": "nesterov", **categorical("false", "true")},
    }
    [second] = layers["conditionalParameterSpecs"]
    assert second == {"parentIntValues": {"values": [2, 3]}, "parameterSpec": {"parameterId": "second", **whole(4, 8)}}
    [steps] = warm["conditionalParameterSpecs"]
    assert steps["parentCategoricalValues"] == {"values": ["true"]}
    assert problems(made) == []
    assert spaces.notes(space.of(searched(*CONDITIONS))) == []


def test_what_a_flag_says_is_not_searched_and_nothing_depends_on_it() -> None:
    made = body(*CONDITIONS, fixed=("optimizer", "layers", "warm"))
    assert [one["parameterId"] for one in made["studySpec"]["parameters"]] == ["momentum", "second", "steps"]
    assert "--optimizer=sgd" in made["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]
    assert problems(made) == []


def test_a_grid_is_of_whole_numbers_lists_and_steps_and_says_how_many_there_are() -> None:
    ranges = space.of(searched(*CONDITIONS))
    # optimizer: adam, sgd with 0.0, and with two others each twice; layers: 1, and two with five; warm: false, two.
    assert spaces.combinations(ranges) == (1 + 1 + 2 * 2) * (1 + 2 * 5) * (1 + 2)
    made = body(*CONDITIONS, algorithm="GRID_SEARCH")
    assert problems(made) == []
    assert "10 of 198 combinations are tried; --trials 198 tries all" in spaces.notes(ranges, "GRID_SEARCH", 10)[0]
    assert spaces.notes(ranges, "GRID_SEARCH", 198) == []
    with pytest.raises(UserError, match=r"model.py: x: GRID_SEARCH takes no real numbers, and 0.0 to 1.0 is a range"):
        body(*CONDITIONS, ("x", float, 0.1, {"low": 0, "high": 1}), algorithm="GRID_SEARCH")


def test_trials_that_fall_behind_are_ended_where_that_is_asked_for() -> None:
    x: Field = ("x", float, 0.1, {"low": 0, "high": 1})
    for word, name in (("median", "medianAutomatedStoppingSpec"), ("decay-curve", "decayCurveStoppingSpec")):
        made = body(x, **_tuning(Search(3, 2, "random", word)))
        assert (made["studySpec"][name], made["studySpec"]["algorithm"]) == ({}, "RANDOM_SEARCH")
        assert (made["maxTrialCount"], problems(made)) == (3, [])
    assert list(body(x, **_tuning(Search(None, 2, "", "off")))["studySpec"]) == ["metrics", "parameters"]


def test_names_of_strategies_are_taken_in_any_case_and_others_are_refused_with_the_known_ones() -> None:
    for word, name in (("", ""), ("Bayesian", ""), ("GRID", "GRID_SEARCH"), ("RANDOM_SEARCH", "RANDOM_SEARCH")):
        assert _tuning(Search(4, 2, word))["algorithm"] == name
    with pytest.raises(StartError, match="--strategy hyperband: Google Vertex AI has bayesian, random, grid"):
        _tuning(Search(4, 2, "hyperband"))
    with pytest.raises(StartError, match="--early-stopping auto: Google Vertex AI has off, median, decay-curve"):
        _tuning(Search(4, 2, "", "auto"))


def broken(change: dict[str, Any]) -> list[str]:
    """The problems of CONDITIONS' optimizer with another condition, or of another parameter."""
    made = copy.deepcopy(body(*CONDITIONS))
    made["studySpec"]["parameters"][0] |= change
    return problems(made)


def child(name: str = "momentum", **condition: Any) -> dict[str, Any]:
    return {**{key: {"values": one} for key, one in condition.items()},
            "parameterSpec": {"parameterId": name, **real(0, 1)}}  # fmt: skip


RULES: dict[str, tuple[dict[str, Any], str]] = {
    "a value of the parent": ({"conditionalParameterSpecs": [child(parentCategoricalValues=["adam"])]}, ""),
    "no value of the parent": (
        {"conditionalParameterSpecs": [child(parentCategoricalValues=["rms"])]},
        "'rms' is no value of optimizer: sgd, adam"),
    "a condition for another kind": (
        {"conditionalParameterSpecs": [child(parentIntValues=[1])]}, "does not fit a parent with categoricalValueSpec"),
    "no condition": ({"conditionalParameterSpecs": [child()]}, "parentCategoricalValues: is missing"),
    "one name for different values": (
        {"conditionalParameterSpecs": [child(parentCategoricalValues=[one]) for one in ("sgd", "adam")]}, ""),
    "one name for the same value": (
        {"conditionalParameterSpecs": [child(parentCategoricalValues=["sgd"])] * 2},
        "'momentum' is there twice where the parent is sgd"),
    "a name that is there": (
        {"conditionalParameterSpecs": [child("layers", parentCategoricalValues=["sgd"])]},
        "the parameter 'layers' is there 2 times"),
    "a range that is nested": (
        {"conditionalParameterSpecs": [{"parentCategoricalValues": {"values": ["sgd"]},
                                        "parameterSpec": {"parameterId": "z", **real(0, 1, LOG)}}]},
        "0 is not above 0, which a logarithmic scale needs"),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_what_vertex_ai_refuses_in_a_condition_is_named_and_its_neighbour_is_not(name: str) -> None:
    change, said = RULES[name]
    found = broken(change)
    assert (said in found[0], len(found)) == (True, 1) if said else found == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (discrete(*range(1000)), ""),
        (discrete(*range(1001)), "has 1001 values; 1000 are allowed"),
        (discrete(1e-9, 2e-9), ""),
        (discrete(1e-11, 2e-11), "less than 1e-10 apart"),
        (discrete(0.1, 1, scaleType=LOG), ""),
        (discrete(0, 1, scaleType=LOG), "0 is not above 0, which a logarithmic scale needs"),
        (real(0, 1, REVERSED), "0 is not above 0, which a logarithmic scale needs"),
        (real(0.1, 1, REVERSED), ""),
    ],
)
def test_what_vertex_ai_refuses_in_a_range_is_named_and_its_neighbour_is_not(spec: dict[str, Any], said: str) -> None:
    made = body(("x", float, 0.1, {"low": 0, "high": 1}))
    made["studySpec"]["parameters"] = [{"parameterId": "x", **spec}]
    found = problems(made)
    assert (said in found[0], len(found)) == (True, 1) if said else found == []


def test_nothing_can_depend_on_real_numbers() -> None:
    made = body(("x", float, 0.1, {"low": 0, "high": 1}))
    made["studySpec"]["parameters"][0]["conditionalParameterSpecs"] = [child(parentDiscreteValues=[0.5])]
    assert ["depends on a parameter of real numbers" in one for one in problems(made)] == [True]


def test_values_of_a_trial_are_read_as_model_py_has_them() -> None:
    made = body(
        *CONDITIONS, ("rate", float, 0.1, {"low": 0, "high": 1}), ("clip", float | None, None, {"values": [None, 1.5]}),
        ("kind", str, "8", {"values": ["relu", "8"]}), ("epochs", int, 3, {"values": [3, 4]}), fixed=("epochs",),
    )  # fmt: skip
    told = {"layers": 2.0, "second": 5.0, "optimizer": "sgd", "momentum": 0.9, "nesterov": "true", "steps": 4.0,
            "rate": 0.25, "clip": "1.5", "kind": "8"}  # fmt: skip
    read = values.searched(made, [{"parameterId": name, "value": value} for name, value in told.items()])
    assert read == {**told, "nesterov": True, "clip": 1.5}
    assert [type(read[name]) for name in ("layers", "second", "steps", "momentum", "kind")] == [
        int,
        int,
        int,
        float,
        str,
    ]
    assert values.searched(made, [{"parameterId": "clip", "value": "null"}]) == {"clip": None}
    assert values.fixed(made) == {"epochs": "3"}


def test_help_names_every_strategy() -> None:
    assert set(re.findall(r"[a-z-]+", application._STRATEGIES["vertex"])) - {"or"} == set(spaces.STRATEGIES)
    stoppings = application._STOPPINGS["vertex"].partition(": ")[2]
    assert set(re.findall(r"[a-z-]+", stoppings)) - {"or"} == set(spaces.STOPPINGS)
