"""`python -m rehearse` as its user sees it: what it needs, what it leaves, what it accepts, how it ends."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake, Command
from tests.onstage.mistakes import add, both, change, write

FINE = both(
    add("src/requirements.txt", "Pillow>=10\npolars; python_version >= '3.10'  # a comment"),
    add("src/trainer/extra.py", '''\
"""Reads data/train/iris.csv? No: says so only."""

import sklearn.metrics
from PIL import Image

import trainer.columns
from trainer import columns

from . import run

try:
    import cupy
except ImportError:
    cupy = None

NAMES = ["data", "a/b", "text/csv", "trainer/model.py", "https://example.com/data/train", "N/A", "and/or"]


class Layer:
    def input(self):
        return sklearn, Image, trainer, columns, run, cupy, self.input()'''),
    write("notes.txt", "not in src/: does not travel"),
    write("src/.env", "SECRET=1"),
)  # fmt: skip


@pytest.fixture
def copy(bake: Bake, tmp_path: Path) -> Path:
    shutil.copytree(bake(platform="sagemaker"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


def static(project: Path, command: Command, *argv: str) -> tuple[dict[str, Any], subprocess.CompletedProcess]:
    """A rehearsal that ends before its training, at a flag that nobody knows, and its report."""
    words = ["-m", "rehearse", "sagemaker", "--json", project / "report.json", *argv, "--no-such-flag", "1"]
    done = command(sys.executable, *words, cwd=project)
    return json.loads((project / "report.json").read_text(encoding="utf-8")), done


def test_code_that_only_looks_like_a_mistake_is_accepted(copy: Path, command: Command) -> None:
    FINE(copy)
    report, done = static(copy, command)
    assert [check["name"] for check in report["checks"] if check["status"] != "passed"] == ["hyperparameters"], done


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
    line = f"ip link set lo up && exec {sys.executable} -m rehearse --json report.json"
    done = command(
        *namespace, "sh", "-c", line, cwd=project,
        environment={**cloudy, "HOME": str(tmp_path / "home"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((project / "report.json").read_text(encoding="utf-8"))
    assert set(report) == {"checks", "passed", "seconds"}
    assert all(set(check) == {"name", "platform", "status", "seconds", "detail", "fix"} for check in report["checks"])
    details = {check["name"]: check["detail"] for check in report["checks"]}
    assert "val_rmse=" in details["metrics"]
    assert "application/jsonlines" in details["predictions"]
    assert not list((tmp_path / "home").iterdir())
    # What the cloud commands ask before they send a job.
    assert list(json.loads((project / "runs" / "rehearsed.json").read_text(encoding="utf-8"))) == ["sagemaker"]


def test_an_image_that_is_no_longer_patched_is_a_warning_that_says_what_to_choose(copy: Path, command: Command) -> None:
    old = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.19-cpu-py312"
    change("settings.toml", "max_runtime = 3600", f'max_runtime = 3600\ntraining_image = "{old}"')(copy)
    report, done = static(copy, command)
    warnings = [check for check in report["checks"] if check["status"] == "warning"]
    assert {check["name"] for check in warnings} == {"images"}
    assert "no security patches since 2026-03-11" in warnings[0]["detail"]
    assert "2.21 is the newest" in warnings[0]["detail"]
    assert "1 FAILED, 2 warnings" in done.stdout


def test_a_page_that_needs_the_real_library_to_be_read_is_read_with_it(copy: Path, command: Command) -> None:
    widths = "WIDTHS = [int(width) for width in keras.ops.arange(3)]"
    change("src/trainer/model.py", "\n@dataclass", f"\n{widths}\n\n@dataclass")(copy)
    report, _ = static(copy, command)
    assert [check["name"] for check in report["checks"] if check["status"] == "failed"] == ["hyperparameters"]


def test_data_may_be_a_file_or_a_pattern(copy: Path, command: Command) -> None:
    text = (copy / "data" / "train" / "iris.csv").read_text(encoding="utf-8")
    write("data/train/more-1.csv", text)(copy)
    write("data/train/iris.csv", "not,in,the,pattern")(copy)
    change("settings.toml", '"data/train"', '"data/train/more-*.csv"')(copy)
    change("settings.toml", '"data/eval"', '"data/eval/iris.csv"')(copy)
    done = command(sys.executable, "-m", "rehearse", "sagemaker", "--epochs", "1", cwd=copy)
    assert done.returncode == 0, done.stdout


def test_a_report_that_cannot_be_written_is_said(copy: Path, command: Command) -> None:
    words = ["-m", "rehearse", "sagemaker", "--json", copy / "nowhere" / "report.json", "--no-such-flag", "1"]
    done = command(sys.executable, *words, cwd=copy)
    assert done.returncode == 1
    assert "error: the report cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def body_folder(bake: Bake, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A request body of ours in a file, and its objects where `--store` says."""
    from onstage import source
    from onstage.sagemaker.requests import bodies
    from onstage.settings import load

    folder = tmp_path_factory.mktemp("body")
    cloud = load(project / "settings.toml").sagemaker.model_copy(
        update={"bucket": "my-bucket", "role": "arn:aws:iam::111122223333:role/mine"}
    )
    values = {"epochs": 1, "seed": 3}
    body = bodies.training_job(cloud, "iris_classifier", "from-a-file", values, ["val_accuracy"])
    (folder / "body.json").write_text(json.dumps(body), encoding="utf-8")
    places = folder / "store" / "my-bucket" / "iris_classifier"
    shutil.copytree(project / "data", places / "data", ignore=shutil.ignore_patterns("README.md"))
    (places / "jobs" / "from-a-file" / "source").mkdir(parents=True)
    archive = places / "jobs" / "from-a-file" / "source" / "sourcedir.tar.gz"
    archive.write_bytes(source.archive(project / "src"))
    return folder


def test_a_body_from_a_file_is_rehearsed_as_it_is(body_folder: Path, project: Path, command: Command) -> None:
    done = command(sys.executable, "-m", "rehearse", "body", body_folder / "body.json", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (body_folder / "store/my-bucket/iris_classifier/jobs/from-a-file/output/model.tar.gz").is_file()


BAD_BODIES = [
    (("InputDataConfig", 0, "ChannelName"), "my channel", "InputDataConfig[0].ChannelName: 'my channel'"),
    (("TrainingJobName",), "under_score", "TrainingJobName: 'under_score'"),
    (("ResourceConfig", "InstanceType"), "ml.t9.huge", "'ml.t9.huge' does not exist"),
    (("InputDataConfig", 0, "InputMode"), "Pipe", "Pipe"),
]


@pytest.mark.parametrize(("path", "value", "said"), BAD_BODIES, ids=[row[1] for row in BAD_BODIES])
def test_a_body_that_sagemaker_would_refuse_is_refused(
    path: tuple, value: str, said: str, body_folder: Path, project: Path, tmp_path: Path, command: Command
) -> None:
    body = json.loads((body_folder / "body.json").read_text(encoding="utf-8"))
    *parents, last = path
    part = body
    for name in parents:
        part = part[name]
    part[last] = value
    (tmp_path / "body.json").write_text(json.dumps(body), encoding="utf-8")
    words = ["-m", "rehearse", "body", tmp_path / "body.json", "--store", body_folder / "store"]
    done = command(sys.executable, *words, cwd=project)
    assert done.returncode == 1
    assert said in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["body", "nowhere.json"], 1, "error: no request body in nowhere.json"),
        (["body"], 2, "Missing argument 'FILE'"),
        (["no-such-platform"], 2, "No such command 'no-such-platform'"),
        (["serve", "nowhere"], 1, "error: there is no nowhere/model; name a folder of runs/"),
        (["serve"], 1, "there is no trained model in runs/; train one: python train.py"),
        (["--help"], 0, "with no account, no network and no Docker"),
        (["sagemaker", "--help"], 0, "python -m rehearse sagemaker --epochs 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_command_line_says_what_is_wrong(
    words: list[str], code: int, said: str, copy: Path, command: Command
) -> None:
    done = command(sys.executable, "-m", "rehearse", *words, cwd=copy, environment={"COLUMNS": "120"})
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
