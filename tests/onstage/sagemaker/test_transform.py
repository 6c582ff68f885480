"""The transform job on this machine: how lines become requests, what is joined, and when nothing is written."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onstage.errors import UserError
from onstage.rehearsal.store import LocalStore
from onstage.sagemaker.agent.transform import FAILURE_REASON, TransformResult, run_transform_job
from onstage.sagemaker.requests import bodies
from onstage.serving.archive import find_versions
from onstage.serving.process import ServingProcess
from tests.onstage.sagemaker.sound import REMOVED, changed
from tests.onstage.sagemaker.test_requests import settings

KEYED = ('{"id": "a", "features": {"a": 1, "b": 2}}', '{"id": "b", "features": {"a": 3, "b": 4}}')


@pytest.fixture(scope="module")
def server(exports: dict[str, Path]) -> Iterator[ServingProcess]:
    with ServingProcess("sagemaker") as process:
        process.load_models({"added": find_versions(exports["added"])})
        yield process


class Jobs:
    """Jobs over files of lines; `folder` is where the buckets are."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, f"{url}/invocations"

    def __call__(self, files: dict[str, str], key: str = "", **members: Any) -> TransformResult:
        """Run the job over these objects below s3://mine/in, with other members at these paths."""
        for name, text in files.items():
            file = self.folder / "mine" / "in" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        body = bodies.transform_job(settings(), "job", "model", "s3://mine/in/", "s3://mine/out", key)
        for path, value in members.items():
            body = changed(body, path.replace("__", "."), value)
        return run_transform_job(body, LocalStore(self.folder), self.url)


@pytest.fixture
def jobs(tmp_path: Path, server: ServingProcess) -> Jobs:
    return Jobs(tmp_path, server.url)


def lines(result: TransformResult, name: str = "rows.jsonl") -> list[Any]:
    return [json.loads(line) for line in result.outputs[name].read_text(encoding="utf-8").splitlines()]


def rows(*numbers: float) -> str:
    return "".join(f'{{"a": {number}, "b": 0}}\n' for number in numbers)


def test_as_many_lines_as_fit_are_a_request_and_a_line_of_the_answers(jobs: Jobs) -> None:
    result = jobs({"rows.jsonl": rows(1, 2, 3)})
    assert (result.status, result.failure_reason, result.requests) == ("Completed", None, 1)
    assert lines(result) == [{"predictions": [1.0, 2.0, 3.0]}]
    # 1 MB has room for so many lines, of which every request has all that fit.
    line = rows(1).rstrip("\n")[:-1] + " " * 400_000 + "}\n"
    result = jobs({"rows.jsonl": line * 5}, MaxPayloadInMB=1)
    assert [len(one["predictions"]) for one in lines(result)] == [2, 2, 1]
    assert jobs({"rows.jsonl": line * 5}, MaxPayloadInMB=0).requests == 1


def test_one_line_a_request_or_the_whole_object_as_the_body_says(jobs: Jobs) -> None:
    assert jobs({"rows.jsonl": rows(1, 2)}, BatchStrategy="SingleRecord").requests == 2
    result = jobs({"rows.jsonl": '{"instances": [{"a": 1, "b": 2}]}\n'}, TransformInput__SplitType="None")
    assert lines(result) == [{"predictions": [3.0]}]
    with pytest.raises(UserError, match="SplitType RecordIO cannot be rehearsed: Line and None can"):
        jobs({"rows.jsonl": "x"}, TransformInput__SplitType="RecordIO")


def test_without_assembling_by_line_answers_stand_one_after_the_other(jobs: Jobs) -> None:
    members = {"BatchStrategy": "SingleRecord", "TransformOutput__AssembleWith": REMOVED}
    result = jobs({"rows.jsonl": rows(1, 2)}, **members)
    assert b"\n" not in result.outputs["rows.jsonl"].read_bytes()


def test_an_answer_is_joined_to_its_row_and_only_what_the_filter_selects_is_kept(jobs: Jobs) -> None:
    text = "\n".join(KEYED)
    result = jobs({"rows.jsonl": text}, key="id")
    assert lines(result) == [
        {"id": "a", "SageMakerOutput": {"predictions": [3.0]}},
        {"id": "b", "SageMakerOutput": {"predictions": [7.0]}},
    ]
    whole = jobs({"rows.jsonl": text}, key="id", DataProcessing__OutputFilter=REMOVED)
    assert lines(whole)[0] == {**json.loads(KEYED[0]), "SageMakerOutput": {"predictions": [3.0]}}
    answers = {"DataProcessing__JoinSource": "None", "DataProcessing__OutputFilter": "$.predictions"}
    assert lines(jobs({"rows.jsonl": text}, key="id", **answers)) == [[3.0], [7.0]]


def test_rows_that_are_no_objects_are_joined_under_a_name_of_the_services(jobs: Jobs) -> None:
    members = {"DataProcessing__InputFilter": "$", "DataProcessing__OutputFilter": "$.SageMakerInput"}
    # What is sent is a line of JSON with instances, which the container passes on.
    result = jobs({"rows.jsonl": '[{"instances": 1}]\n'}, key="id", **members)
    assert result.status == "Failed"
    result = jobs({"rows.jsonl": '{"a": 1, "b": 1}\n'}, key="id", **members)
    assert "'SageMakerInput', which is not there" in result.refusals[0].why


def test_several_rows_with_one_line_of_answers_cannot_be_joined(jobs: Jobs) -> None:
    result = jobs({"rows.jsonl": "\n".join(KEYED)}, key="id", BatchStrategy="MultiRecord")
    assert (result.status, dict(result.outputs)) == ("Failed", {})
    assert result.refusals[0].why == "2 records have an answer of 1 lines: there is nothing to join to each"


@pytest.mark.parametrize(
    ("text", "key", "numbers", "why"),
    [
        (rows(1, 2) + '{"a": "x", "b": 0}\n' + rows(3), "", (1, 4), "ClientError: 400: "),
        (f'{KEYED[0]}\n{{"id": 1}}\n', "id", (2, 2), "InputFilter: $.features selects 'features', which is not there"),
        (f"{KEYED[0]}\n{{\n", "id", (2, 2), "InputFilter: "),
        (rows(1) + '{"a": 1, "b": 0, "c": "' + "x" * 7_000_000 + '"}\n', "", (2, 2),
         "it has 6.7 MB, and MaxPayloadInMB is 6"),
    ],
    ids=["a bad row", "no features", "no JSON", "a large row"],
)  # fmt: skip
def test_one_row_fails_the_job_and_leaves_nothing_of_its_object(
    text: str, key: str, numbers: tuple[int, int], why: str, jobs: Jobs
) -> None:
    good = f"{KEYED[0]}\n" if key else rows(5)
    result = jobs({"bad/rows.jsonl": text, "good/rows.jsonl": good}, key=key)
    assert (result.status, result.failure_reason) == ("Failed", FAILURE_REASON)
    (refusal,) = result.refusals
    assert (refusal.name, refusal.first, refusal.last) == ("bad/rows.jsonl", *numbers)
    assert refusal.why.startswith(why)
    # What another object answers is there.
    assert [*result.outputs] == ["good/rows.jsonl"]
    out = jobs.folder / "mine" / "out"
    assert [file.relative_to(out).as_posix() for file in out.rglob("*.out")] == ["good/rows.jsonl.out"]


def test_a_prefix_without_objects_is_refused(jobs: Jobs) -> None:
    with pytest.raises(UserError, match="TransformInput: there is nothing at s3://mine/in/"):
        jobs({})
