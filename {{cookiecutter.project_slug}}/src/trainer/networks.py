# Owned by the template: edit `model.py` instead.
"""Builds the network, refuses by name what this training would leave out in silence, and finds what makes NaN."""

import functools
import inspect
import math
import re
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from trainer.data import CsvReader
from trainer.encoding import Units
from trainer.export import answers_alike, signatures_of, tensors
from trainer.reader import Reader, refuse
from trainer.run import UserError, explaining_model

SECONDS_TO_LOOK = 30
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


# Losses, and what may end a network, that know no number below 0; standardised, half of the targets are.
_WITHOUT_NEGATIVES = {
    "poisson",
    "mean_squared_logarithmic_error",
    "mean_absolute_percentage_error",
    "binary_crossentropy",
    "relu",
    "relu6",
    "softplus",
    "exponential",
    "exp",
    "sigmoid",
    "hard_sigmoid",
}
# How far from 0, in deviations of the target, a new network seldom answers.
_FAR = 10


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
        network = model.build_model(hyperparameters, dict(inputs))
    if not isinstance(network, keras.Model):
        raise UserError(f"model.py: build_model must return a keras.Model, not {type(network).__name__}")
    refuse_what_is_not_run(network, model)
    features, _, _ = next(iter(reader.batches(False, hyperparameters.batch_size)))
    with explaining_model(hint):
        output = network(features, training=False)
    if not getattr(network, "optimizer", None) or not _has_loss(network):
        raise UserError("model.py: build_model must compile its model with an optimizer and a loss")
    if is_own:
        refuse("answers", reader, lambda: signatures_of(network, reader), tensors, output)
    found = None if is_finite(output) else find_not_finite(network, reader, False, hyperparameters.batch_size)
    if problem := found or reader.check_output(output) or _refused_units(network, reader):
        raise UserError(f"model.py: {problem}")
    if not answers_alike(network, output, network(features, training=False)):
        what = "the network answers the same rows otherwise each time, with training=False, too"
        raise UserError(f"model.py: {what}: an export could not be compared with it; leave chance to the training")
    if isinstance(reader, CsvReader) and reader.units != Units() and (far := float(tf.reduce_mean(output))) > _FAR:
        print(
            f"note: before any training the network answers {far:.4g}, where the standardised target has mean 0 and "
            f"deviation 1. Leave out what model.py scales it by, or write Number(..., standardise=False)",
            flush=True,
        )
    # Where "auto" comes to the same, as on a GPU, the page tells whether somebody asked.
    asked = network.jit_compile and (
        not network._resolve_auto_jit_compile() or "jit_compile" in inspect.getsource(model)
    )
    return network, asked


def _refused_units(network: keras.Model, reader: Reader) -> str | None:
    """Why a standardised target does not fit the loss or the last layer, in words; None where it may."""
    if getattr(reader, "units", Units()) == Units():
        return None
    losses = [keras.losses.get(loss) for loss in tf.nest.flatten(network.loss) if loss is not None]
    ends = [tensor._keras_history.operation for tensor in tf.nest.flatten(getattr(network, "outputs", None) or [])]
    used = [getattr(loss, "fn", loss) for loss in losses]
    used += [getattr(end, "activation", None) or type(end) for end in ends]
    names = [getattr(one, "__name__", "").lower() for one in used]
    if not (found := next((name for name in names if name in _WITHOUT_NEGATIVES), None)):
        return None
    target = reader.table.target.name
    return (
        f"{found} knows no negative number, and half of a standardised target is below 0: "
        f"write Number({target!r}, standardise=False)"
    )


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


def find_not_finite(network: keras.Model, reader: Reader, training: bool, batch_size: int) -> str | None:
    """A sentence about the first such row and layer; None where there is none, or none is found in time."""
    units = getattr(reader, "units", Units())
    stop = time.monotonic() + SECONDS_TO_LOOK
    for places, batch in _placed(reader, training, batch_size):
        if time.monotonic() > stop:
            return None
        if _guilty(network, units, *batch):
            for row, place in enumerate(places):
                if who := _guilty(
                    network, units, *tf.nest.map_structure(lambda value, row=row: value[row : row + 1], batch)
                ):
                    return f"{who} is not finite for {place}"
    return None


def is_finite(values: Any) -> bool:
    """Whether every number of a tensor, or of several, is."""
    floats = [value for value in tf.nest.flatten(values) if tf.is_tensor(value) and value.dtype.is_floating]
    return all(bool(tf.reduce_all(tf.math.is_finite(value))) for value in floats)


def _placed(reader: Reader, training: bool, batch_size: int) -> Iterator[tuple[list[str], Any]]:
    if isinstance(reader, CsvReader):
        yield from reader.placed(training)
        return
    count = math.ceil((reader.train_rows if training else reader.eval_rows) / batch_size)
    for number, batch in enumerate(reader.batches(training, batch_size).take(count), start=1):
        end = f"of batch {number} of the {'shuffled training' if training else 'evaluation'} data"
        yield [f"row {row + 1} {end}" for row in range(len(tf.nest.flatten(batch)[0]))], batch


def _guilty(network: keras.Model, units: Units, features: Any, target: Any, weight: tf.Tensor) -> str | None:
    """What first answers with a value that is not finite, in words, if the output or the loss is not."""
    found = [f"the input {name!r}" for name, value in features.items() if not is_finite(value)]
    watched = list(network._flatten_layers(include_self=False))
    watched += [one for function in [network, *watched] for one in getattr(function, "operations", ())]
    for one in watched:
        vars(one)["call"] = functools.partial(_call, one, found)
    try:
        output = network(features, training=False)
    finally:
        for one in watched:
            vars(one).pop("call", None)
    if not is_finite(output):
        return found[0] if found else "the output"
    target = tf.reshape(target, [-1, 1]) if tf.is_tensor(target) and output.shape[1:] == [1] else target
    target = units.standardise(target)
    return None if is_finite(network.compute_loss(features, target, output, weight)) else "the loss"


def _call(one: Any, found: list[str], *arguments: Any, **named: Any) -> Any:
    # Whoever answers first is at the origin.
    output = type(one).call(one, *arguments, **named)
    if not is_finite(output):
        found.append(f"the output of the layer {one.name!r} ({type(one).__name__})")
    return output
