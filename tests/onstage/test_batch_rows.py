"""The rows of a batch job: what is said of each line, and what the platforms' jobs get of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from onstage.checks import batch_rows
from onstage.errors import UserError

EXAMPLE = {"a": 1.0, "b": 2.0}


def said(*rows: Any, key: str = "", example: Any = None) -> list[str]:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return [f"{one.text} -> {one.fix}" for one in batch_rows.problems(lines, "rows.jsonl", key, example)]


@pytest.mark.parametrize(
    ("row", "key", "words"),
    [
        ("[1", "", "rows.jsonl, line 2: the row is not JSON: "),
        ("", "", "rows.jsonl, line 2: the row is not JSON: "),
        ({"a": 1, "b": 2, "id": 3}, "", "the row has 'id', which is no input of the model -> leave it out; as an id"),
        ({"a": 1}, "", "the row has no 'b', which the model takes -> give it its value"),
        ({"id": 2, "a": 1}, "id", "the row has no 'b', which the model takes"),
        ({"id": 2, "a": 1, "b": 2, "c": 3}, "id", "the row has 'c', which is no input of the model -> leave it out"),
        ({"a": 1, "b": 2}, "id", "the row has no key 'id' -> [batch] key of settings.toml is 'id', which every row"),
        ({"id": None, "a": 1, "b": 2}, "id", "the row has null as its key 'id' -> write a text or a whole number"),
        ({"id": 1.5, "a": 1, "b": 2}, "id", "the row has 1.5 as its key 'id'"),
        ({"id": True, "a": 1, "b": 2}, "id", "the row has true as its key 'id'"),
        ({"id": 1, "a": 1, "b": 2}, "id", "the row has the same 'id' as that in line 1: 1 -> give each row its own"),
        ({"id": 2, "x": 1}, "id", "the row has 'x', which is no input of the model -> leave it out"),
        ([1, 2], "id", "the row is no object with the key 'id' -> [batch] key of settings.toml is 'id': write it and "),
        ([1, 2], "id", ' write it and the model\'s inputs, such as {"id": 1, "features": [1, 2]}'),
    ],
)  # fmt: skip
def test_a_row_that_a_job_would_lose_is_named_with_its_line_and_what_to_do(row: Any, key: str, words: str) -> None:
    first = {"id": 1, **EXAMPLE} if key else EXAMPLE
    (found,) = said(first, row, key=key, example=EXAMPLE)
    assert words in found
    assert found.startswith("rows.jsonl, line 2: ")


@pytest.mark.parametrize("example", [{"features": None}, [1.0, 2.0]], ids=["by name", "a list"])
def test_columns_of_a_model_that_takes_a_list_are_written_as_one(example: Any) -> None:
    (found,) = said({"id": 7, "length": 1, "width": 2}, key="id", example=example)
    assert "the model takes one" in found
    assert '{"id": 7, "features": ' in found
    assert said({"id": 7, "features": [1, 2]}, key="id", example=example) == []


@pytest.mark.parametrize(
    ("rows", "key", "example"),
    [
        ([EXAMPLE, {"b": 1, "a": 2}], "", EXAMPLE),
        # A text and a number are two keys.
        ([{"id": 1, **EXAMPLE}, {"id": "1", **EXAMPLE}], "id", EXAMPLE),
        # Without a key, rows may be equal, and of any kind.
        ([[1, 2], [1, 2], 3, '"text"', {"b64": "AA=="}], "", [1, 2]),
        # A list is a row of a model with one input, too.
        ([[1], {"x": 1}], "", {"x": 1}),
        ([{"id": 1, "features": [1, 2]}], "id", None),
    ],
)
def test_right_rows_are_none_of_them(rows: list[Any], key: str, example: Any) -> None:
    assert said(*rows, key=key, example=example) == []


def test_a_row_has_its_inputs_apart_from_its_key_for_sagemaker() -> None:
    made = batch_rows.nested('{"a": 1.0, "id": "x", "b": {"b64": "AA=="}}', "id", "features")
    assert json.loads(made) == {"id": "x", "features": {"a": 1.0, "b": {"b64": "AA=="}}}


def test_rows_of_the_data_get_keys_and_those_that_are_no_objects_the_inputs_name() -> None:
    assert batch_rows.with_keys([EXAMPLE], "id", "x") == [{"id": 1, **EXAMPLE}]
    assert batch_rows.with_keys([[1, 2], [3, 4]], "id", "x") == [{"id": 1, "x": [1, 2]}, {"id": 2, "x": [3, 4]}]
    assert batch_rows.with_keys([{"b64": "AA=="}], "id", "png") == [{"id": 1, "png": {"b64": "AA=="}}]


def test_a_file_that_is_not_there_or_empty_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows in "):
        list(batch_rows.lines_of(tmp_path / "none.jsonl"))
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match="empty.jsonl is empty; write one row a line, as JSON"):
        list(batch_rows.lines_of(tmp_path / "empty.jsonl"))
    (tmp_path / "rows.jsonl").write_text("1\n2", encoding="utf-8")
    assert list(batch_rows.lines_of(tmp_path / "rows.jsonl")) == ["1", "2"]
