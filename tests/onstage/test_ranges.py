"""The search space of model.py: what is one, and what makes no sense, by the name of its field."""

from dataclasses import field, make_dataclass
from typing import Any

import pytest

from onstage import range_advice, space
from onstage.errors import UserError


def searched(*fields: tuple[str, Any, Any, dict[str, Any]]) -> type:
    """A dataclass of hyperparameters: name, type, default and search space of each."""
    made = [(name, kind, field(default=default, metadata={"search": search})) for name, kind, default, search in fields]
    return make_dataclass("Hyperparameters", made)


RIGHT = {
    "real": (float, 0.1, {"low": 0, "high": 1}),
    "log": (float, 0.01, {"low": 1e-5, "high": 1, "scale": "log"}),
    "reverse": (float, 0.9, {"low": 0, "high": 0.999, "scale": "reverse_log"}),
    "reverse of whole numbers": (int, 9, {"low": 1, "high": 10, "scale": "reverse_log"}),
    "whole": (int, 16, {"low": 4.0, "high": 64.0, "scale": "log"}),
    "steps": (int, 17, {"low": 8, "high": 64, "step": 8}),
    "steps, log": (int, 8, {"low": 8, "high": 512, "step": 8, "scale": "log"}),
    "steps of real numbers": (float, 0.1, {"low": 0.1, "high": 0.3, "step": 0.1}),
    "numbers": (int, 8, {"values": [32, 8, 16]}),
    "real numbers": (float, 1, {"values": [1, 0.5]}),
    "texts": (str, "relu", {"values": ("relu", "tanh")}),
    "truth": (bool, True, {}),
    "listed truth": (bool, True, {"values": [True, False]}),
    "none": (float | None, None, {"low": 0.1, "high": 1}),
    "none among values": (float | None, None, {"values": [None, 1.0]}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_makes_sense_is_a_range(name: str) -> None:
    hyperparameters = searched(("x", *RIGHT[name]))
    assert range_advice.ranges(hyperparameters) == []
    assert space.of(hyperparameters).names == ["x"]


@pytest.mark.parametrize(
    ("kind", "default", "search", "said"),
    [
        (int, 1, {}, "x: tunable() needs low and high, or values"),
        (int, 1, {"low": 1}, "x: tunable() needs low and high, or values; it has only low"),
        (int, 1, {"low": 1, "high": 2, "values": [1, 2]}, "x: tunable() has values and low, high: give a list or"),
        (int, 1, {"low": 1, "high": 2, "scale": "ln"}, "scale is 'linear', 'log' or 'reverse_log', not 'ln'"),
        (float, 1, {"low": 2, "high": 1}, "x: low=2 is not below high=1"),
        (float, 1, {"low": 1, "high": 1}, "x: low=1 is not below high=1"),
        (float, 0.5, {"low": 0, "high": 1, "scale": "log"}, "x: a log scale begins above 0, not at low=0"),
        (float, 0.5, {"low": 0, "high": 1, "scale": "reverse_log"}, "from 0 to less than 1, not 0 to 1"),
        (int, 5, {"low": 0, "high": 9, "scale": "reverse_log"}, "begins at 1 or more, not at low=0"),
        (float, 2, {"low": 0, "high": 1}, "x: the default 2 is not between low=0 and high=1"),
        (float, None, {"low": 0, "high": 1}, "x: the default None is not between"),
        (float, "a", {"low": 0, "high": 1}, "x: the default 'a' is not between"),
        (float, 0.5, {"low": float("-inf"), "high": 1}, "x: low must be a finite number, not -inf"),
        (float, 0.5, {"low": "0", "high": 1}, "x: low must be a finite number, not '0'"),
        (int, 1, {"low": 1, "high": 2.5}, "x: high must be a whole number, not 2.5"),
        (int, 1, {"low": 1, "high": 9, "step": 0.5}, "x: step must be a whole number, not 0.5"),
        (int, 1, {"low": 1, "high": 9, "step": 9}, "x: step=9 must be above 0 and at most high - low, 8"),
        (str, "a", {"low": 1, "high": 9}, "x: low and high are for numbers; of a str give values"),
        (int, 1, {"values": "123"}, "x: values must be a list, not '123'"),
        (int, 1, {"values": [1]}, "x: values=[1] is nothing to search"),
        (int, 1, {"values": [1, "2"]}, "x: values has '2', which is no int"),
        (int, 1, {"values": [1, None]}, "x: values has None, which is no int"),
        (int, 1, {"values": [1, 2, 1]}, "x: values has 1 twice"),
        (int, 3, {"values": [1, 2]}, "x: the default 3 is none of the values [1, 2]"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(kind: Any, default: Any, search: dict[str, Any], said: str) -> None:
    (found,) = range_advice.ranges(searched(("x", kind, default, search)))
    assert found.startswith("model.py: x: ")
    assert said in found


OPTIMIZER = ("optimizer", str, "adam", {"values": ["adam", "sgd", "rmsprop"]})
MOMENTUM = ("momentum", float, 0.5, {"low": 0.1, "high": 0.9, "when": {"optimizer": ["sgd", "rmsprop"]}})
NESTEROV = ("nesterov", bool, False, {"when": {"optimizer": "sgd"}})
LAYERS = ("layers", int, 1, {"low": 1.0, "high": 3})


def test_a_field_that_counts_by_another_comes_after_it() -> None:
    third = ("third", int, 8, {"values": [8, 16], "when": {"layers": [2, 3]}})
    hyperparameters = searched(third, NESTEROV, MOMENTUM, OPTIMIZER, LAYERS)
    assert range_advice.ranges(hyperparameters) == []
    ranges = space.of(hyperparameters)
    assert ranges.names == ["optimizer", "layers", "third", "nesterov", "momentum"]
    values = {"optimizer": "rmsprop", "layers": 1, "third": 8, "nesterov": True, "momentum": 0.2}
    assert ranges.counting(values) == {"optimizer": "rmsprop", "layers": 1, "momentum": 0.2}
    assert ranges.described()["momentum"] == "0.1 to 0.9, where optimizer is sgd or rmsprop"
    fixed = space.of(hyperparameters, ["optimizer"])
    assert fixed.described()["momentum"] == "0.1 to 0.9"


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({"optimiser": "sgd"}, "when names 'optimiser', which is no other tunable field: optimizer, layers"),
        ({"x": 1}, "when names 'x', which is no other tunable field"),
        ("optimizer", "when names one other field, as in when={'optimizer': 'sgd'}, not 'optimizer'"),
        ({"optimizer": "sgd", "layers": 1}, "when names one other field"),
        ({"optimizer": "SGD"}, "when wants optimizer to be 'SGD', which it never is: ['adam', 'sgd', 'rmsprop']"),
        ({"optimizer": []}, "when lists no value of optimizer"),
        ({"layers": 4}, "when wants layers to be 4, which it never is: low=1, high=3"),
        ({"rate": 0.5}, "rate is a range of real numbers, and never has just one value: give it values=[...]"),
        ({"circle": 1}, "when goes in a circle: x counts by circle, and circle by x"),
    ],
)  # fmt: skip
def test_what_counts_by_nothing_is_refused(when: Any, said: str) -> None:
    rate = ("rate", float, 0.5, {"low": 0, "high": 1})
    circle = ("circle", int, 1, {"values": [1, 2], "when": {"x": 1}}) if "circle" in said else rate
    fields = [OPTIMIZER, LAYERS, circle, ("x", int, 1, {"low": 1, "high": 9, "when": when})]
    found = range_advice.ranges(searched(*fields))
    assert any(said in one and one.startswith("model.py: x: ") for one in found), found


def test_steps_are_spelt_as_people_write_them() -> None:
    (tenths,) = space.of(searched(("x", *RIGHT["steps of real numbers"])))
    assert tenths.listed == [0.1, 0.2, 0.3]
    (eights,) = space.of(searched(("x", int, 8, {"low": 8, "high": 30, "step": 8})))
    assert eights.listed == [8, 16, 24]
    assert [eights.stepped(value) for value in (0, 11.9, 12.1, 29, 99)] == [8, 8, 16, 24, 24]
    (many,) = space.of(searched(("x", int, 8, {"low": 0, "high": 1_000_000, "step": 1})))
    assert many.listed is None


def test_a_flag_leaves_the_search() -> None:
    hyperparameters = searched(OPTIMIZER, LAYERS)
    assert space.given(hyperparameters, ["--optimizer", "sgd", "--batch-size=3"]) == ["optimizer"]
    assert space.of(hyperparameters, ["optimizer"]).names == ["layers"]
    with pytest.raises(UserError, match="flags say the values of all that is tunable.*optimizer, layers"):
        space.of(hyperparameters, ["optimizer", "layers"])
