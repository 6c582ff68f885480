"""Batch jobs of both platforms over rows of a file and of the data, against a real server of small models."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from onstage.project import Project
from onstage.rehearsal.both import Served
from onstage.report import Check, NotDoneError, Report
from onstage.sagemaker.agent import rehearsal as sagemaker
from onstage.sections import Batch
from onstage.serving.archive import find_versions
from onstage.serving.process import ServingProcess
from onstage.settings import load
from onstage.vertex.agent import rehearsal as vertex
from tests.onstage.guide import assert_has

PLATFORMS = {"sagemaker": sagemaker, "vertex": vertex}
FAILED = "TransformJobStatus Failed, ClientError: See job logs for more information: no row of its file has an answer"


class Data:
    """The rows of the evaluation data, as the process of the trained network tells them."""

    def __init__(self, rows: Sequence[Any] | None) -> None:
        self._rows = rows

    @property
    def content(self) -> dict[str, Any]:
        if self._rows is None:
            raise NotDoneError("DATA.examples takes no count")
        return {"rows": self._rows}


@pytest.fixture(scope="module")
def server(exports: dict[str, Path]) -> Iterator[ServingProcess]:
    # What SageMaker's front puts before it, Vertex AI's jobs do not pass.
    with ServingProcess("sagemaker") as process:
        yield process


Batched = Callable[..., list[Check]]


@pytest.fixture
def batched(server: ServingProcess, exports: dict[str, Path], project: Path, tmp_path: Path) -> Batched:
    """What a rehearsal says of the batch job of a model; `rows` is a file's, `data` the evaluation data's."""

    def run(
        platform: str, model: str, *, rows: Sequence[Any] = (), data: Sequence[Any] | None = None, key: str = "",
        example: Sequence[Any] = (),
        **cloud: Any,
    ) -> list[Check]:  # fmt: skip
        server.load_models({model: find_versions(exports[model])})
        file = tmp_path / "rows.jsonl"
        file.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in rows))
        settings = PLATFORMS[platform].filled(load(Project(project)))
        batch = Batch(key=key, rows=str(file) if rows else "")
        section = getattr(settings, platform).model_copy(update=cloud)
        settings = settings.model_copy(update={"batch": batch, platform: section})
        url = f"{server.url}/invocations" if platform == "sagemaker" else f"{server.model_url}:predict"
        instances = example or [without((data or rows)[0], key)]
        served = Served(platform, server, url, exports[model] / "1", {"instances": instances})
        with Report(Console(quiet=True)) as report:
            PLATFORMS[platform].run_batch(report, settings, served, Data(data))
        assert {check.id for check in report.checks} == {f"{platform}.batch"}
        for check in report.checks:
            if check.status == "failed":
                assert_has({"id": check.id, "detail": check.detail})
        return report.checks

    return run


def without(row: Any, key: str) -> Any:
    return {name: value for name, value in row.items() if name != key} if isinstance(row, dict) else row


def added(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"a": number, "b": 0.5, **more} for number in range(count)]


@pytest.mark.parametrize("key", ["", "id"])
def test_rows_of_the_data_are_answered_as_alone_and_one_that_is_refused_costs_others(
    key: str, batched: Batched
) -> None:
    by = ", told by id" if key else ""
    (check,) = batched("sagemaker", "added", data=added(30), key=key)
    requests = "130 requests" if key else "1 request"
    # Names stand in the file of the rows: the row without one is the same for both.
    lost = "the job is Failed, ClientError: See job logs for more information: none of the 131 rows has an answer"
    start = f"130 rows of the evaluation data in {requests}{by}, each answered as it is alone"
    assert check.detail == f"{start}; with a row among them without 'b', row 66, {lost}"
    (check,) = batched("vertex", "added", data=added(30), key=key, min_replica_count=2, max_replica_count=2)
    lost = (
        "the rows of its request, 65 to 128, have no answer, and prediction.errors_stats does not say which; 67 others "
        "have one"
    )
    start = f"130 rows of the evaluation data in 3 requests{by}, each answered as it is alone"
    assert check.detail == f"{start}; with a row among them without 'b', row 66, {lost}"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_rows_that_are_lists_have_a_key_beside_the_models_one_input(platform: str, batched: Batched) -> None:
    (check,) = batched(platform, "half", data=[[1, 2], [3, 4]], key="id")
    assert (check.status, ", told by id, " in check.detail) == ("passed", True), check.text
    assert "a row among them that names another input, row 66" in check.detail
    rows = [{"id": "x", "pair": [1, 2]}, {"id": "y", "pair": [3, 4]}]
    (check,) = batched(platform, "half", rows=rows, key="id")
    assert (check.status, check.detail.startswith("2 rows of ")) == ("passed", True), check.text


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_missing_number_is_a_value_like_others(platform: str, batched: Batched) -> None:
    (check,) = batched(platform, "half", data=[[1, float("nan")], [3, 4]])
    assert check.status == "passed", check.text


def test_data_of_which_no_more_rows_are_known_has_the_models_example(batched: Batched) -> None:
    (check,) = batched("sagemaker", "half", example=[[1, 2], [3, 4], [5, 6]])
    assert (check.status, check.detail.startswith("3 rows of the model's example in 1 request, ")) == ("passed", True)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_bad_row_of_the_file_is_named_with_its_line_and_what_it_costs(platform: str, batched: Batched) -> None:
    rows: list[Any] = [*added(70), {"a": "text", "b": 1}, *added(10)]
    (check,) = batched(platform, "added", rows=rows)
    assert (check.status, check.line, check.file.endswith("rows.jsonl")) == ("failed", 71, True)
    assert 'line 71: the row {"a": "text", "b": 1} is not answered: the endpoint answers 400: ' in check.detail
    costs = {
        "sagemaker": "none of the 81 rows has an answer",
        "vertex": "the rows of its request, 65 to 81, have no answer, and prediction.errors_stats does not say which; "
        "64 others have one",
    }
    assert costs[platform] in check.cloud
    (check,) = batched(platform, "added", rows=[*added(70), {"a": 1.5, "b": 1}, *added(10)])
    assert check.status == "passed", check.text


@pytest.mark.parametrize(
    ("row", "key", "said"),
    [
        ("{", "", "line 3: the row is not JSON: "),
        ({"a": 1}, "", "line 3: the row has no 'b', which the model takes"),
        ({"a": 1, "b": 2, "id": 5}, "", "line 3: the row has 'id', which is no input of the model"),
        ({"a": 1, "b": 2}, "id", "line 3: the row has no key 'id'"),
        ({"a": 1, "b": 2, "id": 1}, "id", "line 3: the row has the same 'id' as that in line 2: 1"),
    ],
)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_row_that_cannot_be_sent_is_named_and_the_others_are(
    platform: str, row: Any, key: str, said: str, batched: Batched
) -> None:
    good = [{**one, "id": number} for number, one in enumerate(added(2))] if key else added(2)
    (check,) = batched(platform, "added", rows=[*good, row], key=key)
    assert (check.status, check.line) == ("failed", 3)
    assert said in check.detail
    assert (FAILED if platform == "sagemaker" else "prediction.errors_stats counts it: ") in check.cloud
    (check,) = batched(platform, "added", rows=good, key=key)
    assert check.status == "passed", check.text


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_key_that_the_model_needs_as_an_input_is_refused(platform: str, batched: Batched) -> None:
    (check,) = batched(platform, "added", rows=added(2), key="a")
    assert check.detail == "[batch] key of settings.toml is 'a', an input of the model, which would not get it"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_export_that_answers_one_row_but_not_many_is_refused(platform: str, batched: Batched) -> None:
    (check,) = batched(platform, "single", data=[[1, 2], [3, 4]])
    assert check.status == "failed"
    last = {"sagemaker": 130, "vertex": 64}[platform]
    said = f"rows 1 to {last} of the evaluation data are not answered together, and each of them is alone: "
    assert check.detail.startswith(said)
    assert "None as first dimension of every input" in check.fix
    assert check.detail.endswith("; so with 2 more requests") == (platform == "vertex")


def test_rows_that_are_bare_texts_need_their_inputs_name_in_sagemakers_jobs(batched: Batched) -> None:
    (check,) = batched("sagemaker", "length", data=["one", "two"])
    assert check.detail.startswith("rows 1 to 130 of the evaluation data are not answered together, and each ")
    assert check.fix.startswith('write each row with its input\'s name, such as {"NAME": "one"}; ')
    (check,) = batched("sagemaker", "length", rows=[{"text": "one"}, {"text": "two"}])
    assert check.status == "passed", check.text
    (check,) = batched("vertex", "length", data=["one", "two"])
    assert check.status == "passed", check.text


def test_an_export_that_answers_one_row_only_has_a_job_with_a_key_which_sends_each_alone(batched: Batched) -> None:
    (check,) = batched("sagemaker", "single", data=[[1, 2], [3, 4]], key="id")
    assert check.status == "passed", check.text


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_answer_that_depends_on_other_rows_is_refused(platform: str, batched: Batched) -> None:
    (check,) = batched(platform, "centred", data=[[1, 2], [3, 4]])
    assert "130 of 130 rows are answered otherwise in a batch than alone; row 1: -1" in check.detail
    assert check.detail.endswith(", and alone 0.0")
    assert "no mean over the first dimension" in check.fix


def test_a_row_that_is_larger_than_a_payload_is_refused_by_sagemaker_only(batched: Batched) -> None:
    rows = [{"text": text} for text in ("one", "x" * 7_000_000, "two")]
    (check,) = batched("sagemaker", "length", rows=rows)
    assert (check.line, check.status) == (2, "failed")
    assert check.detail.endswith("is not answered: it has 6.7 MB, and MaxPayloadInMB is 6")
    assert "none of the 3 rows has an answer" in check.cloud
    (check,) = batched("vertex", "length", rows=rows)
    assert check.status == "passed", check.text
    # What the model does not get is none of the payload.
    keyed = [{"id": "one", "text": "x"}, {"id": "x" * 7_000_000, "text": "y"}]
    (check,) = batched("sagemaker", "length", rows=keyed, key="id")
    assert check.status == "passed", check.text
