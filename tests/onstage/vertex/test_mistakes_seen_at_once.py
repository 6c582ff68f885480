"""Mistakes, each planted in a project, are named before anything is built or trained; good code is not blamed."""

import shutil
from pathlib import Path

import pytest

from onstage.checks.source_checks import Source
from onstage.project import Project
from onstage.vertex.agent.gcs_checks import check_gcs
from onstage.vertex.agent.package_checks import check_imports_inside, check_modules
from tests.conftest import Bake
from tests.onstage.mistakes import MODEL, Mistake, add, both, change, failed, names, rehearse

READER = """
class Mine:
    def prepare(self, train, evaluation):
        {}

    def batches(self, training, batch_size, seed=0):
        return None"""

SEEN_AT_ONCE = [
    Mistake("an executor image past its end of availability", "images",
            change("settings.toml", "\nmachine_type", '\npackage = "executor"\nmachine_type'),
            ["the prebuilt TensorFlow 2.17 training image has not been available since 2026-07-11",
             'write package = "container"']),
    Mistake("a region that is none", "images", change("settings.toml", "us-central1", "us-centrall1"),
            ["us-centrall1", "us-central1"]),
    Mistake("a machine type that is none", "request", change("settings.toml", "n1-standard-4", "n1-standrad-4"),
            ["CustomJob", "n1-standrad-4", "n1-standard-4"]),
    Mistake("a bucket in another region", "request",
            change("settings.toml", 'bucket = ""\nmachine_type', 'bucket = "data-europe-west4"\nmachine_type'),
            ["europe-west4", "us-central1"]),
    Mistake("syntax that is too new for the image", "code",
            add("src/trainer/extra.py", "type Number = int | float"),
            ["src/trainer/extra.py, line 1", "runs Python 3.11: SyntaxError"]),
    Mistake("a folder without __init__.py", "modules",
            both(add("src/trainer/layers/twice.py", "X = 1"), add(MODEL, "import trainer.layers.twice")),
            ["src/trainer/layers/ has no __init__.py", "add an empty src/trainer/layers/__init__.py",
             "No module named 'trainer.layers'"]),
    Mistake("a package with a hyphen", "modules",
            both(add("src/trainer/my-layers/__init__.py", ""), add("src/trainer/my-layers/twice.py", "X = 1")),
            ["src/trainer/my-layers: 'my-layers' is no name that Python can import", "rename it to my_layers"]),
    Mistake("a module beside the package", "package-imports",
            both(add("src/helpers.py", "X = 1"), add(MODEL, "import helpers")),
            ["src/trainer/model.py, line 55: import helpers: src/helpers.py is beside the package",
             "move it to src/trainer", "No module named 'helpers'"]),
    Mistake("a relative import that leaves the package", "package-imports",
            both(add("src/helpers.py", "X = 1"), add(MODEL, "from ..helpers import X")),
            ["from ..helpers import: above the package there is nothing",
             "attempted relative import beyond top-level package"]),
    Mistake("a relative import of nothing", "package-imports", add(MODEL, "from .helpers import X"),
            ["from .helpers import: there is no src/trainer/helpers.py"]),
    Mistake("an undeclared requirement", "imports", add(MODEL, "import polars"),
            ["import polars: not in the training image 2.21", "add a line to src/requirements.txt: polars"]),
    Mistake("tensorflow as a requirement", "requirements", add("src/requirements.txt", "tensorflow==2.17"),
            ["tensorflow==2.17 would replace the image's own tensorflow"]),
    Mistake("pathlib on a gs:// URI", "gcs",
            add(MODEL, 'import pathlib\n\nBASE = "gs://bucket/data"\nPLACE = pathlib.Path(BASE) / "words.txt"'),
            ["src/trainer/model.py, line 58: pathlib.Path() makes gs:/ of gs://", "tf.io.gfile"]),
    Mistake("pathlib on a variable of the service", "gcs",
            add(MODEL, 'import os\nfrom pathlib import Path\n\n\ndef place():\n'
                       '    return Path(os.environ["AIP_MODEL_DIR"]) / "words.txt"'),
            ["Path() makes gs:/ of gs://"]),
    Mistake("open() on a gs:// URI", "gcs", add(MODEL, 'def words():\n    return open("gs://bucket/words.txt")'),
            ["line 56: open() does not know gs://", "tf.io.gfile.GFile"]),
    Mistake("pathlib by another name", "gcs",
            add(MODEL, 'from pathlib import Path as P\n\n\ndef words():\n    return P("gs://bucket/words.txt")'),
            ["P() makes gs:/ of gs://"]),
    Mistake("a Reader that opens its data with open()", "gcs",
            add(MODEL, READER.format("rows = open(train).readlines()")),
            ["line 58: open() does not know gs://; `train` of prepare is such a place in a job", "tf.io.gfile.GFile"]),
    Mistake("a Reader that hands its data to NumPy", "gcs",
            add(MODEL, READER.format('import numpy\n        rows = numpy.load(evaluation + "/rows.npy")')),
            ["numpy.load() does not know gs://", "tf.io.gfile.GFile: numpy.load(tf.io.gfile.GFile(place, 'rb'))"]),
    Mistake("a write that /gcs cannot do", "gcs",
            add(MODEL, 'def note(text):\n    with open("/gcs/bucket/log.txt", "a") as file:\n        file.write(text)'),
            ["line 56: open() with mode 'a' changes a file in place, and /gcs cannot", "copy it when it is done"]),
    Mistake("a renaming below /gcs", "gcs",
            add(MODEL, 'import os\n\n\ndef keep(model):\n'
                       '    place = os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/")\n'
                       '    os.replace(place + "new", place + "old")'),
            ["os.replace() changes it, and /gcs cannot"]),
]  # fmt: skip


@pytest.fixture
def broken(bake: Bake, tmp_path: Path) -> Path:
    shutil.copytree(bake(platform="vertex"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


@pytest.mark.few(3)
@pytest.mark.parametrize("mistake", SEEN_AT_ONCE, ids=[mistake.name for mistake in SEEN_AT_ONCE])
def test_a_mistake_that_needs_no_training_is_named(mistake: Mistake, broken: Path) -> None:
    report, said = rehearse(mistake, broken, "vertex")
    assert failed(report) == {mistake.check}, said
    assert "package" not in names(report)


GOOD_CODE = """
import os
import tempfile
from pathlib import Path

import tensorflow as tf
from tensorflow.io import gfile

HERE = Path(__file__).parent
NAME = "gs://bucket/words.txt"
LINES = tf.io.gfile.GFile(NAME).read()
FILES = [Path(name).name for name in tf.io.gfile.listdir("gs://bucket")]
MORE = [Path(name) for name in sorted(gfile.listdir("gs://bucket"))]


def read(open):
    return open("gs://bucket/words.txt")


class Mine:
    def prepare(self, train, evaluation):
        with tf.io.gfile.GFile(train) as file:
            open(os.path.join(tempfile.gettempdir(), "copy.txt"), "w").write(file.read())

    def batches(self, training, batch_size, seed=0):
        return None


class Here:
    def prepare(self, train, evaluation):
        assert not train.startswith("gs://"), "for this machine only"
        open(train).close()

    def batches(self, training, batch_size, seed=0):
        return None


class Other:
    def prepare(self, train, evaluation):
        open(train).close()


def note(text):
    with open("/gcs/bucket/log.txt", "w") as file:
        file.write(text.replace("a", "b"))
    with open(os.path.join(tempfile.gettempdir(), "log.txt"), "a") as file:
        file.write(text)
    return os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/")
"""


@pytest.mark.long
def test_code_that_uses_cloud_storage_as_it_is_meant_is_not_blamed(broken: Path) -> None:
    (broken / "src/trainer/extra.py").write_text(GOOD_CODE, encoding="utf-8")
    code = Source.of(Project(broken))
    assert [check_gcs(code), check_modules(code), check_imports_inside(code)] == [[], [], []]
