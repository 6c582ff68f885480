"""The trials that are chosen meet both ends and the middle of every range, and every value of a condition."""

from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage import corners
from onstage.corners import Parameter


def listed(name: str, *values: str, parent: str | None = None, wanted: Sequence[str] = ()) -> Parameter:
    return Parameter(name, partial(corners.listed, values), values, parent, wanted)


def ranged(name: str, low: float, high: float, parent: str | None = None, wanted: Sequence[str] = ()) -> Parameter:
    return Parameter(name, lambda at: str(corners.between(low, high, at)), (), parent, wanted)


def told(*parameters: Parameter) -> dict[str, dict[str, str]]:
    return {str(one): corners.choose(parameters, one.at, one.fixed) for one in corners.of(parameters)}


def test_without_conditions_there_are_the_low_ends_the_high_ends_and_the_middle() -> None:
    assert told(ranged("rate", 0, 1), listed("batch", "8", "16", "32", "64")) == {
        "the low ends": {"rate": "0", "batch": "8"},
        "the high ends": {"rate": "1", "batch": "64"},
        "the middle": {"rate": "0.5", "batch": "32"},
    }


def test_a_trial_that_would_be_another_one_is_left_out() -> None:
    assert list(told(listed("bias", "false", "true"))) == ["the low ends", "the high ends"]


def test_what_counts_by_a_condition_is_met_at_both_ends_and_in_the_middle() -> None:
    optimizer = listed("optimizer", "adam", "sgd", "rmsprop", "lion")
    momentum = ranged("momentum", 0, 1, "optimizer", ["sgd", "lion"])
    assert told(optimizer, momentum) == {
        "the low ends": {"optimizer": "adam"},
        "the high ends": {"optimizer": "lion", "momentum": "1"},
        "the middle": {"optimizer": "rmsprop"},
        "the low ends with optimizer=sgd": {"optimizer": "sgd", "momentum": "0"},
        "the middle with optimizer=sgd": {"optimizer": "sgd", "momentum": "0.5"},
    }


def test_a_value_of_a_condition_by_which_nothing_counts_is_tried_in_the_middle() -> None:
    found = told(listed("optimizer", "adam", "a", "b", "sgd"), ranged("momentum", 0, 1, "optimizer", ["sgd"]))
    assert found["the middle with optimizer=a"] == {"optimizer": "a"}
    assert len(found) == 6


def test_of_a_range_of_numbers_only_what_others_count_by_is_tried() -> None:
    found = told(ranged("layers", 1, 101), ranged("skip", 0, 1, "layers", ["7"]))
    assert found["the low ends with layers=7"] == {"layers": "7", "skip": "0"}
    assert len(found) == 6


def test_a_condition_below_another_one_brings_that_one_along() -> None:
    found = told(
        listed("optimizer", "adam", "sgd"),
        listed("nesterov", "false", "true", parent="optimizer", wanted=["sgd"]),
        ranged("warmup", 0, 1, "nesterov", ["false"]),
    )
    assert found["the high ends with optimizer=sgd and nesterov=false"] == {
        "optimizer": "sgd", "nesterov": "false", "warmup": "1",
    }  # fmt: skip


@given(st.data())
def test_every_end_and_every_value_of_a_condition_is_met(data: st.DataObject) -> None:
    parameters = []
    for number in range(data.draw(st.integers(1, 6))):
        above = [one for one in parameters if one.values]
        parent = data.draw(st.sampled_from([None, *above]))
        wanted = data.draw(st.lists(st.sampled_from(parent.values), min_size=1, unique=True)) if parent else []
        name, of = f"p{number}", parent.name if parent else None
        values = [f"v{value}" for value in range(data.draw(st.integers(2, 5)))]
        made = [listed(name, *values, parent=of, wanted=wanted), ranged(name, 0, 1, of, wanted)]
        parameters.append(data.draw(st.sampled_from(made)))
    chosen = list(told(*parameters).values())
    assert len({tuple(one.items()) for one in chosen}) == len(chosen)
    for one in parameters:
        tried = {each[one.name] for each in chosen if one.name in each}
        assert tried >= {one.value(at) for at in (0, 0.5, 1)}
        if any(other.parent == one.name for other in parameters):
            assert tried == set(one.values)
        for each in chosen:
            assert (one.name in each) == one.counts(each)


@pytest.mark.parametrize(
    ("scale", "middle"),
    [("", 0.5005), ("log", 0.0316228), ("reverse_log", 1 - (0.999 * 0.000001) ** 0.5), ("mirrored_log", 0.969377)],
)
def test_the_middle_follows_the_scale_and_the_ends_are_exact(scale: str, middle: float) -> None:
    low, high = 0.001, 0.999999 if scale == "reverse_log" else 1.0
    assert corners.between(low, high, 0.5, scale) == pytest.approx(middle, rel=1e-5)
    assert [corners.between(low, high, at, scale) for at in (0, 1)] == [low, high]


@given(
    st.floats(1e-9, 1e9), st.floats(1e-6, 1e9), st.floats(0, 1), st.sampled_from(["", "log", "mirrored_log"]),
)  # fmt: skip
def test_no_place_is_outside_of_its_range(low: float, more: float, at: float, scale: str) -> None:
    assert low <= corners.between(low, low + more, at, scale) <= low + more


def test_a_number_between_neighbours_stays_between_them() -> None:
    assert 0.9999991 < corners.between(0.9999991, 0.9999999, 0.5, "reverse_log") < 0.9999999
