"""Which forms of a request SageMaker's container carries, for rows of every kind."""

import json
from typing import Any

import pytest

from onstage.sagemaker.agent.request_forms import right

ALL = ["instances", "inputs", "application/jsonlines", "bare rows", "text/csv"]
ROWS: dict[str, tuple[list[Any], list[str], list[str]]] = {
    "numbers in a list": ([[5.1, 3.5], [4.2, 1e-7]], ALL, []),
    "texts with commas, quotes and blanks": ([["a,b", 'say "x"'], ["c d", "e"]], ALL, []),
    "a text that begins with a blank": ([[" a", "b"], ["c", "d"]], ALL[:-1], ["text/csv"]),
    "one number in a list": ([[5.1], [4.2]], ALL[:-1], ["text/csv"]),
    "a bare number": ([5.1, 4.2], ["instances", "inputs", "text/csv"], ["application/jsonlines", "bare rows"]),
    "a bare text": (["a", "b"], ["instances", "inputs", "text/csv"], ["application/jsonlines", "bare rows"]),
    "an object": ([{"age": 3}, {"age": 4}], ALL[:-1], []),
    "an object with a column called inputs": (
        [{"inputs": 3}, {"inputs": 4}], ["instances", "inputs"], ["application/jsonlines", "bare rows"],
    ),
    "an image": ([[[0.5, 0.25]], [[1.0, 0.0]]], ALL[:-1], ["text/csv"]),
    "a text that is a number": ([["1", "x"], ["2", "y"]], ALL[:-1], ["text/csv"]),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
def test_only_forms_are_asked_that_the_container_carries(case: str) -> None:
    rows, asked, refused = ROWS[case]
    forms, why = right({"instances": rows}, [])
    assert [form.name for form in forms] == asked
    assert [one.partition(",")[0] for one in why] == refused
    assert all("of which the container makes {" in one for one in why)


def test_rows_of_known_columns_are_asked_by_name_too() -> None:
    forms, _ = right({"instances": [[1.0, 2.0]]}, ["a", "b"])
    assert json.loads(forms[-1].body) == {"signature_name": "named", "instances": [{"a": 1.0, "b": 2.0}]}
    forms, _ = right({"instances": [[1.0, 2.0]]}, ["a"])
    assert "the signature named" not in [form.name for form in forms]
