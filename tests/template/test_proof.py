"""An export is proved before it is left to be served: by answers that must be those of the network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def network_with(layer: Callable, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model.py whose network calls `layer` of the values of a row, with `training`."""
    import keras

    class Own(keras.layers.Layer):
        def call(self, values: Any, training: bool = False) -> Any:
            return layer(values, training)

    def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        hidden = Own()(keras.layers.Concatenate()(list(inputs.values())))
        network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
        network.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
        return network

    monkeypatch.setattr(model, "build_model", build_model)


def test_a_network_of_chance_is_refused_before_the_first_step(
    train: Callable, model: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import tensorflow as tf

    from trainer.run import UserError

    def noisy(values: tf.Tensor) -> tf.Tensor:
        return values * tf.random.uniform(tf.shape(values))

    network_with(lambda values, training: noisy(values), model, monkeypatch)
    with pytest.raises(UserError, match="answers the same rows otherwise each time"):
        train(epochs=1)
    assert "epoch=" not in capsys.readouterr().out
    network_with(lambda values, training: noisy(values) if training else values, model, monkeypatch)
    assert len(train(epochs=1).response["predictions"]) == 3


def test_a_model_that_fails_its_proof_is_not_left_to_be_served(
    train: Callable, model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is answered depends on where: Python's switch is translated into the graph as it stands there."""
    import tensorflow as tf

    from trainer.run import UserError

    network_with(lambda values, _: values * (1 if tf.executing_eagerly() else -9), model, monkeypatch)
    with pytest.raises(UserError, match="its export failed: RuntimeError: the exported model answers"):
        train(epochs=1)
    folder = tmp_path / "job" / "model" / "1"
    assert (folder / "variables").exists()
    assert not (folder / "saved_model.pb").exists()


def test_a_tie_between_two_labels_is_no_difference(project: Path) -> None:
    import tensorflow as tf

    from trainer import export

    expected = {"class_id": tf.constant([0, 0]), "probabilities": tf.constant([[0.5, 0.5], [0.9, 0.1]])}
    tied = {"class_id": 1, "probabilities": [0.499999, 0.500001]}
    clear = {"class_id": 0, "probabilities": [0.9, 0.1]}
    export._compare(expected, [tied, clear], export.TOLERANCE)
    with pytest.raises(RuntimeError, match=r"answers class_id=\[1, 1\], the trained one \[0, 0\]"):
        export._compare(expected, [tied, clear | {"class_id": 1}], export.TOLERANCE)


def test_an_answer_of_a_reader_has_no_ties_and_must_be_the_very_one(project: Path) -> None:
    import tensorflow as tf

    from trainer import export

    expected = {"digit": tf.constant([3, 4]), "probabilities": tf.constant([[0.5, 0.5], [0.9, 0.1]])}
    served = [{"digit": 3, "probabilities": [0.5, 0.5]}, {"digit": 4, "probabilities": [0.9, 0.1]}]
    export._compare(expected, served, export.TOLERANCE)
    with pytest.raises(RuntimeError, match=r"answers digit=\[3, 5\], the trained one \[3, 4\]"):
        export._compare(expected, [served[0], served[1] | {"digit": 5}], export.TOLERANCE)
