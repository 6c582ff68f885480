"""`onstage body` in a folder that is no project: a plain script for SageMaker, as docs/any-job.md has it."""

import shutil
import tarfile
from pathlib import Path

import pytest

from tests.onstage import pages
from tests.onstage.commands import onstage
from tests.onstage.mistakes import change
from tests.onstage.sagemaker.houses import PAGE, PYTORCH, TRAIN, body, edit, hyperparameters, packed


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("houses")
    assert TRAIN in pages.write_files(PAGE, folder)
    pages.write_houses(folder / "houses.csv")
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "houses"))


def test_a_plain_script_passes_and_what_needs_a_trainer_is_skipped(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    ended, checks = body(folder)
    assert ended.code == 0, ended.said
    skipped = {one: text for one, (status, text) in checks.items() if status == "skipped"}
    assert set(skipped) == {"project.model", "project.hyperparameters", "project.data"}
    assert all("no model.py" in text for text in skipped.values())
    assert {status for status, _ in checks.values()} == {"passed", "skipped"}
    assert "loss=" in checks["sagemaker.metrics"][1]
    assert "text/csv" in checks["sagemaker.predictions"][1]
    assert "the request's own epochs: --set made it 2" in ended.out
    assert sorted(folder.rglob("*")) == sorted([*before, folder / "report.json"])


@pytest.mark.long
def test_an_archive_in_a_store_passes_as_an_answer_of_describe_in_yaml(folder: Path) -> None:
    store = folder / "store" / "my-bucket" / "houses"
    store.mkdir(parents=True)
    with tarfile.open(store / "sourcedir.tar.gz", "w:gz") as archive:
        archive.add(folder / TRAIN, "train.py")
    shutil.rmtree(folder / "code")
    # A prefix of keys: beside the folder of that name, what only begins so.
    (store / "train-").mkdir()
    (store / "train-" / "unused.csv").touch()
    shutil.move(folder / "houses.csv", store / "train-houses.csv")
    edit(folder, lambda content: content.update(TrainingJobArn="arn", TrainingJobStatus="Completed"))
    edit(folder, hyperparameters(epochs="1"))
    train = (folder / "job.json").read_text(encoding="utf-8").replace("houses/train", "houses/train-")
    (folder / "job.yaml").write_text(train, encoding="utf-8")
    with tarfile.open(store / "sourcedir.tar.gz") as archive:
        script = archive.extractfile("train.py").read().decode()
    script = script.replace('"houses.csv"', '"train-houses.csv"')
    (folder / "train.py").write_text(script, encoding="utf-8")
    with tarfile.open(store / "sourcedir.tar.gz", "w:gz") as archive:
        archive.add(folder / "train.py", "train.py")
    ended = onstage("body", "job.yaml", cwd=folder)
    assert ended.code == 0, ended.said
    assert "left out: TrainingJobArn, TrainingJobStatus" in ended.out
    assert not list(store.rglob("model.tar.gz"))


MISTAKES = {
    "a flag that the script does not have": (
        lambda folder: edit(folder, hyperparameters(optimizer="adam")),
        "sagemaker.flags", ["code/train.py, line ", "unrecognized arguments: --optimizer adam", "exit code 2"],
    ),
    "a value of another type": (
        lambda folder: edit(folder, hyperparameters(**{"batch-size": "2.5"})),
        "sagemaker.flags", ["argument --batch-size: invalid int value: '2.5'"],
    ),
    "a file that is not in the source": (
        lambda folder: edit(folder, hyperparameters(sagemaker_program="trian.py")),
        "sagemaker.entry", ["sagemaker_program is trian.py", "there is train.py", "can't open file"],
    ),
    "an archive of a folder in place of what is in it": (
        lambda folder: packed(folder, "houses/train.py"),
        "sagemaker.entry", ["train.py; it stands in a folder of the source, as code/houses/train.py, and is looked for",
                            "can't open file '/opt/ml/code/train.py'"],
    ),
    "a package that the image lacks": (
        change(TRAIN, "import numpy as np", "import numpy as np\nimport polars"),
        "sagemaker.imports", ["code/train.py, line ", "import polars: not in the training image 2.21"],
    ),
    "a path of this machine": (
        change(TRAIN, 'os.path.join(args.train, "houses.csv")', '"/home/me/houses.csv"'),
        "project.paths", ["'/home/me/houses.csv' is a path of this machine"],
    ),
    "an instance type that is none": (
        lambda folder: edit(folder, lambda content: content["ResourceConfig"].update(InstanceType="ml.m5.huge")),
        "sagemaker.request", ["ResourceConfig.InstanceType: 'ml.m5.huge' does not exist"],
    ),
    "another framework": (
        lambda folder: edit(folder, lambda content: content["AlgorithmSpecification"].update(TrainingImage=PYTORCH)),
        "sagemaker.train", [f"{PYTORCH} is an image of PyTorch"],
    ),
}  # fmt: skip


@pytest.mark.few(4)
@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_named_before_the_job_runs(folder: Path, case: str) -> None:
    plant, check, said = MISTAKES[case]
    plant(folder)
    ended, checks = body(folder, *(("--image-python", "3.12") if case == "another framework" else ()))
    assert ended.code == 1, ended.said
    failed = {one: text for one, (status, text) in checks.items() if status == "failed"}
    assert list(failed) == [check], ended.out
    for words in said:
        assert words in failed[check], ended.out
    assert "sagemaker.metrics" not in checks


def test_an_archive_of_what_is_in_the_folder_is_right(folder: Path) -> None:
    packed(folder, "train.py")
    ended, checks = body(folder, "--select", "sagemaker.entry")
    assert ended.code == 0, ended.said
    assert checks["sagemaker.entry"] == ("passed", "code/train.py\n")


@pytest.mark.long
def test_a_variable_that_the_job_lacks_is_a_warning_and_one_with_a_default_is_none(folder: Path) -> None:
    more = [
        'parser.add_argument("--test", default=os.environ["SM_CHANNEL_TEST"])',
        'parser.add_argument("--gpus", default=os.environ.get("SM_NUM_GPU"))',
    ]
    change(TRAIN, "args = parser", "\n    ".join([*more, "args = parser"]))(folder)
    ended, checks = body(folder)
    assert ended.code == 1, ended.said
    status, text = checks["sagemaker.environment"]
    assert status == "warning"
    assert (
        "os.environ['SM_CHANNEL_TEST']: the job has no such variable; of its channels it has SM_CHANNEL_TRAIN" in text
    )
    assert "SM_NUM_GPU" not in text
    assert "KeyError: 'SM_CHANNEL_TEST'" in checks["sagemaker.train"][1]


def test_a_variable_that_the_request_sets_itself_is_no_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNITS", "32")
    change(TRAIN, "args = parser", 'print("units", os.environ.get("UNITS", "16"))\n    args = parser')(folder)
    _, checks = body(folder, "--select", "project.environment")
    status, text = checks["project.environment"]
    assert status == "warning" and "UNITS is set in this shell and not in the job" in text
    edit(folder, lambda content: content.update(Environment={"UNITS": "64"}))
    ended, checks = body(folder, "--select", "project.environment")
    assert checks["project.environment"][0] == "passed", ended.said


@pytest.mark.long
def test_an_image_that_is_not_known_is_run_and_its_python_can_be_told(folder: Path) -> None:
    edit(
        folder,
        lambda content: content["AlgorithmSpecification"].update(
            TrainingImage="111122223333.dkr.ecr.us-east-1.amazonaws.com/ours:1"
        ),
    )
    ended, checks = body(folder)
    assert ended.code == 0, ended.said
    assert checks["sagemaker.code"][0] == "skipped"
    change(TRAIN, "import os\n", "import os\n\ntype Pair = tuple[int, int]\n")(folder)
    _, checks = body(folder, "--image-python", "3.11")
    assert (checks["sagemaker.code"][0], checks["sagemaker.imports"][0]) == ("failed", "skipped")


@pytest.mark.long
def test_an_expression_whose_group_takes_nothing_is_named_with_one_that_does(folder: Path) -> None:
    lazy = [{"Name": "loss", "Regex": "loss: (.*?)"}]
    edit(folder, lambda content: content["AlgorithmSpecification"].update(MetricDefinitions=lazy))
    ended, checks = body(folder)
    assert ended.code == 1, ended.said
    assert checks["sagemaker.metrics"][0] == "failed"
    assert "metric loss: '' is not a number, in the line '" in checks["sagemaker.metrics"][1]
    assert "let the group take a number and all of it" in ended.out


REFUSED = {
    "no source": (
        lambda folder: shutil.rmtree(folder / "code"), "sagemaker_submit_directory: there is no code",
    ),
    "no data": (lambda folder: (folder / "houses.csv").unlink(), "channel train: there is no houses.csv"),
    "no code in the request": (
        lambda folder: edit(folder, hyperparameters(sagemaker_submit_directory=None)),
        "the request has no code (neither sagemaker_submit_directory nor a channel named code): what 763104351884",
    ),
    "a channel of another name": (
        lambda folder: edit(folder, lambda content: content["InputDataConfig"][0].update(ChannelName="training")),
        "--channel train: the request's channels are training",
    ),
    "no such hyperparameter": (
        lambda folder: edit(folder, hyperparameters(epochs=None)),
        "--set epochs: the request's HyperParameters are batch-size, sagemaker_program, sagemaker_submit_directory",
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


def test_without_the_options_the_place_in_the_store_is_named(folder: Path) -> None:
    ended = onstage("body", "job.json", cwd=folder)
    assert ended.code == 2
    place = "store/my-bucket/houses/sourcedir.tar.gz"
    assert f"there is no {place}, where s3://my-bucket/houses/sourcedir.tar.gz would be" in ended.err
    assert "name it by --source PATH" in ended.err


@pytest.mark.parametrize("name", ["../train.py", "/tmp/train.py"])
def test_an_archive_with_a_name_outside_of_it_is_not_unpacked(folder: Path, name: str) -> None:
    with tarfile.open(folder / "code.tar.gz", "w:gz") as archive:
        archive.add(folder / TRAIN, "train.py")
        member = tarfile.TarInfo(name)
        archive.addfile(member)
    ended = onstage("body", "job.json", "--source", "code.tar.gz", "--channel", "train=houses.csv", cwd=folder)
    assert ended.code == 2, ended.said
    assert f"code.tar.gz holds {name!r}" in ended.err


@pytest.mark.parametrize(
    ("name", "said"), [("empty.tar.gz", "is empty: there is no code"), ("a.csv", "cannot be unpack")]
)
def test_what_is_no_archive_of_code_is_one_line(folder: Path, name: str, said: str) -> None:
    if name == "empty.tar.gz":
        tarfile.open(folder / name, "w:gz").close()
    else:
        shutil.copyfile(folder / "houses.csv", folder / name)
    ended = onstage("body", "job.json", "--source", name, "--channel", "train=houses.csv", cwd=folder)
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.said
    assert ended.err.startswith(f"error: {name} {said}"), ended.err


SIGNATURES = """
import os

import tensorflow as tf


class Model(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="picture")])
    def picture(self, picture):
        decoded = tf.map_fn(lambda one: tf.io.decode_jpeg(one, 3), picture, fn_output_signature=tf.uint8)
        return {"size": tf.shape(decoded)[1:2]}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x"), tf.TensorSpec([None], tf.float32, name="y")])
    def scalar(self, x, y):
        return {"product": x * y}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def text(self, text):
        return {"length": tf.strings.length(text)}


print("loss: 0.5", flush=True)
model, names = Model(), dict(one.split("=") for one in os.environ["SIGNATURES"].split())
signatures = {name: getattr(model, function) for name, function in names.items()}
tf.saved_model.save(model, os.environ["SM_MODEL_DIR"] + "/1", signatures=signatures)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("signatures", "status", "said"),
    [
        ("serving_default=text other=scalar", "passed", "answered: instances, inputs, application/jsonlines"),
        ("serving_default=picture", "warning", "The request is made up, of zeros and empty texts: a real one may be"),
        ("serving_default=scalar", "passed", "answered: inputs; not asked: rows, which an input without a first dimen"),
        (
            "other=text",
            "passed",
            "answered: instances, inputs; not asked: application/jsonlines, bare rows and text/csv",
        ),
    ],
)
def test_a_model_of_any_signature_is_asked_as_it_can_be(folder: Path, signatures: str, status: str, said: str) -> None:
    (folder / TRAIN).write_text(SIGNATURES, encoding="utf-8")
    edit(folder, lambda content: content.update(Environment={"SIGNATURES": signatures}))
    ended, checks = body(folder)
    assert ended.code == 0, ended.said
    assert checks["sagemaker.predictions"][0] == status
    assert said in checks["sagemaker.predictions"][1]
    assert "unknown signature" in checks["sagemaker.refusals"][1]
