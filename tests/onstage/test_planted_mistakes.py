"""Each mistake of a list, planted in a rendered project, is named by the rehearsal: what, where, what the cloud would
have said, what to do next. Beside them the project without a mistake passes."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import Bake, Command
from tests.onstage.mistakes import MODEL, Mistake, add, both, change, nothing, rehearse, write

ENTRY = "src/sagemaker_entry.py"

SEEN_AT_ONCE = [
    Mistake("a misspelt flag", "hyperparameters", nothing,
            ["unknown flag --learning-rat; did you mean --learning-rate? Known flags: --epochs"],
            ("--learning-rat", "0.1")),
    Mistake("a flag of the wrong type", "hyperparameters", nothing, ["'many' is not a whole number"],
            ("--epochs", "many")),
    Mistake("a misspelt hyperparameter in settings.toml", "hyperparameters",
            change("settings.toml", "{ epochs = 2 }", "{ epoch = 2 }"), ["epoch is not known; did you mean epochs?"]),
    Mistake("a typo in build_model", "code", change(MODEL, "keras.layers.Concatenate", "kears.layers.Concatenate"),
            ["src/trainer/model.py, line 3", "Undefined name `kears`"]),
    Mistake("a typo at the top of model.py", "code", change(MODEL, "Classes(\"species\"", "Clases(\"species\""),
            ["src/trainer/model.py, line 17: Undefined name `Clases`"]),
    Mistake("columns that are no table", "model.py", change(MODEL, 'Numeric("sepal_width")', 'Numeric("sepal_length")'),
            ["model.py: a column name stands twice"]),
    Mistake("syntax that is too new for the image", "code",
            add("src/trainer/extra.py", "def first[T = int](x: T) -> T:\n    return x"),
            ["src/trainer/extra.py, line 1", "runs Python 3.12: SyntaxError", "Python 3.13"]),
    Mistake("a package that the image lacks", "imports", add(MODEL, "import polars"),
            ["src/trainer/model.py, line 50: import polars: not in", "ModuleNotFoundError: No module named 'polars'",
             "add a line to src/requirements.txt: polars"]),
    Mistake("a module that Python 3.12 removed", "imports", add(MODEL, "import distutils.util"),
            ["import distutils: Python 3.12 has no such module"]),
    Mistake("a module that is not in src/", "imports",
            both(add("helpers.py", "X = 1"), add(MODEL, "import helpers")),
            ["import helpers: it lies outside src/ and does not travel", "move helpers into src/"]),
    Mistake("a file of the package that is not there", "imports", add(MODEL, "import trainer.layers"),
            ["is there no file src/trainer/layers.py?"]),
    Mistake("a pin of what the image brings", "requirements", add("src/requirements.txt", "tensorflow==2.19.0"),
            ["src/requirements.txt: tensorflow==2.19.0 would replace the image's own tensorflow", "delete the line"]),
    Mistake("a requirement that is none", "requirements", add("src/requirements.txt", "polars=1.0"),
            ["src/requirements.txt, line 3", "polars=1.0"]),
    Mistake("setup.py beside the entry file", "names", add("src/setup.py", ""),
            ["src/setup.py: SageMaker would install src/ and run it with python -m"]),
    Mistake("a file called like a library", "names", add("src/keras.py", ""),
            ["src/keras.py would be imported in place of the library keras"]),
    Mistake("a file called like SageMaker's SDK", "names", add("src/sagemaker.py", ""),
            ["src/sagemaker.py would be imported in place of the library sagemaker"]),
    Mistake("a private key", "files", add("src/trainer/deploy.pem", "x"),
            ["src/trainer/deploy.pem looks like a secret", "move it out of src/"]),
    Mistake("an access key in the code", "files", add(MODEL, f'KEY = "{"AKIA" + "A" * 16}"'),
            ["src/trainer/model.py holds an AWS access key"]),
    Mistake("a question to nobody", "calls", add(MODEL, 'def ask():\n    return input("continue?")'),
            ["src/trainer/model.py, line 51: input() waits for a keyboard"]),
    Mistake("a window", "calls",
            add(MODEL, "import matplotlib.pyplot as plt\n\n\ndef show():\n    plt.show()"),
            ["plt.show() waits for a screen"]),
    Mistake("a relative path to the data", "paths", add(MODEL, 'PATH = "data/train/iris.csv"'),
            ["line 50: 'data/train/iris.csv' is a path of this machine",
             "FileNotFoundError: [Errno 2] No such file or directory: 'data/train/iris.csv'"]),
    Mistake("an absolute path to the data", "paths", add(MODEL, 'PATH = "/home/ada/iris.csv"'),
            ["'/home/ada/iris.csv' is a path of this machine"]),
    Mistake("a column that the data has and model.py does not", "data",
            change(MODEL, '        Numeric("petal_width"),\n', ""),
            ["the column 'petal_width' is not in model.py", "data/train/iris.csv, row 1"]),
    Mistake("a field that is no number", "data", change("data/eval/iris.csv", "5.7,2.6,3.5,1.0", "5.7,2.6,3.5,wide"),
            ["data/eval/iris.csv, row", "column 'petal_width': 'wide' is not a number"]),
    Mistake("no data", "data", change("settings.toml", 'train = "data/train"', 'train = "data/trian"'),
            ["there is no data at data/trian"]),
    Mistake("data that a job would not read", "data",
            both(write("data/train/more.txt", "x"), change("settings.toml", '"data/train"', '"data/train/*.txt"')),
            ["data/train/*.txt has no *.csv file, the first is more.txt", "reads every *.csv of it"]),
    Mistake("an unknown key in settings.toml", "settings",
            change("settings.toml", "\ninstance_type = ", "\ninstance_tpye = "),
            ["[sagemaker] instance_tpye is not known; did you mean instance_type?",
             "[sagemaker] instance_type is missing"]),
    Mistake("settings.toml that is no TOML", "settings", add("settings.toml", "region = us-east-1"),
            ["settings.toml cannot be read"]),
    Mistake("a bad instance type", "request", change("settings.toml", "ml.m5.xlarge", "ml.m5.xlrage"),
            ["ml.m5.xlrage", "ml.m5.xlarge"]),
    Mistake("a bucket in another region", "request",
            change("settings.toml", 'bucket = ""', 'bucket = "sagemaker-eu-west-1-111122223333"'),
            ["eu-west-1", "us-east-1"]),
    Mistake("a role that is none", "request", change("settings.toml", 'role = ""', 'role = "admin"'), ["roleArn"]),
    Mistake("a region without this service", "images", change("settings.toml", "us-east-1", "us-esat-1"),
            ["us-esat-1", "us-east-1"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def plain_project(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose data has short names in its paths."""
    return bake(platform="sagemaker")


@pytest.fixture
def broken(plain_project: Path, tmp_path: Path) -> Path:
    shutil.copytree(plain_project, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


@pytest.mark.parametrize("mistake", SEEN_AT_ONCE, ids=[mistake.name for mistake in SEEN_AT_ONCE])
def test_a_mistake_that_needs_no_training_is_named(mistake: Mistake, broken: Path, command: Command) -> None:
    report, done = rehearse(mistake, broken, command)
    assert {check["name"] for check in report["checks"] if check["status"] == "failed"} == {mistake.check}, done.stdout
    assert "train" not in [check["name"] for check in report["checks"]]


OWN_EXPORT = """\
import tensorflow as tf


class Served(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="features")])
    def serve(self, features):
        return {"value": tf.math.log(tf.reduce_sum(features, axis=1) - 1000.0)}


def export(network, reader, folder):
    served = Served()
    tf.saved_model.save(served, folder, signatures={"serving_default": served.serve})
    return {}, {}
"""
SAVED_KERAS_MODEL = """\
import tensorflow as tf


class Served(tf.Module):
    def __init__(self, network):
        self.network = network

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="features")])
    def serve(self, features):
        names = [tensor.name for tensor in self.network.inputs]
        columns = {name: features[:, number:number + 1] for number, name in enumerate(names)}
        return {"value": self.network(columns)}


def export(network, reader, folder):
    served = Served(network)
    tf.saved_model.save(served, folder, signatures={"serving_default": served.serve})
    return {}, {}
"""
PYTHON_IN_THE_GRAPH = """\
class Twice(keras.layers.Layer):
    def call(self, values):
        twice = tf.py_function(lambda given: 2 * given, [values], tf.float32)
        return tf.ensure_shape(twice, values.shape)
"""
UNCALLED = """\
class Uncalled(CsvReader):
    def batches(self, training, batch_size, seed=0):
        def input_function():
            return super().batches(training, batch_size, seed)

        return input_function


DATA = Uncalled(DATA)
"""


SEEN_IN_THE_JOB = [
    Mistake("an activation that does not exist", "train", change(MODEL, 'activation="softmax"', 'activation="sofmax"'),
            ["FailureReason: AlgorithmError: model.py, line 43: ValueError: Could not interpret activation"]),
    Mistake("a path that is put together", "train",
            add(MODEL, 'OPENED = open("/".join(["data", "train", "iris.csv"]))'),
            ["model.py, line 50: FileNotFoundError: [Errno 2] No such file or directory: 'data/train/iris.csv'"]),
    Mistake("a bad field below the first thousand rows", "train",
            add("data/train/iris.csv", "5.0,3.0,1.0,0.2,setosa\n" * 900 + "5.0,wide,1.0,0.2,setosa"),
            ["iris.csv, row 1022, column 'sepal_width': 'wide' is not a number"]),
    Mistake("an input function that nobody called", "train",
            both(change(MODEL, "from trainer.columns", "from trainer.data import CsvReader\nfrom trainer.columns"),
                 change(MODEL, "\nOBJECTIVE", f"\n\n{UNCALLED}\nOBJECTIVE")),
            ["DATA.batches must return a tf.data.Dataset; it returned a function that nobody called: add ()"]),
    Mistake("a script that never ends", "train",
            both(change("settings.toml", "time_limit = 300", "time_limit = 3"),
                 change(ENTRY, "    train(job)", "    while True:\n        pass\n    train(job)")),
            ["the script had not ended when the rehearsal's time_limit was over", "Stopped, MaxRuntimeExceeded",
             "look for a loop without an end", "3600 s"]),
    Mistake("no model", "model",
            change("src/trainer/training.py", "request, response = export(network, reader, run.export_dir)",
                   "request, response = {}, {}"),
            ["the job completed without a model in SM_MODEL_DIR", "no SavedModel bundles found!"]),
    Mistake("a model in the wrong place", "model", change(ENTRY, 'join(model_dir, "model", "1")', '"export/1"'),
            ["without a model in SM_MODEL_DIR; it wrote", "export/1/saved_model.pb, which nobody collects"]),
    Mistake("a model without a version folder", "model",
            change(ENTRY, 'join(model_dir, "model", "1")', 'join(model_dir, "model")'),
            ["ValueError: no SavedModel bundles found!", "the archive holds model/saved_model.pb"]),
    Mistake("checkpoints in the archive", "archive",
            change(ENTRY, 'checkpoint_dir=join(base, "checkpoints")', 'checkpoint_dir=join(model_dir, "checkpoints")'),
            ["model.tar.gz holds what is no model: checkpoints/checkpoint",
             "write checkpoints to /opt/ml/checkpoints"]),
    Mistake("a metric line that no regex matches", "metrics",
            change("src/trainer/reporting.py", 'f"{name}={value:.6g}"', 'f"{name}: {value:.6g}"'),
            ["no line of the log has the metric val_accuracy", "val_accuracy=([0-9.eE+-]+)", "and flush them"]),
    Mistake("predictions that are no numbers", "predictions", write("src/trainer/export.py", OWN_EXPORT),
            ["a request as instances: the answer holds NaN, which is not JSON"]),
    Mistake("an export that only tf.saved_model.load can load", "load",
            write("src/trainer/export.py", SAVED_KERAS_MODEL), ["Could not find variable", "ExportArchive"]),
    Mistake("Python code in the graph", "archive",
            both(change(MODEL, "import keras\n", "import keras\nimport tensorflow as tf\n"),
                 change(MODEL, "\n@dataclass", f"\n{PYTHON_IN_THE_GRAPH}\n\n@dataclass"),
                 change(MODEL, "    model = keras.Model(", "    hidden = Twice()(hidden)\n    model = keras.Model(")),
            ["the model's graph holds Python code, which TensorFlow Serving has not: EagerPyFunc",
             "replace tf.py_function"]),
]  # fmt: skip


@pytest.mark.parametrize("mistake", SEEN_IN_THE_JOB, ids=[mistake.name for mistake in SEEN_IN_THE_JOB])
def test_a_mistake_that_only_the_job_shows_is_named(mistake: Mistake, broken: Path, command: Command) -> None:
    report, done = rehearse(mistake, broken, command)
    assert mistake.check in {check["name"] for check in report["checks"] if check["status"] == "failed"}, done.stdout


def test_a_project_without_a_mistake_passes(broken: Path, command: Command) -> None:
    done = command(sys.executable, "-m", "rehearse", "--json", broken / "report.json", cwd=broken)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((broken / "report.json").read_text(encoding="utf-8"))
    assert report["passed"]
    assert {check["status"] for check in report["checks"]} == {"passed"}
