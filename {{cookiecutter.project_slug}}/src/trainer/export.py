# Owned by the template.
"""Writes the SavedModel, and proves that an endpoint can serve it, by asking it."""

import base64
import contextlib
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from trainer.encoding import Signatures
from trainer.explaining import explain
from trainer.files import plain_path
from trainer.reader import Reader
from trainer.run import Run, UserError, join

# Differences that another order of additions explains.
TOLERANCE = 1e-4
# And rounding in half precision, or in a GPU's TensorFloat-32, which has the digits of float16.
HALF_TOLERANCE = 2e-2
# Travels with the model, where TensorFlow looks for nothing of its own: whoever serves it can compare an answer.
EXAMPLE = ("assets.extra", "example.json")


def export(network: keras.Model, reader: Reader, folder: str) -> tuple[dict, dict]:
    """Write `network` with its preprocessing to `folder` (saved_model.pb, variables/) and ask it for predictions.

    Returns a request and its response, which `assets.extra/example.json` keeps. Raises UserError when TensorFlow
    Serving could not load it, and RuntimeError when it would answer otherwise than the model that was trained.
    """
    archive = keras.export.ExportArchive()
    archive.track(network)
    signatures, layers = signatures_of(network, reader)
    for layer in layers:
        archive.track(layer)
    for name, (function, specs) in signatures.items():
        archive.add_endpoint(name, function, input_signature=specs)
    archive.write_out(folder, verbose=False)
    _name_inputs(folder, {name: specs[0] for name, (_, specs) in signatures.items() if isinstance(specs[0], dict)})

    try:
        request = {"instances": reader.examples()}
        function, (specs,) = signatures["serving_default"]
        expected = function(tensors(specs, request["instances"]))
        with contextlib.closing(Predictor(folder)) as predictor:
            served = predictor.predict(request)
        _compare(expected, served["predictions"], _tolerance(network))
    except BaseException:
        # Nobody shall serve what has failed its proof.
        tf.io.gfile.remove(join(folder, "saved_model.pb"))
        raise
    tf.io.gfile.makedirs(join(folder, EXAMPLE[0]))
    with tf.io.gfile.GFile(join(folder, *EXAMPLE), "w") as file:
        file.write(json.dumps({"request": request, "response": served}))
    return request, served


@contextlib.contextmanager
def keeping_weights(run: Run) -> Iterator[None]:
    """Say of a failed export where the trained weights are, and how to export them again. Raises UserError for it."""
    try:
        yield
    except Exception as error:
        failure = explain(error)
        # On one line, and short, because the clouds show the beginning of an error, and TensorFlow has much to say.
        said = str(failure) if failure.place else failure.reason.removeprefix("UserError: ")
        kept = f"the model is trained, and its weights are in {run.checkpoint_dir}, but its export failed"
        again = run.export_again or "The same job on these checkpoints exports them again, without training."
        raise UserError(f"{kept}: {said}. {again}") from error


def _name_inputs(folder: str, signatures: dict[str, dict[str, tf.TensorSpec]]) -> None:
    """Call the inputs of an export by the keys of `signatures`, where their names in the graph are others.

    An endpoint knows them by these keys only. To Python's `tf.saved_model.load`, which makes arguments of functions of
    them, they keep the names in the graph.
    """
    if all(spec.name in (key, None) for specs in signatures.values() for key, spec in specs.items()):
        return
    saved = saved_model_pb2.SavedModel()
    with tf.io.gfile.GFile(join(folder, "saved_model.pb"), "rb") as file:
        saved.ParseFromString(file.read())
    for meta_graph in saved.meta_graphs:
        for name, specs in signatures.items():
            before = meta_graph.signature_def[name]
            after = type(before)()
            after.CopyFrom(before)
            after.inputs.clear()
            for key, spec in specs.items():
                after.inputs[key].CopyFrom(before.inputs[spec.name or key])
            before.CopyFrom(after)
    with tf.io.gfile.GFile(join(folder, "saved_model.pb"), "wb") as file:
        file.write(saved.SerializeToString())
    # It is of the file as it was; no loader needs it.
    fingerprint = join(folder, "fingerprint.pb")
    if tf.io.gfile.exists(fingerprint):
        tf.io.gfile.remove(fingerprint)


def signatures_of(network: keras.Model, reader: Reader) -> tuple[Signatures, list]:
    """What a reader's signatures are for `network`."""
    return reader.signatures(lambda features: _single(network(features, training=False)))


def tensors(specs: dict | tf.TensorSpec, instances: list) -> dict | tf.Tensor:
    """The argument of a signature, of rows as JSON has them."""
    instances = decoded(instances)
    if isinstance(specs, dict):
        return {key: tf.constant([row[key] for row in instances], spec.dtype) for key, spec in specs.items()}
    return tf.constant(instances, specs.dtype)


def _single(output: Any) -> Any:
    # JSON and its clients know no half precision.
    half = (tf.float16, tf.bfloat16)
    return tf.nest.map_structure(lambda one: tf.cast(one, tf.float32) if one.dtype in half else one, output)


def answers_alike(network: keras.Model, one: Any, other: Any) -> bool:
    """Whether two answers of `network` differ by rounding only."""
    pairs = zip(tf.nest.flatten(_single(one)), tf.nest.flatten(_single(other)), strict=True)
    return all(_close(*pair, _tolerance(network)) for pair in pairs)


def _tolerance(network: keras.Model) -> float:
    is_half = any("16" in str(layer.compute_dtype) for layer in network._flatten_layers())
    on_gpu = tf.config.list_physical_devices("GPU") and tf.config.experimental.tensor_float_32_execution_enabled()
    return HALF_TOLERANCE if is_half or on_gpu else TOLERANCE


def _close(one: Any, other: Any, tolerance: float) -> bool:
    return np.allclose(one, other, tolerance, tolerance)


def _compare(expected: dict[str, tf.Tensor], predictions: list, tolerance: float) -> None:
    for key, values in expected.items():
        trained = plain(values.numpy())
        served = [row[key] if isinstance(row, dict) else row for row in predictions]
        if values.dtype.is_floating:
            close = _close(trained, served, tolerance)
        else:
            # Where two labels are as likely as each other, rounding decides.
            named = re.fullmatch("(.*)class_(id|label)", key)
            likely = expected.get(f"{named[1]}probabilities") if named else None
            best = None if likely is None else np.sort(likely, axis=1)[:, -2:]
            sure = [True] * len(trained) if best is None else best[:, 1] - best[:, 0] > 2 * tolerance
            close = all(one == other for one, other, known in zip(trained, served, sure, strict=True) if known)
        if not close:
            raise RuntimeError(f"the exported model answers {key}={served}, the trained one {trained}")


class Predictor:
    """A loaded SavedModel, which answers requests as TensorFlow Serving would, without a server.

    Loads with the v1 Session loader, as TensorFlow Serving's C++ loader does: `tf.saved_model.load` also loads exports
    that no endpoint can serve (tensorflow/serving#2250). Raises UserError when `folder` holds none that can be loaded.
    """

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
