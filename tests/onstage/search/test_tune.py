"""`onstage tune`: what it runs, what it says at the end, and what it refuses."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onstage.checks.model_page import read_model
from onstage.project import Project
from onstage.search import journal
from onstage.search.results import folder_of, local
from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.search.conftest import Stub


def values(project: Path, name: str = "search") -> list[dict[str, Any]]:
    """The hyperparameters of all trials, in their order."""
    trials = local(Project(project))
    return [dict(one.hyperparameters) for one in trials if one.name.startswith(f"{name}/")]


@pytest.mark.long
def test_the_best_trial_is_written_as_flags_that_every_command_takes(bake: Bake, tmp_path: Path) -> None:
    project = bake(project_name="Tuned")
    ended = onstage("tune", "--trials", "2", "--epochs", "2", "--seed", "3", cwd=project)
    assert ended.code == 0, ended.said
    folder = folder_of(Project(project), "search")
    line = (folder / "best.txt").read_text(encoding="utf-8").strip()
    assert line.startswith("--epochs 2 --batch-size ")
    for command in (f"python train.py {line}", f"onstage sagemaker train {line}", f"onstage vertex train {line}"):
        assert command in ended.out
    chosen = read_model(Project(project)).parse_flags(shlex.split(line))
    best = max(local(Project(project)), key=lambda one: one.value)
    assert all(getattr(chosen, name) == value for name, value in best.hyperparameters.items())
    log = (Path(best.model) / "log.txt").read_text(encoding="utf-8")
    assert f"val_accuracy={best.value:.6g}" in log
    assert (Path(best.model) / "model" / "1" / "saved_model.pb").is_file()
    # What was trained is trained again by these flags.
    again = [sys.executable, "train.py", *shlex.split(line), "--job-dir", str(tmp_path / "again")]
    done = subprocess.run(again, cwd=project, capture_output=True, text=True, check=True)
    assert f"epoch=2 {log.partition('epoch=2 ')[2].splitlines()[0]}" in done.stdout
    for platform in ("sagemaker", "vertex"):
        sent = onstage(platform, "train", *shlex.split(line), "--dry-run", cwd=project)
        assert sent.code == 0, sent.said
        assert str(best.hyperparameters["learning_rate"]) in sent.out


@pytest.mark.long
def test_the_same_seed_draws_the_same_trials_also_after_a_pause(stub: Stub) -> None:
    project = stub("")
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        ended = onstage("tune", "--trials", "4", "--name", name, "--seed", str(seed), cwd=project)
        assert ended.code == 0, ended.said
    assert values(project, "one") == values(project, "two") != values(project, "three")
    for name in ("one", "four"):
        trials = "8" if name == "one" else "3"
        assert onstage("tune", "--trials", trials, "--name", name, "--seed", "1", cwd=project).code == 0
    ended = onstage("tune", "--trials", "8", "--name", "four", "--seed", "1", cwd=project)
    assert "goes on after 3 trials: 5 trials of" in ended.out
    assert values(project, "one") == values(project, "four")
    assert len(values(project, "one")) == len({json.dumps(one) for one in values(project, "one")}) == 8
    ended = onstage("tune", "--trials", "8", "--name", "four", cwd=project)
    assert (ended.code, "has 8 trials already: --trials 16 goes on, --name OTHER begins anew" in ended.out) == (0, True)


@pytest.mark.long
def test_several_at_a_time_say_that_their_order_matters_and_share_the_cores(stub: Stub) -> None:
    cores = "print('cores', sorted(os.sched_getaffinity(0)), os.environ['TF_NUM_INTRAOP_THREADS'], flush=True)"
    project = stub(f"{cores}\ntime.sleep(0.5)")
    ended = onstage("tune", "--trials", "4", "--parallel", "2", cwd=project)
    assert (ended.code, "2 at a time: the order in which they end decides" in ended.out) == (0, True), ended.said
    logs = folder_of(Project(project), "search").glob("trials/*/log.txt")
    told = {re.search(r"cores \[(.*)\] (\d+)", log.read_text(encoding="utf-8")).groups() for log in logs}
    assert len({cores for cores, _ in told}) == 2 or len(told) == 1
    assert all(str(len(cores.split(", "))) == threads for cores, threads in told)


TWO_OPTIMIZERS = """    optimizer: str = tunable("adam", values=["adam", "sgd"])
    momentum: float = tunable(0.5, low=0.0, high=0.99, scale="reverse_log", when={"optimizer": "sgd"})
    epochs: int"""


@pytest.mark.long
def test_pictures_show_what_model_py_knows_and_need_no_network(stub: Stub) -> None:
    project = stub("")
    model = project / "src" / "trainer" / "model.py"
    model.write_text(model.read_text(encoding="utf-8").replace("    epochs: int", TWO_OPTIMIZERS), encoding="utf-8")
    ended = onstage("tune", "--trials", "9", cwd=project)
    assert ended.code == 0, ended.said
    drawn = values(project)
    assert {("momentum" in one) == (one["optimizer"] == "sgd") for one in drawn} == {True}
    logs = [log.read_text(encoding="utf-8") for log in folder_of(Project(project), "search").glob("trials/*/log.txt")]
    assert len(logs) == 9
    page = (folder_of(Project(project), "search") / "report.html").read_text(encoding="utf-8")
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles == ["History", "Parallel coordinates", "Importance", "All trials"]
    assert "Without momentum, which not every trial has." in page
    assert "1 - momentum" not in page and "place of" not in page
    assert not re.search(r"<(script|img|iframe)[^>]* src=|<link[^>]* href=|@import", page)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--learning-rat", "1"], 1, "unknown flag --learning-rat; did you mean --learning-rate?"),
        (["--name", "a/b"], 2, "--name is a folder's name of letters, digits, _ . and -, not a/b"),
        (["--trials", "0"], 2, "0 is not in the range x>=1"),
        (["--pruner", "mean"], 2, "'mean' is not one of 'median', 'hyperband', 'none'"),
        (["--batch-size", "16", "--learning-rate", "1", "--hidden-units", "9", "--hidden-layers", "1", "--dropout",
          "0"], 1, "nothing to search: flags say the values of all that is tunable()"),
        (["--trials", "1", "--batch-size", "16"], 0, "1 trials of learning_rate, hidden_units, hidden_layers, dropout"),
    ],
)  # fmt: skip
def test_a_search_that_cannot_begin_says_why(words: list[str], code: int, said: str, stub: Stub) -> None:
    project = stub("")
    ended = onstage("tune", *words, cwd=project)
    assert (ended.code, said in ended.said) == (code, True), ended.said
    assert folder_of(Project(project), "search").exists() == (code == 0)


@pytest.mark.long
def test_another_search_space_is_named_and_not_mixed_in(stub: Stub) -> None:
    project = stub("")
    assert onstage("tune", "--trials", "1", cwd=project).code == 0
    ended = onstage("tune", "--trials", "2", "--epochs", "2", "--batch-size", "16", cwd=project)
    assert ended.code == 2
    assert "runs/tune/search has a search of another kind" in ended.err
    assert "\n  batch_size was 8, 16, 32, 64, is not there\n" in ended.err
    assert "\n  epochs was 40, is 2\n" in ended.err
    model = project / "src" / "trainer" / "model.py"
    text = model.read_text(encoding="utf-8")
    model.write_text(text.replace("low=1e-4", "low=1e-3").replace("val_accuracy", "val_loss"), encoding="utf-8")
    ended = onstage("tune", "--trials", "2", cwd=project)
    assert ended.code == 2
    assert "OBJECTIVE was maximize val_accuracy, is maximize val_loss" in ended.err
    assert "learning_rate was 0.0001 to 0.1, log, is 0.001 to 0.1, log" in ended.err
    assert onstage("tune", "--trials", "2", "--name", "other", cwd=project).code == 0
    assert [one.name for one in local(Project(project))] == ["other/0", "other/1", "search/0"]
    model.write_text(text.replace("tanh", "relu"), encoding="utf-8")
    ended = onstage("tune", "--trials", "2", cwd=project)
    assert (ended.code, "src/ is not as it was when the search search began" in ended.out) == (0, True)


@pytest.mark.long
def test_a_trial_that_is_behind_is_stopped_early_and_is_never_the_best(stub: Stub) -> None:
    project = stub("if number == 6:\n    say(0.01)\n    time.sleep(60)\nsay(0.5 + number / 100)\nsys.exit()")
    ended = onstage("tune", "--trials", "7", "--epochs", "30", cwd=project)
    assert ended.code == 0, ended.said
    assert "trial 6 stopped early, val_accuracy=0.01" in ended.out
    assert "7 of 7 trials: 6 done, 1 stopped early" in ended.out
    trials = local(Project(project))
    assert (trials[6].state, trials[6].value) == ("stopped", None)
    project_without = onstage(
        "tune",
        "--trials",
        "7",
        "--epochs",
        "30",
        "--pruner",
        "none",
        "--name",
        "whole",
        "--trial-timeout",
        "5",
        cwd=project,
    )
    assert "trial 6 failed: no end after 5 s: --trial-timeout S allows more" in project_without.out


def test_a_journal_is_read_while_it_is_written(stub: Stub) -> None:
    project = stub("")
    assert onstage("tune", "--trials", "2", cwd=project).code == 0
    file = folder_of(Project(project), "search") / journal.FILE
    content = file.read_bytes()
    file.write_bytes(content + b'{"op_code":4,"wor')
    assert len(local(Project(project))) == 2
    assert file.read_bytes() == content + b'{"op_code":4,"wor'
