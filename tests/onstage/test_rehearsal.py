"""`onstage rehearse` as its user sees it: what it needs, what it leaves, what it accepts, how it ends."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onstage.catalogue import of_rehearsal
from tests.conftest import Bake, Command
from tests.onstage.commands import onstage
from tests.onstage.mistakes import add, both, change, write

MEMBERS = {"id", "platform", "name", "status", "seconds", "detail", "cloud", "fix", "file", "line"}
FINE = both(
    add("src/requirements.txt", "Pillow>=10\npolars; python_version >= '3.10'  # a comment"),
    add("src/trainer/extra.py", '''\
"""Reads data/train/iris.csv? No: says so only."""

import os

import matplotlib.pyplot
from PIL import Image

import trainer.columns
from trainer import columns

from . import run

try:
    import cupy
except ImportError:
    cupy = None

PLACE = os.path.join(os.environ.get("PLACE", ""), "data/train/iris.csv")
NAMES = ["data", "a/b", "text/csv", "trainer/model.py", "https://example.com/data/train", "N/A", "and/or"]


class Layer:
    def input(self):
        return matplotlib, Image, trainer, columns, run, cupy, self.input()


def show(input):
    return input()


def shown(layer):
    return show(layer.show()), layer.input(), show(block=False)'''),
    add("src/tests/helper.py", "EMPTY = 1"),
    add("src/yaml/table.txt", "no module"),
    # Names of distributions, which nobody imports.
    *(add(f"src/{name}.py", "EMPTY = 1") for name in ("protobuf", "pillow", "pyyaml", "scikit_learn")),
    write("notes.txt", "not in src/: does not travel"),
    write("src/.env", "SECRET=1"),
)  # fmt: skip


@pytest.fixture
def copy(bake: Bake, tmp_path: Path) -> Path:
    shutil.copytree(bake(platform="sagemaker"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


def static(project: Path, *argv: str) -> tuple[dict[str, Any], str]:
    """The report of a rehearsal that ends before its training, at a flag that nobody knows, and what was printed."""
    ended = onstage(
        "rehearse", "sagemaker", "--json", project / "report.json", *argv, "--no-such-flag", "1", cwd=project
    )
    return json.loads((project / "report.json").read_text(encoding="utf-8")), ended.said


def test_code_that_only_looks_like_a_mistake_is_accepted(copy: Path) -> None:
    FINE(copy)
    report, said = static(copy)
    assert [check["name"] for check in report["checks"] if check["status"] != "passed"] == ["hyperparameters"], said


@pytest.mark.long
def test_a_rehearsal_needs_no_network_no_docker_no_home_and_no_account(
    bake: Bake, tmp_path: Path, command: Command
) -> None:
    namespace = ["unshare", "--user", "--map-root-user", "--net"]
    probe = [*namespace, "sh", "-c", "ip link set lo up"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this machine gives a process no network of its own")
    (tmp_path / "home").mkdir()
    project = tmp_path / "project"
    shutil.copytree(bake(platform="sagemaker", problem="regression"), project)
    cloudy = {name: "" for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "DOCKER"))}
    line = f"ip link set lo up && exec {sys.executable} -m onstage rehearse --json report.json"
    done = command(
        *namespace, "sh", "-c", line, cwd=project,
        environment={**cloudy, "HOME": str(tmp_path / "home"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((project / "report.json").read_text(encoding="utf-8"))
    assert set(report) == {"report", "onstage", "command", "checks", "not_seen", "passed", "seconds"}
    assert all(set(check) == MEMBERS for check in report["checks"])
    assert "a training in full: here it had epochs=2 instead of 40" in report["not_seen"]
    assert {check["id"] for check in report["checks"]} == set(of_rehearsal(["sagemaker"]))
    details = {check["name"]: check["detail"] for check in report["checks"]}
    assert "val_rmse=" in details["metrics"]
    assert "application/jsonlines" in details["predictions"]
    assert not list((tmp_path / "home").iterdir())
    # What the cloud commands ask before they send a job.
    assert list(json.loads((project / "runs" / "rehearsed.json").read_text(encoding="utf-8"))) == ["sagemaker"]


def test_an_image_that_is_no_longer_patched_is_a_warning_that_says_what_to_choose(copy: Path) -> None:
    old = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.19-cpu-py312"
    change("settings.toml", "max_runtime = 3600", f'max_runtime = 3600\ntraining_image = "{old}"')(copy)
    report, said = static(copy)
    warnings = [check for check in report["checks"] if check["status"] == "warning"]
    assert {check["name"] for check in warnings} == {"images"}
    assert "no security patches since 2026-03-11" in warnings[0]["detail"]
    assert "2.21 is the newest" in warnings[0]["detail"]
    assert "1 FAILED, 1 warning, 2 skipped" in said


@pytest.mark.few(1)
@pytest.mark.parametrize("platform", ["sagemaker", "vertex"])
def test_a_request_is_shown_although_nothing_is_set_up(bake: Bake, platform: str) -> None:
    ended = onstage(platform, "train", "--dry-run", cwd=bake())
    assert ended.code == 0, ended.said
    assert "are empty, and made up here" in ended.err
    assert "rehearsal-bucket" in json.dumps(json.loads(ended.out))


@pytest.mark.long
def test_a_page_that_needs_the_real_library_to_be_read_is_read_with_it(copy: Path) -> None:
    widths = "WIDTHS = [int(width) for width in keras.ops.arange(3)]"
    change("src/trainer/model.py", "\n@dataclass", f"\n{widths}\n\n@dataclass")(copy)
    report, _ = static(copy)
    assert [check["name"] for check in report["checks"] if check["status"] == "failed"] == ["hyperparameters"]


@pytest.mark.long
def test_a_project_without_a_mistake_passes_whose_data_is_a_file_and_a_pattern(copy: Path) -> None:
    text = (copy / "data" / "train" / "iris.csv").read_text(encoding="utf-8")
    write("data/train/more-1.csv", text)(copy)
    write("data/train/iris.csv", "not,in,the,pattern")(copy)
    change("settings.toml", '"data/train"', '"data/train/more-*.csv"')(copy)
    # An empty value, and what a shell makes other words of.
    more = 'seed: int = 0\n    clip: float | None = None\n    note: str = "two words, [1] of $HOME"'
    change("src/trainer/model.py", "seed: int = 0", more)(copy)
    change("settings.toml", '"data/eval"', '"data/eval/iris.csv"')(copy)
    # What travels may decide what the network is.
    write("src/trainer/units.txt", "12")(copy)
    units = 'int(__import__("pathlib").Path(__file__).with_name("units.txt").read_text())'
    change("src/trainer/model.py", "Dense(hyperparameters.hidden_units", f"Dense({units}")(copy)
    ended = onstage("rehearse", "--epochs", "1", "--json", copy / "report.json", cwd=copy)
    assert ended.code == 0, ended.said
    report = json.loads((copy / "report.json").read_text(encoding="utf-8"))
    assert report["passed"]
    assert {check["status"] for check in report["checks"]} == {"passed"}


def many(project: Path, rows: int) -> None:
    """Iris with so many rows in each channel, each with numbers of its own."""
    for channel in ("train", "eval"):
        file = project / "data" / channel / "iris.csv"
        header, *lines = file.read_text(encoding="utf-8").splitlines()
        more = [f"{number / 1000:.3f}{lines[number % len(lines)][3:]}" for number in range(4000, 4000 + rows)]
        file.write_text("\n".join([header, *more, ""]), encoding="utf-8")


@pytest.mark.long
def test_both_platforms_jobs_get_the_same_sample_and_the_report_says_so(bake: Bake, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(bake(), project, ignore=shutil.ignore_patterns("__pycache__"))
    many(project, 3000)
    change("settings.toml", "time_limit = 300", "time_limit = 300\nrows = 200")(project)
    ended = onstage("rehearse", "--verbose", "--epochs", "1", "--json", project / "report.json", cwd=project)
    assert ended.code == 0, ended.said
    for platform in ("sagemaker", "vertex"):
        assert f"{platform}: train: 200 rows, eval: 200 rows" in ended.out
    assert "train 200 of 3,000 rows of 1 file, eval 200 of 3,000 rows of 1 file (a sample; --all-rows takes all)" in (
        ended.out
    )
    report = json.loads((project / "report.json").read_text(encoding="utf-8"))
    left_out = "train 200 of 3,000 rows of 1 file, eval 200 of 3,000 rows of 1 file"
    assert f"a training in full: here it had {left_out}" in report["not_seen"]


@pytest.mark.long
def test_all_rows_are_for_the_job_when_asked_for(copy: Path) -> None:
    many(copy, 3000)
    change("settings.toml", "time_limit = 300", "time_limit = 300\nrows = 200")(copy)
    words = ("--verbose", "--epochs", "1", "--all-rows", "--select", "sagemaker.train")
    ended = onstage("rehearse", *words, cwd=copy)
    assert ended.code == 0, ended.said
    assert "train: 3000 rows, eval: 3000 rows" in ended.out
    assert "a training in full" not in ended.out


@pytest.mark.long
def test_shards_and_packed_files_in_folders_are_converted_sampled_and_trained_on(bake: Bake, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(bake(problem="regression"), project, ignore=shutil.ignore_patterns("__pycache__"))
    assert (
        onstage("convert", "data/train", "--to", "shards/a", "--rows-per-shard", "100", "--gzip", cwd=project).code == 0
    )
    file = project / "packed" / "deep" / "penguins.csv.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(gzip.compress((project / "data" / "eval" / "penguins.csv").read_bytes()))
    change("settings.toml", '"data/train"', '"shards"')(project)
    change("settings.toml", '"data/eval"', '"packed"')(project)
    change("settings.toml", "time_limit = 300", "time_limit = 300\nrows = 60")(project)
    ended = onstage("rehearse", "--verbose", "--epochs", "1", cwd=project)
    assert ended.code == 0, ended.said
    assert "rows of 3 files, eval 60 of 69 rows of 1 file (a sample; --all-rows takes all)" in ended.out
    assert "; TFRecord shards, which are not looked at before the job" in ended.out
    # One of the sixty has no target.
    for platform in ("sagemaker", "vertex"):
        assert f"{platform}: train: 59 rows, eval: 60 rows" in ended.out
