"""model.py's ranges as SageMaker's: each kind, what is another there and said, and what each strategy can search."""

import json
import re
from typing import Any

import pytest

from onstage import space
from onstage.cloud import Search
from onstage.commands import application
from onstage.errors import StartError, UserError
from onstage.sagemaker.client.platform import _tuning
from onstage.sagemaker.requests import bodies, rules, spaces, validate, values
from onstage.sagemaker_section import SageMaker
from tests.onstage.test_ranges import searched
from tests.onstage.trainer import run

CONTINUOUS, WHOLE, LISTED = "ContinuousParameterRanges", "IntegerParameterRanges", "CategoricalParameterRanges"
TEN = {"low": 0.1, "high": 1.0, "step": 0.1}
Field = tuple[str, Any, Any, dict[str, Any]]


def numeric(low: str, high: str, scale: str = "Linear") -> dict[str, str]:
    return {"MinValue": low, "MaxValue": high, "ScalingType": scale}


def listed(*texts: str) -> dict[str, Any]:
    return {"Values": list(texts)}


# What model.py says, what is sent, and what is said of it.
KINDS: dict[str, tuple[Any, Any, dict[str, Any], str, dict[str, Any], str]] = {
    "linear": (float, 0.1, {"low": 0, "high": 1}, CONTINUOUS, numeric("0.0", "1.0"), ""),
    "log": (float, 0.1, {"low": 1e-4, "high": 1, "scale": "log"}, CONTINUOUS, numeric("0.0001", "1.0", "Logarithmic"),
            ""),
    "reverse log": (float, 0.9, {"low": 0, "high": 0.999, "scale": "reverse_log"}, CONTINUOUS,
                    numeric("0.0", "0.999", "ReverseLogarithmic"), ""),
    "whole": (int, 8, {"low": 4.0, "high": 64, "scale": "log"}, WHOLE, numeric("4", "64", "Logarithmic"), ""),
    "whole in steps of 1": (int, 8, {"low": 4, "high": 9, "step": 1}, WHOLE, numeric("4", "9"), ""),
    "whole, reverse log": (int, 8, {"low": 4, "high": 64, "scale": "reverse_log"}, WHOLE, numeric("4", "64"),
                           "x: SageMaker's reverse log scale is for real numbers: whole ones are searched on a linear"),
    "steps": (float, 0.1, TEN, LISTED, listed("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"),
              "x: SageMaker has no steps: the 10 values are sent as a list of categories, whose order it does not"),
    "steps, log": (int, 8, {"low": 8, "high": 24, "step": 8, "scale": "log"}, LISTED, listed("8", "16", "24"),
                   "x: SageMaker has no steps: the 3 values are sent as a list of categories, whose order and scale"),
    "thirty steps": (int, 2, {"low": 2, "high": 60, "step": 2}, LISTED, listed(*map(str, range(2, 61, 2))),
                     "the 30 values are sent as a list"),
    "more steps": (int, 2, {"low": 2, "high": 62, "step": 2}, WHOLE, numeric("2", "62"),
                   "x: SageMaker has no steps, and at most 30 values in a list: 2 to 62 is sent without, and values b"),
    "numbers": (int, 8, {"values": [32, 8]}, LISTED, listed("32", "8"), ""),
    "texts": (str, "8", {"values": ["relu", "8"]}, LISTED, listed('"relu"', '"8"'), ""),
    "truth": (bool, True, {}, LISTED, listed("false", "true"), ""),
    "none among values": (float | None, None, {"values": [None, 1.5]}, LISTED, listed("null", "1.5"), ""),
}  # fmt: skip


def body(*fields: Field, fixed: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    settings = SageMaker(
        region="us-east-1", bucket="mine", role="arn:aws:iam::111122223333:role/trainer", instance_type="ml.m5.xlarge",
        endpoint_instance_type="ml.m5.large",
    )  # fmt: skip
    hyperparameters = searched(*fields)()
    objective = run.Objective("val_loss", "minimize")
    return bodies.tuning_job(settings, "iris", "tune-1", hyperparameters, objective, [], fixed=fixed, **options)


def problems(made: dict[str, Any]) -> list[str]:
    return [str(one) for one in validate.problems("CreateHyperParameterTuningJob", made, "us-east-1")]


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_range_is_sent_as_what_is_nearest_and_what_is_lost_is_said(name: str) -> None:
    *described, kind, sent, said = KINDS[name]
    made = body(("x", *described))
    assert made["HyperParameterTuningJobConfig"]["ParameterRanges"] == {kind: [{"Name": "x", **sent}]}
    assert problems(made) == []
    notes = spaces.notes(space.of(searched(("x", *described))))
    assert (said in notes[0], len(notes)) == (True, 1) if said else notes == []


def test_what_counts_only_sometimes_is_searched_in_every_trial_and_that_is_said() -> None:
    fields: list[Field] = [
        ("momentum", float, 0.5, {"low": 0.1, "high": 0.9, "when": {"optimizer": ["sgd", "rms"]}}),
        ("optimizer", str, "sgd", {"values": ["sgd", "rms", "adam"]}),
    ]
    assert problems(body(*fields)) == []
    assert spaces.notes(space.of(searched(*fields))) == [
        "momentum: SageMaker has no conditions: it is searched in every trial, not only where optimizer is sgd or rms"
    ]
    # Of an optimizer that a flag names, nothing depends.
    assert spaces.notes(space.of(searched(*fields), ["optimizer"])) == []


def test_what_a_flag_says_is_not_searched() -> None:
    fields: list[Field] = [("x", float, 0.1, {"low": 0, "high": 1}), ("y", int, 2, {"values": [2, 3]})]
    made = body(*fields, fixed=("y",))
    assert list(made["HyperParameterTuningJobConfig"]["ParameterRanges"]) == [CONTINUOUS]
    assert made["TrainingJobDefinition"]["StaticHyperParameters"]["y"] == "2"


def test_a_list_of_more_than_thirty_values_is_refused_by_its_field() -> None:
    with pytest.raises(UserError, match=r"model.py: x: SageMaker takes at most 30 values in a list, and there are 31"):
        body(("x", int, 1, {"values": list(range(31))}))
    assert problems(body(("x", int, 1, {"values": list(range(30))}))) == []


GRID: list[Field] = [
    ("layers", int, 1, {"low": 1, "high": 3}), ("rate", float, 0.1, TEN), ("kind", str, "a", {"values": ["a", "b"]}),
]  # fmt: skip


def test_a_grid_is_of_lists_steps_and_few_whole_numbers_and_tries_all_of_them() -> None:
    made = body(*GRID, strategy="Grid")
    config = made["HyperParameterTuningJobConfig"]
    assert list(config["ParameterRanges"]) == [LISTED]
    assert config["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 60, "MaxParallelTrainingJobs": 2}
    assert problems(made) == []
    # There is no order that could be lost.
    assert spaces.notes(space.of(searched(*GRID)), "Grid") == []
    assert body(*GRID, strategy="Grid", max_jobs=60) == made
    with pytest.raises(UserError, match="Grid tries all 60 combinations, .*: leave --trials out, or write 60"):
        body(*GRID, strategy="Grid", max_jobs=10)


@pytest.mark.parametrize(
    "described",
    [
        (float, 0.1, {"low": 0, "high": 1}),
        (int, 4, {"low": 4, "high": 64}),
        (int, 2, {"low": 2, "high": 62, "step": 2}),
    ],
    ids=["real", "whole", "steps"],
)
def test_a_grid_of_too_many_values_is_refused_by_its_field(described: Any) -> None:
    with pytest.raises(UserError, match=r"model.py: x: Grid tries every value, and .* has too many: give it values="):
        body(*GRID, ("x", *described), strategy="Grid")


def test_hyperband_counts_the_epochs_of_a_trial() -> None:
    x: Field = ("x", float, 0.1, {"low": 0, "high": 1})
    epochs: Field = ("epochs", int, 40, {"low": 10, "high": 60})
    for fixed, most in (((), 60), (("epochs",), 40)):
        made = body(x, epochs, fixed=fixed, strategy="Hyperband")
        config = made["HyperParameterTuningJobConfig"]
        assert config["StrategyConfig"] == {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": most}}
        assert problems(made) == []
    assert ["must be Off with Hyperband" in one for one in problems(
        body(x, epochs, strategy="Hyperband", early_stopping="Auto")
    )] == [True]  # fmt: skip
    assert problems(body(x, epochs, early_stopping="Auto")) == []
    with pytest.raises(UserError, match="Hyperband ends trials early by their epochs, and Hyperparameters has no"):
        body(x, strategy="Hyperband")


def test_names_of_strategies_are_taken_in_any_case_and_others_are_refused_with_the_known_ones() -> None:
    for word, name in (("", "Bayesian"), ("Random", "Random"), ("GRID", "Grid"), ("hyperband", "Hyperband")):
        assert _tuning(Search(4, 2, word))["strategy"] == name
    assert _tuning(Search(None, 2, "", "auto"))["early_stopping"] == "Auto"
    with pytest.raises(StartError, match="--strategy bayes: did you mean bayesian. Amazon SageMaker has bayesian, ran"):
        _tuning(Search(4, 2, "bayes"))
    with pytest.raises(StartError, match="--early-stopping median: Amazon SageMaker has off, auto"):
        _tuning(Search(4, 2, "", "median"))


# A sound body, what is changed in its configuration, and what is said then; nothing: that is fine, too.
RULES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "reverse log within 0 and 1": ({}, {"scale": ("0", "0.999", "ReverseLogarithmic")}, ""),
    "reverse log up to 1": ({}, {"scale": ("0", "1", "ReverseLogarithmic")}, "which is for 0 <= x < 1, not for 0 to 1"),
    "log above 0": ({}, {"scale": ("1e-9", "1", "Logarithmic")}, ""),
    "log from 0": ({}, {"scale": ("0", "1", "Logarithmic")}, "0 is not above 0, which a logarithmic"),
    "grid of another number": ({"strategy": "Grid"}, {"most": 59}, "is 59, and Grid tries all 60 combinations"),
    "grid of no number": ({"strategy": "Grid"}, {"most": None}, ""),
    "hyperband without epochs": ({"strategy": "Hyperband"}, {"resources": {"MinResource": 1}}, "is missing, and no"),
    "hyperband of no epochs": ({"strategy": "Hyperband"}, {"resources": {"MinResource": 9, "MaxResource": 3}},
                               "is 3, less than MinResource (9)"),
    "hyperband of many epochs": ({"strategy": "Hyperband"}, {"resources": {"MaxResource": 20001}}, "20000 are allowed"),
    "hyperband of its most": ({"strategy": "Hyperband"}, {"resources": {"MaxResource": 20000}}, ""),
    "another's configuration": ({}, {"resources": {"MaxResource": 3}}, "is for the strategy Hyperband only"),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_what_sagemaker_refuses_in_a_search_is_named_and_its_neighbour_is_not(name: str) -> None:
    options, change, said = RULES[name]
    fields = GRID if options.get("strategy") == "Grid" else [("x", float, 0.1, {"low": 0, "high": 0.5})]
    made = body(*fields, ("epochs", int, 3, {"values": [3, 4]}), fixed=("epochs",), **options)
    assert problems(made) == []
    config = json.loads(json.dumps(made["HyperParameterTuningJobConfig"]))
    if "scale" in change:
        low, high, scale = change["scale"]
        config["ParameterRanges"][CONTINUOUS][0] |= {"MinValue": low, "MaxValue": high, "ScalingType": scale}
    if "resources" in change:
        config["StrategyConfig"] = {"HyperbandStrategyConfig": change["resources"]}
        del made["TrainingJobDefinition"]["StaticHyperParameters"]["epochs"]
    if "most" in change:
        config["ResourceLimits"]["MaxNumberOfTrainingJobs"] = change["most"]
    if change.get("most", 0) is None:
        del config["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    found = problems({**made, "HyperParameterTuningJobConfig": config})
    assert (said in found[0], len(found)) == (True, 1) if said else found == []


def test_values_of_a_trial_are_read_as_model_py_has_them() -> None:
    made = body(
        ("units", int, 8, {"low": 4, "high": 64}), ("rate", float, 0.1, {"low": 0, "high": 1}),
        ("kind", str, "8", {"values": ["relu", "8"]}), ("flag", bool, True, {}),
        ("clip", float | None, None, {"values": [None, 1.5]}), ("epochs", int, 3, {"values": [3, 4]}),
        fixed=("epochs",),
    )  # fmt: skip
    told = {"units": "16.0", "rate": "0.25", "kind": '"8"', "flag": "true", "clip": "null",
            "_tuning_objective_metric": "loss"}  # fmt: skip
    assert values.searched(made, told) == {"units": 16, "rate": 0.25, "kind": "8", "flag": True, "clip": None}
    assert values.fixed(made) == {"epochs": 3}
    assert values.searched({}, {"kind": "relu"}) == {"kind": "relu"}
    assert rules.doubts(made) == []


def test_help_names_every_strategy() -> None:
    assert set(re.findall(r"[a-z-]+", application._STRATEGIES["sagemaker"])) - {"or"} == set(spaces.STRATEGIES)
    stoppings = application._STOPPINGS["sagemaker"].partition(": ")[2]
    assert set(re.findall(r"[a-z-]+", stoppings)) - {"or"} == set(spaces.STOPPINGS)
