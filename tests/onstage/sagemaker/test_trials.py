"""Of a tuning job's body, the trials to rehearse: SageMaker's values, texts in JSON, of every kind of range."""

import json
from typing import Any

import pytest

from onstage.sagemaker.requests import trials, validate
from tests.onstage.sagemaker.test_requests import tuning


def body(*, static: dict[str, str] | None = None, **ranges: list[dict[str, Any]]) -> dict[str, Any]:
    """A tuning job with these ranges."""
    job = tuning()
    job["HyperParameterTuningJobConfig"]["ParameterRanges"] = ranges
    job["TrainingJobDefinition"]["StaticHyperParameters"].update(static or {})
    return job


def real(name: str, low: str, high: str, scale: str = "Linear") -> dict[str, str]:
    return {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scale}


def said(name: str, job: dict[str, Any], **conditions: tuple[str, list[Any]]) -> list[str]:
    """What the trials say of a hyperparameter."""
    return [one["HyperParameters"][name] for _, _, one in trials.to_rehearse(job, conditions)]


@pytest.mark.parametrize(
    ("kind", "one", "expected"),
    [
        ("ContinuousParameterRanges", real("x", "1e-4", "0.1"), ["1e-4", "0.1", "0.05005"]),
        ("ContinuousParameterRanges", real("x", "1e-4", "0.01", "Logarithmic"), ["1e-4", "0.01", "0.001"]),
        ("ContinuousParameterRanges", real("x", "0", "0.99", "ReverseLogarithmic"), ["0", "0.99", "0.9"]),
        ("ContinuousParameterRanges", real("x", "0", "10", "Auto"), ["0", "10", "5.0"]),
        ("IntegerParameterRanges", real("x", "1", "100"), ["1", "100", "50"]),
        ("IntegerParameterRanges", real("x", "1", "100", "Logarithmic"), ["1", "100", "10"]),
        ("CategoricalParameterRanges", {"Name": "x", "Values": ['"a"', '"b"', '"c"', '"d"']}, ['"a"', '"d"', '"c"']),
        ("CategoricalParameterRanges", {"Name": "x", "Values": ["true", "false"]}, ["true", "false"]),
    ],
)
def test_every_kind_of_range_has_its_ends_as_they_are_written_and_its_middle_by_its_scale(
    kind: str, one: dict[str, Any], expected: list[str]
) -> None:
    assert said("x", body(**{kind: [one]})) == expected


def test_each_trial_is_a_job_of_its_own_that_the_service_would_take() -> None:
    found = [job for _, _, job in trials.to_rehearse(tuning())]
    assert [job["TrainingJobName"] for job in found] == ["tune-1-001", "tune-1-002", "tune-1-003"]
    for job in found:
        assert validate.problems("CreateTrainingJob", job, "us-east-1") == []
        assert job["HyperParameters"]["_tuning_objective_metric"] == "val_accuracy"
        # It would be shared by all.
        assert "CheckpointConfig" not in job


def test_what_does_not_count_is_said_too_and_each_value_of_a_condition_is_tried() -> None:
    optimizers = {"Name": "optimizer", "Values": [json.dumps(one) for one in ("adam", "lion", "rmsprop", "sgd")]}
    job = body(
        CategoricalParameterRanges=[optimizers], ContinuousParameterRanges=[real("momentum", "0", "0.9")]
    )  # fmt: skip
    condition = {"momentum": ("optimizer", ["lion"])}
    assert said("momentum", job) == ["0", "0.9", "0.45"]
    found = trials.to_rehearse(job, condition)
    assert {str(corner): (chosen["optimizer"], chosen["momentum"]) for corner, chosen, _ in found} == {
        "the low ends": ('"adam"', "0"),
        "the high ends": ('"sgd"', "0.9"),
        "the middle": ('"rmsprop"', "0.45"),
        'the low ends with optimizer="lion"': ('"lion"', "0"),
        'the high ends with optimizer="lion"': ('"lion"', "0.9"),
        'the middle with optimizer="lion"': ('"lion"', "0.45"),
    }
    for _, chosen, one in found:
        assert chosen.items() <= one["HyperParameters"].items()


def test_a_whole_number_is_a_condition_too() -> None:
    job = body(IntegerParameterRanges=[real("layers", "1", "9")], ContinuousParameterRanges=[real("skip", "0", "1")])
    assert said("layers", job, skip=("layers", [2, 9])) == ["1", "9", "5", "2", "2"]


def test_several_definitions_have_trials_with_numbers_of_their_own() -> None:
    job = tuning()
    definition = job.pop("TrainingJobDefinition")
    config = job["HyperParameterTuningJobConfig"]
    definition["TuningObjective"] = config.pop("HyperParameterTuningJobObjective")
    definition["HyperParameterRanges"] = config.pop("ParameterRanges")
    job["TrainingJobDefinitions"] = [definition, definition]
    found = [one["TrainingJobName"] for _, _, one in trials.to_rehearse(job)]
    assert found == [f"tune-1-{number:03d}" for number in range(1, 7)]
