"""A job of several hosts trains as one host does: real processes, which start as SageMaker's toolkit starts them."""

import json
from pathlib import Path

import pytest

from tests.template.hosts import Job

# Before the entry point trains: in one cluster, each way to build a model is trained by all hosts and, by each for itself,
# by one; what differs goes to `found.json`. A training of TensorFlow's cluster is possible once in a process only.
COMPARE = """
import dataclasses
import json
import keras
import numpy as np
import tensorflow as tf
from trainer import loop, model, training
from trainer.cluster import Peers
from trainer.run import Objective

SGD = keras.optimizers.SGD


def built(optimizer, hidden=(), **compiled):
    def build_model(hyperparameters, inputs):
        x = keras.layers.Concatenate()(list(inputs.values()))
        x = keras.layers.Dense(8, activation="tanh")(x)
        for layer in hidden:
            x = layer()(x)
        network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", dtype="float32")(x))
        compiled.setdefault("loss", "sparse_categorical_crossentropy")
        network.compile(optimizer(), weighted_metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="entropy")], **compiled)
        return network

    return build_model


normalised = lambda: keras.layers.BatchNormalization(synchronized=True)
regular = lambda: keras.layers.Dense(8, kernel_regularizer="l2", activity_regularizer=None)
half = lambda: keras.optimizers.LossScaleOptimizer(SGD(0.5, global_clipnorm=0.05), initial_scale=2.0**10)
CASES = {
    "all at once": (built(lambda: SGD(0.3, momentum=0.9, clipnorm=0.1, use_ema=True), [regular, normalised]), 17),
    "plain": (built(lambda: SGD(0.5)), 16),
    "uneven": (built(lambda: SGD(0.5)), 17),
    "regularised": (built(lambda: SGD(0.5, momentum=0.9), [regular]), 13),
    "clipnorm": (built(lambda: SGD(0.5, clipnorm=0.05)), 17),
    "global_clipnorm": (built(lambda: SGD(0.5, global_clipnorm=0.05)), 17),
    "clipvalue": (built(lambda: SGD(0.5, clipvalue=0.01)), 17),
    "scaled loss": (built(half), 17),
    "averages": (built(lambda: SGD(0.5, use_ema=True)), 16),
    "batch statistics": (built(lambda: SGD(0.1), [normalised]), 17),
    "dropout": (built(lambda: SGD(0.5), [lambda: keras.layers.Dropout(0.2)]), 16),
}
RANDOM = {"dropout"}


def trained(reader, strategy, peers, build_model, batch_size):
    told = dataclasses.replace(model.Hyperparameters(), batch_size=batch_size, epochs=1, seed=3)
    keras.utils.set_random_seed(4)
    model.build_model = build_model
    with loop.scope(strategy):
        network, jit = loop.build(model, told, reader)
        if peers.count > 1:
            loop.refuse_on_hosts(network)
        steps = loop.Loop(network, reader, strategy, told, peers, jit)
    # A hundred steps, in whole epochs.
    epochs = -(-100 // steps.steps)
    steps.hyperparameters = dataclasses.replace(told, epochs=epochs)
    seen = list(steps.epochs(0))
    return [variable.numpy() for variable in network.variables], seen[-1][1]


def compare(reader, strategy, peers):
    found = {}
    for name, (build_model, batch_size) in CASES.items():
        together, metrics = trained(reader, strategy, peers, build_model, batch_size)
        if not peers.is_chief:
            found[name] = [0, 0, [value.tobytes().hex() for value in together]]
            continue
        alone, expected = trained(reader, tf.distribute.get_strategy(), Peers(None), build_model, batch_size)
        far = max(float(np.abs(one - other).max()) for one, other in zip(together, alone))
        of_metrics = max(abs(metrics[key] - expected[key]) for key in expected)
        found[name] = [far, of_metrics, [value.tobytes().hex() for value in together]]
    from pathlib import Path
    Path(os.environ["SAGEMAKER_BASE_DIR"], "found.json").write_text(json.dumps(found))


def look(reader, hyperparameters, peers, agree=training._agree):
    agree(reader, hyperparameters, peers)
    mine = model.build_model
    compare(reader, tf.distribute.get_strategy() if peers.count == 1 else strategies[0], peers)
    model.build_model = mine


strategies, make = [], training._strategy
training._strategy = lambda *given: strategies.append(make(*given)) or strategies[-1]
training._agree = look
"""
