"""Where the researcher's own code failed, and why: one line, whatever Keras and TensorFlow say around it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Train

# A package beside model.py; line 8 is `return {}["scale"] * x`.
HELPERS = """import sys

import keras
import tensorflow as tf

class Scale(keras.layers.Layer):
    def call(self, x):
        return {}["scale"] * x

class Shape(keras.layers.Layer):
    def call(self, x, training=False):
        return tf.reshape(x, [7, 7, 7]) if training else x

class Check(keras.layers.Layer):
    def call(self, x, training=False):
        if training:
            tf.debugging.Assert(tf.reduce_all(x < -1e9), ["too large"])
        return x

class Fine(keras.layers.Layer):
    def __init__(self, factor, **named):
        super().__init__(**named)
        self.factor = factor

    def call(self, x):
        return x * self.factor

def ends(code):
    sys.exit(code)

def loss(target, output):
    return undefined
"""


@pytest.fixture
def helpers(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`helpers.layers`, as if it lay in src/ beside the trainer."""
    from trainer import explaining

    folder = tmp_path / "src" / "helpers"
    folder.mkdir(parents=True)
    (folder / "layers.py").write_text(HELPERS)
    monkeypatch.setattr(explaining, "SOURCE", tmp_path / "src")
    monkeypatch.syspath_prepend(tmp_path / "src")
    monkeypatch.delitem(sys.modules, "helpers.layers", raising=False)
    monkeypatch.delitem(sys.modules, "helpers", raising=False)
    import helpers.layers

    return helpers.layers


@pytest.fixture
def fit(helpers: Any, train: Train, model: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Train with these layers in the middle, and this loss."""
    import keras

    def run(*between: Callable[[Any], Any], loss: Any = "sparse_categorical_crossentropy") -> Any:
        def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
            hidden = keras.layers.Concatenate()(list(inputs.values()))
            for layer in between:
                hidden = layer(hidden)
            network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
            network.compile("adam", loss, weighted_metrics=["accuracy"])
            return network

        monkeypatch.setattr(model, "build_model", build_model)
        return train(epochs=1)

    return run


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Scale", r"^helpers/layers.py, line 8, in Scale.call\(\): KeyError: 'scale'$"),
        (
            "Shape",
            r"^helpers/layers.py, line 12, in Shape.call\(\): ValueError: Cannot reshape a tensor .* \(343 elements\)$",
        ),
        ("Check", r"^helpers/layers.py, line 17: InvalidArgumentError: assertion failed: \[too large\][^\n]*$"),
        ("ends", r"^helpers/layers.py, line 29 ended the program, before the training was done: sys.exit\(code\)$"),
        ("loss", r"^helpers/layers.py, line 32: NameError: name 'undefined' is not defined$"),
    ],
)
def test_a_failure_in_src_is_named_with_file_line_layer_and_reason(
    name: str, message: str, fit: Callable[..., Any], helpers: Any
) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match=message):
        if name == "loss":
            fit(loss=helpers.loss)
        elif name == "ends":
            fit(lambda _: helpers.ends(0))
        else:
            fit(getattr(helpers, name)())


def test_layers_of_ones_own_lambdas_and_helper_packages_are_trained(fit: Callable[..., Any], helpers: Any) -> None:
    """Without a get_config, too: an export needs none."""
    import keras

    assert fit(helpers.Fine(0.5), keras.layers.Lambda(lambda x: x + 1.0)).metrics["val_loss"] > 0


@pytest.mark.long
def test_keras_own_layers_are_named_with_their_reason(fit: Callable[..., Any]) -> None:
    import keras

    from trainer.run import UserError

    with pytest.raises(UserError) as caught:
        fit(keras.layers.Conv2D(3, 2))
    assert "expected min_ndim=4, found ndim=2" in str(caught.value)
    assert "\n" not in str(caught.value)
