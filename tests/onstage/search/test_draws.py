"""What is drawn for each kind of range: within it, on its scale, as model.py has it."""

import math
from typing import Any

import optuna
import pytest

from onstage import space
from onstage.search import draws
from tests.onstage.test_ranges import LAYERS, MOMENTUM, NESTEROV, OPTIMIZER, RIGHT, searched

optuna.logging.set_verbosity(optuna.logging.ERROR)


def drawn(*fields: Any, count: int = 200) -> list[dict[str, Any]]:
    """Values of so many trials, drawn at random."""
    study, ranges = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)), space.of(searched(*fields))
    found = []
    for _ in range(count):
        trial = study.ask()
        found.append(draws.draw(trial, ranges))
        # What the pictures show is taken by Optuna, too.
        values, distributions = draws.view(ranges, found[-1])
        study.tell(trial, 1.0)
        optuna.create_study().add_trial(optuna.create_trial(params=values, distributions=distributions, value=1.0))
    return found


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_drawn_is_in_the_range_and_of_its_kind(name: str) -> None:
    kind, default, search = RIGHT[name]
    (one,) = space.of(searched(("x", kind, default, search)))
    found = [values["x"] for values in drawn(("x", kind, default, search))]
    assert len(set(found)) > 1
    if one.listed is not None:
        assert set(found) <= set(one.listed)
        assert len(set(found)) >= min(len(one.listed), 20)
    else:
        assert all(one.low <= value <= one.high for value in found)
        assert all(type(value) is one.kind for value in found)
        assert all(len(str(value)) <= 14 for value in found)


def test_log_scales_are_fine_at_their_own_end() -> None:
    log = [values["x"] for values in drawn(("x", *RIGHT["log"]))]
    # Half of them below the geometric mean.
    assert 0.4 < sum(value < math.sqrt(1e-5) for value in log) / len(log) < 0.6
    reverse = [values["x"] for values in drawn(("x", *RIGHT["reverse"]))]
    assert 0.4 < sum(value > 1 - math.sqrt(1e-3) for value in reverse) / len(reverse) < 0.6
    whole = [values["x"] for values in drawn(("x", *RIGHT["reverse of whole numbers"]))]
    assert sum(value > 7 for value in whole) > sum(value <= 7 for value in whole)


def test_what_does_not_count_is_not_drawn() -> None:
    third = ("third", int, 8, {"values": [8, 16], "when": {"nesterov": True}})
    found = drawn(OPTIMIZER, MOMENTUM, NESTEROV, LAYERS, third)
    for values in found:
        assert ("momentum" in values) == (values["optimizer"] in ("sgd", "rmsprop"))
        assert ("nesterov" in values) == (values["optimizer"] == "sgd")
        assert ("third" in values) == values.get("nesterov", False)


def test_what_optuna_cannot_express_is_said() -> None:
    stepped = ("x", *RIGHT["steps, log"])
    assert draws.notes(space.of(searched(stepped, LAYERS))) == [
        "x: Optuna has no steps on a log scale: what it draws there is rounded to the nearest step"
    ]
    assert draws.notes(space.of(searched(("x", *RIGHT["steps"]), OPTIMIZER, MOMENTUM))) == []
