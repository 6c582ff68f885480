"""What a model asks for in `compile`, in whole trainings: averages, half precision, and a loss that is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Train, weights

pytestmark = pytest.mark.long


def use(model: Any, patch: pytest.MonkeyPatch, optimizer: Callable[[], Any], **options: Any) -> None:
    """The default project's network with another optimizer, and `options` for the head or for compile."""
    import keras

    def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        hidden = keras.layers.Dense(8, activation="relu")(keras.layers.Concatenate()(list(inputs.values())))
        made = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", dtype=options.get("head"))(hidden))
        made.compile(optimizer(), "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
        return made

    patch.setattr(model, "build_model", build_model)


def test_averaged_weights_are_exported_and_their_metrics_come_last(
    train: Train, model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A stopped training goes on with the raw weights and their averages: both kinds end alike."""
    import keras

    use(model, monkeypatch, lambda: keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9))
    whole = train(folder=tmp_path / "whole", epochs=4)
    *epochs, last = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch=")]
    assert [line.split()[0] for line in epochs] == ["epoch=1", "epoch=2", "epoch=3", "epoch=4"]
    assert last.startswith("epoch=4 ")
    assert f"val_loss={whole.metrics['val_loss']:.6g}" in last
    assert last.split()[2] != epochs[-1].split()[2]
    train(folder=tmp_path / "parts", epochs=2)
    parts = train(folder=tmp_path / "parts", epochs=4)
    again = train(folder=tmp_path / "parts", epochs=4)
    use(model, monkeypatch, lambda: keras.optimizers.Adam(0.05))
    raw = train(folder=tmp_path / "raw", epochs=4)
    assert weights(parts.export_dir) == weights(whole.export_dir) == weights(again.export_dir)
    assert weights(raw.export_dir) != weights(whole.export_dir)
    assert parts.metrics == whole.metrics
    assert again.metrics["val_loss"] == whole.metrics["val_loss"]


@pytest.mark.parametrize(
    ("precision", "head"),
    [("mixed_float16", "float32"), ("mixed_float16", None), ("mixed_bfloat16", None), ("float16", None)],
)
def test_half_precision_trains_goes_on_and_answers_in_single(
    precision: str,
    head: str | None,
    train: Train,
    model: Any,
    policy: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import keras
    import tensorflow as tf

    policy(precision)
    use(model, monkeypatch, lambda: keras.optimizers.Adam(0.02, epsilon=1e-4), head=head)
    whole = train(folder=tmp_path / "whole", epochs=4)
    train(folder=tmp_path / "parts", epochs=2)
    parts = train(folder=tmp_path / "parts", epochs=4)
    assert weights(parts.export_dir) == weights(whole.export_dir)
    assert whole.metrics["val_accuracy"] > 0.6
    signature = tf.saved_model.load(whole.export_dir).signatures["serving_default"]
    assert signature.structured_outputs["probabilities"].dtype == tf.float32


def test_a_loss_that_is_not_one_number_or_a_metric_that_is_a_table_is_refused(
    train: Train, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    from trainer.run import UserError

    def compiled(**options: Any) -> Callable[..., keras.Model]:
        def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
            hidden = keras.layers.Concatenate()(list(inputs.values()))
            made = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
            made.compile("adam", **options)
            return made

        return build_model

    cross = keras.losses.SparseCategoricalCrossentropy

    class PerPair(keras.metrics.Metric):
        def update_state(self, *_: Any, **__: Any) -> None:
            pass

        def result(self) -> Any:
            return keras.ops.ones((3, 3))

    for options, message in (
        (
            {"loss": cross(reduction="none")},
            r"the loss must be one number for a batch, and is a value of the shape \(16,\)",
        ),
        (
            {"loss": cross(), "metrics": [PerPair(name="each")]},
            r"the metric 'each' has the shape \(3, 3\), and must be a number or a list",
        ),
        ({}, "build_model must compile its model with an optimizer and a loss"),
    ):
        monkeypatch.setattr(model, "build_model", compiled(**options))
        with pytest.raises(UserError, match=message):
            train(epochs=1)
