"""The `classify` and `regress` methods: tf.Examples made of JSON, and their results.

Source: tensorflow_serving/util/json_tensor.cc; classifier.cc and regressor.cc of servables/tensorflow. A signature's
method_name is not looked at: --enable_signature_method_name_check is off.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DataType

from .json_parser import members
from .json_text import results, shown
from .refusal import refuse
from .signature import Signature
from .tensors import decoded, is_b64, json_type

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def examples(document: dict[str, Any]) -> list[bytes]:
    """The serialised tf.Examples of a request, each after what they have in common. Raises RefusedError."""
    context = _example(document["context"]) if "context" in document else b""
    if "examples" not in document:
        # It says classify for regress, too.
        refuse(f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected and was not found")
    rows = document["examples"]
    if not isinstance(rows, list):
        refuse(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not rows:
        refuse(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    return [context + _example(row) for row in rows]


def classify(signature: Signature, rows: list[bytes]) -> bytes:
    """The answer, [label, score] of each class of each row, as JSON. Raises RefusedError."""
    outputs = signature.definition.outputs
    if len(signature.inputs) != 1:
        refuse("Expected one input Tensor.")
    if len(outputs) not in (1, 2):
        refuse(f"Expected one or two output Tensors, found {len(outputs)}")
    if "inputs" not in signature.inputs:
        refuse(f"No classification inputs found in SignatureDef: {signature.definition}")
    if "classes" not in outputs and "scores" not in outputs:
        refuse(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature.definition}"
        )
    found = _run(signature, rows)
    classes, scores = found.get("classes"), found.get("scores")
    for name, tensor, dtype in (("classes", classes, "DT_STRING"), ("scores", scores, "DT_FLOAT")):
        if tensor is None:
            continue
        if tensor.ndim != 2:
            refuse(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(tensor)}")
        if _type(signature, name) != dtype:
            refuse(f"Expected {name} Tensor of {dtype}. Got: {_type(signature, name)}")
        if len(tensor) != len(rows):
            refuse(f"Expected {name} output batch size of {len(rows)}. Got: {len(tensor)}")
    if classes is not None and scores is not None and classes.shape != scores.shape:
        refuse(f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}")
    shape = next(tensor.shape for tensor in (classes, scores) if tensor is not None)
    labels = np.full(shape, b"", object) if classes is None else classes
    return results(np.zeros(shape, np.float32) if scores is None else scores, labels)


def regress(signature: Signature, rows: list[bytes]) -> bytes:
    """The answer, a number for each row, as JSON. Raises RefusedError."""
    if len(signature.inputs) != 1:
        refuse("Expected one input Tensor.")
    if len(signature.definition.outputs) != 1:
        refuse("Expected one output Tensor.")
    if "inputs" not in signature.inputs:
        refuse(f"No regression inputs found in SignatureDef: {signature.definition}")
    if "outputs" not in signature.definition.outputs:
        refuse(f"No regression outputs found in SignatureDef: {signature.definition}")
    tensor = _run(signature, rows)["outputs"]
    if not (tensor.ndim == 1 or (tensor.ndim == 2 and tensor.shape[1] == 1)):
        refuse("Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got " + _shape(tensor))
    if len(tensor) != len(rows):
        refuse(f"Input batch size did not match output batch size: {len(rows)} vs. {len(tensor)}")
    if _type(signature, "outputs") != "DT_FLOAT":
        refuse(f"Expected output Tensor of DT_FLOAT.  Got: {_type(signature, 'outputs')}")
    return results(tensor.ravel())


def _example(value: Any) -> bytes:
    if not isinstance(value, dict):
        refuse(f"Example must be JSON object but got JSON {json_type(value)}")
    features: dict[str, tf.train.Feature] = {}
    for name, content in members(value):
        features[name] = feature = tf.train.Feature()
        for each in content if isinstance(content, list) else [content]:
            _add(each, name, feature)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _add(value: Any, name: str, feature: tf.train.Feature) -> None:
    if value is None or isinstance(value, list) or (isinstance(value, dict) and not is_b64(value)):
        refuse(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")
    if isinstance(value, (str, dict)):
        content: Any = decoded(value) if isinstance(value, dict) else value.encode("utf-8", "surrogateescape")
        kind = "bytes_list"
    elif isinstance(value, float) or not -(2**63) <= value < 2**64:
        with np.errstate(over="ignore"):
            kind, content = "float_list", float(np.float32(value))
    else:
        kind, content = "int64_list", int(value)
    had = feature.WhichOneof("kind")
    if had not in (None, kind):
        refuse(f"Unexpected element type in feature: {name} expecting type: {_KINDS[had]}")
    if kind == "int64_list" and content >= 2**63:
        refuse(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    getattr(feature, kind).value.append(content)


def _run(signature: Signature, rows: list[bytes]) -> dict[str, np.ndarray]:
    return signature.run({"inputs": np.array(rows, object)})


def _shape(tensor: np.ndarray) -> str:
    return f"[{','.join(map(str, tensor.shape))}]"


def _type(signature: Signature, output: str) -> str:
    return DataType.Name(signature.definition.outputs[output].dtype)
