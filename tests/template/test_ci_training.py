"""The training of a project's CI: its steps in front of clouds of this machine, and the page that sets them up."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from onstage.vertex.requests import policies
from tests.conftest import ROOT, Bake, Command
from tests.onstage.desk import Desk
from tests.onstage.processes import until
from tests.onstage.sagemaker import desk as sagemaker
from tests.onstage.sagemaker.conftest import aws  # noqa: F401
from tests.onstage.vertex import desk as vertex
from tests.onstage.vertex.conftest import google  # noqa: F401
from tests.template.test_ci import BIN, TRAIN, scripts, shell, steps

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


@pytest.fixture(params=["sagemaker", "vertex"])
def desk(request: pytest.FixtureRequest, bake: Bake, trained: Path, tmp_path: Path) -> Iterator[Desk]:
    """A project and a cloud that has its data, and whose jobs leave a trained model."""
    cloud = request.getfixturevalue("aws" if request.param == "sagemaker" else "google")
    make = sagemaker.make_desk if request.param == "sagemaker" else vertex.make_desk
    made = make(bake(), tmp_path / "desk", cloud)
    cloud.model = trained
    made.run("upload", "--create-bucket")
    yield made
    sagemaker.mend(cloud) if request.param == "sagemaker" else cloud.mend()


def step(desk: Desk, words: str, flags: str = "") -> tuple[list[str], dict[str, str]]:
    """The one step of the training that has these words, as GitHub starts it, and its variables."""
    (script,) = (one for one in scripts(desk.folder, TRAIN) if words in one)
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return shell(script), {**desk.environment, "PLATFORM": desk.platform, "FLAGS": flags, "PATH": path}


@pytest.mark.few(1)
def test_the_training_sends_the_data_and_trains(desk: Desk, command: Command) -> None:
    shutil.copy(desk.folder / "data/train/iris.csv", desk.folder / "data/train/more.csv")
    # Where google-github-actions/auth leaves what it knows: it must not count as a secret that travels.
    external = {
        "type": "external_account",
        "credential_source": {"url": "https://x", "headers": {"Authorization": "bearer x"}},
    }
    (desk.folder / "gha-creds-0123456789abcdef.json").write_text(json.dumps(external), encoding="utf-8")
    for words in ("upload", " train "):
        script, environment = step(desk, words, "--epochs 3")
        done = command(*script, cwd=desk.folder, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"training job \S+ is sent", done.stdout)
    assert "\nmodel: " in done.stdout
    assert any(name.endswith("/more.csv") for name in desk.objects())
    assert not any("gha-creds" in name for name in desk.objects())


@pytest.mark.long
def test_flags_are_words_of_the_command_and_no_code(desk: Desk, command: Command) -> None:
    def said(flags: str) -> tuple[int, str]:
        script, environment = step(desk, " train ", flags)
        done = command(*script, cwd=desk.folder, environment=environment)
        return done.returncode, done.stdout + done.stderr

    code, body = said("--epochs 3 --learning-rate 0.02 --dry-run")
    assert code == 0
    assert re.search(r"epochs\W+3\b", body) and re.search(r"learning.rate\W+0.02\b", body)
    for flags in (
        "--dry-run; touch stolen",
        "--dry-run $(touch stolen)",
        "--dry-run `touch stolen`",
        "--dry-run *.toml",
    ):
        code, text = said(flags)
        assert code, text
        assert not (desk.folder / "stolen").exists()
        assert "settings.toml" not in text


@pytest.mark.long
def test_a_cancelled_run_ends_the_job(desk: Desk, command: Command) -> None:
    stopped: list[str] = []
    if desk.platform == "sagemaker":
        desk.aws.jobs_end = ("hold", "")
    else:
        desk.google.job = lambda job, log: until(lambda: bool(stopped)) or ""
    script, environment = step(desk, " train ")
    process = subprocess.Popen(
        script, cwd=desk.folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    assert any(" is sent" in line for line in process.stdout)
    # What GitHub does to a step that has not ended some seconds after a signal.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    last = steps(desk.folder, TRAIN)[-1]
    assert last["if"] == "cancelled()"
    script, environment = step(desk, last["run"])
    done = command(*script, cwd=desk.folder, environment=environment)
    stopped.append("now")
    assert (done.returncode, "is being stopped" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_variable_that_is_not_set_is_one_line(bake: Bake, command: Command, tmp_path: Path) -> None:
    said = [one for one in steps(bake(), TRAIN) if "::error::" in one.get("run", "")]
    assert len(said) == 2
    for one in said:
        names = set(re.findall(r"vars\.(\w+)", one["if"]))
        done = command(*shell(one["run"]), cwd=tmp_path)
        assert done.returncode == 1
        assert set(re.findall(r"[A-Z]+_[A-Z_]+", done.stdout)) == names
        assert done.stdout.count("\n") == 1


def test_the_page_sets_up_what_the_training_asks_for(bake: Bake) -> None:
    text = (bake() / TRAIN).read_text(encoding="utf-8")
    (environment,) = re.findall(r"environment: (\w+)", text)
    asked = re.findall(r"gh variable set (\w+) --env (\w+)", PAGE)
    assert {name for name, _ in asked} == set(re.findall(r"vars\.(\w+)", text))
    assert {where for _, where in asked} == {environment}
    (seconds,) = re.findall(r"role-duration-seconds: (\d+)", text)
    assert f"--max-session-duration {seconds}\n" in PAGE
    trust = json.loads(PAGE[PAGE.index("```json") :].split("```")[1].removeprefix("json"))
    (statement,) = trust["Statement"]
    (conditions,) = statement["Condition"].items()
    assert conditions[0] == "StringEquals"
    subject = conditions[1]["token.actions.githubusercontent.com:sub"]
    assert subject == f"repo:OWNER@OWNER_ID/REPO@REPO_ID:environment:{environment}"
    assert f"`{subject}`" in PAGE
    assert f"assertion.environment == '{environment}'" in PAGE


def test_the_page_grants_the_roles_that_setup_prints() -> None:
    granted = set(re.findall(r"\broles/[\w.]+", PAGE)) - {"roles/iam.workloadIdentityUser"}
    assert granted == {*policies.PEOPLE_IN_PROJECT, *policies.PEOPLE_IN_BUCKET, *policies.PEOPLE_ON_ACCOUNT}
