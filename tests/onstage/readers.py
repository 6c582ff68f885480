"""Data of its own reader, in model.py: right ones, and those whose training sees other features than an endpoint."""

from collections.abc import Callable
from pathlib import Path

from tests.onstage.mistakes import both, change, write

MODEL = "src/trainer/model.py"
# SCALE is what batches() does beside the graph, INSIDE what the signature does in it, SERVE what that answers.
PAGE = """\
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from trainer.run import Objective


def load(folder):
    with tf.io.gfile.GFile(folder + "/iris.csv") as file:
        rows = np.loadtxt(file, delimiter=",", skiprows=1, usecols=(0, 1, 2, 3), dtype="float32")
    return rows[:, :3], rows[:, 3:]


class Flowers:
    def prepare(self, train, evaluation):
        self.rows = {True: load(train), False: load(evaluation)}
        self.train_rows, self.eval_rows = (len(self.rows[which][0]) for which in (True, False))

    def inputs(self):
        return {"size": keras.Input((3,), name="size")}

    def batches(self, training, batch_size, seed=0):
        features, target = self.rows[training]
        features = @SCALE@
        data = tf.data.Dataset.from_tensor_slices(({"size": features}, @TARGET@, np.ones(len(target), "float32")))
        return (data.shuffle(200, seed=seed).repeat() if training else data).batch(batch_size)

    def signatures(self, predict):
        def serve(size):
            output = predict({"size": @INSIDE@})
            return {"@ANSWER@": @SERVE@}

        return {"serving_default": (serve, [tf.TensorSpec([None, 3], tf.float32, name="size")])}, []

    def examples(@EXAMPLES@):
        return self.rows[False][0][:count].tolist()

    def check_output(self, output):
        return None


DATA = Flowers()
OBJECTIVE = Objective("@OBJECTIVE@", "@GOAL@")


@dataclass(frozen=True)
class Hyperparameters:
    epochs: int = 2
    batch_size: int = 16
    seed: int = 0


def build_model(hyperparameters, inputs):
    hidden = @LAYER@
    network = keras.Model(inputs, @HEAD@(keras.layers.Dense(8, activation="relu")(hidden)))
    network.compile(keras.optimizers.Adam(0.01), @LOSS@)
    return network
"""


HEADS = {
    "width": {
        "HEAD": "keras.layers.Dense(1)", "LOSS": '"mse", metrics=[keras.metrics.MeanAbsoluteError(name="mae")]',
        "TARGET": "target", "OBJECTIVE": "val_mae", "GOAL": "minimize", "ANSWER": "width",
    },
    "labels": {
        "HEAD": 'keras.layers.Dense(3, activation="softmax")', "ANSWER": "probabilities",
        "LOSS": '"sparse_categorical_crossentropy", metrics=["accuracy"]',
        "OBJECTIVE": "val_accuracy", "GOAL": "maximize",
        "TARGET": "np.digitize(target[:, 0], [0.8, 1.7])",
    },
}  # fmt: skip


def page(
    scale: str = "features",
    serve: str = "output[:, 0]",
    examples: str = "self, count=3",
    layer: str = 'inputs["size"]',
    inside: str = "size",
    kind: str = "width",
    **others: str,
) -> str:
    """A model.py with a reader of its own, made of these expressions; `kind` of HEADS is what it predicts."""
    parts = {"SCALE": scale, "SERVE": serve, "EXAMPLES": examples, "LAYER": layer, "INSIDE": inside, **HEADS[kind]}
    made = PAGE
    for name, text in {**parts, **{name.upper(): text for name, text in others.items()}}.items():
        made = made.replace(f"@{name}@", text)
    return made.replace("[:count]", "[:3]") if examples == "self" else made


def reader(**parts: str) -> Callable[[Path], object]:
    """Let a project have such a model.py."""
    return write(MODEL, page(**parts))


def with_column(column: str, value: Callable[[int], object], page: str) -> Callable[[Path], object]:
    """Give the flowers another column, of the value that each row has by its number; `page` is its line in model.py."""

    def plant(project: Path) -> None:
        for file in project.glob("data/*/iris.csv"):
            header, *rows = file.read_text(encoding="utf-8").splitlines()
            lines = [f"{column},{header}", *(f"{value(number)},{row}" for number, row in enumerate(rows))]
            file.write_text("\n".join([*lines, ""]), encoding="utf-8")

    names = sorted({"Classes", "Numeric", "Table", page.partition("(")[0]})
    return both(
        plant,
        change(MODEL, '        Numeric("sepal_length"),\n', f'        {page},\n        Numeric("sepal_length"),\n'),
        change(
            MODEL,
            "import Classes, Numeric, Table",
            f"import {', '.join(names)}",
        ),
    )
