"""Projects that are right, and that a check could take for wrong: they pass on both platforms."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import both, change
from tests.onstage.readers import reader, with_column

pytestmark = pytest.mark.long

MODEL = "src/trainer/model.py"


def keep_columns(*names: str) -> Callable[[Path], None]:
    """Leave only these columns in the data and in model.py, and the target."""

    def plant(project: Path) -> None:
        for file in project.glob("data/*/iris.csv"):
            header, *rows = [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()]
            kept = [index for index, name in enumerate(header) if name in (*names, "species")]
            lines = [",".join(row[index] for index in kept) for row in [header, *rows]]
            file.write_text("\n".join([*lines, ""]), encoding="utf-8")
        page = project / MODEL
        dropped = [f'Numeric("{name}"),' for name in header if name not in (*names, "species")]
        lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.strip() not in dropped]
        page.write_text("\n".join([*lines, ""]), encoding="utf-8")

    return plant


COMPILE = '        weighted_metrics=["accuracy"],'
EMA = change(
    MODEL, "keras.optimizers.Adam(hyperparameters.learning_rate)",
    "keras.optimizers.Adam(hyperparameters.learning_rate, use_ema=True, ema_momentum=0.5)",
)  # fmt: skip
HALF = both(
    change(MODEL, "import keras\n", 'import keras\n\nkeras.config.set_dtype_policy("mixed_float16")\n'),
    change(MODEL, 'activation="softmax")', 'activation="softmax", dtype="float32")'),
)
SPARSE = both(
    change(
        MODEL, COMPILE,
        '        metrics=[keras.metrics.SparseTopKCategoricalAccuracy(2, name="top"), "sparse_categorical_accuracy"],\n'
        '        weighted_metrics=[keras.metrics.SparseCategoricalCrossentropy(name="nats")],',
    ),
    change(MODEL, 'Objective("val_accuracy", "maximize")', 'Objective("val_nats", "minimize")'),
)  # fmt: skip
# A metric that keeps a number, and nothing of a row.
SURE = """
class Sure(keras.metrics.Metric):
    def __init__(self, name="sure"):
        super().__init__(name=name)
        self.greatest = self.add_weight(name="greatest", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.greatest.assign(keras.ops.maximum(self.greatest, keras.ops.max(y_pred)))

    def result(self):
        return self.greatest


@dataclass"""
CUSTOM = both(
    change(MODEL, "\n@dataclass", SURE),
    change(MODEL, COMPILE, "        metrics=[Sure()],"),
    change(MODEL, 'Objective("val_accuracy", "maximize")', 'Objective("val_sure", "maximize")'),
)
WEIGHTS = both(
    with_column("importance", lambda number: 1 + number % 3, 'Weight("importance")'),
    change(MODEL, 'Objective("val_accuracy", "maximize")', 'Objective("val_loss", "minimize")'),
)
SITE = 'Categorical("site", ["a", "b"], encoding="index")'
LOOKUP = """\
    index = keras.layers.IntegerLookup(vocabulary=[1, 2], num_oov_indices=1)(inputs["site"])
    sites = keras.layers.Embedding(3, 2)(index)
    hidden = keras.layers.Concatenate()([value for name, value in inputs.items() if name != "site"] + [sites])
"""
FIRST_LINE = "    hidden = joined(DATA, inputs)\n"
SITES = both(with_column("site", lambda number: "ab"[number % 2], SITE), change(MODEL, FIRST_LINE, LOOKUP))


def in_files(project: Path) -> None:
    """The evaluation data lies in several files, of which each has one label and rows without any."""
    file = project / "data" / "eval" / "iris.csv"
    header, *rows = file.read_text(encoding="utf-8").splitlines()
    for label in ("setosa", "versicolor", "virginica"):
        own = [row for row in rows if row.endswith(label)]
        lines = [header, *own * 150, *(row.rpartition(",")[0] + "," for row in own)]
        (file.parent / f"{label}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    file.unlink()


FILES = both(in_files, change(MODEL, '"virginica"])', '"virginica"], drop_missing=True)'))
WORDS = both(
    with_column("note", lambda number: ["Schöne Blüte!", "on the EDGE", ""][number % 3], 'Text("note", length=4)'),
    with_column("seen", lambda number: f"{1 + number % 28:02}.{1 + number % 12:02}.2024", 'Date("seen", "%d.%m.%Y")'),
)
ALIKE = {"replay": "30 rows: val_accuracy=0."}
# What makes a project right, what is asked of a rendering, and what the checks at the endpoint say.
RIGHT: dict[str, tuple[Callable[[Path], object], dict[str, str], dict[str, str]]] = {
    "one feature": (keep_columns("petal_width"), {}, ALIKE),
    "a name that ends in _ and one of 63 characters": (
        change("settings.toml", 'name = "iris_classifier"', f'name = "{"i" * 60}_"'), {}, ALIKE,
    ),
    "a regression with missing values": (
        lambda project: None, {"problem": "regression"}, {"replay": "rows: val_rmse=", "probes": "missing"},
    ),
    "words and dates": (WORDS, {}, ALIKE | {"probes": "another alphabet"}),
    "averages of the weights": (EMA, {}, ALIKE),
    "half precision with a head that is not": (HALF, {}, ALIKE),
    "weights of rows": (WEIGHTS, {}, {"replay": "30 rows: val_loss="}),
    "metrics of whole numbers as labels": (SPARSE, {}, {"replay": "30 rows: val_nats="}),
    "a metric that keeps nothing of a row": (CUSTOM, {}, {"replay": "30 rows: val_sure="}),
    "a lookup with a place for what is unknown": (SITES, {}, {**ALIKE, "probes": "unknown, an empty text"}),
    "more rows than are sent, in several files": (
        FILES, {}, {"replay": "2000 of ", "probes": "one that the first rows do not have"},
    ),
    "a reader of its own": (reader(), {}, {"replay": "30 rows: val_mae="}),
    "a reader that scales in the graph, too": (
        reader(scale="features / 10", inside="size / 10"), {}, {"replay": "30 rows: val_mae="},
    ),
    "a reader of pictures": (reader(kind="labels", serve="output"), {}, {"replay": "30 rows: val_accuracy="}),
    "an objective that answers do not give": (
        reader(objective="loss"), {},
        {"replay": "30 rows are answered as by the checkpoint's network; loss not compared: answers do not give it"},
    ),
    "answers in another unit": (
        reader(target="np.log(target)", serve="tf.exp(output[:, 0])"), {},
        {"replay": "as by the checkpoint's network; val_mae not compared: the answers are in another unit"},
    ),
    "answers without numbers": (
        reader(kind="labels", answer="label", serve='tf.gather(["a", "b", "c"], tf.argmax(output, 1))'), {},
        {"replay": "val_accuracy not compared: no answer has the shape of the network's output"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_project_passes(bake: Bake, tmp_path: Path, case: str) -> None:
    plant, answers, said = RIGHT[case]
    project = Path(shutil.copytree(bake(platform="both", **answers), tmp_path / "project"))
    plant(project)
    ended = onstage("rehearse", "--epochs", "1", "--json", "report.json", cwd=project)
    assert ended.code == 0, ended.said
    report = json.loads((project / "report.json").read_text(encoding="utf-8"))
    details = {check["id"]: check["detail"] for check in report["checks"]}
    for platform in ("sagemaker", "vertex"):
        assert all(words in details[f"{platform}.{name}"] for name, words in said.items()), ended.said
    if case == "one feature":
        assert "not asked: text/csv, of which the container makes" in details["sagemaker.predictions"]
