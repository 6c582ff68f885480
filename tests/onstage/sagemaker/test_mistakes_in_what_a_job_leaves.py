"""Whatever a job leaves in the wrong place, or that an endpoint cannot serve, is named; its job needs no training."""

import json
import shutil
from pathlib import Path

import pytest

from onstage.serving import versions
from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import MODEL, Mistake, change, failed, rehearse, write
from tests.oracles import older_tensorflow

ENTRY, TRAINING = "src/sagemaker_entry.py", "src/trainer/training.py"
# Neither needs TensorFlow; `ready` is a SavedModel that was made elsewhere.
LITTLE_MODEL = """\
from dataclasses import dataclass

from trainer.columns import Number, Numeric, Table
from trainer.run import Objective

DATA = Table([Numeric("x"), Number("y")])
OBJECTIVE = Objective("val_loss", "minimize")


@dataclass(frozen=True)
class Hyperparameters:
    epochs: int = 1


def build_model(hyperparameters, inputs):
    raise NotImplementedError
"""
NO_TRAINING = """\
import shutil
from pathlib import Path


def train(run):
    Path(run.checkpoint_dir).mkdir(exist_ok=True)
    Path(run.checkpoint_dir, "checkpoint").touch()
    print("epoch=1 loss=0.5 val_loss=0.5", flush=True)
    shutil.copytree(Path(__file__).with_name("ready"), run.export_dir, dirs_exist_ok=True)
"""

MISTAKES = [
    Mistake("no model", "model", change(TRAINING, "run.export_dir", 'Path(run.log_dir, "model")'),
            ["the job completed without a model in SM_MODEL_DIR", "no SavedModel bundles found!"]),
    Mistake("a program that ends itself", "train",
            change(TRAINING, "def train(run):", "def train(run):\n    import os\n\n    os._exit(0)"),
            ["src/trainer/training.py, line 8: the program ended with exit code 0 before its training was over",
             "the job is Completed all the same, without a model", "look for os._exit"]),
    Mistake("a model in the wrong place", "model", change(ENTRY, 'join(model_dir, "model", "1")', '"export/1"'),
            ["without a model in SM_MODEL_DIR; it wrote", "export/1/saved_model.pb, which nobody collects"]),
    Mistake("a model without a version folder", "model",
            change(ENTRY, 'join(model_dir, "model", "1")', 'join(model_dir, "model")'),
            ["ValueError: no SavedModel bundles found!", "the archive holds model/saved_model.pb"]),
    Mistake("checkpoints in the archive", "archive",
            change(ENTRY, 'checkpoint_dir=join(base, "checkpoints")', 'checkpoint_dir=join(model_dir, "checkpoints")'),
            ["model.tar.gz holds what is no model: checkpoints/checkpoint",
             "write checkpoints to /opt/ml/checkpoints"]),
    Mistake("a script for the endpoint", "archive",
            change(TRAINING, "    shutil.copytree(",
                   '    code = Path(run.export_dir, "../../code")\n    code.mkdir(parents=True)\n'
                   '    (code / "inference.py").touch()\n    shutil.copytree('),
            ["model.tar.gz holds code/inference.py, which the endpoint puts before each request"]),
]  # fmt: skip
# The name of a model, the check that fails, and what is said.
MODELS = {
    "nan": ("predictions", ["a request as instances: the answer holds NaN, which is not JSON"]),
    "keras": ("load", ["Could not find variable", "ExportArchive"]),
    "python": ("archive", ["the model's graph holds Python code, which TensorFlow Serving has not: EagerPyFunc",
                           "replace tf.py_function"]),
    "jxl": ("operations", [("the layer reader uses the operation DecodeJxl (reader_1/cond/DecodeJxl), which TensorFlow "
                           "has from 2.21 on; the server,"), "tensorflow-inference:2.20-cpu-py312, has 2.20",
                           "requests fail: Op type not registered 'DecodeJxl' in binary",
                           "serve with an image of TensorFlow 2.21 or newer; or replace it in the layer reader"]),
}  # fmt: skip
# What TensorFlow 2.20, which serves by default, has, and older ones have not; and what is no need, or a hint only.
NEWER = ["webp", "policy", "uint32", "gradient", "default_policy", "unreached"]
OLD_IMAGE = 'inference_image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.19-cpu"'


@pytest.fixture
def little(bake: Bake, exports: dict[str, Path], tmp_path: Path) -> Path:
    """A project that does not train."""
    project = tmp_path / "project"
    shutil.copytree(bake(platform="sagemaker"), project, ignore=shutil.ignore_patterns("__pycache__"))
    write(MODEL, LITTLE_MODEL)(project)
    write(TRAINING, NO_TRAINING)(project)
    for channel in ("train", "eval"):
        write(f"data/{channel}/iris.csv", "x,y\n1,2\n3,4\n")(project)
    return project


def leave(project: Path, model: Path) -> None:
    """Let the job leave this model."""
    shutil.copytree(model / "1", project / "src" / "trainer" / "ready")


@pytest.mark.few(1)
@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.name for mistake in MISTAKES])
def test_what_a_job_leaves_in_the_wrong_place_is_named(
    mistake: Mistake, little: Path, exports: dict[str, Path]
) -> None:
    leave(little, exports["versions"])
    report, said = rehearse(mistake, little)
    assert failed(report) == {mistake.check}, said


@pytest.mark.long
@pytest.mark.parametrize(("kept", "said"), [(0, "it is empty"), (300, "it is cut off"), (-1, "it is no SavedModel")])
def test_a_model_that_was_not_written_to_its_end_is_named(
    kept: int, said: str, little: Path, exports: dict[str, Path]
) -> None:
    def plant(project: Path) -> None:
        leave(project, exports["versions"])
        file = project / "src" / "trainer" / "ready" / "saved_model.pb"
        file.write_bytes(file.read_bytes()[:kept] if kept >= 0 else b"no model")

    report, printed = rehearse(Mistake("", "model", plant, ["model/1/saved_model.pb cannot be loaded", said]), little)
    assert failed(report) == {"model"}, printed


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_no_endpoint_can_serve_is_named(name: str, little: Path, exports: dict[str, Path]) -> None:
    check, said = MODELS[name]
    report, printed = rehearse(Mistake(name, check, lambda project: leave(project, exports[name]), said), little)
    assert check in failed(report), printed


@pytest.mark.long
def test_a_model_that_can_be_served_passes(little: Path, exports: dict[str, Path]) -> None:
    leave(little, exports["versions"])
    ended = onstage("rehearse", cwd=little)
    assert ended.code == 0, ended.said
    assert "working directory" not in ended.out
    assert "in this shell" not in ended.out


@pytest.mark.few(2)
@pytest.mark.parametrize("name", NEWER)
def test_a_model_that_the_servers_version_has_all_of_passes(name: str, little: Path, exports: dict[str, Path]) -> None:
    leave(little, exports[name])
    ended = onstage("rehearse", "--select", "sagemaker.operations", cwd=little)
    assert ended.code == 0, ended.said
    assert "TensorFlow 2.20, which will serve, has what the model uses" in ended.out
    assert (
        "sagemaker: whether the server computes with every type that the model has: TensorFlow 2.20 there" in ended.out
    )


def test_a_server_that_is_too_old_is_named_with_the_line_and_the_setting(
    little: Path, exports: dict[str, Path]
) -> None:
    leave(little, exports["webp"])

    def plant(project: Path) -> None:
        change("settings.toml", "[sagemaker]\n", f"[sagemaker]\n{OLD_IMAGE}\n")(project)
        change(MODEL, "def build_model(", "def read(tf, x):\n    return tf.io.decode_webp(x)\n\n\ndef build_model(")(
            project
        )

    said = ["DecodeWebP", "from 2.20 on; the server,", "tensorflow-inference:2.19-cpu, has 2.19",
            ("remove inference_image from [sagemaker] in settings.toml: TensorFlow 2.20 serves then; or replace it in "
            "the layer reader by what TensorFlow 2.19 has")]  # fmt: skip
    mistake = Mistake("an old server", "operations", plant, said, ("--select", "sagemaker.operations"))
    report, printed = rehearse(mistake, little)
    (found,) = [check for check in report["checks"] if check["status"] == "failed"]
    assert (found["id"], found["file"], found["line"]) == ("sagemaker.operations", MODEL, 16), printed


@pytest.mark.long
def test_a_server_of_an_unknown_version_is_a_warning_if_it_matters(little: Path, exports: dict[str, Path]) -> None:
    change("settings.toml", "[sagemaker]\n", '[sagemaker]\ninference_image = "mine/serve:1"\n')(little)
    leave(little, exports["unreached"])
    ended = onstage("rehearse", "--select", "sagemaker.operations", cwd=little)
    assert ended.code == 0, ended.said
    unknown = "which TensorFlow mine/serve:1 has is not known"
    assert f"passed   {unknown}; every version from 2.15 on has what the model uses" in ended.out
    shutil.rmtree(little / "src" / "trainer" / "ready")
    leave(little, exports["webp"])
    ended = onstage("rehearse", "--select", "sagemaker.operations", cwd=little)
    assert ended.code == 0, ended.said
    assert f"DecodeWebP (reader_1/cond/DecodeWebP), which TensorFlow has from 2.20 on; {unknown}" in ended.out
    assert "-> serve it with TensorFlow 2.20 or newer" in ended.out
    assert "sagemaker: the TensorFlow of mine/serve:1, which will serve the model; here is 2.21" in ended.out


@pytest.mark.long
def test_what_the_cloud_would_do_differently_is_a_warning(little: Path, exports: dict[str, Path]) -> None:
    leave(little, exports["versions"])
    change(TRAINING, "def train(run):", 'def train(run):\n    Path("history.csv").touch()')(little)
    units = 'import os\n\nUNITS = os.environ.get("UNITS", "16")\nHOME = os.environ.get("HOME", "/")\n\nfrom dataclasses'
    change(MODEL, "from dataclasses", units)(little)
    ended = onstage("rehearse", cwd=little, environment={"UNITS": "32"})
    assert ended.code == 0, ended.said
    assert "history.csv into its working directory, which goes with it" in ended.out
    assert "write to SM_OUTPUT_DATA_DIR" in ended.out
    assert "src/trainer/model.py, line 3: UNITS is set in this shell and not in the job" in ended.out
    assert "HOME is set" not in ended.out


@pytest.mark.long
def test_another_version_of_tensorflow_serves_the_model_when_asked_to(little: Path, exports: dict[str, Path]) -> None:
    """Here it is the version that is installed anyway, in a process of its own."""
    leave(little, exports["versions"])
    minor = versions.here().rpartition(".")[0]
    ended = onstage("rehearse", "--serving-version", minor, "--select", "sagemaker.load", cwd=little)
    assert ended.code == 0, ended.said
    assert f"TensorFlow {versions.here()} answers a request to serving_default as {versions.here()} does" in ended.out


@pytest.mark.long
def test_what_an_older_version_lacks_is_named_with_its_line_although_the_servers_has_it(
    little: Path, exports: dict[str, Path]
) -> None:
    cache = older_tensorflow()
    words = ("rehearse", "--serving-version", "2.15", "--json", "report.json")
    leave(little, exports["versions"])
    accepted = onstage(*words, cwd=little, environment=cache)
    assert accepted.code == 0, accepted.said
    assert "TensorFlow 2.15.1 answers a request to serving_default as " in accepted.out
    shutil.rmtree(little / "src" / "trainer" / "ready")
    leave(little, exports["webp"])
    change(MODEL, "def build_model(", "def read(tf, x):\n    return tf.io.decode_webp(x)\n\n\ndef build_model(")(little)
    refused = onstage(*words, cwd=little, environment=cache)
    assert refused.code == 1, refused.said
    report = json.loads((little / "report.json").read_text(encoding="utf-8"))
    (found,) = [check for check in report["checks"] if check["status"] == "failed"]
    assert (found["id"], found["file"], found["line"]) == ("sagemaker.serving-version", MODEL, 16)
    assert "TensorFlow 2.15.1 does not answer as " in found["detail"]
    assert "Op type not registered 'DecodeWebP' in binary" in found["detail"]
    assert "the layer reader uses the operation DecodeWebP" in found["detail"]
    assert found["fix"].endswith("has, or serve with TensorFlow 2.20 or newer")
