"""Mistakes that only the package, installed afresh, or the job shows are named; a project without a mistake passes."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import MODEL, Mistake, add, both, change, failed, names, rehearse

TASK = "src/trainer/task.py"
PREBUILT = change("settings.toml", "\nmachine_type", '\nserving = "prebuilt"\nmachine_type')

SEEN_IN_THE_PACKAGE = [
    Mistake("package data that MANIFEST.in does not name", "package",
            both(add("src/trainer/words.txt", "a\nb"),
                 add(MODEL, 'from importlib import resources\n\n\ndef words():\n'
                            '    return resources.files("trainer").joinpath("words.txt").read_text()')),
            ["src/trainer/words.txt is not in the source distribution",
             "add a line to MANIFEST.in: include src/trainer/words.txt"]),
    Mistake("tensorflow in install_requires", "package",
            change("setup.py", "for line in lines if", 'for line in [*lines, "tensorflow"] if'),
            ["install_requires has tensorflow, which would replace the image's own tensorflow"]),
    Mistake("a requirement that setup.py does not declare", "package",
            both(add("src/requirements.txt", "polars>=1"), change("setup.py", "install_requires=[", "extras=[")),
            ["install_requires lacks polars"]),
    Mistake("python_requires above the image's Python", "package",
            change("setup.py", 'python_requires=">=3.10"', 'python_requires=">=3.12"'),
            ["python_requires is >=3.12, and the training image 2.21 runs Python 3.11",
             "requires a different Python"]),
    Mistake("a name that a library has", "package", change("setup.py", '"iris_classifier_trainer"', '"absl-py"'),
            ["setup.py: name is absl-py, as that of a library in the training image"]),
    Mistake("a setup.py that finds no package", "package",
            change("setup.py", 'include=["trainer", "trainer.*"]', 'include=["trainr"]'),
            ["holds no package trainer"]),
    Mistake("a setup.py that does not run", "package", add("setup.py", "import nothing_there"),
            ["setup.py builds no source distribution: ModuleNotFoundError: No module named 'nothing_there'"]),
]  # fmt: skip

SEEN_IN_THE_JOB = [
    Mistake("pathlib where nobody sees it", "train",
            change(TASK, "    job = make_run", "    import pathlib\n"
                   "    names = dict(environment)\n"
                   "    pathlib.Path(names['AIP_MODEL' + '_DIR']).joinpath('words.txt').read_text()\n"
                   "    job = make_run"),
            ["workerpool0-0: FileNotFoundError: [Errno 2]",
             "The replica workerpool0-0 exited with a non-zero status of 1",
             "FileNotFoundError: [Errno 2] No such file or directory: 'gs:/rehearsal-bucket",
             "keep gs:// a text and use tf.io.gfile"]),
    Mistake("a program that never ends", "train",
            both(change("settings.toml", "time_limit = 300", "time_limit = 3"),
                 change(TASK, "    job = make_run", "    while True:\n        pass\n    job = make_run")),
            ["the program had not ended when the rehearsal's time_limit was over", "3600s"]),
]  # fmt: skip


@pytest.fixture
def broken(bake: Bake, tmp_path: Path) -> Path:
    shutil.copytree(bake(platform="vertex"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


@pytest.mark.few(1)
@pytest.mark.parametrize("mistake", SEEN_IN_THE_PACKAGE, ids=[mistake.name for mistake in SEEN_IN_THE_PACKAGE])
def test_a_mistake_that_only_a_clean_installation_shows_is_named(mistake: Mistake, broken: Path) -> None:
    report, said = rehearse(mistake, broken, "vertex")
    assert failed(report) == {"package"}, said
    assert "train" not in names(report)


@pytest.mark.long
@pytest.mark.parametrize("mistake", SEEN_IN_THE_JOB, ids=[mistake.name for mistake in SEEN_IN_THE_JOB])
def test_a_mistake_that_only_the_job_shows_is_named(mistake: Mistake, broken: Path) -> None:
    report, said = rehearse(mistake, broken, "vertex")
    assert mistake.check in failed(report), said


@pytest.mark.long
def test_a_variable_of_this_shell_that_changes_the_network_is_named(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_UNITS", "20")
    units = 'int(__import__("os").environ.get("MY_UNITS", 16))'
    mistake = Mistake("", "network", change(MODEL, "Dense(hyperparameters.hidden_units", f"Dense({units}"), [
        "dense/kernel has (4, 20) float32 here and (4, 16) float32 in the job",
        "Here src/trainer/model.py, line 46, asks for the variable MY_UNITS",
    ])  # fmt: skip
    report, said = rehearse(mistake, broken, "vertex")
    assert failed(report) == {"network"}, said


@pytest.mark.long
def test_a_project_for_the_prebuilt_container_passes(broken: Path) -> None:
    PREBUILT(broken)
    before = (broken / "data/train/iris.csv").read_bytes()
    ended = onstage("rehearse", "vertex", "--json", broken / "report.json", cwd=broken)
    assert ended.code == 0, ended.said
    report = json.loads((broken / "report.json").read_text(encoding="utf-8"))
    warned = {check["name"] for check in report["checks"] if check["status"] != "passed"}
    # The image of TensorFlow 2.15 is no longer patched.
    assert warned == {"images"}, ended.out
    assert "saved_model.pb: 5 files" in next(
        check["detail"] for check in report["checks"] if check["id"] == "vertex.model"
    )
    assert (broken / "data/train/iris.csv").read_bytes() == before
    assert not [path.name for path in broken.rglob("*") if path.suffix in (".egg-info", ".gz") or path.name == "gs:"]
