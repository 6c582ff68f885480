"""The filters of a transform job, as the service's page describes them."""

from typing import Any

import pytest

from onstage.errors import UserError
from onstage.sagemaker.requests.json_path import select

ROW = {"id": 7, "features": {"a": 1, "b": [2]}, "SageMakerOutput": {"predictions": [3]}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", ROW),
        ("$.features", {"a": 1, "b": [2]}),
        ("$.features.a", 1),
        ("$['features']['b']", [2]),
        ("$['id','SageMakerOutput']", {"id": 7, "SageMakerOutput": {"predictions": [3]}}),
        ("$.features['a', 'b']", {"a": 1, "b": [2]}),
    ],
)
def test_a_child_is_its_value_and_several_are_an_object(path: str, found: Any) -> None:
    assert select(path, ROW) == found


@pytest.mark.parametrize("path", ["$.none", "$['id','none']", "$.id.more", "$.features.b.c"])
def test_what_is_not_there_is_an_error_as_in_the_service(path: str) -> None:
    with pytest.raises(UserError, match="selects '(none|more|c)', which is not there"):
        select(path, ROW)


@pytest.mark.parametrize("path", ["features", "$.*", "$[0]", "$[1:]", "$..a", "$.features[?(@.a)]", ""])
def test_what_is_not_rehearsed_is_refused(path: str) -> None:
    with pytest.raises(UserError, match="cannot be rehearsed"):
        select(path, ROW)
