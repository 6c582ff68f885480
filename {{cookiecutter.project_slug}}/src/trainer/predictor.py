# Owned by the template.
"""Answers prediction requests from a SavedModel the way TensorFlow Serving would, without a server.

Loads with the v1 Session loader, as TensorFlow Serving's C++ loader does: `tf.saved_model.load` also loads exports that
no endpoint can serve (tensorflow/serving#2250).
"""

import base64
import contextlib
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.files import plain_path
from trainer.run import UserError


class Predictor:
    """A loaded SavedModel. Raises UserError when `folder` holds none that the C++ loader can load."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            try:
                with _no_deprecation_warning():
                    loaded = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], plain_path(folder))
            except (OSError, RuntimeError, tf.errors.OpError) as error:
                raise UserError(f"{folder} holds no model that TensorFlow Serving can load: {error}") from error
        self.signatures = {
            name: signature for name, signature in loaded.signature_def.items() if not name.startswith("__saved_model")
        }

    def predict(self, request: dict) -> dict:
        """`{"instances": [...], "signature_name": "..."}` to `{"predictions": [...]}`, all JSON values.

        Raises UserError when the request does not fit the signature, naming the input and what it takes.
        """
        name = request.get("signature_name", "serving_default")
        if name not in self.signatures:
            raise UserError(f"there is no signature {name!r}; the model has {sorted(self.signatures)}")
        signature = self.signatures[name]
        instances = request.get("instances")
        if not isinstance(instances, list) or not instances:
            raise UserError('a request is {"instances": [one row, ...]} with at least one row')
        feeds = {
            signature.inputs[key].name: self._tensor(key, signature.inputs[key], values)
            for key, values in self._columns(signature, instances).items()
        }
        try:
            outputs = self._session.run({key: signature.outputs[key].name for key in sorted(signature.outputs)}, feeds)
        except tf.errors.OpError as error:
            raise UserError(f"the model cannot answer: {_reason(error.message)}") from error
        columns = {key: plain(values) for key, values in outputs.items()}
        if len(columns) == 1:
            return {"predictions": next(iter(columns.values()))}
        return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}

    def close(self) -> None:
        self._session.close()

    def _columns(self, signature: Any, instances: list) -> dict[str, list]:
        inputs = sorted(signature.inputs)
        if not isinstance(instances[0], dict) or _is_bytes(instances[0]):
            if len(inputs) > 1:
                raise UserError(f"a row is an object with the inputs {inputs}, not {json.dumps(instances[0])}")
            return {inputs[0]: instances}
        for row in instances:
            if not isinstance(row, dict) or sorted(row) != inputs:
                given = set(row) if isinstance(row, dict) else set()
                wrong = f"missing: {sorted(set(inputs) - given)}, not known: {sorted(given - set(inputs))}"
                raise UserError(f"a row is an object with exactly the inputs {inputs}; {wrong}")
        return {key: [row[key] for row in instances] for key in inputs}

    def _tensor(self, key: str, info: Any, values: list) -> np.ndarray:
        dtype = tf.as_dtype(info.dtype)
        shape = [None if size.size < 0 else size.size for size in info.tensor_shape.dim]
        wanted = f"input {key!r} takes {dtype.name} of shape {shape} (the first is the number of rows)"
        try:
            # As objects: NumPy's own bytes end before their last zeros.
            array = np.array(decoded(values), object if dtype == tf.string else None)
        except ValueError as error:
            raise UserError(f"{wanted}; the rows differ in length") from error
        kinds = {"string": "O", "float32": "iuf", "int64": "i"}.get(dtype.name, "biuf")
        fits = len(array.shape) == len(shape) and all(
            want in (None, got) for want, got in zip(shape, array.shape, strict=True)
        )
        texts = dtype != tf.string or all(isinstance(one, (str, bytes)) for one in array.flat)
        if array.dtype.kind not in kinds or not fits or not texts:
            raise UserError(f"{wanted}, not {json.dumps(values)[:200]}")
        return array.astype(dtype.as_numpy_dtype)


def decoded(value: Any) -> Any:
    """JSON values with the bytes that {"b64": ...} stands for. Raises UserError for what is no base64."""
    if isinstance(value, list):
        return [decoded(one) for one in value]
    if not _is_bytes(value):
        return {key: decoded(one) for key, one in value.items()} if isinstance(value, dict) else value
    try:
        return base64.b64decode(value["b64"], validate=True)
    except ValueError as error:
        raise UserError(f"{json.dumps(value)[:100]} is no base64: {error}") from error


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _reason(message: str) -> str:
    # The line before the node's name; above it stands where the graph was built, which is nobody's business here.
    found = re.search(r"([^\n]+)\n[^\n]*\[\[\{\{node", message)
    return found.group(1) if found else message


@contextlib.contextmanager
def _no_deprecation_warning() -> Iterator[None]:
    # It recommends the loader that cannot see what the C++ loader sees.
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def plain(values: np.ndarray) -> list:
    """An output tensor as JSON has it: strings for bytes, float32 without the digits that it does not hold."""
    if values.dtype == object:
        return np.vectorize(bytes.decode, otypes=[object])(values).tolist()
    return (values.astype(str).astype(float) if values.dtype == np.float32 else values).tolist()
