"""`onstage body` in a folder that is no project: a plain Python package for Vertex AI, as docs/any-job.md has it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.onstage import pages
from tests.onstage.commands import Ended, onstage
from tests.onstage.mistakes import change

PAGE = "any-job.md"
(COMMAND,) = pages.commands(PAGE, "onstage body job.yaml")
TASK = "package/trainer/task.py"
PACKAGE = "gs://my-bucket/houses/trainer-0.1.tar.gz"
XGBOOST = "us-docker.pkg.dev/vertex-ai/training/xgboost-cpu.2-1:latest"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("houses")
    assert TASK in pages.write_files(PAGE, folder)
    (folder / "package" / "trainer" / "__init__.py").touch()
    pages.write_houses(folder / "houses.csv")
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "houses"))


def body(folder: Path, *words: str | Path, command: list[str] = COMMAND) -> tuple[Ended, dict[str, tuple[str, str]]]:
    """What is printed; statuses and texts by the checks' ids."""
    ended = onstage(*command, *words, "--json", folder / "report.json", cwd=folder)
    if not (folder / "report.json").exists():
        return ended, {}
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return ended, {one["id"]: (one["status"], f"{one['detail']}\n{one['cloud']}") for one in report["checks"]}


def edit(change_task: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A change of the request's pythonPackageSpec."""

    def change_file(folder: Path) -> None:
        file = folder / "job.yaml"
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        change_task(content["jobSpec"]["workerPoolSpecs"][0]["pythonPackageSpec"])
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    return change_file


INSTALL = f"pip install {PACKAGE.replace('gs://', '/gcs/')}"


def in_container(folder: Path, install: str = INSTALL) -> None:
    """The same job in a container that installs the package by itself."""
    file = folder / "job.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    pool = content["jobSpec"]["workerPoolSpecs"][0]
    args = pool.pop("pythonPackageSpec")["args"]
    command = ["bash", "-c", f'{install} && exec python -m trainer.task "$@"', "job"]
    pool["containerSpec"] = {"imageUri": "tensorflow/tensorflow:2.21.0", "command": command, "args": args}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.mark.long
def test_a_plain_package_passes_but_for_the_image_that_is_gone(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    ended, checks = body(folder)
    assert ended.code == 0, ended.said
    assert checks["vertex.images"][0] == "ignored"
    assert "has not been available since 2026-07-11" in checks["vertex.images"][1]
    skipped = {one for one, (status, _) in checks.items() if status == "skipped"}
    assert skipped == {
        "project.model", "project.hyperparameters", "project.data", "vertex.requirements", "vertex.imports",
        "vertex.resolution", "vertex.metrics",
    }  # fmt: skip
    assert checks["vertex.model"][1].startswith("saved_model.pb: ")
    assert "left out: createTime, name, state" in ended.out
    assert sorted(folder.rglob("*")) == sorted([*before, folder / "report.json"])


def test_the_image_that_is_gone_fails_the_rehearsal_before_it_runs(folder: Path) -> None:
    ended, checks = body(folder, command=COMMAND[: COMMAND.index("--ignore")])
    assert ended.code == 1, ended.said
    assert [one for one, (status, _) in checks.items() if status == "failed"] == ["vertex.images"]
    assert "vertex.train" not in checks


@pytest.mark.long
def test_a_source_distribution_in_a_container_passes_with_a_versioned_model_elsewhere(folder: Path) -> None:
    place = "gs://my-bucket/houses/models/{args.num_epochs}/1"
    change(TASK, 'model.export(os.environ["AIP_MODEL_DIR"])', f'model.export(f"{place}")')(folder)
    made = [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", folder]
    subprocess.run(made, cwd=folder / "package", check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    in_container(folder)
    ended, checks = body(
        folder,
        command=["body", "job.yaml", "--source", sdist.name, "--channel", "data=houses.csv", "--set", "num-epochs=1"],
    )
    assert ended.code == 0, ended.said
    assert "1/saved_model.pb" in checks["vertex.model"][1]
    assert "in gs://my-bucket/houses/models/1, not in AIP_MODEL_DIR" in checks["vertex.model"][1]
    assert checks["vertex.imports"][0] == "passed"
    assert "GET /v1/models/model answers 200" in checks["vertex.health"][1]


MISTAKES = {
    "a flag that the module does not have": (
        edit(lambda task: task["args"].append("--optimizer=adam")),
        "vertex.flags", ["package/trainer/task.py, line ", "unrecognized arguments: --optimizer=adam"],
    ),
    "a folder without __init__.py": (
        lambda folder: (folder / "package" / "trainer" / "__init__.py").unlink(),
        "vertex.package", ["holds no package trainer", "Is there a package/trainer/__init__.py?"],
    ),
    "a module that is not there": (
        edit(lambda task: task.update(pythonModule="trainer.main")),
        "vertex.entry", ["python -m trainer.main, and there is no package/trainer/main.py"],
    ),
    "open() on a place in Cloud Storage": (
        change(TASK, "    args = get_args()\n", '    args = get_args()\n    open("gs://my-bucket/words.txt")\n'),
        "vertex.gcs", ["package/trainer/task.py, line ", "open() does not know gs://"],
    ),
    "a package that the image would replace": (
        change("package/setup.py", "include_package", 'install_requires=["tensorflow"], include_package'),
        "vertex.package", ["install_requires has tensorflow"],
    ),
    "another framework": (
        edit(lambda task: task.update(executorImageUri=XGBOOST)),
        "vertex.train", [f"{XGBOOST} is an image of XGBoost"],
    ),
}  # fmt: skip


@pytest.mark.few(1)
@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_named_before_the_job_runs(folder: Path, case: str) -> None:
    plant, check, said = MISTAKES[case]
    plant(folder)
    ended, checks = body(folder)
    assert ended.code == 1, ended.said
    failed = {one: text for one, (status, text) in checks.items() if status == "failed"}
    assert check in failed, ended.out
    assert set(failed) <= {check, "vertex.modules"}, ended.out
    for words in said:
        assert words in failed[check], ended.out
    assert "vertex.metrics" not in checks


@pytest.mark.long
def test_a_requirement_of_the_package_is_one_that_the_code_may_import(folder: Path) -> None:
    change(TASK, "import keras\n", "import keras\nimport httpx\n")(folder)
    in_container(folder)
    ended, checks = body(folder)
    assert (ended.code, checks["vertex.imports"][0]) == (1, "failed"), ended.said
    assert "import httpx: not in" in checks["vertex.imports"][1]
    change("package/setup.py", "include_package", 'install_requires=["httpx"], include_package')(folder)
    _, checks = body(folder, "--select", "vertex.imports", "--select", "vertex.package")
    assert checks["vertex.imports"][0] == "passed"


REFUSED = {
    "no source": (
        lambda folder: shutil.rmtree(folder / "package"), "the package trainer-0.1.tar.gz: there is no package",
    ),
    "a folder that is no package": (
        lambda folder: (folder / "package" / "setup.py").unlink(), "package has neither setup.py nor pyproject.toml",
    ),
    "no data": (lambda folder: (folder / "houses.csv").unlink(), "--channel data: there is no houses.csv"),
    "a place that the request does not name": (
        edit(lambda task: task.update(args=["--num-epochs=20"])),
        "--channel data: of places in Cloud Storage the request names none",
    ),
    "no such flag": (
        edit(lambda task: task["args"].pop()), "--set num-epochs: the request's args are --data=gs://",
    ),
    "no package": (
        lambda folder: in_container(folder, "true"),
        "the request installs no package (no packageUris, no pip install from Cloud Storage): the code in tensorflow/",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_begin_is_one_line_and_exit_code_2(folder: Path, case: str) -> None:
    plant, said = REFUSED[case]
    plant(folder)
    ended, _ = body(folder)
    assert ended.code == 2, ended.said
    assert ended.err.startswith(f"error: {said}"), ended.err
    assert ended.err.count("\n") == 1
