# Owned by the template.
"""Writes the SavedModel, and proves that an endpoint can serve it."""

import contextlib
import json

import keras
import numpy as np
import tensorflow as tf

from trainer.data import Reader
from trainer.predictor import Predictor, plain
from trainer.run import join

# Differences that another order of additions explains.
TOLERANCE = 1e-4
# Travels with the model, where TensorFlow looks for nothing of its own: whoever serves it can compare an answer.
EXAMPLE = ("assets.extra", "example.json")


def export(network: keras.Model, reader: Reader, folder: str) -> tuple[dict, dict]:
    """Write `network` with its preprocessing to `folder` (saved_model.pb, variables/) and ask it for predictions.

    Returns a request and its response, which `assets.extra/example.json` keeps. Raises UserError when TensorFlow
    Serving could not load it, and RuntimeError when it would answer otherwise than the model that was trained.
    """
    archive = keras.export.ExportArchive()
    archive.track(network)
    signatures, layers = reader.signatures(lambda features: network(features, training=False))
    for layer in layers:
        archive.track(layer)
    for name, (function, specs) in signatures.items():
        archive.add_endpoint(name, function, input_signature=specs)
    archive.write_out(folder, verbose=False)

    request = {"instances": reader.examples()}
    function, (specs,) = signatures["serving_default"]
    expected = function(_tensors(specs, request["instances"]))
    with contextlib.closing(Predictor(folder)) as predictor:
        served = predictor.predict(request)
    _compare(expected, served["predictions"])
    tf.io.gfile.makedirs(join(folder, EXAMPLE[0]))
    with tf.io.gfile.GFile(join(folder, *EXAMPLE), "w") as file:
        file.write(json.dumps({"request": request, "response": served}))
    return request, served


def _tensors(specs: dict | tf.TensorSpec, instances: list) -> dict | tf.Tensor:
    if isinstance(specs, dict):
        return {key: tf.constant([row[key] for row in instances], spec.dtype) for key, spec in specs.items()}
    return tf.constant(instances, specs.dtype)


def _compare(expected: dict[str, tf.Tensor], predictions: list) -> None:
    for key, values in expected.items():
        trained = plain(values.numpy())
        served = [row[key] if isinstance(row, dict) else row for row in predictions]
        close = np.allclose(trained, served, TOLERANCE, TOLERANCE) if values.dtype.is_floating else trained == served
        if not close:
            raise RuntimeError(f"the exported model answers {key}={served}, the trained one {trained}")
