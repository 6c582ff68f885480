"""What a signature of a loaded model takes, and a call into its session."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DataType
from tensorflow.core.protobuf.config_pb2 import CallableOptions

from .refusal import refuse

# TensorFlow's status codes to HTTP's. Source: tensorflow_serving/model_servers/http_server.cc.
_HTTP = {1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 14: 503, 16: 401}
_NAMES = {"float32": "float", "float64": "double", "float16": "half"}


@dataclass(frozen=True)
class Input:
    """An input: TensorFlow's name of its type, and its shape, -1 for a free size; None is any rank."""

    dtype: str
    shape: list[int] | None

    def __str__(self) -> str:
        return f"{self.dtype} {'of any shape' if self.shape is None else self.shape}"


class Signature:
    """One SignatureDef. `inputs` and `outputs` are in alphabetical order."""

    def __init__(self, session: tf.compat.v1.Session, definition: Any, python_ops: list[str]) -> None:
        self.definition = definition
        self.inputs = {key: _input(definition.inputs[key]) for key in sorted(definition.inputs)}
        self.dtypes = {key: tensor.dtype for key, tensor in self.inputs.items()}
        self._outputs = {key: definition.outputs[key].name for key in sorted(definition.outputs)}
        self._python_ops = python_ops
        self._session = session
        self._fetches = list(dict.fromkeys(self._outputs.values()))
        self._call: Any = None

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs. Raises RefusedError with TensorFlow's words and the HTTP status that they get."""
        try:
            if self._call is None:
                self._call = self._make_call()
            values = dict(zip(self._fetches, self._call(*(feeds[key] for key in self.inputs)), strict=True))
        except tf.errors.OpError as error:
            if self._python_ops:
                # This process has the kernel, but not the function that it would call.
                op, _, where = self._python_ops[0].partition(" ")
                refuse(f"No OpKernel was registered to support Op '{op}' used by {where}")
            wrong = [
                f"{key}, of shape {list(feeds[key].shape)}" for key in self.inputs if not self._fits(key, feeds[key])
            ]
            refuse(error.message, _HTTP.get(error.error_code, 500), key="; ".join(wrong))
        return {key: values[tensor] for key, tensor in self._outputs.items()}

    def example(self) -> dict[str, Any]:
        """A request that fits the signature: one row of zeros, empty strings and false."""
        inputs = {key: _zeros(tensor) for key, tensor in self.inputs.items()}
        alone = next(iter(inputs.values())) if len(inputs) == 1 else None
        if any(tensor.shape == [] for tensor in self.inputs.values()):
            return {"inputs": inputs if alone is None else alone}
        return {"instances": [{key: rows[0] for key, rows in inputs.items()} if alone is None else alone[0]]}

    def metadata(self) -> dict[str, Any]:
        """The SignatureDef as TensorFlow Serving prints it."""
        return {
            "inputs": {key: _tensor_info(info) for key, info in sorted(self.definition.inputs.items())},
            "outputs": {key: _tensor_info(info) for key, info in sorted(self.definition.outputs.items())},
            "method_name": self.definition.method_name,
            "defaults": {},
        }

    def __str__(self) -> str:
        return ", ".join(f"{key}: {tensor}" for key, tensor in self.inputs.items())

    def _fits(self, key: str, tensor: np.ndarray) -> bool:
        shape = self.inputs[key].shape
        if shape is None:
            return True
        return len(shape) == tensor.ndim and all(
            size in (-1, given) for size, given in zip(shape, tensor.shape, strict=True)
        )

    def _make_call(self) -> Any:
        # Session.run would refuse a shape that TensorFlow Serving, which checks no more than the type, hands to the
        # graph; it is also four times as slow.
        options = CallableOptions(feed=[self.definition.inputs[key].name for key in self.inputs], fetch=self._fetches)
        return self._session._make_callable_from_options(options)


def _input(info: Any) -> Input:
    name = tf.as_dtype(info.dtype).name
    shape = None if info.tensor_shape.unknown_rank else [dim.size for dim in info.tensor_shape.dim]
    return Input(_NAMES.get(name, name), shape)


def _tensor_info(info: Any) -> dict[str, Any]:
    dims = [{"size": str(dim.size), "name": dim.name} for dim in info.tensor_shape.dim]
    shape = {"dim": dims, "unknown_rank": info.tensor_shape.unknown_rank}
    return {"dtype": DataType.Name(info.dtype), "tensor_shape": shape, "name": info.name}


def _zeros(tensor: Input) -> Any:
    zero: Any = {"string": "", "bool": False, "float": 0.0, "double": 0.0}.get(tensor.dtype, 0)
    for size in reversed([-1] if tensor.shape is None else tensor.shape):
        zero = [zero] * (1 if size < 0 else size)
    return zero
