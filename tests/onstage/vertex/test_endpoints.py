"""`onstage vertex deploy`, `predict`, `delete`, `batch`: what fails is cleaned up."""

import json
from pathlib import Path

import pytest

from tests.emulators.faults import Fault
from tests.emulators.google import PROJECT
from tests.emulators.vertex import Predict
from tests.onstage.processes import until
from tests.onstage.vertex.desk import BUCKET, Body, Desk


def test_an_endpoint_answers_as_the_model_does_and_goes_away_completely(desk: Desk, tmp_path: Path) -> None:
    assert '"modelId": "iris"' in desk.run("deploy", "--endpoint", "iris", "--dry-run")
    assert desk.left() == []
    said = desk.run("deploy", "--endpoint", "iris")
    assert "predictions: as the trainer has them" in said
    assert "n1-standard-2" in said
    assert "onstage vertex delete iris" in said
    parent = f"projects/{PROJECT}/locations/us-central1"
    assert desk.left() == [f"{parent}/models/iris", f"{parent}/endpoints/iris"]
    [example] = [one for one in desk.objects() if one.endswith("example.json")]
    content = json.loads((desk.google.storage.objects.root / BUCKET / example).read_text(encoding="utf-8"))
    request = json.dumps({"instances": content["request"]["instances"]})
    answer = json.loads(desk.run("predict", "-", text=request))
    assert len(answer["predictions"]) == len(content["request"]["instances"])
    refused = desk.run("predict", "-", text='{"instances": [{"nothing": 1}]}', code=1)
    assert "nothing" in refused or "sepal" in refused
    large = tmp_path / "large.json"
    large.write_text(json.dumps({"instances": [{"x": "x" * (10 * 1024 * 1024)}]}))
    assert "takes 10.5 MB" in desk.run("predict", str(large), code=1)
    status = desk.run("status")
    assert "iris  endpoint  serving" in status
    assert "to end it: onstage vertex delete iris" in status
    assert "there is already: endpoint iris, model iris" in desk.run("deploy", "--endpoint", "iris", code=1)
    assert "would remove endpoint iris" in desk.run("delete", "--dry-run")
    assert "removed endpoint iris" in desk.run("delete")
    assert desk.left() == []
    assert "nothing is left of iris" in desk.run("delete", "iris")


@pytest.mark.long
def test_a_batch_prediction_brings_the_answers_and_leaves_no_model(desk: Desk, tmp_path: Path) -> None:
    [example] = [one for one in desk.objects() if one.endswith("example.json")]
    content = json.loads((desk.google.storage.objects.root / BUCKET / example).read_text(encoding="utf-8"))
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(json.dumps(row) for row in content["request"]["instances"]) + "\n")
    said = desk.run("batch", str(rows))
    assert desk.left() == []
    [fetched] = tmp_path.glob("*.out")
    answers = [json.loads(line) for line in fetched.read_text(encoding="utf-8").splitlines()]
    assert [one["instance"] for one in answers] == content["request"]["instances"]
    assert "/prediction.results-*" in said
    rows.write_text("{}\nno JSON\n")
    assert "line 2: the row is not JSON" in desk.run("batch", str(rows), code=1)


@pytest.mark.long
def test_rows_are_answered_with_their_keys_and_those_without_an_answer_are_counted(desk: Desk, tmp_path: Path) -> None:
    desk.change("\n[vertex]", '\n[batch]\nkey = "id"\n\n[vertex]')
    rows = [{"id": f"r{number}", "features": [5.1, 3.5, 1.4, 0.2]} for number in range(66)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert " (66 lines)" in desk.run("batch", str(file))
    [fetched] = tmp_path.glob("*.out")
    answers = [json.loads(line) for line in fetched.read_text(encoding="utf-8").splitlines()]
    assert {one["key"]: one["prediction"]["class_label"] for one in answers} == {row["id"]: "setosa" for row in rows}
    [*_, sent] = desk.google.vertex.created("batchPredictionJobs")
    assert sent["instanceConfig"] == {"instanceType": "object", "keyField": "id"}
    # One row that the model refuses, and one that is refused here.
    file.write_text(file.read_text(encoding="utf-8").replace("5.1", '"?"', 1), encoding="utf-8")
    said = desk.run("batch", str(file), code=1)
    assert " (2 lines)" in said
    assert "64 rows have no answer; the reasons, not the rows: gs://" in said
    assert "/prediction.errors_stats-*" in said
    file.write_text('{"id": 1, "length": 5.1, "width": 1}\n', encoding="utf-8")
    said = desk.run("batch", str(file), code=1)
    assert "rows.jsonl, line 1: the row names 2 inputs, and the model takes one" in said


@pytest.mark.few(1)
@pytest.mark.parametrize("why", ["refused", "wrong", "unknown"])
def test_a_deployment_that_fails_leaves_nothing(desk: Desk, why: str) -> None:
    if why == "refused":
        desk.google.refusal = "Model server never became ready. Please validate that your container is valid."
        said = desk.run("deploy", code=1)
        assert "Model server never became ready" in said
        assert "onstage rehearse vertex" in said
    elif why == "wrong":
        desk.google.wrong = True
        said = desk.run("deploy", code=1)
        assert "answers otherwise than the model that was trained" in said
    else:
        desk.google.vertex.troubles.faults.append(Fault("POST .*/endpoints", 403, "Permission 'x.y.z' denied"))
        said = desk.run("deploy", code=1)
        assert "removed again: model" in said
    assert "removed again" in said
    assert desk.left() == []


def test_an_endpoint_that_is_still_being_made_can_be_removed(desk: Desk) -> None:
    going: list[str] = []
    real = desk.google.vertex.serve

    def slow(model: Body) -> Predict:
        until(lambda: bool(going))
        return real(model)

    desk.google.vertex.serve = slow
    try:
        posted = lambda: any(one.path.endswith("deployModel") for one in desk.google.vertex.requests[before:])
        before = len(desk.google.vertex.requests)
        said = desk.stop_when(posted, "deploy", "--endpoint", "slow")
        assert "onstage vertex delete slow" in said
        assert "slow  endpoint  the model is being deployed" in desk.run("status", "slow")
        process = desk.start("delete", "slow")
        until(lambda: any(one.method == "DELETE" for one in desk.google.vertex.requests[before:]))
        going.append("now")
        said = process.communicate(timeout=60)[0]
        assert (process.returncode, "not yet" in said) == (0, True), said
        assert desk.left() == []
    finally:
        going.append("now")
        desk.google.vertex.serve = real
