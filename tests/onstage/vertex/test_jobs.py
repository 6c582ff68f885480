"""`onstage vertex train`, `tune`, `status`, `logs`, `stop`: what is sent is done, what fails is explained."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.emulators.faults import Fault
from tests.onstage.processes import until
from tests.onstage.vertex.desk import Body, Desk, FakeGoogle, make_desk


@pytest.fixture(scope="module")
def trained(project: Path, google: FakeGoogle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, str]:
    """A desk with a bucket and a model that was really trained, and what was printed then."""
    desk = make_desk(project, tmp_path_factory.mktemp("trained") / "project", google)
    desk.run("upload", "--create-bucket")
    return desk, desk.run("train", "--epochs", "2")


def job_of(said: str) -> str:
    return re.search(r"job (\S+) is sent", said)[1]


@pytest.mark.long
def test_a_job_that_is_sent_leaves_a_trained_model_and_shows_its_log(trained: tuple[Desk, str]) -> None:
    desk, said = trained
    name = job_of(said)
    assert re.search(r"^epoch=2 loss=\S+ val_loss=\S+ val_accuracy=\S+", said, re.MULTILINE)
    assert "JOB_STATE_SUCCEEDED" in said
    assert f"iris_classifier/jobs/{name}/model/1/saved_model.pb" in desk.objects()
    [sent] = [one for one in desk.google.vertex.created("customJobs") if one["displayName"] == name]
    assert "--epochs=2" in sent["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]


@pytest.mark.long
def test_hyperparameters_are_searched(desk: Desk) -> None:
    said = desk.run("tune", "--trials", "2", "--parallel", "2", "--strategy", "random", "--epochs", "1")
    body = desk.google.vertex.created("hyperparameterTuningJobs")[-1]
    assert body["studySpec"]["algorithm"] == "RANDOM_SEARCH"
    number = re.search(r"2 of 2 trials done, best: trial (\d) batch_size=(?:8|64) learning_rate=", said)[1]
    assert f"iris_classifier/jobs/{body['displayName']}/{number}/model/1/saved_model.pb" in desk.objects()
    values = re.findall(r"(?m)^epoch=1 .*val_accuracy=(\S+)", said)
    assert float(re.search(r"val_accuracy=(\S+)", desk.run("status"))[1]) == pytest.approx(
        max(map(float, values)), 1e-4
    )
    assert f"/{number}/model" in desk.run("status")


@pytest.mark.long
def test_a_flag_takes_its_field_out_of_the_search_and_that_is_said(desk: Desk) -> None:
    ended = desk.ask("tune", "--learning-rate", "0.02", "--early-stopping", "median", "--dry-run")
    assert "searched: batch_size, hidden_units, hidden_layers, dropout; not learning_rate: a flag says its" in ended.err
    assert re.search(r"vertex\.search +\S+ s +passed\n", ended.err)
    study = json.loads(ended.out)["studySpec"]
    assert [one["parameterId"] for one in study["parameters"]] == [
        "batch_size",
        "hidden_units",
        "hidden_layers",
        "dropout",
    ]
    assert study["medianAutomatedStoppingSpec"] == {}


@pytest.mark.long
def test_what_vertex_ai_cannot_express_is_said_before_the_search_and_what_it_cannot_search_is_refused(
    desk: Desk,
) -> None:
    page = desk.folder / "src" / "trainer" / "model.py"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("low=0.0, high=0.5", 'low=0.0, high=0.5, scale="reverse_log"'), encoding="utf-8")
    said = desk.ask("tune", "--dry-run").err
    assert "model.py: dropout: Vertex AI's reverse log scale needs a range above 0" in said
    assert "PASSED, " in said
    fixed = ("--learning-rate", "0.01", "--dry-run")
    assert "model.py: dropout: GRID_SEARCH takes no real" in desk.run("tune", "--strategy", "grid", *fixed, code=1)
    said = desk.ask("tune", "--strategy", "grid", "--dropout", "0.1", *fixed).said
    assert "10 of 732 combinations are tried; --trials 732 tries all" in said
    said = desk.run("tune", "--strategy", "hyperband", code=2)
    assert "--strategy hyperband: Google Vertex AI has bayesian, random, grid" in said


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault("POST .*customJobs", 403, "Permission 'aiplatform.customJobs.create' denied on resource"),
            "the permission aiplatform.customJobs.create is missing",
        ),
        (
            Fault(
                "POST .*customJobs",
                429,
                "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus",
                "RESOURCE_EXHAUSTED",
            ),
            "may use no more of aiplatform.googleapis.com/custom_model_training_cpus: ask for more",
        ),
    ],
)
def test_a_job_that_is_refused_is_not_there_and_says_what_to_do(desk: Desk, fault: Fault, said: str) -> None:
    jobs = len(desk.google.vertex.jobs)
    desk.google.vertex.troubles.faults.append(dataclasses.replace(fault))
    assert said in desk.run("train", code=1)
    assert len(desk.google.vertex.jobs) == jobs
    assert len(list((desk.folder / "runs" / "cloud" / "vertex" / "training").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (401, "Request had invalid authentication credentials.", "gcloud auth application-default login"),
        (
            403,
            "Vertex AI API has not been used in project proj before or it is disabled.",
            "gcloud services enable aiplatform.googleapis.com",
        ),
    ],
)
def test_a_question_that_is_refused_says_what_to_do(desk: Desk, status: int, message: str, said: str) -> None:
    desk.google.vertex.troubles.faults.append(Fault("GET .*customJobs", status, message))
    assert said in desk.run("status", code=1)


@pytest.mark.long
def test_a_job_whose_answer_is_lost_is_not_sent_twice(desk: Desk) -> None:
    desk.google.job = lambda job, log: ""
    jobs = len(desk.google.vertex.jobs)
    desk.google.vertex.troubles.faults += [
        Fault("POST .*customJobs", 503, "The service is currently unavailable.", times=1),
        Fault("POST .*customJobs", times=1, after=True),
        Fault("GET .*customJobs", 429, "Quota exceeded for quota metric 'requests per minute'", times=1),
    ]
    assert "JOB_STATE_SUCCEEDED" in desk.run("train")
    assert len(desk.google.vertex.jobs) == jobs + 1


@pytest.mark.long
def test_a_job_that_fails_ends_with_the_reason_and_the_likely_cause(desk: Desk) -> None:
    def fail(job: Body, log: Callable[[str], None]) -> str:
        log("ModuleNotFoundError: No module named 'nltk'")
        return "The replica workerpool0-0 exited with a non-zero status of 1."

    desk.google.job = fail
    said = desk.run("train", code=1)
    assert "The replica workerpool0-0 exited with a non-zero status of 1." in said
    assert "add nltk to src/requirements.txt" in said
    assert "https://console.cloud.google.com/" in said
    assert "ModuleNotFoundError" in desk.run("logs")


@pytest.mark.long
def test_the_log_says_which_replica_it_is_only_where_there_are_several(desk: Desk) -> None:
    def fail(job: Body, log: Callable[[str], None]) -> str:
        for pool, _ in enumerate(job["jobSpec"]["workerPoolSpecs"]):
            log(f"workerpool{pool}-0: here")
        return "The replica workerpool1-0 exited with a non-zero status of 1."

    desk.google.job = fail
    desk.run("train", code=1)
    assert "workerpool" not in desk.run("logs")
    desk.change("machine_type =", "replica_count = 2\nmachine_type =")
    said = desk.run("train", code=1)
    assert "workerpool0-0: here" in said and "workerpool1-0: here" in said
    assert [line for line in desk.run("logs").splitlines() if line] == ["workerpool0-0: here", "workerpool1-0: here"]


@pytest.mark.long
def test_ctrl_c_leaves_the_job_running_and_says_how_to_come_back(desk: Desk) -> None:
    stopped: list[str] = []

    def hang(job: Body, log: Callable[[str], None]) -> str:
        log("epoch=1 loss=1")
        until(lambda: bool(stopped))
        return ""

    desk.google.job = hang
    seen = len(desk.google.around.requests)
    said = desk.stop_when(lambda: "POST /v2/entries:list" in desk.google.around.requests[seen:], "train")
    name = job_of(said)
    assert f"onstage vertex logs {name} --follow" in said
    assert f"onstage vertex stop {name}" in said
    status = desk.run("status")
    assert f"{name}  training  JOB_STATE_RUNNING" in status
    assert f"to end it: onstage vertex stop {name}" in status
    assert "would stop" in desk.run("stop", "--dry-run")
    assert "is being stopped" in desk.run("stop")
    stopped.append("now")
    assert "has ended already: JOB_STATE_CANCELLED" in desk.run("stop", name)
