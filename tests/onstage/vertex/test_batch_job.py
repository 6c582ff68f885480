"""The batch prediction job on this machine: how rows become requests, what the model gets, and what is written."""

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from onstage.errors import UserError
from onstage.rehearsal.store import LocalStore
from onstage.serving.archive import find_versions
from onstage.serving.process import ServingProcess
from onstage.vertex.agent.batch_job import BatchResult, run_batch_prediction_job
from onstage.vertex.requests import bodies
from onstage.vertex_section import Vertex
from tests.onstage.vertex.bodies import MODEL, PLAIN


@pytest.fixture(scope="module")
def server(exports: dict[str, Path]) -> Iterator[ServingProcess]:
    with ServingProcess("vertex") as process:
        process.load_models({"added": find_versions(exports["added"])})
        yield process


class Jobs:
    """Jobs over rows; `folder` is where the buckets are."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, f"{url}:predict"

    def __call__(
        self, rows: Sequence[Any], key: str = "", uris: Sequence[str] = ("gs://bkt/in/rows.jsonl",), **members: Any
    ) -> BatchResult:
        """Run the job, with other members."""
        cloud = {name: members.pop(name) for name in ("min_replica_count", "max_replica_count") if name in members}
        file = self.folder / "bkt" / "in" / "rows.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in rows))
        body = bodies.batch_prediction_job(Vertex(**{**PLAIN, **cloud}), "job", MODEL, uris, "gs://bkt/out", key)
        return run_batch_prediction_job({**body, **members}, LocalStore(self.folder), self.url)


@pytest.fixture
def jobs(tmp_path: Path, server: ServingProcess) -> Jobs:
    return Jobs(tmp_path, server.model_url)


def rows(count: int) -> list[dict[str, Any]]:
    return [{"a": number, "b": 0} for number in range(count)]


def lines(result: BatchResult) -> list[Any]:
    return [json.loads(line) for file in result.results for line in file.read_text(encoding="utf-8").splitlines()]


def errors(jobs: Jobs, result: BatchResult) -> list[tuple[str, int]]:
    file = jobs.folder / result.folder.removeprefix("gs://") / "prediction.errors_stats-00000-of-00001"
    return [ast.literal_eval(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_rows_are_asked_for_in_requests_and_answered_in_a_file_for_each_replica(jobs: Jobs) -> None:
    result = jobs(rows(130), min_replica_count=2, max_replica_count=2)
    assert (result.state, result.requests, result.successful, result.failed) == ("JOB_STATE_SUCCEEDED", 3, 130, 0)
    assert [file.name for file in result.results] == [
        "prediction.results-00000-of-00002", "prediction.results-00001-of-00002",
    ]  # fmt: skip
    answers = lines(result)
    assert answers[0] == {"instance": {"a": 0, "b": 0}, "prediction": 0.0}
    # The order is not that of the rows, which is why there are keys.
    assert [one["prediction"] for one in answers] != sorted(one["prediction"] for one in answers)
    assert sorted(one["prediction"] for one in answers) == list(range(130))
    assert errors(jobs, result) == []
    assert result.folder.startswith("gs://bkt/out/prediction-7-")
    assert jobs(rows(130), manualBatchTuningParameters={"batchSize": 10}).requests == 13


def test_a_key_is_not_sent_and_stands_for_the_instance(jobs: Jobs) -> None:
    result = jobs([{"id": "x", "a": 1, "b": 2}, {"a": 3, "b": 4, "id": 7}], key="id")
    assert lines(result) == [{"key": "x", "prediction": 3.0}, {"key": 7, "prediction": 7.0}]


@pytest.mark.parametrize(
    "config", [{"excludedFields": ["id", "note"]}, {"includedFields": ["a", "b"]}], ids=["excluded", "included"]
)
def test_fields_are_left_out_or_chosen_and_the_instance_has_all(config: dict[str, Any], jobs: Jobs) -> None:
    row = {"id": 1, "a": 1, "b": 2, "note": "n"}
    assert lines(jobs([row], instanceConfig=config)) == [{"instance": row, "prediction": 3.0}]


@pytest.mark.parametrize(
    ("row", "key", "why"),
    [
        ({"a": "x", "b": 0}, "", "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result"),
        ("{", "", "a line is not JSON: "),
        ({"a": 1, "b": 2}, "id", "instanceConfig names the field 'id', which a line does not have"),
        ([1, 2], "id", "instanceConfig wants an object a line, not [1, 2]"),
    ],
)  # fmt: skip
def test_a_row_that_is_refused_costs_its_request_and_is_counted_by_its_reason(
    row: Any, key: str, why: str, jobs: Jobs
) -> None:
    good = [{**one, key: number} for number, one in enumerate(rows(70))] if key else rows(70)
    result = jobs([*good, row], key=key)
    assert (result.state, result.successful, result.failed) == ("JOB_STATE_PARTIALLY_SUCCEEDED", 64, 7)
    assert [(one.first, one.last) for one in result.refusals] == [(65, 71)]
    ((reason, count),) = errors(jobs, result)
    assert (reason.startswith(why), count) == (True, 7), reason
    assert len(lines(result)) == 64
    assert jobs([row], key=key).state == "JOB_STATE_FAILED"


def test_objects_are_found_by_a_pattern_and_none_is_refused(jobs: Jobs) -> None:
    assert jobs(rows(2), uris=["gs://bkt/in/*.jsonl"]).successful == 2
    with pytest.raises(UserError, match=r"inputConfig: there is nothing at gs://bkt/in/\*.csv"):
        jobs(rows(2), uris=["gs://bkt/in/*.csv"])


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"inputConfig": {"instancesFormat": "csv"}}, "the formats csv and jsonl cannot be rehearsed: jsonl can"),
        ({"instanceConfig": {"instanceType": "tensor"}}, "instanceConfig.instanceType tensor cannot be rehearsed"),
        ({"instanceConfig": {"others": []}}, "instanceConfig.others cannot be rehearsed: instanceType, keyField, "),
    ],
)
def test_what_is_not_rehearsed_is_refused(members: dict[str, Any], said: str, jobs: Jobs) -> None:
    with pytest.raises(UserError, match=said):
        jobs(rows(1), **members)
