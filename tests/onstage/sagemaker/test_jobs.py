"""`onstage sagemaker train`, `tune`, `status`, `logs`, `stop`: what is sent is done, what fails is explained."""

import json
import re
from pathlib import Path

import pytest

from tests.emulators.aws import KEYS, FakeAws
from tests.onstage.processes import until
from tests.onstage.sagemaker.desk import BUCKET, Desk, make_desk


@pytest.fixture(scope="module")
def trained(project: Path, aws: FakeAws, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, str]:
    """A desk with a bucket and a model that was really trained, and what was printed then."""
    desk = make_desk(project, tmp_path_factory.mktemp("trained") / "project", aws)
    desk.run("upload", "--create-bucket")
    return desk, desk.run("train", "--epochs", "2")


def test_a_job_that_is_sent_leaves_a_trained_model_and_shows_its_log(trained: tuple[Desk, str]) -> None:
    desk, said = trained
    name = re.search(r"training job (\S+) is sent", said)[1]
    assert re.search(r"epoch=2 loss=\S+ val_loss=\S+ val_accuracy=\S+", said)
    assert "it costs 1 x ml.m5.xlarge by the second" in said
    assert f"model: s3://{BUCKET}/iris_classifier/jobs/{name}/output/model.tar.gz" in said
    assert f"iris_classifier/jobs/{name}/output/model.tar.gz" in desk.objects()
    assert name in desk.run("status")
    assert "epoch=1 loss=" in desk.run("logs", name)
    assert "nothing runs that costs money" in desk.run("status")


def test_a_dry_run_prints_the_very_body_that_would_be_sent(desk: Desk) -> None:
    count = len(desk.aws.seen)
    ended = desk.ask("train", "--epochs", "3", "--dry-run")
    assert ended.code == 0, ended.said
    assert len(desk.aws.seen) == count
    body = json.loads(ended.out)
    sent = next(body for operation, body in desk.aws.bodies if operation == "CreateTrainingJob")
    name, sent_name = body["TrainingJobName"], sent["TrainingJobName"]
    assert name != sent_name
    expected = json.loads(json.dumps(sent).replace(sent_name, name))
    expected["HyperParameters"]["epochs"] = "3"
    assert body == expected


@pytest.mark.long
def test_throttling_and_a_lost_answer_are_overcome(desk: Desk) -> None:
    desk.aws.jobs_end = ("Completed", "")
    # The job is made, and the answer lost: the second request finds it there.
    desk.aws.fail("SageMaker.CreateTrainingJob", "ServiceUnavailable", "later", 503, times=1, after=True)
    desk.aws.fail("SageMaker.DescribeTrainingJob", "ThrottlingException", "Rate exceeded", times=1)
    before = len(desk.aws.jobs)
    assert "Completed" in desk.run("train")
    assert len(desk.aws.jobs) == before + 1


@pytest.mark.long
def test_a_lost_connection_does_not_end_the_watching(desk: Desk) -> None:
    desk.aws.jobs_end = ("hold", "")
    desk.aws.fail("SageMaker.DescribeTrainingJob", status=0, times=3)
    process = desk.start("train")
    until(lambda: not desk.aws.faults or desk.aws.faults[0].times == 0)
    for job in desk.aws.jobs.values():
        job.stopped.set()
    said = process.communicate(timeout=60)[0]
    assert "no answer, but it goes on; asking again" in said
    assert re.search(r"the training job iris-\S+ stopped", said)
    assert process.returncode == 1


def test_a_job_that_fails_ends_with_the_reason_and_the_likely_cause(desk: Desk) -> None:
    reason = "CapacityError: Unable to provision requested ML compute capacity"
    desk.aws.jobs_end = ("Failed", reason)
    printed = desk.run("train", code=1)
    assert f"failed: {reason}\n-> AWS has none of these machines free now" in printed
    name = re.search(r"training job (\S+) failed", printed)[1]
    assert f"failed: {reason}\n-> AWS has none of these machines free now" in desk.run("status", name)
    assert f"the job {name} has no model to serve" in desk.run("deploy", name, code=1)


@pytest.mark.long
def test_a_job_that_fails_for_a_mistake_in_the_code_shows_it(desk: Desk) -> None:
    file = desk.folder / "src" / "sagemaker_entry.py"
    text = file.read_text(encoding="utf-8").replace(
        "    job = make_run(", "    raise UserError('a mistake')\n    job = make_run("
    )
    file.write_text(text, encoding="utf-8")
    said = desk.run("train", code=1)
    assert re.search(r"the training job \S+ failed: AlgorithmError: a mistake\n-> run the same job here", said)
    assert "the log ends:\n  error: a mistake" in said


@pytest.mark.long
def test_a_job_of_several_hosts_says_which_one_printed_what_and_what_they_cost(desk: Desk) -> None:
    file = desk.folder / "src" / "sagemaker_entry.py"
    text = file.read_text(encoding="utf-8").replace(
        "    job = make_run(",
        "    import time\n    print('here', flush=True)\n    time.sleep(2)\n"
        "    raise UserError('a mistake')\n    job = make_run(",
    )
    file.write_text(text, encoding="utf-8")
    desk.change("max_runtime = 3600", "max_runtime = 3600\ninstance_count = 2")
    assert "2 x ml.m5.xlarge by the second" in desk.run("train", code=1)
    assert {"algo-1: here", "algo-2: here"} <= {*desk.run("logs").splitlines()}


def test_ctrl_c_leaves_the_job_running_and_says_how_to_come_back(desk: Desk) -> None:
    desk.aws.jobs_end = ("hold", "")
    asked = len(desk.aws.seen)
    said = desk.stop_when(lambda: "SageMaker.DescribeTrainingJob" in desk.aws.seen[asked:], "train")
    name = re.search(r"The training job (\S+) goes on in the cloud, and costs", said)[1]
    assert f"watch it: onstage sagemaker logs {name} --follow" in said
    status = desk.run("status")
    assert re.search(rf"costs money now:\n  {name} .*to end it: onstage sagemaker stop {name}", status)
    assert f"would stop the training job {name}" in desk.run("stop", "--dry-run")
    assert f"{name} is being stopped" in desk.run("stop")
    until(lambda: desk.aws.jobs["TrainingJob", name].facts["TrainingJobStatus"] == "Stopped")
    assert f"{name} has ended already: Stopped" in desk.run("stop")


@pytest.mark.long
def test_ctrl_c_while_a_job_is_sent_says_whether_it_may_run(desk: Desk) -> None:
    desk.aws.jobs_end, desk.aws.slow = ("Completed", ""), (f"PUT /{BUCKET}|CreateTrainingJob", 2)
    asked = len(desk.aws.seen)
    said = desk.stop_when(lambda: f"PUT /{BUCKET}" in " ".join(desk.aws.seen[asked:]), "train")
    assert "stopped; nothing was sent" in said
    asked, jobs = len(desk.aws.seen), len(desk.aws.jobs)
    said = desk.stop_when(lambda: "SageMaker.CreateTrainingJob" in desk.aws.seen[asked:], "train")
    assert "stopped; the job may have been sent: onstage sagemaker status iris-" in said
    until(lambda: len(desk.aws.jobs) == jobs + 1)


@pytest.mark.long
def test_hyperparameters_are_searched(desk: Desk) -> None:
    said = desk.run("tune", "--trials", "2", "--epochs", "1")
    name = re.search(r"tuning job (\S+) is sent; it costs 2 trainings", said)[1]
    assert len(name) <= 32
    assert "Completed, 2 of 2 trials done, best: " in said
    place, value = re.search(rf"jobs/({name}-00\d-\w+)/output/model.tar.gz", said)[1], r"val_accuracy=(0\.\d+|1)\b"
    assert f"iris_classifier/jobs/{place}/output/model.tar.gz" in desk.objects()
    log = "".join(
        event["message"] + "\n"
        for event in desk.aws.client("logs").get_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=f"{place}/algo-1-1700000000", startFromHead=True
        )["events"]
    )  # fmt: skip
    # What the service has read from the log is what the trainer says there.
    assert re.search(value, desk.run("status", name))[0] == re.findall(r"(?m)^epoch=1 .*(val_accuracy=\S+)", log)[0]
    body = next(body for operation, body in desk.aws.bodies if operation == "CreateHyperParameterTuningJob")
    assert body["TrainingJobDefinition"]["StaticHyperParameters"]["epochs"] == "1"


@pytest.mark.long
def test_a_flag_takes_its_field_out_of_the_search_and_that_is_said(desk: Desk) -> None:
    ended = desk.ask("tune", "--learning-rate", "0.02", "--dropout=0.1", "--dry-run")
    assert "searched: batch_size, hidden_units, hidden_layers; not learning_rate, dropout: flags say their" in ended.err
    assert re.search(r"sagemaker\.search +\S+ s +passed\n", ended.err)
    body = json.loads(ended.out)
    ranges = body["HyperParameterTuningJobConfig"]["ParameterRanges"].values()
    assert {one["Name"] for each in ranges for one in each} == {"batch_size", "hidden_units", "hidden_layers"}
    static = body["TrainingJobDefinition"]["StaticHyperParameters"]
    assert (static["learning_rate"], static["dropout"]) == ("0.02", "0.1")


@pytest.mark.long
def test_what_sagemaker_cannot_express_is_said_before_the_search_and_what_it_cannot_search_is_refused(
    desk: Desk,
) -> None:
    page = desk.folder / "src" / "trainer" / "model.py"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("low=4, high=64, scale", "low=8, high=64, step=8, scale"), encoding="utf-8")
    said = desk.ask("tune", "--dry-run").err
    assert "model.py: hidden_units: SageMaker has no steps: the 8 values are sent as a list of categories" in said
    assert "PASSED, " in said
    fixed = ("--learning-rate", "0.01", "--dry-run")
    assert "model.py: dropout: Grid tries every value" in desk.run("tune", "--strategy", "grid", *fixed, code=1)
    body = json.loads(desk.ask("tune", "--strategy", "grid", "--dropout", "0.1", *fixed).out)
    config = body["HyperParameterTuningJobConfig"]
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 4 * 8 * 3
    assert "--strategy bayse: did you mean bayesian? Amazon SageMaker has" in desk.run(
        "tune", "--strategy", "bayse", code=2
    )


def test_without_hyperparameters_that_are_known_nothing_is_sent(desk: Desk) -> None:
    count = len(desk.aws.seen)
    assert "unknown flag --learning-rat" in desk.run("train", "--learning-rat", "1", code=1)
    assert len(desk.aws.seen) == count


def test_nothing_that_a_command_leaves_holds_a_secret(trained: tuple[Desk, str]) -> None:
    desk, _ = trained
    kept = [file for file in (desk.folder / "runs").rglob("*") if file.is_file()]
    assert kept
    for file in kept:
        assert not any(secret.encode() in file.read_bytes() for secret in KEYS.values()), file
