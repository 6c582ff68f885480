"""`onstage` from Python: the commands as functions, what comes of them as objects."""

import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
import typer.main

import onstage
from onstage import sagemaker, vertex
from onstage.calls import Cloud
from onstage.cli import app
from onstage.errors import UserError
from onstage.returned import CallError, Outcome
from tests.onstage.processes import until
from tests.onstage.search.conftest import stub  # noqa: F401


def test_both_platforms_are_modules_with_the_commands_as_functions() -> None:
    commands = {"setup", "upload", "train", "tune", "status", "logs", "stop", "deploy", "predict", "batch", "delete"}
    for platform in (sagemaker, vertex):
        assert commands < set(dir(platform))
        assert all(callable(getattr(platform, name)) for name in commands)
    assert commands | {"best", "history"} == {name for name in vars(Cloud) if not name.startswith("_")}
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        vertex.trian  # noqa: B018


# For a terminal: they print, ask, or are another function.
FOR_A_TERMINAL = {
    "rehearse": {"format", "json", "list", "schema"}, "best": {"train", "deploy", "format", "dry-run"},
    "upload": {"yes"}, "logs": {"follow"},
}  # fmt: skip
EVERYWHERE = {"quiet", "verbose", "version"}


@pytest.mark.parametrize("platform", ["", "sagemaker", "vertex"])
def test_an_option_of_a_command_is_an_argument_of_its_function(platform: str) -> None:
    root: Any = typer.main.get_command(app)
    commands = root.commands[platform].commands if platform else root.commands
    functions = vars(Cloud) if platform else {name: getattr(onstage, name) for name in ("rehearse", "tune", "best")}
    for name in functions.keys() & commands.keys():
        options = {option[2:] for one in commands[name].params for option in one.opts if option.startswith("--")}
        told = options - EVERYWHERE - FOR_A_TERMINAL.get(name, set())
        given = set(inspect.signature(functions[name]).parameters)
        lacking = {option for option in told if not {option.replace("-", "_"), option.removeprefix("no-")} & given}
        assert not lacking, name


def test_importing_the_functions_imports_no_cloud_and_no_tensorflow() -> None:
    script = "from onstage import rehearse, sagemaker, tune, vertex; import sys; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"tensorflow", "keras", "boto3", "google.cloud.storage", "optuna", "pandas", "typer", "pydantic"}
    assert heavy & set(eval(done.stdout)) == set()


def test_a_rehearsal_is_an_object_that_says_whether_it_passed(bake: Any, capsys: pytest.CaptureFixture) -> None:
    found = onstage.rehearse("vertex", select=["vertex.code"], folder=bake())
    assert found and found.passed and found.failures == []
    assert "PASSED" in capsys.readouterr().out
    assert [row["id"] for row in found.rows()] == ["project.settings", "vertex.images", "vertex.code"]
    page = found._repr_html_()
    assert page.startswith("<b>PASSED</b><table>") and "vertex.code" in page
    assert json.dumps(found.to_dict())


@pytest.mark.long
def test_a_model_that_was_changed_counts_at_once(bake: Any) -> None:
    project = bake(project_name="Called")
    model = project / "src" / "trainer" / "model.py"
    assert onstage.rehearse("sagemaker", select=["project.model"], folder=project).passed
    model.write_text(model.read_text(encoding="utf-8").replace("low=1e-4", "low=1"), encoding="utf-8")
    found = onstage.rehearse("sagemaker", select=["project.model"], folder=project)
    assert not found
    assert found.failures == ["model.py: learning_rate: low=1 is not below high=0.1"]
    with pytest.raises(CallError, match="there is no check project.modell; did you mean project.model") as caught:
        onstage.rehearse(select=["project.modell"], folder=project)
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, UserError)
    assert caught.value._render_traceback_()[0].startswith("error: there is no check")


@pytest.mark.long
def test_a_search_gives_its_trials_best_first(stub: Any) -> None:  # noqa: F811
    project = stub("if number == 1: sys.exit('error: <b>bad</b>')")
    found = onstage.tune(trials=3, epochs=2, seed=4, folder=project)
    assert [row["state"] for row in found.rows()] == ["succeeded", "succeeded", "failed"]
    assert found.rows()[0]["value"] >= found.rows()[1]["value"]
    assert found.best == {"epochs": 2, **found["trials"][0]["hyperparameters"]}
    # What was found is a call's argument.
    body = sagemaker.train(**found.best, dry_run=True, folder=project)["requests"][0]["body"]
    assert json.loads(body["HyperParameters"]["learning_rate"]) == found.best["learning_rate"]
    with pytest.raises(CallError, match="unknown flag --epoch"):
        onstage.tune(epoch=2, folder=project)


def test_a_trial_that_takes_too_long_has_failed(stub: Any, capsys: pytest.CaptureFixture) -> None:  # noqa: F811
    with pytest.raises(CallError, match="none of 1 trials has a result"):
        onstage.tune(trials=1, trial_timeout=1, folder=stub("time.sleep(600)"))
    assert "no end after 1 s" in capsys.readouterr().out


def test_an_interrupt_stops_the_command_and_what_it_runs(stub: Any, capfd: pytest.CaptureFixture) -> None:  # noqa: F811
    project = stub("open('here', 'w')\ntime.sleep(600)")

    def interrupt() -> None:
        until((project / "here").exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        onstage.tune(trials=3, folder=project)
    thread.join()
    assert "stopped; no trial that is over is lost" in capfd.readouterr().out


def test_what_html_shows_is_escaped() -> None:
    page = Outcome({"name": "<script>", "value": 0.123456789, "more": {"a": 1}})._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page and "0.123457" in page
