"""Trials of the tuning job run as the service and its toolkit would run them; most are scripts of a few lines."""

import io
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from onstage.checks.model_page import read_model
from onstage.project import Project
from onstage.rehearsal.store import LocalStore
from onstage.rehearsal.terms import Terms
from onstage.report import Check, Report
from onstage.sagemaker.agent import rehearsal
from onstage.sagemaker.agent.tuning import rehearse_trials
from onstage.settings import load
from tests.conftest import Bake
from tests.onstage.mistakes import MODEL, Mistake, change, rehearse
from tests.onstage.reports import copied

FLAGS = """\
import json, os, sys
told = json.loads(os.environ["SM_HPS"])
open(os.environ["SM_MODEL_DIR"] + "/model", "w").close()
"""
GOOD = f"{FLAGS}print('epoch=1 val_accuracy=' + str(told['dropout']), file=sys.stderr)"
HIGH = "--batch-size 64 --learning-rate 0.1 --hidden-units 64 --hidden-layers 3 --dropout 0.5"
CONDITION = change(
    MODEL, "    dropout: float",
    '    optimizer: str = tunable("adam", values=["adam", "lion", "sgd"])\n'
    '    momentum: float = tunable(0.5, low=0.0, high=0.9, when={"optimizer": "lion"})\n    dropout: float',
)  # fmt: skip


class Trials:
    """Trials of a project's tuning job whose code is a script, and what the rehearsal says of them."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.folder, self.project = folder, Project(project)

    def __call__(
        self, script: str, *argv: str, before: Callable[[dict[str, Any]], object] = lambda _: None
    ) -> tuple[list[Check], str]:
        """What was found, and what is said not to be seen; `before` changes the body."""
        settings = rehearsal.filled(load(self.project))
        page = read_model(self.project)
        values = asdict(page.parse_flags(["--epochs=2", *argv]))
        with Report(Console(quiet=True)) as report:
            report.project = (page, values)
            body = rehearsal.check_tuning(report, settings, page, values, argv)
            assert body, report.checks
            before(body)
            report.checks = [Check("sagemaker", "train", "passed", 0)]
            rehearse_trials(report, body, self._store(script, body), self.folder / "trials", TERMS)
        return report.checks[1:], "\n".join(report.not_seen)

    def _store(self, script: str, body: dict[str, Any]) -> LocalStore:
        store = LocalStore(self.folder / "store")
        for channel in body["TrainingJobDefinition"]["InputDataConfig"]:
            place = store.path(channel["DataSource"]["S3DataSource"]["S3Uri"])
            place.mkdir(parents=True)
            (place / "a.csv").touch()
        code = store.path(
            body["TrainingJobDefinition"]["StaticHyperParameters"]["sagemaker_submit_directory"].strip('"')
        )
        code.parent.mkdir(parents=True)
        with tarfile.open(code, "w:gz") as tar:
            member = tarfile.TarInfo("sagemaker_entry.py")
            member.size = len(script.encode())
            tar.addfile(member, io.BytesIO(script.encode()))
        return store


TERMS = Terms(30, (), "onstage rehearse sagemaker")


@pytest.fixture
def trials(tmp_path: Path, project: Path) -> Trials:
    return Trials(tmp_path, project)


def texts(found: Sequence[Check]) -> list[str]:
    return [check.text for check in found]


def test_trials_that_go_well_pass_with_their_objectives(trials: Trials) -> None:
    ((check,), not_seen) = trials(GOOD)
    assert (check.status, check.id) == ("passed", "sagemaker.tuning")
    values = "0 at the low ends, 0.5 at the high ends, 0.25 at the middle"
    assert check.detail == f"3 trials, each with a model of its own; val_accuracy is {values}"
    assert not_seen == (
        "sagemaker: of the search, batch_size=16, and all between the ends and the middle of its ranges; 3 trials ran"
    )


def test_the_flags_are_those_of_the_toolkit_in_a_tuning_job(trials: Trials) -> None:
    def without_model_dir(body: dict[str, Any]) -> None:
        del body["TrainingJobDefinition"]["StaticHyperParameters"]["model_dir"]

    trials(f"{GOOD}\nprint(*sys.argv[1:], file=sys.stderr)", before=without_model_dir)
    logs = sorted((trials.folder / "trials").glob("*/algo-1/log.txt"))
    said = [log.read_text(encoding="utf-8").splitlines()[1] for log in logs]
    assert said[1].startswith("--batch_size 64 --dropout 0.5 --epochs 2 --hidden_layers 3 --hidden_units 64 ")
    assert [line.partition("--model_dir ")[2].partition(" ")[0].rpartition("-")[2] for line in said] == [
        "001/model", "002/model", "003/model",
    ]  # fmt: skip
    assert all("--model_dir None/iris-" in line for line in said)


def test_what_a_flag_says_is_not_searched(trials: Trials) -> None:
    ((check,), _) = trials(f"{GOOD}\nassert told['hidden_layers'] == 2", "--hidden-layers", "2")
    assert check.status == "passed", check.text


def test_all_trials_run_and_each_fault_says_which_trial_and_what_repeats_it(trials: Trials) -> None:
    deep = f"{GOOD}\nif told['hidden_layers'] == 3: raise ValueError('too deep')"
    found, _ = trials(f"{deep}\nif told['dropout'] == 0: raise KeyError('a')")
    assert [check.detail for check in found] == [
        "the trial at the low ends fails: ExecuteUserScriptError: KeyError: 'a'",
        "the trial at the high ends fails: ExecuteUserScriptError: ValueError: too deep",
    ]
    for check in found:
        assert check.cloud.startswith("TrainingJobStatus Failed: the search goes on without it\nthe log ends:\n")
    assert [check.fix.partition("; to see it again: python train.py ")[2] for check in found] == [
        "--epochs 2 --batch-size 8 --learning-rate 0.0001 --hidden-units 4", f"--epochs 2 {HIGH}",
    ]  # fmt: skip


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"{FLAGS}print('epoch=1 loss=1')",
         r"each trial at the low ends, the high ends and the middle has no objective: no line of the log matches \s"),
        (f"{FLAGS}print('epoch=1 val_accuracy=nan')",
         r"no line of the log matches \sval_accuracy=([0-9.eE+-]+); its log says val_accuracy=nan"),
        (f"{GOOD}\nos.remove(os.environ['SM_MODEL_DIR'] + '/model')\nopen('model.keras', 'w').close()",
         "leaves no model in SM_MODEL_DIR; it wrote "),
        (f"{GOOD}\nos.kill(os.getpid(), 9)", "fails: killed by SIGKILL, as by a machine without memory"),
    ],
)  # fmt: skip
def test_a_trial_from_which_the_search_learns_nothing_is_named(trials: Trials, script: str, said: str) -> None:
    ((check, *_), _) = trials(script)
    assert (check.status, said in check.text) == ("failed", True), check.text


def test_each_value_of_a_condition_is_tried_with_both_ends_of_what_counts_by_it(bake: Bake, tmp_path: Path) -> None:
    project = copied(bake, tmp_path)
    CONDITION(project)
    script = f"{GOOD}\nif told['optimizer'] == 'lion' and told['momentum'] == 0.9: raise ValueError('no')"
    ((check,), _) = Trials(tmp_path, project)(script)
    assert check.text.startswith(
        "the trial at the high ends with optimizer=lion fails: ExecuteUserScriptError: ValueError: no"
    )
    assert " --optimizer lion --momentum 0.9 " in check.text


DEEP = change(
    MODEL, "    hidden = joined(DATA, inputs)",
    "    hidden = joined(DATA, inputs)\n"
    "    if hyperparameters.batch_size == 8:\n        hidden = keras.layers.Reshape((7, 5))(hidden)\n"
    "    if hyperparameters.hidden_layers == 3:\n        keras.ops.ones((1 << 22, 1 << 22))",
)  # fmt: skip


@pytest.mark.long
def test_a_network_that_an_end_is_too_much_for_is_named_with_its_line_and_its_flags(bake: Bake, tmp_path: Path) -> None:
    said = [
        "src/trainer/model.py, line 46: the trial at the low ends fails: in Reshape.call(): ValueError: ",
        "--hidden-units 4\n",
        "src/trainer/model.py, line 48: the trial at the high ends fails: ResourceExhaustedError: OOM when allocating ",
        "or let the job have a machine with more memory",
        f"to see it again: python train.py --epochs 2 {HIGH}",
    ]
    mistake = Mistake("both ends", "tuning", DEEP, said, ("--select", "sagemaker.tuning"))
    report, _ = rehearse(mistake, copied(bake, tmp_path))
    assert [check["name"] for check in report["checks"]].count("tuning") == 2
