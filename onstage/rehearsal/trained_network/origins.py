"""Which layer first answers with what is no number, or fails, and the line that made the layer."""

import contextlib
import functools
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

_OWNED = "# Owned by the template"


class Origins:
    """Lines of `source`, but for the template's own files, by the layers and operations that they made."""

    def __init__(self, source: str) -> None:
        self._source = Path(source)
        self._lines: dict[int, tuple[str, int]] = {}
        # What is alive keeps its id.
        self._made: list[Any] = []

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Note what is made meanwhile."""
        origins, before = self, keras.Operation.__init__

        # With a signature of its own: Keras compares it with the parameters.
        def noting(self: Any, *arguments: Any, **named: Any) -> None:
            before(self, *arguments, **named)
            if found := origins.line():
                origins._made.append(self)
                origins._lines[id(self)] = found

        keras.Operation.__init__ = noting
        try:
            yield
        finally:
            keras.Operation.__init__ = before

    def line(self, frame: Any = None) -> tuple[str, int] | None:
        """The innermost of the researcher's lines among the callers."""
        frame = frame or sys._getframe(1)
        while frame:
            if name := self._name(frame.f_code.co_filename):
                return name, frame.f_lineno
            frame = frame.f_back
        return None

    def raised(self, error: BaseException) -> tuple[str, int] | None:
        """The innermost of the researcher's lines that an exception has passed."""
        found, trace = None, error.__traceback__
        while trace:
            if name := self._name(trace.tb_frame.f_code.co_filename):
                found = name, trace.tb_lineno
            trace = trace.tb_next
        return found

    def watched(self, network: Any, features: Any, found: list[dict[str, Any]]) -> Any:
        """The output of `network`; `found` gets what was not finite on the way, or raised an error, the first first."""
        for name, value in features.items() if isinstance(features, dict) else ():
            if not is_finite(value):
                found.append({"what": f"the input {name!r} of the network is not finite"})
        inner = list(network._flatten_layers(include_self=False))
        inner += [one for function in [network, *inner] for one in getattr(function, "operations", ())]
        for one in inner:
            vars(one)["call"] = functools.partial(self._call, one, found)
        try:
            return network(features, training=False)
        finally:
            for one in inner:
                vars(one).pop("call", None)

    def _call(self, one: Any, found: list[dict[str, Any]], *arguments: Any, **named: Any) -> Any:
        who, place = f"the layer {one.name!r} ({type(one).__name__})", self._lines.get(id(one))
        try:
            output = type(one).call(one, *arguments, **named)
        except Exception as error:
            # Whoever is first is at the origin.
            said = " ".join(str(error).partition(" [Op:")[0].rpartition("} ")[2].split())[:200]
            found.append({"what": f"{who} fails: {said}", "place": self.raised(error) or place})
            raise
        if not is_finite(output):
            found.append({"what": f"the output of {who} is not finite", "place": place})
        return output

    def _name(self, file: str) -> str | None:
        path = Path(file)
        if not path.is_relative_to(self._source) or linecache.getline(file, 1).startswith(_OWNED):
            return None
        return path.relative_to(self._source).as_posix()


def is_finite(values: Any) -> bool:
    """Whether every number of a tensor, or of several, is."""
    floats = [value for value in tf.nest.flatten(values) if tf.is_tensor(value) and value.dtype.is_floating]
    return all(bool(tf.reduce_all(tf.math.is_finite(value))) for value in floats)
