"""The training story computes the right numbers, for every kind of column, network and data."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Command
from tests.oracles import scikit_learn
from tests.template.conftest import Train, weights


@pytest.mark.long
def test_iris_is_classified_as_well_as_by_logistic_regression(train: Train, project: Path) -> None:
    accuracy = _baseline("accuracy", project / "data", "iris.csv", 4)
    assert train().metrics["val_accuracy"] >= accuracy


@pytest.mark.long
def test_iris_is_classified_in_nine_of_ten_seeds(train: Train, tmp_path: Path) -> None:
    accuracies = [train(folder=tmp_path / str(seed), seed=seed).metrics["val_accuracy"] for seed in range(10)]
    assert len([accuracy for accuracy in accuracies if accuracy >= 0.93]) >= 9, accuracies


@pytest.mark.long
def test_body_mass_is_predicted_as_well_as_by_linear_regression(train: Train, regression: Path) -> None:
    rmse = _baseline("rmse", regression, "penguins.csv", 5)
    assert train(data=regression).metrics["val_rmse"] <= rmse


def _baseline(metric: str, data: Path, name: str, target: int) -> float:
    """What baselines.py reaches on a table with the column number `target`."""
    (known, wanted), (unseen, expected) = (_rows(data, part, name, target) for part in ("train", "eval"))
    asked = {"known": known, "wanted": wanted, "unseen": unseen, "expected": expected}
    script = Path(__file__).with_name("baselines.py")
    command = [scikit_learn(), script, metric]
    given = json.dumps({key: rows.tolist() for key, rows in asked.items()})
    return float(subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _rows(data: Path, part: str, name: str, target: int) -> tuple[Any, Any]:
    """Rows without missing values, as texts, and their column `target`."""
    lines = (data / part / name).read_text(encoding="utf-8").splitlines()[1:]
    rows = np.array([line.split(",") for line in lines if "NA" not in line.split(",")])
    return np.delete(rows, target, axis=1), rows[:, target]


@pytest.mark.long
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(train: Train, tmp_path: Path) -> None:
    first, again, other = (
        weights(train(folder=tmp_path / name, epochs=2, seed=seed).export_dir)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first != other


def test_every_kind_of_column_trains_and_is_served(
    train: Train, model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wide and deep model: crosses of layers that a researcher brings, in plain Keras."""
    import keras

    from trainer.columns import Categorical, Classes, Dropped, Hashed, Identity, Numeric, Table, Weight

    city = Categorical("home city", ["Basel", "Bern"], missing="?")
    shop = Hashed("shop", 50, encoding="index")
    table = Table(
        [Dropped("row"), Numeric("age", missing=40.0), city, Categorical("code", [10, 20]), shop,
         Identity("month", 13, missing=0), Weight("w"), Classes("spent", [0, 1, 2], drop_missing=True)],
        delimiter=";",
    )  # fmt: skip

    def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        embedded = keras.layers.Embedding(shop.size, 4)(inputs["shop"])
        wide = [inputs["home_city"], inputs["code"], inputs["month"]]
        deep = keras.layers.Dense(8, activation="relu")(keras.layers.Concatenate()([inputs["age"], embedded]))
        network = keras.Model(
            inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.Concatenate()([*wide, deep]))
        )
        network.compile("adam", keras.losses.SparseCategoricalCrossentropy(), weighted_metrics=["accuracy"])
        return network

    for part in ("train", "eval"):
        (tmp_path / part).mkdir()
        rows = [
            f"{n};{n % 90};{['Basel', 'Bern', ''][n % 3]};{n % 3 * 10};shop {n};{n % 13};1.5;{n % 3}" for n in range(40)
        ]
        rows += ["x;;Genf;10;new;;1;", "x;;Genf;10;new;;1;2"]
        (tmp_path / part / "d.csv").write_text("row;age;home city;code;shop;month;w;spent\n" + "\n".join(rows) + "\n")
    monkeypatch.setattr(model, "DATA", table)
    monkeypatch.setattr(model, "build_model", build_model)
    result = train(data=tmp_path, epochs=2)
    assert set(result.request["instances"][0]) == {"age", "home_city", "code", "shop", "month"}
    assert [row["class_label"] for row in result.response["predictions"]] == [
        row["class_id"] for row in result.response["predictions"]
    ]


def test_data_that_is_no_table_brings_its_own_reader(
    train: Train, model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pictures of 8 by 8 pixels: all that model.py has to add, with the methods of `trainer.data.Reader`."""
    import keras
    import numpy as np
    import tensorflow as tf

    class Pictures:
        def prepare(self, train: str, evaluation: str) -> None:
            self.files = {True: np.load(f"{train}/p.npz"), False: np.load(f"{evaluation}/p.npz")}
            self.train_rows, self.eval_rows = len(self.files[True]["label"]), len(self.files[False]["label"])

        def inputs(self) -> dict[str, keras.KerasTensor]:
            return {"picture": keras.Input((8, 8, 1), name="picture")}

        def batches(self, training: bool, batch_size: int, seed: Any = 0) -> tf.data.Dataset:
            file = self.files[training]
            rows = tf.data.Dataset.from_tensor_slices(
                ({"picture": file["picture"]}, file["label"], np.ones(len(file["label"]), "float32"))
            )
            return (rows.shuffle(100, seed=seed).repeat() if training else rows).batch(batch_size)

        def signatures(self, predict: Callable) -> tuple[dict, list]:
            def serve(picture: tf.Tensor) -> dict[str, tf.Tensor]:
                return {"probabilities": predict({"picture": picture})}

            return {"serving_default": (serve, [tf.TensorSpec([None, 8, 8, 1], tf.float32, name="picture")])}, []

        def examples(self) -> list:
            return self.files[False]["picture"][:2].tolist()

        def check_output(self, output: tf.Tensor) -> str | None:
            return None if output.shape[1:] == [2] else "not (batch, 2)"

    def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        hidden = keras.layers.Flatten()(keras.layers.Conv2D(2, 3, activation="relu")(inputs["picture"]))
        network = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden))
        network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return network

    for part in ("train", "eval"):
        (tmp_path / part).mkdir()
        label = np.arange(64) % 2
        picture = np.random.default_rng(0).random((64, 8, 8, 1), "float32") * 0.5 + label[:, None, None, None] * 0.5
        np.savez(tmp_path / part / "p.npz", picture=picture.astype("float32"), label=label)
    monkeypatch.setattr(model, "DATA", Pictures())
    monkeypatch.setattr(model, "build_model", build_model)
    result = train(data=tmp_path, epochs=40)
    assert result.metrics["val_accuracy"] > 0.9
    assert len(result.response["predictions"]) == 2


@pytest.mark.long
def test_two_labels_may_end_in_one_sigmoid_unit(
    train: Train, model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import keras

    from trainer.columns import Classes, Numeric, Table

    def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        network = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs["x"]))
        metrics = ["accuracy", keras.metrics.AUC(name="auc"), keras.metrics.Precision(name="precision")]
        network.compile(keras.optimizers.Adam(0.1), "binary_crossentropy", weighted_metrics=metrics)
        return network

    for part in ("train", "eval"):
        (tmp_path / part).mkdir()
        rows = "".join(f"{n},{'yes' if n > 20 else 'no'}\n" for n in range(40))
        (tmp_path / part / "d.csv").write_text(f"x,y\n{rows}")
    monkeypatch.setattr(model, "DATA", Table([Numeric("x"), Classes("y", ["no", "yes"])]))
    monkeypatch.setattr(model, "build_model", build_model)
    result = train(data=tmp_path, epochs=30)
    assert result.metrics["val_accuracy"] > 0.9
    assert result.metrics["val_auc"] > 0.95
    first = result.response["predictions"][0]
    assert first["class_label"] == "no"
    assert sum(first["probabilities"]) == pytest.approx(1)


@pytest.mark.long
def test_two_replicas_train_as_one(project: Path, tmp_path: Path, command: Command) -> None:
    """MirroredStrategy over two logical CPUs: what a machine with two GPUs does."""
    script = """
import sys
sys.path[:0] = ["src"]
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from trainer import model, training
from trainer.run import Run
two = lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for name, strategy in (("one", tf.distribute.get_strategy), ("two", two)):
    training._strategy = lambda batch_size, peers, strategy=strategy: strategy()
    folder = f"{sys.argv[1]}/{name}"
    run = Run(model.Hyperparameters(epochs=5), "data/train", "data/eval", folder + "/1", folder + "/c", folder + "/l")
    print(name, training.train(run).metrics["val_loss"])
"""
    done = command(sys.executable, "-c", script, tmp_path, cwd=project)
    assert done.returncode == 0, done.stderr[-3000:]
    losses = dict(re.findall(r"^(one|two) ([\d.]+)$", done.stdout, re.MULTILINE))
    assert float(losses["two"]) == pytest.approx(float(losses["one"]), rel=1e-3)
