"""`python -m cloud vertex` against Google on loopback: what is sent is done, what fails is explained and cleaned up."""

import base64
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.emulators.faults import Fault
from tests.emulators.google import PROJECT
from tests.emulators.vertex import Predict
from tests.onstage.vertex.desk import BUCKET, Body, Desk, FakeGoogle, make_desk, until

PART = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def google(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGoogle]:
    fake = FakeGoogle(tmp_path_factory.mktemp("google"))
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def trained(project: Path, google: FakeGoogle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, str]:
    """A desk with a bucket and a model that was really trained, and what was printed then."""
    desk = make_desk(project, tmp_path_factory.mktemp("trained") / "project", google)
    desk.run("upload", "--create-bucket")
    return desk, desk.run("train", "--epochs", "2")


@pytest.fixture
def desk(trained: tuple[Desk, str], tmp_path: Path) -> Iterator[Desk]:
    """A copy of the desk, in front of a Google that works again afterwards."""
    used, _ = trained
    yield Desk(Path(shutil.copytree(used.folder, tmp_path / "desk")), used.google)
    used.google.mend()


def job_of(said: str) -> str:
    return re.search(r"job (\S+) is sent", said)[1]


def test_a_job_that_is_sent_leaves_a_trained_model_and_shows_its_log(trained: tuple[Desk, str]) -> None:
    desk, said = trained
    name = job_of(said)
    assert re.search(r"^epoch=2 loss=\S+ val_loss=\S+ val_accuracy=\S+", said, re.MULTILINE)
    assert "JOB_STATE_SUCCEEDED" in said
    assert f"iris_classifier/jobs/{name}/model/1/saved_model.pb" in desk.objects()
    [sent] = [one for one in desk.google.vertex.created("customJobs") if one["displayName"] == name]
    assert "--epochs=2" in sent["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]


def test_an_endpoint_answers_as_the_model_does_and_goes_away_completely(desk: Desk, tmp_path: Path) -> None:
    assert '"modelId": "iris"' in desk.run("deploy", "--endpoint", "iris", "--dry-run")
    assert desk.left() == []
    said = desk.run("deploy", "--endpoint", "iris")
    assert "predictions: as the trainer has them" in said
    assert "n1-standard-2" in said
    assert "python -m cloud vertex delete iris" in said
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
    assert "to end it: python -m cloud vertex delete iris" in status
    assert "there is already: endpoint iris, model iris" in desk.run("deploy", "--endpoint", "iris", code=1)
    assert "would remove endpoint iris" in desk.run("delete", "--dry-run")
    assert "removed endpoint iris" in desk.run("delete")
    assert desk.left() == []
    assert "nothing is left of iris" in desk.run("delete", "iris")


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
    assert "line 2 is not JSON" in desk.run("batch", str(rows), code=1)


def test_a_tuning_job_shows_its_best_trial(desk: Desk) -> None:
    def tune(job: Body, log: Callable[[str], None]) -> str:
        log("trial log")
        job["trials"] = [
            {
                "id": str(number),
                "state": "SUCCEEDED",
                "parameters": [{"parameterId": "learning_rate", "value": number / 10}],
                "finalMeasurement": {"metrics": [{"metricId": job["studySpec"]["metrics"][0]["metricId"], "value": v}]},
            }
            for number, v in ((1, 0.5), (2, 0.9), (3, 0.7))
        ]
        return ""

    desk.google.job = tune
    said = desk.run("tune", "--trials", "3", "--parallel", "3", "--strategy", "RANDOM_SEARCH", "--epochs", "1")
    assert desk.google.vertex.created("hyperparameterTuningJobs")[-1]["studySpec"]["algorithm"] == "RANDOM_SEARCH"
    maximize = (
        desk.google.vertex.created("hyperparameterTuningJobs")[-1]["studySpec"]["metrics"][0]["goal"] != "MINIMIZE"
    )
    best = 2 if maximize else 1
    assert f"3 of 3 trials done, best: trial {best} learning_rate=" in said
    assert "trial log" in said
    assert f"/{best}/model" in desk.run("status")
    assert "'GRID' does not exist" in desk.run("tune", "--strategy", "GRID", code=1)


def test_what_is_there_is_not_sent_again_and_what_changed_is(desk: Desk) -> None:
    storage = desk.google.storage
    before = len([one for one in storage.requests if "POST" in one and "/upload/" in one])
    said = desk.run("upload")
    assert "2 of 2 files are there already" in said
    file = desk.folder / "data" / "eval" / "iris.csv"
    text = file.read_text(encoding="utf-8")
    # Of the same size.
    file.write_text(text.replace("0", "1", 1), encoding="utf-8")
    assert f"would send {file}" in desk.run("upload", "--dry-run")
    assert "1 of 2 files are there already" in desk.run("upload")
    after = len([one for one in storage.requests if "POST" in one and "/upload/" in one])
    assert after == before + 1
    file.write_text(text, encoding="utf-8")
    desk.run("upload")


def test_a_bucket_is_made_private_in_the_job_s_region(project: Path, desk: Desk, tmp_path: Path) -> None:
    new = make_desk(project, tmp_path / "new", desk.google, "new-bucket")
    assert "there is no bucket new-bucket; make it in us-central1" in new.run("upload", code=1)
    new.run("upload", "--create-bucket")
    made = desk.google.storage.buckets["new-bucket"]
    assert made["location"] == "US-CENTRAL1"
    assert made["versioning"] == {"enabled": True}
    assert made["iamConfiguration"]["publicAccessPrevention"] == "enforced"
    assert made["iamConfiguration"]["uniformBucketLevelAccess"] == {"enabled": True}
    assert "there is already the bucket new-bucket" in new.run("upload", "--create-bucket")
    made["location"] = "US"
    assert "is in us, the jobs are in us-central1; they must be together" in new.run("upload", code=1)


def test_a_bucket_of_somebody_else_is_named_as_such(project: Path, desk: Desk, tmp_path: Path) -> None:
    (desk.google.storage.objects.root / "taken").mkdir(exist_ok=True)
    other = make_desk(project, tmp_path / "other", desk.google, "taken")
    assert "belongs to somebody else" in other.run("upload", "--create-bucket", code=1)
    said = other.run("upload", code=1)
    assert "the permission storage.buckets.get is missing" in said
    assert "belongs to somebody else" in said


def large_desk(project: Path, desk: Desk, folder: Path) -> Desk:
    large = make_desk(project, folder, desk.google)
    (large.folder / "data" / "train" / "large.csv").write_bytes(os.urandom(1024) * (5 * 8 * 1024 + 1))
    return large


def sent_parts(desk: Desk) -> list[str]:
    return [one for one in desk.google.storage.requests if one.startswith("PUT") and "partNumber" in one]


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_an_upload_that_was_cut_off_goes_on_with_the_parts_that_arrived(
    project: Path, desk: Desk, tmp_path: Path, how: str
) -> None:
    large = large_desk(project, desk, tmp_path / "large")
    before = len(sent_parts(desk))
    # The last parts hang.
    desk.google.storage.troubles.faults.append(Fault("partNumber=[56]", 503, "slow down"))
    number = signal.SIGKILL if how == "killed" else signal.SIGINT
    said = large.stop_when(lambda: len(sent_parts(desk)) - before >= 4, "upload", how=number)
    assert how == "killed" or "To go on: python -m cloud vertex upload" in said
    desk.google.storage.troubles.faults.clear()
    first = len(sent_parts(desk)) - before
    assert first >= 4
    large.run("upload")
    assert first + 2 >= len(sent_parts(desk)) - before >= 6
    file = large.folder / "data" / "train" / "large.csv"
    stored = desk.google.storage.objects.get(BUCKET, "iris_classifier/data/train/large.csv")
    assert stored.content() == file.read_bytes()
    assert desk.google.storage.parts == {}
    desk.google.storage.objects.delete(BUCKET, "iris_classifier/data/train/large.csv")


def test_connections_that_break_in_mid_upload_are_made_again(project: Path, desk: Desk, tmp_path: Path) -> None:
    large = large_desk(project, desk, tmp_path / "large")
    desk.google.storage.troubles.faults += [
        Fault("partNumber=2", times=1),
        Fault("POST .*uploadId=", times=1, after=True),
        Fault("partNumber=3", 503, "try later", times=1),
    ]
    said = large.run("upload")
    total = (large.folder / "data" / "train" / "large.csv").stat().st_size
    assert f"{total / 1e6:.1f} MB in" in said
    stored = desk.google.storage.objects.get(BUCKET, "iris_classifier/data/train/large.csv")
    assert stored.content() == (large.folder / "data" / "train" / "large.csv").read_bytes()
    desk.google.storage.objects.delete(BUCKET, "iris_classifier/data/train/large.csv")


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
    assert f"python -m cloud vertex logs {name} --follow" in said
    assert f"python -m cloud vertex stop {name}" in said
    status = desk.run("status")
    assert f"{name}  training  JOB_STATE_RUNNING" in status
    assert f"to end it: python -m cloud vertex stop {name}" in status
    assert "would stop" in desk.run("stop", "--dry-run")
    assert "is being stopped" in desk.run("stop")
    stopped.append("now")
    assert "has ended already: JOB_STATE_CANCELLED" in desk.run("stop", name)


@pytest.mark.parametrize("why", ["refused", "wrong", "unknown"])
def test_a_deployment_that_fails_leaves_nothing(desk: Desk, why: str) -> None:
    if why == "refused":
        desk.google.refusal = "Model server never became ready. Please validate that your container is valid."
        said = desk.run("deploy", code=1)
        assert "Model server never became ready" in said
        assert "python -m rehearse vertex" in said
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
        assert "python -m cloud vertex delete slow" in said
        assert "slow  endpoint  the model is being deployed" in desk.run("status", "slow")
        process = subprocess.Popen(
            [sys.executable, "-m", "cloud", "vertex", "delete", "slow"], cwd=desk.folder, env=desk.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        until(lambda: any(one.method == "DELETE" for one in desk.google.vertex.requests[before:]))
        going.append("now")
        said = process.communicate(timeout=60)[0]
        assert (process.returncode, "not yet" in said) == (0, True), said
        assert desk.left() == []
    finally:
        going.append("now")
        desk.google.vertex.serve = real


def test_sums_are_those_that_cloud_storage_has(project: Path, tmp_path: Path) -> None:
    from onstage.vertex.client.transfers import checksum, part_size

    file = tmp_path / "file"
    file.write_bytes(b"123456789")
    # Source: RFC 3720, B.4: the check value of CRC-32C.
    assert checksum(file) == base64.b64encode(bytes.fromhex("e3069283")).decode()
    assert checksum(file, 1, 3) == checksum(_written(tmp_path / "part", b"234"))
    assert (part_size(1), part_size(10_000 * PART), part_size(10_000 * PART + 1)) == (PART, PART, PART + 1)


def _written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file
