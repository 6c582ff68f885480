"""Trials of the tuning job run as the service would run them, most as shell scripts: what each leaves, and where."""

from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from onstage.checks.model_page import read_model
from onstage.project import Project
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.report import Check, Report
from onstage.settings import load
from onstage.vertex.agent import rehearsal
from onstage.vertex.agent.task import Task
from onstage.vertex.agent.tuning import rehearse_trials
from tests.conftest import Bake
from tests.onstage.mistakes import MODEL, Mistake, both, change, rehearse
from tests.onstage.reports import copied

SCRIPT = """\
set -e
echo "flags: $@"
dropout=$(printf '%s\\n' "$@" | sed -n 's/^--dropout=//p')
place=/gcs/${AIP_MODEL_DIR#gs://}
report() {
    echo "epoch=1 val_accuracy=$1"
    mkdir -p $(dirname $CLOUD_ML_HP_METRIC_FILE)
    echo "{\\"val_accuracy\\": \\"$1\\"}" > $CLOUD_ML_HP_METRIC_FILE
}
save() { mkdir -p $1/1; echo $dropout > $1/1/saved_model.pb; }
"""
GOOD = f"{SCRIPT}save $place\nreport $dropout\n"
TERMS = Terms(5, (), "onstage rehearse vertex")


@pytest.fixture
def trials(tmp_path: Path, project: Path) -> "Trials":
    return Trials(tmp_path, Project(project))


class Trials:
    """Trials of a project's tuning job whose container runs a script, and what the rehearsal says of them."""

    def __init__(self, folder: Path, project: Project) -> None:
        self.folder, self.project = folder, project

    def __call__(self, script: str) -> list[Check]:
        """What was found."""
        settings, page = rehearsal.filled(load(self.project)), read_model(self.project)
        values = asdict(page.parse_flags(["--epochs=2"]))
        with Report(Console(quiet=True)) as report:
            report.project = (page, values)
            body = rehearsal.check_tuning(report, settings, page, values, [])
            assert body, report.checks
            for pool in body["trialJobSpec"]["workerPoolSpecs"]:
                task = pool["containerSpec"]
                task["command"], task["args"] = ["bash", "-c"], [script, "trainer", *task["args"][2:]]
            report.checks = [Check("vertex", "train", "passed", 0)]
            (self.folder / "store").mkdir()
            task = Task({}, {}, True, ["val_accuracy"], "val_accuracy")
            rehearse_trials(report, body, task, LocalStore(self.folder / "store"), self.folder / "trials", TERMS)
        return report.checks[1:]


def test_trials_that_go_well_pass_with_their_objectives_from_the_hypertune_file(trials: Trials) -> None:
    (check,) = trials(GOOD)
    values = "0 at the low ends, 0.5 at the high ends, 0.25 at the middle"
    assert (check.status, check.id) == ("passed", "vertex.tuning")
    assert check.detail == f"3 trials, each with a model of its own; val_accuracy is {values}"


def test_the_flags_are_those_of_the_service_appended_to_the_jobs_own(trials: Trials) -> None:
    trials(GOOD)
    logs = sorted((trials.folder / "trials").glob("*/workerpool0-0/log.txt"))
    said = [log.read_text(encoding="utf-8").splitlines()[0].partition(" --epochs=2 ")[2] for log in logs]
    assert said[1] == (
        "--seed=0 --patience=0 --batch_size=64.0 --learning_rate=0.1 --hidden_units=64.0 --hidden_layers=3.0 "
        "--dropout=0.5"
    )
    assert "--hidden_units=4.0" in said[0]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"{SCRIPT}save $place; echo epoch=1 val_accuracy=0.9",
         "each trial at the low ends, the high ends and the middle has no objective: no line of CLOUD_ML_HP_METRIC_"),
        (f"{SCRIPT}save $place; report NaN", "ends with the objective val_accuracy=nan"),
        (f"{SCRIPT}report 1; save .", "leaves no model in AIP_MODEL_DIR; it wrote workerpool0-0/work/1/saved_model.pb"),
        (f"{GOOD}[ $dropout = 0.5 ] && kill -9 $$; true",
         "the trial at the high ends fails: killed by SIGKILL, as by a machine without memory; before that: epoch=1"),
        (f"{GOOD}[ $dropout = 0.5 ] && {{ echo 'error: too many'; exit 1; }}; true",
         "the trial at the high ends fails: too many"),
        (f"{GOOD}sleep $(echo $dropout | sed s/0.5/60/)", "had not ended when the rehearsal's time_limit was over"),
    ],
)  # fmt: skip
def test_a_trial_from_which_the_search_learns_nothing_is_named(trials: Trials, script: str, said: str) -> None:
    (check,) = trials(script)
    assert (check.status, said in check.text) == ("failed", True), check.text


SHARED = "gs://rehearsal-bucket/best"


def test_a_model_that_every_trial_writes_to_one_place_is_named(trials: Trials) -> None:
    (check,) = trials(f"{SCRIPT}report 1; save {SHARED.replace('gs://', '/gcs/')}")
    assert check.text.startswith(
        "3 trials write the same files, each over those of the one before: gs://rehearsal-bucket/best/1/saved_model.pb"
    )
    assert "/1/model/ ..." in check.fix


def test_a_copy_in_a_place_of_each_trials_own_is_accepted(trials: Trials) -> None:
    (check,) = trials(f"{GOOD}save {SHARED.replace('gs://', '/gcs/')}/$CLOUD_ML_TRIAL_ID")
    assert check.status == "passed", check.text


@pytest.mark.long
def test_nan_no_objective_and_a_place_that_trials_share_are_named_in_one_rehearsal(bake: Bake, tmp_path: Path) -> None:
    plant = both(
        change(MODEL, "Adam(hyperparameters.learning_rate)",
               'Adam(hyperparameters.learning_rate if hyperparameters.learning_rate < 0.1 else float("nan"))'),
        change("src/trainer/reporting.py", "if self._run.metric_file and",
               "if self._run.metric_file and self._run.hyperparameters.batch_size != 8 and"),
        change("src/trainer/task.py", 'model_dir = location("AIP_MODEL_DIR", "model", flags["model_dir"])',
               f'model_dir = "{SHARED}" if trial else location("AIP_MODEL_DIR", "model", flags["model_dir"])'),
    )  # fmt: skip
    said = [
        "the trial at the low ends has no objective: no line of CLOUD_ML_HP_METRIC_FILE has val_accuracy",
        "the trial at the high ends fails: loss is nan after epoch 1: the training diverged; ",
        "narrow the range to where a training stays finite, in src/trainer/model.py; to see it again: python train.py",
        "--epochs 2 --batch-size 64 --learning-rate 0.1 ",
        f"2 trials write the same files, each over those of the one before: {SHARED}/1/saved_model.pb, ",
    ]
    mistake = Mistake("three at once", "tuning", plant, said, ("--select", "vertex.tuning"))
    report, _ = rehearse(mistake, copied(bake, tmp_path), "vertex")
    assert [check["name"] for check in report["checks"]].count("tuning") == 3
