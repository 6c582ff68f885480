"""The training story: right numbers, resumable, reported, and refusing what cannot be trained."""

import importlib.util
import json
import math
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake, Command

Train = Callable[..., Any]


@pytest.fixture
def model(project: Path) -> Any:
    from trainer import model

    return model


@pytest.fixture
def make_run(project: Path, tmp_path: Path) -> Callable[..., Any]:
    """A Run over the project's data into `tmp_path`, with these hyperparameters."""
    from trainer import model
    from trainer.run import Run

    def make(folder: Path | None = None, data: Path | None = None, **hyperparameters: object) -> Any:
        base, data = folder or tmp_path / "job", data or project / "data"
        return Run(
            model.Hyperparameters(**hyperparameters),
            train_data=str(data / "train"),
            eval_data=str(data / "eval"),
            export_dir=str(base / "model" / "1"),
            checkpoint_dir=str(base / "checkpoints"),
            log_dir=str(base / "logs"),
        )

    return make


@pytest.fixture
def train(make_run: Callable[..., Any]) -> Train:
    from trainer.training import train

    return lambda **options: train(make_run(**options))


@pytest.fixture
def penguins(bake: Bake, model: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The regression project's model in place of the default one; the fixture is its data."""
    project = bake(problem="regression")
    spec = importlib.util.spec_from_file_location("penguins_model", project / "src" / "trainer" / "model.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    for name in ("DATA", "OBJECTIVE", "Hyperparameters", "build_model"):
        monkeypatch.setattr(model, name, getattr(module, name))
    return project / "data"


def weights(folder: str) -> list:
    """All weights of an export. Sorted by value, because Keras numbers them in another order each time."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(f"{folder}/variables/variables")
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return sorted((reader.get_tensor(name).tolist() for name in names), key=repr)


def test_iris_is_classified_in_nine_of_ten_seeds(train: Train, tmp_path: Path) -> None:
    accuracies = [train(folder=tmp_path / str(seed), seed=seed).metrics["val_accuracy"] for seed in range(10)]
    assert len([accuracy for accuracy in accuracies if accuracy >= 0.93]) >= 9, accuracies


def test_body_mass_is_predicted_twice_as_well_as_by_the_mean(train: Train, penguins: Path) -> None:
    def masses(part: str) -> list[float]:
        lines = (penguins / part / "penguins.csv").read_text(encoding="utf-8").splitlines()
        return [float(line.split(",")[5]) for line in lines[1:] if line.split(",")[5] != "NA"]

    known, unseen = masses("train"), masses("eval")
    mean = sum(known) / len(known)
    guess = math.sqrt(sum((mass - mean) ** 2 for mass in unseen) / len(unseen))
    assert train(data=penguins).metrics["val_rmse"] < guess / 2


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(train: Train, tmp_path: Path) -> None:
    first, again, other = (
        weights(train(folder=tmp_path / name, epochs=2, seed=seed).export_dir)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first != other


def test_the_loop_computes_what_keras_fit_and_evaluate_compute(model: Any, project: Path, tmp_path: Path) -> None:
    """Keras is the oracle: the same batches, weights and regularisation through `model.fit`."""
    import keras
    import numpy as np
    import tensorflow as tf

    from trainer.columns import Classes, Numeric, Table, Weight
    from trainer.data import CsvReader
    from trainer.training import _Loop

    random = np.random.default_rng(0)
    rows = [f"{x:.4f},{w:.2f},{'ab'[int(x + z > 0)]},{z:.4f}" for x, w, z in random.normal(1, 1, (50, 3)).clip(0)]
    (tmp_path / "data.csv").write_text("x,w,y,z\n" + "\n".join(rows) + "\n")
    reader = CsvReader(Table([Numeric("x"), Numeric("z"), Weight("w"), Classes("y", ["a", "b"])]))
    reader.prepare(str(tmp_path / "data.csv"), str(tmp_path / "data.csv"))

    def build() -> keras.Model:
        keras.utils.set_random_seed(3)
        inputs = reader.inputs()
        hidden = keras.layers.Concatenate()(list(inputs.values()))
        hidden = keras.layers.Dense(8, activation="relu", kernel_regularizer="l2")(hidden)
        hidden = keras.layers.BatchNormalization()(hidden)
        network = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden))
        network.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"], metrics=["accuracy"])
        return network

    ours, theirs = build(), build()
    loop = _Loop(ours, reader, tf.distribute.get_strategy(), model.Hyperparameters(epochs=1, batch_size=16, seed=5))
    ((_, metrics),) = loop.epochs(start=0)
    history = theirs.fit(reader.batches(True, 16, 5).take(4), epochs=1, verbose=0).history
    expected = theirs.evaluate(reader.batches(False, 16), return_dict=True, verbose=0)
    for mine, fitted in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, fitted, rtol=1e-4, atol=1e-6)
    assert metrics["loss"] == pytest.approx(history["loss"][0], rel=1e-4)
    assert metrics["val_loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert metrics["val_accuracy"] == pytest.approx(expected["accuracy"])
    assert metrics["val_weighted_accuracy"] == pytest.approx(expected["weighted_accuracy"])


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


def test_a_resumed_training_ends_as_an_uninterrupted_one(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    whole = train(folder=tmp_path / "whole", epochs=6, dropout=0.3)
    train(folder=tmp_path / "parts", epochs=2, dropout=0.3)
    capsys.readouterr()
    parts = train(folder=tmp_path / "parts", epochs=6, dropout=0.3)
    said = capsys.readouterr().out
    assert "resuming after epoch 2" in said
    assert re.findall(r"^epoch=(\d+)", said, re.MULTILINE) == ["3", "4", "5", "6"]
    assert parts.metrics == whole.metrics
    assert weights(parts.export_dir) == weights(whole.export_dir)


def test_a_finished_training_is_only_exported_again(train: Train, capsys: pytest.CaptureFixture) -> None:
    first = train(epochs=2)
    capsys.readouterr()
    again = train(epochs=2)
    said = capsys.readouterr().out
    assert "nothing left to train: the checkpoint has seen 2 epochs or more" in said
    assert re.findall(r"^epoch=2 val_loss=", said, re.MULTILINE)
    assert " loss=" not in said
    assert again.metrics["val_loss"] == first.metrics["val_loss"]
    assert weights(again.export_dir) == weights(first.export_dir)


def test_a_killed_training_goes_on(project: Path, tmp_path: Path, command: Command) -> None:
    """SIGKILL between two epochs, then the same command again: the weights equal those of a training left alone."""
    script = "import trainer.checkpoints, train, sys; trainer.checkpoints.SECONDS_BETWEEN = 0; train.run(sys.argv[1:])"
    arguments = ["--epochs", "150", "--dropout", "0.2", "--job-dir"]
    killed = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:0] = ['src', '.']; {script}", *arguments, tmp_path / "killed"],
        cwd=project, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in killed.stdout:
        if line.startswith("epoch=20 "):
            killed.send_signal(signal.SIGKILL)
            break
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model").exists()
    again = command(sys.executable, "train.py", *arguments, tmp_path / "killed", cwd=project)
    assert again.returncode == 0, again.stderr
    assert re.search(r"resuming after epoch (19|2\d|3\d) ", again.stdout)
    alone = command(sys.executable, "train.py", *arguments, tmp_path / "alone", cwd=project)
    assert alone.returncode == 0, alone.stderr
    assert weights(str(tmp_path / "killed" / "model" / "1")) == weights(str(tmp_path / "alone" / "model" / "1"))


def test_a_checkpoint_of_other_hyperparameters_is_refused(train: Train, project: Path) -> None:
    from trainer.run import UserError

    train(epochs=1)
    with pytest.raises(
        UserError, match=r"was made with learning_rate=0.01 then, 0.02 now; use another folder, or delete"
    ):
        train(epochs=2, learning_rate=0.02)
    assert train(epochs=2).metrics["val_loss"] > 0


def test_a_checkpoint_of_another_network_is_refused(train: Train, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from trainer.run import UserError

    train(epochs=1)
    build = model.build_model

    def deeper(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        return build(model.Hyperparameters(hidden_units=7), inputs)

    monkeypatch.setattr(model, "build_model", deeper)
    with pytest.raises(UserError, match="belongs to another build_model; use another folder"):
        train(epochs=2)


def test_a_loss_that_is_not_finite_stops_the_training(train: Train, penguins: Path, tmp_path: Path) -> None:
    from trainer.run import UserError

    with pytest.raises(
        UserError, match=r"loss is (nan|inf) after epoch \d+: the training diverged; try --learning-rate 0.01"
    ):
        train(data=penguins, learning_rate=1e30)
    assert not (tmp_path / "job" / "model").exists()


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [({"epochs": 0}, "epochs must be a whole number, 1 or more, not 0"), ({"batch_size": -1}, "batch_size must be"),
     ({"seed": -1}, "seed must be a whole number, 0 or more")],
)  # fmt: skip
def test_hyperparameters_that_cannot_train_are_refused(hyperparameters: dict, message: str, train: Train) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match=message):
        train(**hyperparameters)


def test_a_mistake_in_model_py_is_named_before_the_first_step(
    train: Train, model: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import keras

    from trainer.run import Objective, UserError

    def network(units: int, compiled: bool = True) -> Callable[..., keras.Model]:
        def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
            made = keras.Model(inputs, keras.layers.Dense(units)(keras.layers.Concatenate()(list(inputs.values()))))
            if compiled:
                made.compile("sgd", "sparse_categorical_crossentropy")
            return made

        return build_model

    for build, message in (
        (network(2), r"the model's output has the shape .'batch', 2., not .batch, 3.: one probability for each label"),
        (network(3), "the model's output is no probability; end in softmax, or in sigmoid where there is one unit"),
        (network(3, compiled=False), "build_model must compile its model with an optimizer and a loss"),
        (lambda hyperparameters, inputs: None, "build_model must return a keras.Model, not NoneType"),
    ):
        monkeypatch.setattr(model, "build_model", build)
        with pytest.raises(UserError, match=message):
            train(epochs=1)
    monkeypatch.undo()
    monkeypatch.setattr(model, "OBJECTIVE", Objective("val_acc", "maximize"))
    with pytest.raises(UserError, match="OBJECTIVE names 'val_acc'; the metrics are loss, val_loss, val_accuracy"):
        train(epochs=1)
    assert "epoch=" not in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hidden = keras.layers.Concatenate()", 'x = inputs["petal"]; hidden = keras.layers.Concatenate()',
         r"model.py, line \d+: KeyError: 'petal'. build_model gets the inputs .'sepal_length', "),
        ("sparse_categorical_crossentropy", "categorical_crossentropy",
         "model.py: .*The loss and the metrics must fit the target and the output of build_model"),
        ("sparse_categorical_crossentropy", "sparse_crossentropy", "model.py: .*sparse_crossentropy"),
        ("keras.Model(inputs, keras", "keras.Model(keras.Input((4,)), keras", "model.py.*build_model gets the inputs"),
        ("@dataclass(frozen=True)", "", "model.py: Hyperparameters must be a dataclass: write @dataclass"),
        ("OBJECTIVE =", "OBJECT =", "model.py has no OBJECTIVE"),
        ('Numeric("sepal_length"),', 'Numeric("sepal_length")', r"model.py, line \d+: SyntaxError: "),
        ("from trainer.columns import Classes, ", "from trainer.columns import ", r"model.py, line \d+: NameError: "),
    ],
)  # fmt: skip
def test_a_slip_in_model_py_is_one_line_with_its_place(
    old: str, new: str, message: str, bake: Bake, tmp_path: Path, command: Command
) -> None:
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    file = project / "src" / "trainer" / "model.py"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    done = command(sys.executable, "train.py", "--epochs", "1", cwd=project)
    assert done.returncode == 1
    assert re.search(f"^error: {message}", done.stderr, re.MULTILINE), done.stderr
    assert "Traceback" not in done.stderr


def test_an_epoch_is_one_line_that_a_metric_definition_can_read(train: Train, capsys: pytest.CaptureFixture) -> None:
    result = train(epochs=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch=")]
    assert len(lines) == 2
    for name, value in result.metrics.items():
        assert float(re.findall(rf"(?<!\w){name}=([0-9.eE+-]+)", "\n".join(lines))[-1]) == pytest.approx(
            value, rel=1e-5
        )


def test_tensorboard_reads_the_scalars_of_every_epoch(train: Train, tmp_path: Path) -> None:
    """TensorBoard's own reader; the trainer writes without that package, which the training images do not hold."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    result = train(epochs=3)
    events = EventAccumulator(str(tmp_path / "job" / "logs"))
    events.Reload()
    assert set(events.Tags()["tensors"]) == set(result.metrics)
    assert events.SummaryMetadata("val_loss").plugin_data.plugin_name == "scalars"
    last = events.Tensors("val_loss")[-1]
    assert (last.step, float(make_ndarray(last.tensor_proto))) == (3, pytest.approx(result.metrics["val_loss"]))


def test_vertex_tuning_reads_the_objective_as_cloudml_hypertune_writes_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is the oracle: the same 120 epochs give the same file."""
    import hypertune

    from trainer.reporting import Reporter
    from trainer.run import Objective, Run

    @dataclass(frozen=True)
    class Nothing:
        pass

    run = Run(Nothing(), "", "", "", "", str(tmp_path / "logs"), str(tmp_path / "ours" / "metrics"), trial="7")
    reporter = Reporter(run, Objective("val_accuracy", "maximize"))
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "theirs" / "metrics"))
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "7")
    monkeypatch.setattr(time, "time", lambda: 1234.5)
    theirs = hypertune.HyperTune()
    for epoch in range(1, 121):
        reporter.report(epoch, {"val_accuracy": epoch / 120})
        theirs.report_hyperparameter_tuning_metric("val_accuracy", epoch / 120, epoch)
    ours = (tmp_path / "ours" / "metrics").read_text()
    assert ours == (tmp_path / "theirs" / "metrics").read_text()
    assert json.loads(ours.splitlines()[-1])["val_accuracy"] == "1.0"


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
    training._strategy = lambda batch_size, strategy=strategy: strategy()
    folder = f"{sys.argv[1]}/{name}"
    run = Run(model.Hyperparameters(epochs=30), "data/train", "data/eval", folder + "/1", folder + "/c", folder + "/l")
    print(name, training.train(run).metrics["val_loss"])
"""
    done = command(sys.executable, "-c", script, tmp_path, cwd=project)
    assert done.returncode == 0, done.stderr[-3000:]
    losses = dict(re.findall(r"^(one|two) ([\d.]+)$", done.stdout, re.MULTILINE))
    assert float(losses["two"]) == pytest.approx(float(losses["one"]), rel=1e-3)
