# Owned by the template: edit `model.py` instead.
"""Builds the network, and refuses what this training, an export or an endpoint could not do with it."""

import inspect
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from trainer.data import CsvReader
from trainer.explaining import UserError, ask, explaining_model
from trainer.export import answers_alike, signatures_of, tensors
from trainer.reader import Reader, refuse


def build(model: ModuleType, hyperparameters: Any, reader: Reader) -> tuple[keras.Model, bool]:
    """The network of `build_model`, and whether it was compiled with jit_compile=True; "auto" is no wish."""
    is_own = type(reader) is not CsvReader
    if is_own:
        refuse("batches", reader, hyperparameters.batch_size)
        # What a reader has drawn, or a look at it, shall not decide on the weights.
        keras.utils.set_random_seed(hyperparameters.seed + 1)
    inputs = reader.inputs()
    hint = f"build_model gets the inputs {list(inputs)} and returns keras.Model(inputs, ...)"
    with explaining_model(hint):
        network = call(model.build_model, hyperparameters, dict(inputs), steps=steps_of(hyperparameters, reader))
    if not isinstance(network, keras.Model):
        raise UserError(f"model.py: build_model must return a keras.Model, not {type(network).__name__}")
    if problem := ask("not_run", network, model):
        raise UserError(f"model.py: {problem}")
    features, _, _ = next(iter(reader.batches(False, hyperparameters.batch_size)))
    with explaining_model(hint):
        output = network(features, training=False)
    if not getattr(network, "optimizer", None) or not _has_loss(network):
        raise UserError("model.py: build_model must compile its model with an optimizer and a loss")
    if is_own:
        refuse("answers", reader, lambda: signatures_of(network, reader), tensors, output)
    looked = (network, reader, False, hyperparameters.batch_size)
    found = (
        None if is_finite(output) else ask("not_finite", *looked, otherwise="the output of a new network is not finite")
    )
    if problem := found or reader.check_output(output) or ask("losses", network, reader):
        raise UserError(f"model.py: {problem}")
    if not answers_alike(network, output, network(features, training=False)):
        what = "the network answers the same rows otherwise each time, with training=False, too"
        raise UserError(f"model.py: {what}: an export could not be compared with it; leave chance to the training")
    if note := ask("far", output, reader):
        print(f"note: {note}", flush=True)
    # Where "auto" comes to the same, as on a GPU, the page tells whether somebody asked.
    asked = network.jit_compile and (
        not network._resolve_auto_jit_compile() or "jit_compile" in inspect.getsource(model)
    )
    return network, asked


def call(function: Callable, *given: Any, **offered: Any) -> Any:
    """`function` of model.py, with what it takes beyond `given`: those of `offered` that its parameters name."""
    taken = inspect.signature(function).parameters
    return function(*given, **{name: value for name, value in offered.items() if name in taken})


def steps_of(hyperparameters: Any, reader: Reader) -> int:
    """How many steps a whole training has: what a schedule of the learning rate is made for."""
    return hyperparameters.epochs * math.ceil(reader.train_rows / hyperparameters.batch_size)


def _has_loss(network: keras.Model) -> bool:
    # Beside compile's, a loss is what compute_loss was overridden for, or add_loss was called with.
    added = len(network.losses) - len([one for one in network.trainable_variables if one.regularizer])
    return bool(network.loss) or type(network).compute_loss is not keras.Model.compute_loss or added > 0


def is_finite(values: Any) -> bool:
    """Whether every number of a tensor, or of several, is."""
    floats = [value for value in tf.nest.flatten(values) if tf.is_tensor(value) and value.dtype.is_floating]
    return all(bool(tf.reduce_all(tf.math.is_finite(value))) for value in floats)
