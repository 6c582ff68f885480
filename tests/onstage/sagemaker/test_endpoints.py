"""`onstage sagemaker deploy`, `predict`, `delete`, `batch`: what fails is cleaned up."""

import io
import json
import re
import tarfile
import time
from collections.abc import Callable

import pytest

from onstage import sagemaker
from onstage.returned import CallError
from tests.emulators.aws import FakeAws
from tests.onstage.sagemaker.desk import BUCKET, Desk


def test_an_endpoint_answers_as_the_model_that_was_trained(desk: Desk) -> None:
    said = desk.run("deploy", "--endpoint", "iris")
    assert "asked it for 3 predictions: as the trainer has them" in said
    assert "it costs 1 x ml.m5.large by the second, until you remove it" in said
    assert "remove it: onstage sagemaker delete iris" in said
    request = '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
    answer = json.loads(desk.run("predict", "-", text=request))
    assert set(answer["predictions"][0]) == {"class_id", "class_label", "probabilities"}
    assert "the model refuses the request" in desk.run(
        "predict", "-", "--endpoint", "iris", text='{"instances": [[1]]}', code=1
    )
    assert re.search(r"costs money now:\n(.*\n)*  iris  endpoint .*delete iris", desk.run("status"))
    assert "there is already: endpoint iris" in desk.run("deploy", "--endpoint", "iris", code=1)
    parts = ["endpoint iris", "endpoint config iris", "model iris"]
    assert desk.run("delete", "--dry-run").splitlines() == [f"would remove {part}" for part in parts]
    assert desk.run("delete").splitlines() == [f"removed {part}" for part in parts]
    assert desk.run("delete", "iris").splitlines() == ["nothing is left of iris"]
    assert desk.left() == []


def trainers_answer(desk: Desk) -> bytes:
    """What the trainer's own model answered to the request that it left with the model."""
    key = next(key for key in desk.objects() if key.endswith("model.tar.gz"))
    archive = desk.aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        name = next(name for name in tar.getnames() if name.endswith("example.json"))
        return json.dumps(json.load(tar.extractfile(name))["response"]).encode()


@pytest.mark.long
def test_an_endpoint_gets_the_bounds_of_its_scaling_once_it_serves(desk: Desk) -> None:
    desk.change("max_runtime = 3600", "max_runtime = 3600\nendpoint_max_instance_count = 3")
    answer = trainers_answer(desk)
    desk.aws.answer = lambda _: answer
    assert '"MaxCapacity": 3' in desk.run("deploy", "--dry-run")
    assert desk.left() == []
    count = len(desk.aws.bodies)
    assert "made the bounds of its scaling" in desk.run("deploy", "--endpoint", "wide")
    made = [operation for operation, _ in desk.aws.bodies[count:]]
    assert made == [
        "CreateModel", "CreateEndpointConfig", "CreateEndpoint", "RegisterScalableTarget", "PutScalingPolicy",
    ]  # fmt: skip
    target = desk.aws.bodies[-2][1]
    assert (target["ResourceId"], target["MinCapacity"]) == ("endpoint/wide/variant/AllTraffic", 1)
    desk.run("delete")


def test_a_serverless_endpoint_is_asked_for(desk: Desk) -> None:
    desk.change("max_runtime = 3600", "max_runtime = 3600\n[sagemaker.serverless]\nmemory_mb = 1024")
    said = desk.run("deploy", "--dry-run")
    assert '"MemorySizeInMB": 1024' in said
    assert "InstanceType" not in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("endpoint_instance_count = 3\nendpoint_max_instance_count = 2", "must be endpoint_instance_count (3) or more"),
        ("endpoint_max_instance_count = 2\n[sagemaker.serverless]", "a serverless endpoint scales by itself"),
    ],
)
def test_bounds_that_fit_nothing_are_refused(desk: Desk, settings: str, said: str) -> None:
    desk.change("max_runtime = 3600", f"max_runtime = 3600\n{settings}")
    assert said in desk.run("status", code=2)


ENDPOINT_FAULTS: dict[str, tuple[Callable[[FakeAws], object], str]] = {
    "a container that does not start": (
        lambda aws: setattr(aws, "endpoints_end", ("Failed", "The container did not pass the ping health check.")),
        "rehearse the endpoint of this model"),
    "a quota": (
        lambda aws: aws.fail("SageMaker.CreateEndpoint$", "ResourceLimitExceeded", "'ml.m5.large for endpoint' is 0"),
        "the account may use no more of ml.m5.large"),
    "a permission that is missing": (
        lambda aws: aws.fail("SageMaker.CreateEndpointConfig", "AccessDeniedException", "not authorized"),
        "the permissions to ask for"),
    "other answers than the trainer's": (
        lambda aws: setattr(aws, "answer", lambda _: b'{"predictions": [1, 2, 3]}'),
        "the endpoint answers otherwise than the model that was trained"),
}  # fmt: skip


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ENDPOINT_FAULTS)
def test_an_endpoint_that_fails_is_removed_again(desk: Desk, name: str) -> None:
    break_it, said = ENDPOINT_FAULTS[name]
    desk.aws.answer = lambda _: b"{}"
    break_it(desk.aws)
    printed = desk.run("deploy", code=1)
    assert said in printed
    assert "removed again: " in printed
    assert desk.left() == []


def test_what_cannot_be_removed_is_named(desk: Desk) -> None:
    desk.aws.fail("SageMaker.CreateEndpoint$", "InternalFailure", "down", 500)
    desk.aws.fail("SageMaker.Delete", "AccessDeniedException", "not authorized")
    said = desk.run("deploy", "--endpoint", "stays", code=1)
    assert "what is left may cost 1 x ml.m5.large by the second" in said
    assert "remove it: onstage sagemaker delete stays" in said
    desk.aws.faults.clear()
    assert "removed model stays" in desk.run("delete")
    assert desk.left() == []


@pytest.mark.long
def test_ctrl_c_while_an_endpoint_is_made_names_it_and_delete_waits_for_it(desk: Desk) -> None:
    desk.aws.endpoints_end, desk.aws.answer = ("hold", ""), lambda _: b"{}"
    asked = len(desk.aws.seen)
    said = desk.stop_when(
        lambda: ("Endpoint", "slow") in desk.aws.jobs and desk.aws.seen[asked:].count("SageMaker.DescribeEndpoint") > 2,
        "deploy", "--endpoint", "slow",
    )  # fmt: skip
    assert "what was begun goes on, and costs 1 x ml.m5.large by the second" in said
    assert "remove it: onstage sagemaker delete slow" in said
    process = desk.start("delete")
    time.sleep(2)
    desk.aws.jobs["Endpoint", "slow"].stopped.set()
    assert "removed endpoint slow" in process.communicate(timeout=60)[0]
    assert desk.left() == []


@pytest.mark.long
def test_ctrl_c_before_the_endpoint_removes_what_came_first(desk: Desk) -> None:
    desk.aws.slow = ("CreateEndpointConfig", 2)
    asked = len(desk.aws.seen)
    said = desk.stop_when(
        lambda: "SageMaker.CreateEndpointConfig" in desk.aws.seen[asked:], "deploy", "--endpoint", "early"
    )
    assert "stopped; removed again: model early" in said
    time.sleep(2)
    # The request that was cut off may still be carried out: what it made costs nothing, and delete finds it.
    desk.run("delete", "early")
    assert desk.left() == []


@pytest.mark.long
def test_rows_are_predicted_without_an_endpoint(desk: Desk) -> None:
    rows = desk.folder / "rows.jsonl"
    rows.write_text("[5.1, 3.5, 1.4, 0.2]\n[6.1, 3.5, 4.4, 1.2]\n", encoding="utf-8")
    said = desk.run("batch", "rows.jsonl")
    fetched = desk.folder / re.search(r"fetched to (\S+)", said)[1]
    answers = json.loads(fetched.read_text(encoding="utf-8"))
    assert len(answers["predictions"]) == 2
    assert "removed model" in said
    assert desk.left() == []
    rows.write_text("[1]\n[2\n", encoding="utf-8")
    assert "rows.jsonl, line 2: the row is not JSON" in desk.run("batch", "rows.jsonl", code=1)
    rows.write_text("", encoding="utf-8")
    assert "rows.jsonl is empty" in desk.run("batch", "rows.jsonl", code=1)
    assert "no rows in none.jsonl" in desk.run("batch", "none.jsonl", code=1)


@pytest.mark.long
def test_rows_are_answered_with_their_keys_which_the_model_does_not_see(desk: Desk) -> None:
    assert "name a file of rows: onstage sagemaker batch rows.jsonl, or rows in" in desk.run("batch", code=2)
    desk.change("\n[sagemaker]", '\n[batch]\nrows = "rows.jsonl"\nkey = "id"\n\n[sagemaker]')
    rows = [{"id": "b", "features": [5.1, 3.5, 1.4, 0.2]}, {"id": "a", "features": [6.7, 3.0, 5.2, 2.3]}]
    file = desk.folder / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    said = desk.run("batch")
    fetched = desk.folder / re.search(r"fetched to (\S+) \(2 lines\)", said)[1]
    answers = [json.loads(line) for line in fetched.read_text(encoding="utf-8").splitlines()]
    assert [one["id"] for one in answers] == ["b", "a"]
    labels = [one["SageMakerOutput"]["predictions"][0]["class_label"] for one in answers]
    assert labels[0] == "setosa" != labels[1]
    sent = next(body for operation, body in reversed(desk.aws.bodies) if operation == "CreateTransformJob")
    assert sent["DataProcessing"]["JoinSource"] == "Input"
    # One row that the model refuses, and one that is refused here.
    file.write_text(json.dumps(rows[0]) + '\n{"id": 2, "features": [5.1, "?", 1.4, 0.2]}\n', encoding="utf-8")
    said = desk.run("batch", code=1)
    assert "failed: ClientError: See job logs for more information" in said
    assert "-> one row that the model refuses fails the whole job, and its log has the reason" in said
    assert "data-log" not in said and "ClientError: 400: " in said
    file.write_text('{"id": 1, "features": [1]}\n{"id": 1, "features": [2]}\n', encoding="utf-8")
    said = desk.run("batch", code=1)
    assert "rows.jsonl, line 2: the row has the same 'id' as that in line 1: 1" in said


@pytest.mark.long
def test_python_functions_do_what_the_commands_do(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in desk.environment.items():
        monkeypatch.setenv(name, value)
    job = sagemaker.train(epochs=2, folder=desk.folder)
    assert (job["kind"], job["state"]) == ("training", "succeeded")
    assert job["model"].startswith(f"s3://{BUCKET}/")
    endpoint = sagemaker.deploy(endpoint="called", folder=desk.folder)
    assert (endpoint["name"], endpoint["job"]) == ("called", job["name"])
    (answer,) = sagemaker.predict([[5.1, 3.5, 1.4, 0.2]], folder=desk.folder)
    assert set(answer) == {"class_id", "class_label", "probabilities"}
    assert "called" in [one["name"] for one in sagemaker.status(folder=desk.folder)["running"]]
    (desk.folder / "rows.jsonl").write_text("[5.1, 3.5, 1.4, 0.2]\n", encoding="utf-8")
    asked = sagemaker.batch("rows.jsonl", dry_run=True, folder=desk.folder)["requests"]
    assert [one["operation"] for one in asked] == ["CreateModel", "CreateTransformJob"]
    sent = sagemaker.batch("rows.jsonl", wait=False, folder=desk.folder)
    assert (sent["kind"], sent["state"], "answers" in sent) == ("batch", "waiting", False)
    assert "answers" in sagemaker.batch("rows.jsonl", folder=desk.folder)
    sagemaker.delete(folder=desk.folder)
    # What the job that nobody waited for still needs.
    assert desk.left() == [sent["name"]]
    with pytest.raises(CallError, match="the model refuses|not found|no endpoint"):
        sagemaker.predict([[1]], endpoint="called", folder=desk.folder)
