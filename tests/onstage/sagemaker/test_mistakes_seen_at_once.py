"""Each mistake of a list, planted in a project, is named before anything is trained: what, where, what to do next."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.onstage.mistakes import MODEL, Mistake, add, both, change, failed, names, nothing, rehearse, write

SEEN_AT_ONCE = [
    Mistake("a misspelt flag", "hyperparameters", nothing,
            ["unknown flag --learning-rat; did you mean --learning-rate? Known flags: --epochs"],
            ("--learning-rat", "0.1")),
    Mistake("a flag of the wrong type", "hyperparameters", nothing, ["'many' is not a whole number"],
            ("--epochs", "many")),
    Mistake("a misspelt hyperparameter in settings.toml", "hyperparameters",
            change("settings.toml", "{ epochs = 2 }", "{ epoch = 2 }"), ["epoch is not known; did you mean epochs?"]),
    Mistake("a typo in build_model", "code", change(MODEL, "keras.layers.Dropout", "kears.layers.Dropout"),
            ["src/trainer/model.py, line 4", "Undefined name `kears`"]),
    Mistake("a typo at the top of model.py", "code", change(MODEL, "Classes(\"species\"", "Clases(\"species\""),
            ["src/trainer/model.py, line 19: Undefined name `Clases`"]),
    Mistake("columns that are no table", "model", change(MODEL, 'Numeric("sepal_width")', 'Numeric("sepal_length")'),
            ["model.py: a column name stands twice"]),
    Mistake("syntax that is too new for the image", "code",
            add("src/trainer/extra.py", "def first[T = int](x: T) -> T:\n    return x"),
            ["src/trainer/extra.py, line 1", "runs Python 3.12: SyntaxError", "Python 3.13"]),
    Mistake("a package that the image lacks", "imports", add(MODEL, "import polars"),
            ["src/trainer/model.py, line 55: import polars: not in", "ModuleNotFoundError: No module named 'polars'",
             "add a line to src/requirements.txt: polars"]),
    Mistake("a module that Python 3.12 removed", "imports", add(MODEL, "import distutils.util"),
            ["import distutils: Python 3.12 has no such module"]),
    Mistake("a module that is not in src/", "imports",
            both(add("helpers.py", "X = 1"), add(MODEL, "import helpers")),
            ["import helpers: it lies outside src/ and does not travel", "move helpers into src/"]),
    Mistake("a file of the package that is not there", "imports", add(MODEL, "import trainer.blocks"),
            ["is there no file src/trainer/blocks.py?"]),
    Mistake("a pin of what the image brings", "requirements", add("src/requirements.txt", "tensorflow==2.19.0"),
            ["src/requirements.txt, line 3: tensorflow==2.19.0 would replace", "own tensorflow", "delete the line"]),
    Mistake("a text that ends the command line", "flags",
            change(MODEL, "seed: int = 0", 'seed: int = 0\n    note: str = "it\'s"'),
            ["hyperparameter note is \"it's\": a shell reads the command line, and this ends it", "syntax error"]),
    Mistake("an objective that no metric has", "objective", change(MODEL, '"val_accuracy"', '"val_acc"'),
            ["OBJECTIVE names 'val_acc'; compile() names loss, val_loss, val_accuracy", "a tuning job fails"]),
    Mistake("a requirement that is none", "requirements", add("src/requirements.txt", "polars=1.0"),
            ["src/requirements.txt, line 3", "polars=1.0"]),
    Mistake("setup.py beside the entry file", "names", add("src/setup.py", ""),
            ["src/setup.py: SageMaker would install src/ and run it with python -m"]),
    Mistake("a file called like a library", "names", add("src/keras.py", ""),
            ["src/keras.py would be imported in place of the library keras"]),
    Mistake("a file called like SageMaker's SDK", "names", add("src/sagemaker.py", ""),
            ["src/sagemaker.py would be imported in place of the library sagemaker"]),
    Mistake("a file called like what a library is imported by", "names", add("src/sklearn.py", ""),
            ["src/sklearn.py would be imported in place of the library sklearn"]),
    Mistake("an entry file called like what it imports", "names", add("src/tensorflow.py", "import tensorflow"),
            ["src/tensorflow.py would be imported in place of the library tensorflow"]),
    Mistake("a library that this machine need not have", "names", add("src/zmq/__init__.py", ""),
            ["src/zmq would be imported in place of the library zmq"]),
    Mistake("a virtual environment", "names", both(add("src/venv/pyvenv.cfg", ""), add("src/venv/site.py", "")),
            ["src/venv/ is a virtual environment, and would travel with every job", "move it out of src/"]),
    Mistake("a window by its name alone", "calls",
            add(MODEL, "from matplotlib.pyplot import show as look\n\n\ndef show_it():\n    look()"),
            ["look() waits for a screen"]),
    Mistake("a private key", "files", add("src/trainer/deploy.pem", "x"),
            ["src/trainer/deploy.pem looks like a secret", "move it out of src/"]),
    Mistake("an access key in the code", "files", add(MODEL, f'KEY = "{"AKIA" + "A" * 16}"'),
            ["src/trainer/model.py holds an AWS access key"]),
    Mistake("a question to nobody", "calls", add(MODEL, 'def ask():\n    return input("continue?")'),
            ["src/trainer/model.py, line 56: input() waits for a keyboard"]),
    Mistake("a question by another name", "calls",
            add(MODEL, 'from builtins import input as ask\n\n\ndef one(input):\n    return ask(input)'),
            ["ask() waits for a keyboard"]),
    Mistake("a window", "calls",
            add(MODEL, "import matplotlib.pyplot as plt\n\n\ndef show():\n    plt.show()"),
            ["plt.show() waits for a screen"]),
    Mistake("a relative path to the data", "paths", add(MODEL, 'PATH = "data/train/iris.csv"'),
            ["line 55: 'data/train/iris.csv' is a path of this machine",
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
            ["data/train/*.txt has no *.csv file, the first is more.txt", "only *.csv and TFRecord shards are read"]),
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
    Mistake("a role that is none", "settings", change("settings.toml", 'role = ""', 'role = "admin"'),
            ["[sagemaker] role should be a role's ARN, such as arn:aws:iam::111122223333:role/admin, not 'admin'"]),
    Mistake("a region without this service", "images", change("settings.toml", "us-east-1", "us-esat-1"),
            ["us-esat-1", "us-east-1"]),
]  # fmt: skip


@pytest.fixture
def broken(bake: Bake, tmp_path: Path) -> Path:
    shutil.copytree(bake(platform="sagemaker"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


@pytest.mark.few(4)
@pytest.mark.parametrize("mistake", SEEN_AT_ONCE, ids=[mistake.name for mistake in SEEN_AT_ONCE])
def test_a_mistake_that_needs_no_training_is_named(mistake: Mistake, broken: Path) -> None:
    report, said = rehearse(mistake, broken)
    assert failed(report) == {mistake.check}, said
    assert "train" not in names(report)
