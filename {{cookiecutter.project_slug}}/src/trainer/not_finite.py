# Owned by the template: edit `model.py` instead.
"""Which row of the data, and which layer, make a network that nobody has trained answer with NaN or infinity."""

import functools
import math
import time
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from trainer.data import CsvReader, Reader

SECONDS_TO_LOOK = 30


def find_not_finite(network: keras.Model, reader: Reader, training: bool, batch_size: int) -> str | None:
    """A sentence about the first such row and layer; None where there is none, or none is found in time."""
    stop = time.monotonic() + SECONDS_TO_LOOK
    for places, batch in _placed(reader, training, batch_size):
        if time.monotonic() > stop:
            return None
        if _guilty(network, *batch):
            for row, place in enumerate(places):
                if who := _guilty(network, *tf.nest.map_structure(lambda value, row=row: value[row : row + 1], batch)):
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


def _guilty(network: keras.Model, features: Any, target: Any, weight: tf.Tensor) -> str | None:
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
    return None if is_finite(network.compute_loss(features, target, output, weight)) else "the loss"


def _call(one: Any, found: list[str], *arguments: Any, **named: Any) -> Any:
    # Whoever answers first is at the origin.
    output = type(one).call(one, *arguments, **named)
    if not is_finite(output):
        found.append(f"the output of the layer {one.name!r} ({type(one).__name__})")
    return output
