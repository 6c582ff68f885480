"""One version of a model, loaded as TensorFlow Serving loads it.

The v1 Session loader sees what the C++ loader sees: `tf.saved_model.load` also loads exports that no endpoint can serve
(tensorflow/serving#2250).
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from .json_text import answer
from .predict_request import signature_name, tensors
from .refusal import RefusedError, log, refuse
from .saved_model_file import file_ops, python_only_ops, writes_at_load
from .signature import Signature

# What the trainer leaves beside the model: {"request": ..., "response": ...}.
EXAMPLE = ("assets.extra", "example.json")
_NO_PYTHON = "write it with TensorFlow's operations: TensorFlow Serving cannot call back into Python"
_LOST = (
    "tf.saved_model.save of an object that holds a Keras model loses its variables: export with "
    "keras.export.ExportArchive, as src/trainer/export.py does"
)


class Model:
    """A loaded version. Raises OSError, RuntimeError, ValueError or OpError where the loader does."""

    def __init__(self, folder: Path) -> None:
        tf.get_logger().setLevel("ERROR")
        _check_start(folder)
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default(), _plain(folder) as plain:
            loaded = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], str(plain))
        self.python_ops = python_only_ops(folder)
        self._file_ops = file_ops(folder)
        if self._file_ops:
            log(f"warning: the model reads or writes files where it is served: {', '.join(self._file_ops)}")
        self.signatures = {
            name: Signature(self._session, definition, self.python_ops)
            for name, definition in sorted(loaded.signature_def.items())
        }
        example = folder.joinpath(*EXAMPLE)
        self._example = json.loads(example.read_text(encoding="utf-8"))["request"] if example.is_file() else {}

    @property
    def served(self) -> dict[str, Signature]:
        """The signatures that a request can name: not the loader's own, which take nothing."""
        return {name: signature for name, signature in self.signatures.items() if signature.inputs}

    def predict(self, document: dict[str, Any]) -> bytes:
        """The answer to a predict request's JSON object, as JSON. Raises RefusedError."""
        name = signature_name(document)
        signature = self.signatures.get(name)
        if signature is None:
            refuse(f'Serving signature name: "{name}" not found in signature def')
        if not signature.inputs:
            refuse(f"Failed to get input map for signature: {document.get('signature_name') or 'DEFAULT'}")
        feeds = tensors(document, signature.dtypes)
        outputs = signature.run(feeds)
        by_row = "instances" in document
        if by_row:
            _check_rows(outputs)
        return answer(outputs, by_row)

    def example(self, name: str) -> dict[str, Any]:
        """A correct request to a signature: the trainer's own, or one of zeros."""
        if self._example and self._example.get("signature_name", "serving_default") == name:
            return self._example
        named = {} if name == "serving_default" else {"signature_name": name}
        return named | self.served[name].example()

    def problems(self) -> list[str]:
        """Why requests will fail although the model loads; empty for a good one. Asks every signature once."""
        if self.python_ops:
            return [f"Python-only code in the graph: {op}; {_NO_PYTHON}" for op in self.python_ops]
        if not self.served:
            return ["no signature has an input: TensorFlow Serving refuses every request to it"]
        if self._file_ops:
            # A request would run them; it takes somebody who asks for it.
            return []
        found = []
        for name in self.served:
            try:
                self.predict(self.example(name))
            except RefusedError as refused:
                lost = "Could not find variable" in refused.message
                # Zeros may be refused by the model's own checks; the trainer's request may not.
                if lost or self.example(name) is self._example:
                    found.append(f"signature {name}: {refused.message}" + (f"; {_LOST}" if lost else ""))
        return found


@contextlib.contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    """A container's folder has a plain name; here, [ in one would be a pattern to the loader."""
    if not set("[]*?") & set(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory() as place:
        plain = Path(place, "model")
        plain.symlink_to(folder.absolute(), target_is_directory=True)
        yield plain


def _check_start(folder: Path) -> None:
    try:
        writes = ", ".join(writes_at_load(folder))
    except (OSError, ValueError):
        return  # the loader refuses it next, in its own words
    if writes:
        raise ValueError(
            f"loading it writes to a file, which is not done here: {writes}; an endpoint does so at each start: take "
            "it out of what is initialised with the model"
        )


def _check_rows(outputs: dict[str, Any]) -> None:
    rows = None
    for name, tensor in outputs.items():
        if not tensor.shape:
            refuse(f"Tensor name: {name} has no shape information ")
        if rows not in (None, len(tensor)):
            refuse(f"Tensor name: {name} has inconsistent batch size: {len(tensor)} expecting: {rows}")
        rows = len(tensor)
