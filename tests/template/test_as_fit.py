"""What a model asks for in `compile`, or by an override, is done as `keras.Model.fit` does it, or refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

# An optimizer's options, compile's, and a dtype policy; {} is the plain model.
TABLE: dict[str, tuple[dict, dict, str]] = {
    "plain": ({}, {}, "float32"),
    "averages": ({"use_ema": True, "ema_momentum": 0.7}, {}, "float32"),
    "averages swapped in": ({"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3}, {}, "float32"),
    "accumulated gradients": ({"gradient_accumulation_steps": 3, "global_clipnorm": 0.01}, {}, "float32"),
    "accumulated gradients and averages": ({"gradient_accumulation_steps": 2, "use_ema": True}, {}, "float32"),
    "clipped, with weight decay": ({"clipnorm": 0.01, "weight_decay": 0.1}, {}, "float32"),
    "clipped, with a scaled loss": ({"clipvalue": 0.001, "loss_scale_factor": 128.0}, {}, "float32"),
    "a sum for a loss": ({}, {"loss": "sum"}, "float32"),
    "a mean over weights": ({}, {"loss": "mean_with_sample_weight"}, "float32"),
    "a function for a loss": ({}, {"loss": "function"}, "float32"),
    "a list of one loss": ({}, {"loss": "list"}, "float32"),
    "a dict of one loss, weighed": ({}, {"loss": "dict", "loss_weights": {"answer": 0.25}}, "float32"),
    "a weighed loss": ({}, {"loss_weights": [0.25]}, "float32"),
    "several steps at once": ({}, {"steps_per_execution": 2}, "float32"),
    "without a graph": ({}, {"run_eagerly": True}, "float32"),
    "with XLA": ({}, {"jit_compile": True}, "float32"),
    "half precision, unscaled": ({}, {"auto_scale_loss": False}, "mixed_float16"),
    "half precision": ({}, {}, "mixed_float16"),
    "half precision and averages": ({"use_ema": True}, {}, "mixed_float16"),
    "brain floats": ({}, {}, "mixed_bfloat16"),
}


@pytest.fixture(scope="module")
def reader(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """50 rows, two numbers and a weight to a class: four batches of 16, of which the last lacks rows in evaluation."""
    import numpy as np

    from trainer.columns import Classes, Numeric, Table, Weight
    from trainer.data import CsvReader

    random, file = np.random.default_rng(0), tmp_path_factory.mktemp("rows") / "data.csv"
    rows = [f"{x:.4f},{w:.2f},{'ab'[int(x + z > 0)]},{z:.4f}" for x, w, z in random.normal(1, 1, (50, 3)).clip(0)]
    file.write_text("x,w,y,z\n" + "\n".join(rows) + "\n")
    made = CsvReader(Table([Numeric("x"), Numeric("z"), Weight("w"), Classes("y", ["a", "b"])]))
    made.prepare(str(file), str(file))
    return made


def network(reader: Any, optimizer: Any, kind: Any = None, **compiled: Any) -> Any:
    import keras

    keras.utils.set_random_seed(3)
    inputs = reader.inputs()
    hidden = keras.layers.Concatenate()(list(inputs.values()))
    hidden = keras.layers.Dense(8, activation="relu", kernel_regularizer="l2")(hidden)
    hidden = keras.layers.Dropout(0.2, seed=1)(keras.layers.BatchNormalization()(hidden))
    output = keras.layers.Dense(2, activation="softmax", dtype="float32", name="answer")(hidden)
    made = (kind or keras.Model)(inputs, output)
    cross = keras.losses.SparseCategoricalCrossentropy
    loss = compiled.pop("loss", "mean")
    losses = {
        "mean": "sparse_categorical_crossentropy",
        "function": lambda target, output: -keras.ops.log(output[:, 1]) * keras.ops.cast(target, output.dtype),
        "list": [cross()],
        "dict": {"answer": cross()},
    }
    made.compile(optimizer, losses[loss] if loss in losses else cross(reduction=loss), **compiled)
    return made


def compare(reader: Any, model: Any, build: Callable[[], Any], jit: bool = False) -> None:
    """Two epochs of our loop and of `fit`, over the same batches; evaluation after each is of the same weights."""
    import numpy as np
    import tensorflow as tf

    from trainer.cluster import Peers
    from trainer.loop import Loop

    ours, theirs = build(), build()
    hyperparameters = model.Hyperparameters(epochs=2, batch_size=16, seed=5)
    loop = Loop(ours, reader, tf.distribute.get_strategy(), hyperparameters, Peers(None), jit)
    metrics = [metrics for _, metrics in loop.epochs(start=0)]
    batches = reader.batches(True, 16, 5).take(4).concatenate(reader.batches(True, 16, 6).take(4))
    # One fit: it swaps averages in at its end. Where it is not told the number of batches, it counts one too many.
    unseen = reader.batches(False, 16).apply(tf.data.experimental.assert_cardinality(4))
    kept = theirs.fit(batches.repeat(), epochs=2, steps_per_epoch=4, validation_data=unseen, verbose=0).history
    ours.optimizer.finalize_variable_values(ours.trainable_variables)
    for mine, fitted in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, fitted, rtol=1e-5, atol=1e-6)
    for name in metrics[0]:
        assert [epoch[name] for epoch in metrics] == pytest.approx(kept[name], rel=1e-4), name


@pytest.mark.parametrize("name", TABLE)
def test_our_loop_leaves_the_weights_and_metrics_that_fit_leaves(
    name: str, reader: Any, model: Any, policy: Callable[[str], None]
) -> None:
    import keras

    options, compiled, precision = TABLE[name]
    policy(precision)
    compare(
        reader,
        model,
        lambda: network(
            reader,
            keras.optimizers.Adam(0.01, **options),
            weighted_metrics=["accuracy"],
            metrics=[keras.metrics.SparseCategoricalCrossentropy(name="unweighted")],
            **compiled,
        ),
        jit=compiled.get("jit_compile", False),
    )


def test_overridden_losses_and_metrics_are_computed_as_in_fit(reader: Any, model: Any) -> None:
    import keras

    class Own(keras.Model):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Any:
            right = keras.ops.take_along_axis(y_pred, keras.ops.cast(y, "int32")[:, None], axis=1)[:, 0]
            return keras.ops.mean((1 - right) * sample_weight * x["x"][:, 0] ** 2)

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict:
            results = super().compute_metrics(x, y, y_pred, sample_weight)
            return {**results, "largest": keras.ops.max(y_pred)}

    class Tracking(keras.Model):
        """As Keras' own example: a tracker called loss, in place of the compiled ones."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.tracker = keras.metrics.Mean(name="loss")

        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool = True) -> Any:
            loss = super().compute_loss(x, y, y_pred, sample_weight, training) * (2.0 if training else 1.0)
            self.tracker.update_state(loss)
            return loss

        @property
        def metrics(self) -> list:
            return [self.tracker]

    for kind, compiled in ((Own, {"weighted_metrics": ["accuracy"]}), (Tracking, {})):
        compare(reader, model, lambda kind=kind, compiled=compiled: network(reader, "adam", kind, **compiled))


def test_a_subclassed_network_whose_call_knows_no_training_is_trained_as_by_fit(reader: Any, model: Any) -> None:
    import keras

    class Plain(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = keras.layers.Dense(2, activation="softmax")

        def call(self, inputs: dict) -> Any:
            self.add_loss(0.1 * keras.ops.mean(inputs["x"] ** 2))
            return self.head(keras.ops.concatenate([inputs["x"], inputs["z"]], axis=1))

    def build() -> keras.Model:
        keras.utils.set_random_seed(3)
        made = Plain()
        made.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
        made({"x": keras.ops.ones((2, 1)), "z": keras.ops.ones((2, 1))})
        return made

    compare(reader, model, build)


def test_what_is_not_run_is_refused_by_name(model: Any, reader: Any) -> None:
    import keras

    from trainer.explaining import ask

    class Steps(keras.Model):
        def train_step(self, data: Any) -> dict:
            return super().train_step(data)

    class Tests(keras.Model):
        def test_step(self, data: Any) -> dict:
            return super().test_step(data)

    class Fine(keras.Model):
        def compute_metrics(self, *arguments: Any, **named: Any) -> dict:
            return super().compute_metrics(*arguments, **named)

    for kind, name in ((Steps, "train_step"), (Tests, "test_step")):
        said = ask("not_run", network(reader, "adam", kind), model)
        assert said.startswith(f"{kind.__name__} has a {name} of its own, which ")
        assert said.endswith("write it there")
    plain = network(reader, "adam")
    plain.callbacks = [keras.callbacks.EarlyStopping()]
    assert ask("not_run", plain, model) == (
        "callbacks: nobody calls these callbacks; list them in model.py: callbacks = [...]"
    )
    assert ask("not_run", network(reader, "adam", Fine), model) == ""


def test_callbacks_that_model_py_defines_for_nobody_are_refused(reader: Any, tmp_path: Path) -> None:
    import importlib.util

    from trainer.explaining import ask

    def page(name: str, text: str) -> Any:
        (tmp_path / f"{name}.py").write_text("import keras\n" + text)
        spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        return made

    made = network(reader, "adam")
    for number, (text, name) in enumerate((
        ("STOP = keras.callbacks.EarlyStopping()", "STOP"),
        ("CALLBACKS = [keras.callbacks.ReduceLROnPlateau()]", "CALLBACKS"),
        ("class Stop(keras.callbacks.Callback): pass", "Stop"),
    )):  # fmt: skip
        assert ask("not_run", made, page(f"page{number}", text)).startswith(f"{name}: nobody calls these callbacks")
    used = "STOP = keras.callbacks.EarlyStopping()\ndef build_model(): network.fit(callbacks=[STOP])"
    assert ask("not_run", made, page("used", used)) == ""
    assert ask("not_run", made, page("listed", "callbacks = [keras.callbacks.EarlyStopping()]")) == ""
