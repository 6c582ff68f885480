"""NaN that no training made is told with its layer, file and row; a training that diverged is told as such."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Train

ROWS = "x,y\n" + "".join(f"{n},{2 * n}\n" for n in range(1, 41))
# A blank line, then a zero in file row 43.
WITH_ZERO = f"{ROWS}\n0,0\n"


@pytest.fixture
def fit(train: Train, model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Train on these texts of files; `between` comes between the input as in the file and the last layer."""
    import keras

    from trainer.columns import Identity, Number, Table

    def run(between: Callable[[Any], Any], first: str, second: str, rate: float = 1e-5) -> Any:
        def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
            number = keras.ops.cast(inputs["x"], "float32")[:, None]
            network = keras.Model(inputs, keras.layers.Dense(1)(between(number)))
            network.compile(keras.optimizers.SGD(rate), "mse")
            return network

        for part, text in (("train", first), ("eval", second)):
            (tmp_path / part).mkdir()
            (tmp_path / part / "d.csv").write_text(text)
        monkeypatch.setattr(model, "DATA", Table([Identity("x", 100, encoding="index"), Number("y")]))
        monkeypatch.setattr(model, "OBJECTIVE", type(model.OBJECTIVE)("val_loss", "minimize"))
        monkeypatch.setattr(model, "build_model", build_model)
        return train(data=tmp_path, epochs=2)

    return run


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (WITH_ZERO, ROWS, "train/d.csv, row 43: 0,0, before any step of training"),
        (ROWS, WITH_ZERO, r"eval/d.csv, row 43: 0,0\. No model"),
    ],
)
def test_a_logarithm_of_zero_is_named_with_its_row(
    first: str, second: str, message: str, fit: Callable[..., Any], tmp_path: Path
) -> None:
    import keras

    from trainer.run import UserError

    with pytest.raises(UserError, match=rf"the output of the layer 'log\w*' \(Log\) is not finite for .*{message}"):
        fit(keras.ops.log, first, second)
    assert not (tmp_path / "job" / "model").exists()


def test_a_layer_of_the_researchers_own_is_named_before_the_first_epoch(
    fit: Callable[..., Any], capsys: pytest.CaptureFixture
) -> None:
    import keras

    from trainer.run import UserError

    class Share(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x / (x - x)

    with pytest.raises(UserError, match=r"layer 'share\w*' \(Share\) is not finite for .*eval/d.csv, row 2: 1,2"):
        fit(Share(), ROWS, ROWS)
    assert "epoch=" not in capsys.readouterr().out


@pytest.mark.long
def test_a_training_that_diverges_is_still_told_as_such(fit: Callable[..., Any]) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match="loss is (nan|inf) after epoch 1: the training diverged"):
        fit(lambda x: x, ROWS, ROWS, rate=1e30)


@pytest.mark.long
def test_logarithms_of_positive_numbers_are_trained(fit: Callable[..., Any]) -> None:
    import keras

    assert fit(keras.ops.log, ROWS, ROWS).metrics["val_loss"] > 0


@pytest.mark.long
def test_a_reader_of_ones_own_has_rows_in_batches(project: Path) -> None:
    import keras
    import tensorflow as tf

    from trainer.explaining import ask

    class Own:
        train_rows = eval_rows = 5

        def batches(self, training: bool, batch_size: int, seed: int = 0) -> tf.data.Dataset:
            x = tf.constant([[1.0], [2.0], [3.0], [float("nan")], [5.0]])
            return tf.data.Dataset.from_tensor_slices(({"x": x}, x, tf.ones(5))).batch(batch_size)

    inputs = keras.Input((1,), name="x")
    network = keras.Model({"x": inputs}, keras.layers.Dense(1)(inputs))
    network.compile("sgd", "mse")
    assert ask("not_finite", network, Own(), False, 2) == (
        "the input 'x' is not finite for row 2 of batch 2 of the evaluation data"
    )
