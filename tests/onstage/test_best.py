"""`onstage best`: the trials of searches here and in both clouds, the best first, and what is done with that one.

The clouds' searches are run by the rehearsal's agents, with a trainer that says in a moment what a training would.
"""

import json
import math
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import onstage
from onstage.checks.model_page import read_model
from onstage.cloud import State, Trial, ranked
from onstage.commands import state
from onstage.platform import connect
from onstage.project import Project
from onstage.sagemaker.requests import policies
from onstage.settings import load
from onstage.vertex.requests.policies import PROJECT_PERMISSIONS
from tests.conftest import Bake
from tests.emulators.aws import FakeAws
from tests.emulators.sagemaker import ACCOUNT
from tests.onstage.processes import until
from tests.onstage.searching import Desk, made
from tests.onstage.vertex import desk as vertex

# All of it looks at two searches that ran in emulated clouds.
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeAws, vertex.FakeGoogle]]:
    google = vertex.FakeGoogle(tmp_path_factory.mktemp("google"))
    with FakeAws(tmp_path_factory.mktemp("aws")) as aws:
        yield aws, google
    google.close()


@pytest.fixture(scope="module")
def new(bake: Bake, clouds: Any, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk from which nothing was searched."""
    return made(bake(), tmp_path_factory.mktemp("new") / "project", *clouds)


@pytest.fixture(scope="module")
def searched(new: Desk, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, dict[str, str]]:
    """A desk from which three searches were made, and what was printed then."""
    desk = Desk(Path(shutil.copytree(new.folder, tmp_path_factory.mktemp("searched") / "project")), new.aws, new.google)
    said = {
        platform: desk.run(platform, "tune", "--trials", "3", "--epochs", "1", "--seed", "7", "--strategy", "random")
        for platform in ("sagemaker", "vertex")
    }
    said["local"] = desk.run("tune", "--trials", "2", "--epochs", "1", "--learning-rate", "0.02")
    return desk, said


@pytest.fixture
def desk(searched: tuple[Desk, dict[str, str]], tmp_path: Path) -> Desk:
    """A copy of it."""
    used, _ = searched
    return Desk(Path(shutil.copytree(used.folder, tmp_path / "desk")), used.aws, used.google)


def trials_of(desk: Desk, platform: str) -> list[Trial]:
    """What the platform itself says, asked from this process."""
    said = json.loads(desk.ask("best", platform, "--format", "json").out)
    names = ("name", "state", "value", "hyperparameters", "seconds", "model", "reason")
    return [Trial(**{name: one[name] for name in names}) for one in said["trials"]]


@pytest.mark.parametrize("platform", ["sagemaker", "vertex"])
def test_a_search_in_a_cloud_runs_as_many_trials_as_it_says_and_shows_the_best(
    platform: str, searched: tuple[Desk, dict[str, str]]
) -> None:
    _, said = searched
    line = said[platform]
    assert "2 of 3 trials done, 1 failed, best: " in line
    assert "learning_rate=0.00316" in line and "val_accuracy=0.875" in line


@pytest.mark.parametrize("platform", ["sagemaker", "vertex"])
def test_all_trials_are_read_back_with_values_as_model_py_has_them(platform: str, desk: Desk) -> None:
    best, other, failed = trials_of(desk, platform)
    assert (best.state, best.value) == ("succeeded", pytest.approx(0.875, abs=1e-3))
    assert (other.state, other.value) == ("succeeded", pytest.approx(0.5))
    assert (failed.state, failed.value, failed.model) == ("failed", None, None)
    kinds = {name: type(value) for name, value in best.hyperparameters.items()}
    assert kinds == {"batch_size": int, "learning_rate": float, "hidden_units": int, "hidden_layers": int,
                     "dropout": float}  # fmt: skip
    assert other.hyperparameters == {"batch_size": 8, "learning_rate": pytest.approx(1e-4), "hidden_units": 4,
                                     "hidden_layers": 1, "dropout": 0.0}  # fmt: skip
    place = "/output/model.tar.gz" if platform == "sagemaker" else "/2/model"
    assert best.model and best.model.endswith(place)
    assert best.seconds is not None and best.seconds >= 0
    assert failed.reason


def test_the_best_of_all_places_comes_first_with_what_to_type(desk: Desk) -> None:
    said = desk.run("best")
    rows = re.findall(r"(?m)^│ (local|sagemaker|vertex) .*$", said)
    assert sorted(rows) == ["local"] * 2 + ["sagemaker"] * 3 + ["vertex"] * 3
    assert (rows[0], rows[-2:]) == ("local", ["sagemaker", "vertex"])
    assert "three layers are too many" in said
    line = re.search(r"(?m)^(--epochs 1 --learning-rate 0.02 .*)$", said)[1]
    for command in (f"python train.py {line}", f"onstage sagemaker train {line}", f"onstage vertex train {line}"):
        assert f"  {command}\n" in said
    assert "  onstage best local --deploy    to serve it here" in said


@pytest.mark.parametrize("platform", ["sagemaker", "vertex"])
def test_the_flags_are_those_of_the_trial_and_those_that_the_search_was_given(platform: str, desk: Desk) -> None:
    [best, *_] = trials_of(desk, platform)
    said = desk.run("best", platform)
    line = re.search(r"(?m)^--.*$", said)[0]
    page = read_model(Project(desk.folder))
    chosen = vars(page.parse_flags(shlex.split(line)))
    assert chosen == {**vars(page.parse_flags([])), **best.hyperparameters, "epochs": 1, "seed": 7}
    assert f"onstage best {platform} --deploy    to deploy it" in said


def test_a_program_gets_all_trials_and_the_best_with_its_flags(desk: Desk) -> None:
    ended = desk.ask("best", "--format", "json")
    found = json.loads(ended.out)
    assert len(found["trials"]) == 8
    assert found["trials"][0]["where"] == "local"
    assert found["best"] == {"epochs": 1, "learning_rate": 0.02, **found["trials"][0]["hyperparameters"]}
    assert "--learning-rate=0.02" in found["flags"]


def test_python_gets_them_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**desk.aws.environment, **desk.google.environment}.items():
        monkeypatch.setenv(name, value)
    found = onstage.vertex.best(folder=desk.folder)
    assert [row["state"] for row in found.rows()] == ["succeeded", "succeeded", "failed"]
    assert found.best == {"epochs": 1, "seed": 7, **found["trials"][0]["hyperparameters"]}


def test_the_best_flags_train_here_and_in_a_cloud(desk: Desk) -> None:
    sent = desk.ask("best", "vertex", "--train", "sagemaker", "--dry-run")
    [best, *_] = trials_of(desk, "vertex")
    body = json.loads(sent.out[sent.out.index("\n{") :])
    values = {name: json.loads(text) for name, text in body["HyperParameters"].items()}
    assert {name: values[name] for name in best.hyperparameters} == dict(best.hyperparameters)
    assert (values["epochs"], values["seed"]) == (1, 7)
    (desk.folder / "train.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit(3)\n")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in best.hyperparameters.items()]
    assert f"{['--epochs=1', '--seed=7', *flags]}" in desk.run("best", "vertex", "--train", "local", code=3)
    assert "would run python train.py --epochs 1" in desk.run("best", "vertex", "--train", "local", "--dry-run")


@pytest.mark.parametrize("platform", ["sagemaker", "vertex"])
def test_the_best_model_is_deployed_in_its_cloud(platform: str, desk: Desk) -> None:
    [best, *_] = trials_of(desk, platform)
    sent = desk.run("best", platform, "--deploy", "--dry-run")
    assert f'"{best.model}"' in sent
    assert "not sent: --dry-run" in sent


def test_the_best_model_of_this_machine_is_served_here(desk: Desk) -> None:
    [best, *_] = trials_of(desk, "local")
    assert f"would serve runs/tune/{best.name.replace('/', '/trials/000')}\n" in desk.run(
        "best", "local", "--deploy", "--dry-run"
    )
    shutil.rmtree(Path(best.model))
    said = desk.run("best", "local", "--deploy", code=1)
    assert f"the trial {best.name} left no model: onstage best --train local trains one" in said


def test_setup_asks_for_what_a_search_needs(desk: Desk) -> None:
    statements = policies.person_policy(load(Project(desk.folder)), ACCOUNT)["Statement"]
    actions = {action for one in statements for action in one["Action"]}
    used = {f"sagemaker:{label.partition('.')[2]}" for label in desk.aws.seen if label.startswith("SageMaker.")}
    assert "sagemaker:ListTrainingJobsForHyperParameterTuningJob" in used
    assert used <= actions
    asked = [one for one in desk.google.vertex.requests if "/hyperparameterTuningJobs" in one.path]
    verbs = {"create" if one.method == "POST" else "list" if one.path.endswith("Jobs") else "get" for one in asked}
    assert {f"aiplatform.hyperparameterTuningJobs.{verb}" for verb in verbs} <= set(PROJECT_PERMISSIONS)


def test_what_cannot_be_asked_for_is_refused_next_to_what_can(desk: Desk, new: Desk) -> None:
    assert "nothing was searched from . yet: onstage tune or onstage sagemaker tune or onstage vertex tune" in new.run(
        "best", code=2
    )
    assert "nothing was searched from . yet: onstage vertex tune" in new.run("best", "vertex", code=2)
    assert "--train or --deploy, not both" in desk.run("best", "--deploy", "--train", "local", code=2)
    assert "--dry-run is for --train and --deploy" in desk.run("best", "--dry-run", code=2)
    assert "is not one of" in desk.run("best", "azure", code=2)


def test_a_search_for_something_else_is_left_out_and_said(desk: Desk) -> None:
    page = desk.folder / "src" / "trainer" / "model.py"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace('Objective("val_accuracy", "maximize")', 'Objective("val_loss", "minimize")'))
    said = desk.run("best", "vertex", code=1)
    assert "looked for the highest val_accuracy, not for OBJECTIVE: left out" in said
    assert "error: no search looked for OBJECTIVE" in said


def test_a_cloud_that_refuses_is_said_and_does_not_hide_the_others(desk: Desk) -> None:
    note = next((desk.folder / "runs" / "cloud" / "vertex" / "tuning").glob("*.json"))
    note.rename(note.with_name("iris-gone.json"))
    ended = desk.ask("best")
    assert "vertex: Vertex AI has no tuning job 'iris-gone'" in ended.err
    assert ended.code == 0 and "│ sagemaker" in ended.out and "best: local" in ended.out
    assert "Vertex AI has no tuning job 'iris-gone'" in desk.run("best", "vertex", code=1)


def a_trial(name: str, state: str, value: float | None) -> Trial:
    return Trial(name, state, value, {})


def test_what_has_no_number_or_was_not_trained_to_the_end_is_never_the_best() -> None:
    trials = [
        a_trial("nan", "succeeded", math.nan), a_trial("none", "succeeded", None), a_trial("low", "succeeded", 0.1),
        a_trial("stopped", "stopped", 0.99), a_trial("high", "succeeded", 0.9), a_trial("inf", "succeeded", math.inf),
    ]  # fmt: skip
    assert [one.name for one in ranked(trials, "maximize")][:2] == ["high", "low"]
    assert [one.name for one in ranked(trials, "minimize")][:2] == ["low", "high"]


def test_a_search_that_is_stopped_begins_no_more_trials(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.aws, "patient", True)
    monkeypatch.setattr(desk.google, "patient", True)
    training = desk.folder / "src" / "trainer" / "training.py"
    training.write_text("import time\n\n\ndef train(run):\n    print('begun', flush=True)\n    time.sleep(600)\n")
    for platform in ("sagemaker", "vertex"):
        desk.run(platform, "tune", "--trials", "4", "--parallel", "2", "--epochs", "1", "--no-wait")
        for name, value in {**desk.aws.environment, **desk.google.environment}.items():
            monkeypatch.setenv(name, value)
        connected = connect(platform, load(Project(desk.folder)))
        tuning = State("tuning", state.last(connected, "tuning")[1], "running")
        trials = partial(connected.trials, tuning)
        until(lambda trials=trials: len(trials()) == 2)
        connected.stop(tuning)
        until(lambda tuning=tuning, ask=connected.find: ask(tuning.name, "tuning").state == "stopped")
        until(lambda trials=trials: "running" not in {one.state for one in trials()})
        assert [one.value for one in trials()] == [None, None]
