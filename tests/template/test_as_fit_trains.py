"""What people expect of a training with Keras is as `keras.Model.fit` has it: the same losses, best epoch and answers.

Tolerances: 1e-4 for losses and metrics, relative; 1e-5 for answers.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Train, weights


@pytest.fixture
def use(model: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set members of model.py; a data table's petal_width and species may be changed."""

    def change(**members: Any) -> None:
        for name, value in members.items():
            monkeypatch.setattr(model, name, value, raising=False)

    return change


def table(width: Any = None, **options: Any) -> Any:
    from trainer.columns import Classes, Numeric, Table

    names = ["sepal_length", "sepal_width", "petal_length"]
    species = Classes("species", ["setosa", "versicolor", "virginica"], **options)
    return Table([*map(Numeric, names), width or Numeric("petal_width"), species])


def network(loss: str = "sparse_categorical_crossentropy", rate: Any = 0.02, **compiled: Any) -> Callable[..., Any]:
    import keras

    def build_model(hyperparameters: Any, inputs: dict[str, Any], steps: int) -> keras.Model:
        hidden = keras.layers.Concatenate()(list(inputs.values()))
        hidden = keras.layers.Dropout(0.1)(keras.layers.Dense(8, activation="tanh")(hidden))
        made = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="species")(hidden))
        speed = rate(steps) if callable(rate) else rate
        made.compile(keras.optimizers.Adam(speed), loss, **({"weighted_metrics": ["accuracy"]} | compiled))
        return made

    return build_model


def lines(said: str) -> list[dict[str, float]]:
    """The metrics of each epoch's line."""
    found = re.findall(r"^epoch=\d+ (.+)$", said, re.MULTILINE)
    return [{name: float(value) for name, value in (pair.split("=") for pair in line.split())} for line in found]


def fitted(model: Any, data: Path, hyperparameters: Any, **fit: Any) -> tuple[dict[str, list], Any, Any]:
    """What `fit` makes of model.py on the batches of our training: its history, the network, its reader."""
    import keras

    from trainer.data import CsvReader

    keras.utils.set_random_seed(hyperparameters.seed + 1)
    reader = CsvReader(model.DATA)
    reader.prepare(str(data / "train"), str(data / "eval"))
    steps = math.ceil(reader.train_rows / hyperparameters.batch_size)
    made = model.build_model(hyperparameters, reader.inputs(), hyperparameters.epochs * steps)
    every = [reader.batches(True, hyperparameters.batch_size, e).take(steps) for e in range(hyperparameters.epochs)]
    batches = every[0]
    for one in every[1:]:
        batches = batches.concatenate(one)
    if "class_weight" in fit:
        batches = batches.map(lambda features, target, _: (features, target))
    unseen = reader.batches(False, hyperparameters.batch_size)
    history = made.fit(
        batches, epochs=hyperparameters.epochs, steps_per_epoch=steps, validation_data=unseen, verbose=0, **fit
    ).history
    return history, made, reader


def answers(network: Any, reader: Any) -> Any:
    batch = next(iter(reader.batches(False, 3)))
    return network(batch[0], training=False).numpy()


def alike(ours: list[dict[str, float]], history: dict[str, list], names: list[str]) -> None:
    for name in names:
        assert [epoch[name] for epoch in ours] == pytest.approx(history[name], rel=1e-4, abs=1e-6), name


@pytest.mark.long
def test_the_best_epoch_is_that_of_early_stopping_and_is_exported(
    use: Any, model: Any, project: Path, train: Train, capsys: Any
) -> None:
    import keras
    import numpy as np

    from trainer.run import Objective

    use(build_model=network(rate=0.2), OBJECTIVE=Objective("val_loss", "minimize"))
    result = train(epochs=40, patience=3)
    said = capsys.readouterr().out
    stop = keras.callbacks.EarlyStopping("val_loss", patience=3, mode="min", restore_best_weights=True)
    history, made, reader = fitted(model, project / "data", model.Hyperparameters(epochs=40), callbacks=[stop])
    *epochs, best = lines(said)
    assert len(epochs) == len(history["loss"]) < 40
    alike(epochs, history, ["loss", "val_loss", "val_accuracy"])
    assert f"epoch {stop.best_epoch + 1} was the best, and its weights are exported; of them:\n" in said
    assert best == epochs[stop.best_epoch]
    assert result.metrics["val_loss"] == pytest.approx(best["val_loss"], rel=1e-5)
    served = [row["probabilities"] for row in result.response["predictions"]]
    assert np.allclose(served, answers(made, reader), atol=1e-5)


def test_without_patience_the_last_epoch_is_exported(train: Train, capsys: Any) -> None:
    train(epochs=3)
    assert "best" not in capsys.readouterr().out


@pytest.mark.long
def test_a_schedule_over_all_steps_is_followed(use: Any, model: Any, project: Path, train: Train, capsys: Any) -> None:
    import keras

    use(build_model=network(rate=lambda steps: keras.optimizers.schedules.CosineDecay(0.1, steps)))
    train(epochs=6)
    ours = lines(capsys.readouterr().out)
    history, made, _ = fitted(model, project / "data", model.Hyperparameters(epochs=6))
    alike(ours, history, ["loss", "val_loss", "val_accuracy"])
    assert float(made.optimizer.learning_rate) == pytest.approx(0, abs=1e-6)
    # Of more epochs, the schedule is another one.
    train(epochs=8)
    assert "build_model's steps are those of 8 epochs now, and were those of 6\n" in capsys.readouterr().out


@pytest.mark.long
def test_weights_of_labels_are_class_weights(use: Any, model: Any, project: Path, train: Train, capsys: Any) -> None:
    use(DATA=table(weights={"versicolor": 4, "setosa": 0.5}), build_model=network())
    train(epochs=5)
    ours = lines(capsys.readouterr().out)
    use(DATA=table())
    history, _, _ = fitted(
        model, project / "data", model.Hyperparameters(epochs=5), class_weight={0: 0.5, 1: 4.0, 2: 1.0}
    )
    alike(ours, history, ["loss", "val_loss", "val_accuracy"])
    plain, _, _ = fitted(model, project / "data", model.Hyperparameters(epochs=1))
    assert plain["loss"][0] != pytest.approx(history["loss"][0], rel=0.01)


@pytest.mark.long
def test_a_metric_of_several_values_is_reported_per_label(
    use: Any, model: Any, project: Path, train: Train, capsys: Any
) -> None:
    import keras

    from trainer.run import Objective

    make = lambda: network("categorical_crossentropy", weighted_metrics=[keras.metrics.F1Score()])
    use(DATA=table(one_hot=True), build_model=make(), OBJECTIVE=Objective("val_f1_score_virginica", "maximize"))
    result = train(epochs=4)
    ours = lines(capsys.readouterr().out)
    use(build_model=make())
    history, _, _ = fitted(model, project / "data", model.Hyperparameters(epochs=4))
    alike(ours, history, ["loss", "val_loss"])
    for number, label in enumerate(("setosa", "versicolor", "virginica")):
        fit = [float(values[number]) for values in history["val_f1_score"]]
        assert [epoch[f"val_f1_score_{label}"] for epoch in ours] == pytest.approx(fit, rel=1e-4)
    assert set(result.response["predictions"][0]) == {"class_id", "class_label", "probabilities"}


@pytest.mark.long
def test_callbacks_are_called_as_by_fit(use: Any, model: Any, project: Path, train: Train, capsys: Any) -> None:
    import keras

    def listed() -> list:
        return [
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
            keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.1, patience=1, min_delta=0.05),
            keras.callbacks.EarlyStopping("val_loss", patience=2, min_delta=0.02),
        ]

    use(build_model=network(rate=0.1), callbacks=listed)
    train(epochs=30)
    said = capsys.readouterr().out
    ours, (history, _, _) = (
        lines(said),
        fitted(model, project / "data", model.Hyperparameters(epochs=30), callbacks=listed()),
    )
    assert len(ours) == len(history["loss"]) < 30
    assert f"ended after epoch {len(ours)} of 30: a callback has stopped it\n" in said
    alike(ours, history, ["loss", "val_loss", "val_accuracy"])


@pytest.mark.long
def test_several_targets_are_outputs_with_a_loss_each(
    use: Any, model: Any, project: Path, train: Train, capsys: Any, ask: Any
) -> None:
    import keras
    import numpy as np

    from trainer.columns import Number
    from trainer.run import Objective

    def build_model(hyperparameters: Any, inputs: dict[str, Any], steps: int) -> keras.Model:
        hidden = keras.layers.Dense(8, activation="tanh")(keras.layers.Concatenate()(list(inputs.values())))
        outputs = {
            "species": keras.layers.Dense(3, activation="softmax", name="species")(hidden),
            "petal_width": keras.layers.Dense(1, name="petal_width")(hidden),
        }
        made = keras.Model(inputs, outputs)
        made.compile(
            keras.optimizers.Adam(0.02),
            loss={"species": "sparse_categorical_crossentropy", "petal_width": "mse"},
            loss_weights={"species": 0.5, "petal_width": 2.0},
            weighted_metrics={"species": ["accuracy"], "petal_width": ["mae"]},
        )
        return made

    two = table(Number("petal_width", standardise=False))
    use(DATA=two, build_model=build_model, OBJECTIVE=Objective("val_species_accuracy", "maximize"))
    result = train(epochs=4)
    ours = lines(capsys.readouterr().out)
    history, made, reader = fitted(model, project / "data", model.Hyperparameters(epochs=4))
    names = [
        "loss",
        "val_loss",
        "val_species_accuracy",
        "val_petal_width_mae",
        "val_species_loss",
        "val_petal_width_loss",
    ]
    alike(ours, history, names)
    outputs = made(next(iter(reader.batches(False, 3)))[0], training=False)
    first = result.response["predictions"]
    assert set(first[0]) == {
        "petal_width_value", "species_class_id", "species_class_label", "species_probabilities",
    }  # fmt: skip
    assert np.allclose([row["species_probabilities"] for row in first], outputs["species"], atol=1e-5)
    assert np.allclose([row["petal_width_value"] for row in first], outputs["petal_width"][:, 0], atol=1e-5)
    # In its own units, where the network learns the standardised number.
    use(DATA=table(Number("petal_width")))
    capsys.readouterr()
    answered = train(epochs=30, folder=Path(result.export_dir).parent / "other").response["predictions"]
    assert "loss, val_loss: of petal_width less 1.2125, divided by 0.770883;" in capsys.readouterr().out
    assert [row["petal_width_value"] for row in answered] == pytest.approx([1.0, 0.2, 0.4], abs=0.4)


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("patience", "schedule", "weights", "one_hot")]


@pytest.mark.long
@pytest.mark.parametrize("nicety", ["callbacks", *LONG])
def test_a_stopped_training_ends_as_an_undisturbed_one(
    nicety: str, use: Any, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    from trainer import checkpoints, reporting
    from trainer.run import Objective

    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0)
    use(OBJECTIVE=Objective("val_loss", "minimize"), build_model=network(rate=0.1))
    options = {"patience": 2} if nicety == "patience" else {}
    if nicety == "schedule":
        use(build_model=network(rate=lambda steps: keras.optimizers.schedules.CosineDecay(0.1, steps)))
    elif nicety == "weights":
        use(DATA=table(weights={"setosa": 3}))
    elif nicety == "one_hot":
        use(DATA=table(one_hot=True), build_model=network("categorical_crossentropy"))
    elif nicety == "callbacks":
        use(callbacks=lambda: [keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.1, patience=1, min_delta=0.05)])
    whole = train(folder=tmp_path / "whole", epochs=12, **options)
    report = reporting.Reporter.report

    def until(self: Any, epoch: int, metrics: dict) -> None:
        if epoch == 4:
            raise KeyboardInterrupt
        report(self, epoch, metrics)

    monkeypatch.setattr(reporting.Reporter, "report", until)
    with pytest.raises(KeyboardInterrupt):
        train(folder=tmp_path / "parts", epochs=12, **options)
    monkeypatch.setattr(reporting.Reporter, "report", report)
    parts = train(folder=tmp_path / "parts", epochs=12, **options)
    assert parts.metrics == whole.metrics
    assert weights(parts.export_dir) == weights(whole.export_dir)
