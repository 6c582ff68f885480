# Owned by the template: edit `model.py` instead.
"""Builds the network, and refuses by name what this training would leave out in silence."""

import inspect
import re
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from trainer.data import Reader
from trainer.export import answers_alike
from trainer.not_finite import find_not_finite, is_finite
from trainer.run import UserError, explaining_model

# What `fit`, `evaluate` and `predict` call, and the loop of this training does not.
_NOT_CALLED = [
    "train_step",
    "test_step",
    "predict_step",
    "fit",
    "evaluate",
    "predict",
    "train_on_batch",
    "test_on_batch",
]


def build(model: ModuleType, hyperparameters: Any, reader: Reader) -> tuple[keras.Model, bool]:
    """The network of `build_model`, and whether it was compiled with jit_compile=True; "auto" is no wish."""
    for training in (True, False):
        batches = reader.batches(training, hyperparameters.batch_size)
        if not isinstance(batches, tf.data.Dataset):
            kind = "a function that nobody called: add ()" if callable(batches) else f"a {type(batches).__name__}"
            raise UserError(f"model.py: DATA.batches must return a tf.data.Dataset; it returned {kind}")
    inputs = reader.inputs()
    hint = f"build_model gets the inputs {list(inputs)} and returns keras.Model(inputs, ...)"
    with explaining_model(hint):
        network = model.build_model(hyperparameters, dict(inputs))
    if not isinstance(network, keras.Model):
        raise UserError(f"model.py: build_model must return a keras.Model, not {type(network).__name__}")
    refuse_what_is_not_run(network, model)
    features, _, _ = next(iter(reader.batches(False, hyperparameters.batch_size)))
    with explaining_model(hint):
        output = network(features, training=False)
    if not getattr(network, "optimizer", None) or not _has_loss(network):
        raise UserError("model.py: build_model must compile its model with an optimizer and a loss")
    found = None if is_finite(output) else find_not_finite(network, reader, False, hyperparameters.batch_size)
    if problem := found or reader.check_output(output):
        raise UserError(f"model.py: {problem}")
    if not answers_alike(network, output, network(features, training=False)):
        what = "the network answers the same rows otherwise each time, with training=False, too"
        raise UserError(f"model.py: {what}: an export could not be compared with it; leave chance to the training")
    # Where "auto" comes to the same, as on a GPU, the page tells whether somebody asked.
    asked = network.jit_compile and (
        not network._resolve_auto_jit_compile() or "jit_compile" in inspect.getsource(model)
    )
    return network, asked


def refuse_what_is_not_run(network: keras.Model, model: ModuleType) -> None:
    """Raises UserError for an override, or a callback, that would never be called."""
    kind = type(network)
    for name in _NOT_CALLED:
        if name in vars(network) or getattr(kind, name) is not getattr(keras.Model, name):
            raise UserError(
                f"model.py: {kind.__name__} has a {name} of its own, which this training, a loop of its own, never "
                "calls; what it calls are call, compute_loss and compute_metrics: write it there"
            )
    callbacks = [name for name, value in vars(network).items() if _holds_callbacks(value)]
    if callbacks := callbacks + _callbacks_nobody_uses(model):
        raise UserError(
            f"model.py: {', '.join(callbacks)}: this training, a loop of its own, calls no Keras callbacks; it "
            "saves and reports by itself, a schedule of the learning rate goes into the optimizer, averages are use_ema"
        )


def _callbacks_nobody_uses(model: ModuleType) -> list[str]:
    """Names in model.py of callbacks, or of their classes, that stand there once only: where they are defined."""
    own = [name for name, value in vars(model).items() if getattr(value, "__module__", None) == model.__name__]
    names = [name for name, value in vars(model).items() if _holds_callbacks(value, name in own)]
    text = inspect.getsource(model) if names else ""
    return [name for name in names if len(re.findall(rf"\b{re.escape(name)}\b", text)) == 1]


def _holds_callbacks(value: Any, is_own: bool = False) -> bool:
    if is_own and inspect.isclass(value):
        return issubclass(value, keras.callbacks.Callback)
    values = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
    return any(isinstance(one, keras.callbacks.Callback) for one in values)


def _has_loss(network: keras.Model) -> bool:
    # Beside compile's, a loss is what compute_loss was overridden for, or add_loss was called with.
    added = len(network.losses) - len([one for one in network.trainable_variables if one.regularizer])
    return bool(network.loss) or type(network).compute_loss is not keras.Model.compute_loss or added > 0
