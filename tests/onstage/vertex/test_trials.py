"""Of a tuning job, the trials to rehearse: Vertex AI's flags, of every kind of parameter and condition."""

import copy
from typing import Any

import pytest

from onstage.vertex.requests import trials, validate
from tests.onstage.vertex.bodies import of_each_kind


def body(*parameters: dict[str, Any]) -> dict[str, Any]:
    """A tuning job with these parameters."""
    job = copy.deepcopy(of_each_kind(replica_count=2)["HyperparameterTuningJob"])
    job["studySpec"]["parameters"] = list(parameters)
    return job


def real(name: str, low: float, high: float, scale: str = "UNIT_LINEAR_SCALE") -> dict[str, Any]:
    return {"parameterId": name, "doubleValueSpec": {"minValue": low, "maxValue": high}, "scaleType": scale}


def whole(name: str, low: Any, high: Any, scale: str = "UNIT_LINEAR_SCALE") -> dict[str, Any]:
    return {"parameterId": name, "integerValueSpec": {"minValue": low, "maxValue": high}, "scaleType": scale}


def listed(name: str, *values: Any) -> dict[str, Any]:
    kind = "categoricalValueSpec" if isinstance(values[0], str) else "discreteValueSpec"
    return {"parameterId": name, kind: {"values": list(values)}}


def under(parent: dict[str, Any], *children: tuple[str, list[Any], dict[str, Any]]) -> dict[str, Any]:
    """`parent` with children, each with the kind and the values of its condition."""
    nested = [{kind: {"values": values}, "parameterSpec": child} for kind, values, child in children]
    return {**parent, "conditionalParameterSpecs": nested}


def flags(job: dict[str, Any], at: float) -> list[str]:
    """What the service adds at a place in all ranges."""
    pools = trials.trial(job, at)["jobSpec"]["workerPoolSpecs"]
    before = len(job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"])
    found = [pool["containerSpec"]["args"][before:] for pool in pools]
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (real("x", 1e-4, 0.1), ["0.0001", "0.05005", "0.1"]),
        (real("x", 1e-4, 0.01, "UNIT_LOG_SCALE"), ["0.0001", "0.001", "0.01"]),
        (real("x", 0.01, 0.99, "UNIT_REVERSE_LOG_SCALE"), ["0.01", "0.900501", "0.99"]),
        (whole("x", 1, 100), ["1.0", "50.0", "100.0"]),
        (whole("x", "1", "100", "UNIT_LOG_SCALE"), ["1.0", "10.0", "100.0"]),
        (whole("x", 1, 100, "UNIT_REVERSE_LOG_SCALE"), ["1.0", "91.0", "100.0"]),
        (listed("x", 8, 16, 32), ["8.0", "16.0", "32.0"]),
        (listed("x", 0.5, 0.75, 1.0), ["0.5", "0.75", "1.0"]),
        (listed("x", "a", "1", "c"), ["a", "1", "c"]),
    ],
)
def test_every_kind_of_parameter_has_its_exact_ends_and_its_middle_by_its_scale(
    one: dict[str, Any], expected: list[str]
) -> None:
    assert [flags(body(one), at) for at in (0, 0.5, 1)] == [[f"--x={text}"] for text in expected]


@pytest.mark.parametrize(
    ("parent", "condition", "values"),
    [
        (listed("p", "adam", "sgd"), "parentCategoricalValues", ["sgd"]),
        (listed("p", 8, 16), "parentDiscreteValues", [16.0]),
        (whole("p", 1, 3), "parentIntValues", ["3"]),
        (whole("p", 1, 3), "parentIntValues", [3]),
    ],
)
def test_a_conditional_parameter_is_a_flag_only_where_its_parent_has_its_value(
    parent: dict[str, Any], condition: str, values: list[Any]
) -> None:
    job = body(under(parent, (condition, values, real("momentum", 0, 0.9))))
    assert validate.problems("HyperparameterTuningJob", job, "us-central1") == []
    assert len(flags(job, 0)) == 1
    assert flags(job, 1)[1:] == ["--momentum=0.9"]


def test_conditions_below_conditions_are_followed() -> None:
    nesterov = under(listed("nesterov", "false", "true"), ("parentCategoricalValues", ["true"], whole("warmup", 1, 9)))
    job = body(under(listed("optimizer", "adam", "sgd"), ("parentCategoricalValues", ["sgd"], nesterov)))
    assert flags(job, 0) == ["--optimizer=adam"]
    assert flags(job, 1) == ["--optimizer=sgd", "--nesterov=true", "--warmup=9.0"]


def test_each_trial_has_an_output_of_its_own_and_all_that_counts_is_met() -> None:
    job = body(
        under(listed("optimizer", "adam", "lion", "sgd"), ("parentCategoricalValues", ["lion"], real("beta", 0, 0.9))),
        whole("units", 4, 64),
    )
    before = copy.deepcopy(job)
    found = trials.to_rehearse(job)
    assert job == before
    assert {str(corner): chosen for corner, chosen, _ in found} == {
        "the low ends": {"optimizer": "adam", "units": "4.0"},
        "the high ends": {"optimizer": "sgd", "units": "64.0"},
        "the middle": {"optimizer": "lion", "beta": "0.45", "units": "34.0"},
        "the low ends with optimizer=lion": {"optimizer": "lion", "beta": "0.0", "units": "4.0"},
        "the high ends with optimizer=lion": {"optimizer": "lion", "beta": "0.9", "units": "64.0"},
    }
    for number, (_, chosen, one) in enumerate(found, 1):
        assert validate.problems("CustomJob", one, "us-central1") == []
        assert one["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"] == f"gs://bkt/iris/jobs/iris-1/{number}"
        args = one["jobSpec"]["workerPoolSpecs"][1]["containerSpec"]["args"]
        assert args[-len(chosen) :] == [f"--{name}={text}" for name, text in chosen.items()]
