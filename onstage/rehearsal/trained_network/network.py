"""The trained network, fed by the reader's `batches`, held against an endpoint's answers to the same rows."""

import base64
import contextlib
import importlib
import inspect
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from trained_network import alike, rows
from trained_network.origins import Origins, is_finite
from trained_network.rows import Part, UnableError

# Differences that another order of additions explains, and rounding in half precision: of a value, and of an objective.
_CLOSE, _CLOSE_IN_HALF = (1e-4, 1e-3), (2e-2, 1e-2)
_LEAST = 1e-6


class Network:
    """What a training made of `build_model`; `told` is the first line of main.py's input."""

    def __init__(self, told: dict[str, Any]) -> None:
        run, data, columns = (importlib.import_module(f"trainer.{name}") for name in ("run", "data", "columns"))
        self._model = run.load_model()
        build = importlib.import_module("trainer.loop").build
        hyperparameters = self._model.Hyperparameters(**told["hyperparameters"])
        # As the training itself does, in its order.
        keras.utils.set_random_seed(hyperparameters.seed + 1)
        is_table = isinstance(self._model.DATA, columns.Table)
        self.reader = data.CsvReader(self._model.DATA) if is_table else self._model.DATA
        self.reader.prepare(told["train"], told["eval"])
        self._origins = Origins(told["source"])
        with self._origins.recorded():
            self.network, _ = build(self._model, hyperparameters, self.reader)
        self.network.optimizer.build(self.network.trainable_variables)
        is_half = any("16" in str(layer.compute_dtype) for layer in self.network._flatten_layers())
        self._close, self._close_objective = _CLOSE_IN_HALF if is_half else _CLOSE
        self._parts = rows.read(self.reader, is_table, hyperparameters.batch_size, told["rows"])
        self._is_table = is_table
        # Of a target that the network has standardised; answers and metrics are in its own units.
        self._values = importlib.import_module("trainer.values")
        self._units = getattr(self.reader, "units", self._values.Units())
        self._run = {**told["run"], "hyperparameters": hyperparameters}
        self._run |= {"train_data": told["train"], "eval_data": told["eval"]}
        self._restored = ""

    def described(self) -> dict[str, Any]:
        """The rows for an endpoint, how many there are in all, and what the columns of a table are like."""
        return {
            "rows": [row for part in self._parts for row in part.rows],
            "all": int(self.reader.eval_rows),
            "labels": rows.of_labels(self.reader, self._parts) if self._is_table else [],
            "columns": [_column(column) for column in self._model.DATA.features] if self._is_table else None,
        }

    def compare(self, checkpoint: str, answers: list[Any]) -> dict[str, Any]:
        """What a checkpoint's network and an endpoint's `answers`, to the first rows, have in common."""
        self._restore(checkpoint)
        parts = _first(self._parts, len(answers))
        outputs = [self._units.restore(_single(self.network(part.batch[0], training=False))) for part in parts]
        name = self._model.OBJECTIVE.metric
        found: dict[str, Any] = {"objective": name, "checkpoint": self._measure(parts, outputs).get(name)}
        with contextlib.suppress(ValueError, TypeError, tf.errors.OpError):
            output = tf.nest.map_structure(lambda *part: tf.concat(part, 0).numpy(), *outputs)
            found |= self._by_answers(parts, output, answers, found["checkpoint"])
            found |= self._by_signature(parts, output, answers)
        if "first" in found:
            found["place"] = self.place(found["first"])
        return found

    def nodes(self, checkpoint: str, rows: list[Any]) -> list[dict[str, Any] | None]:
        """For each row the layer at which the answer to it is lost, and the line that made that layer."""
        self._restore(checkpoint)
        return [self._node(row) for row in rows]

    def place(self, number: int) -> list[Any] | None:
        """File and line of a row of `described`."""
        return rows.place(self.reader, number) if self._is_table else None

    def _restore(self, checkpoint: str) -> None:
        if checkpoint == self._restored:
            return
        run = importlib.import_module("trainer.run").Run(**self._run, checkpoint_dir=checkpoint)
        checkpoints = importlib.import_module("trainer.checkpoints").Checkpoints(run, self.network)
        if not checkpoints.restore():
            raise UnableError("the job left no checkpoint to compare its model with")
        checkpoints.finish()
        self._restored = checkpoint

    def _measure(self, parts: Sequence[Part], outputs: Sequence[Any]) -> dict[str, float]:
        """The compiled metrics over `outputs`, in the target's own units, by the names that an epoch's line has."""
        self.network.reset_metrics()
        total, count, results = 0.0, 0, {}
        told = {"training": False} if "training" in inspect.signature(self.network.compute_loss).parameters else {}
        for part, output in zip(parts, outputs, strict=True):
            features, target, weight = part.batch
            target = self._values.like(target, output)
            if self.network.losses:
                # Those of an activity are the last call's.
                self.network(features, training=False)
            pair = (self._units.standardise(one) for one in (target, output))
            loss = self.network.compute_loss(features, *pair, weight, **told)
            total, count = total + float(loss) * len(part.rows), count + len(part.rows)
            results = self.network.compute_metrics(features, target, output, weight)
        tensors = {name: tf.convert_to_tensor(one) for name, one in results.items()}
        results = self._values.named(tensors, self.reader, self.network)
        return {f"val_{name}": float(value) for name, value in {**results, "loss": total / count}.items()}

    def _by_answers(
        self, parts: Sequence[Part], output: Any, answers: list[Any], value: float | None
    ) -> dict[str, Any]:
        """The objective of the answers that have the shape of the network's output, those first that are most like it.

        `by` is the name of the answer, `otherwise` counts the rows in which it is not the output.
        """
        candidates = alike.like(answers, output) if isinstance(output, np.ndarray) else {}
        found: dict[str, Any] = {}
        for key in sorted(candidates, key=lambda key: float(np.abs(candidates[key] - output).mean())):
            ends = np.cumsum([len(part.rows) for part in parts])[:-1]
            pieces = [tf.constant(piece, tf.float32) for piece in np.split(candidates[key], ends)]
            anew = self._measure(parts, pieces).get(self._model.OBJECTIVE.metric)
            equal = alike.close(output, candidates[key], self._close).reshape(len(output), -1).all(axis=1)
            one = {
                "by": key,
                "answers": anew,
                "otherwise": int((~equal).sum()),
                "in_order": alike.in_order(output, candidates[key], self._close),
                "equal": value is not None
                and anew is not None
                and math.isclose(anew, value, rel_tol=self._close_objective, abs_tol=_LEAST),
            }
            found = found or one
            if one["equal"]:
                return one
        return found

    def _by_signature(self, parts: Sequence[Part], output: Any, answers: list[Any]) -> dict[str, Any]:
        """Whether the answers are what the reader's own signature makes of the network's output.

        Only where it asks the network once for all rows: else its answers are more than that of one output.
        """
        asked: list[Any] = []

        def predict(features: Any) -> Any:
            asked.append(features)
            return self._units.standardise(tf.nest.map_structure(tf.constant, output))

        instances = [row for part in parts for row in part.rows]
        tf.config.run_functions_eagerly(True)
        try:
            function, (specs,) = self.reader.signatures(predict)[0]["serving_default"]
            expected = function(_tensors(specs, instances))
        except Exception:  # noqa: BLE001 - a signature need not work with an output that was made before
            return {}
        finally:
            tf.config.run_functions_eagerly(False)
        values = {key: value.numpy() for key, value in expected.items()}
        if len(asked) != 1 or any(len(value) != len(instances) for value in values.values() if value.ndim):
            return {}
        found = alike.first_difference(values, answers, self._close)
        if found is None:
            return {"alike": True}
        return {"alike": False, **found, "features": alike.features_differ(asked[0], parts, found["first"])}

    def _node(self, row: Any) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = []

        def predict(features: Any) -> Any:
            output = self._origins.watched(self.network, features, found)
            if is_finite(output):
                found.clear()
            return _single(output)

        tf.config.run_functions_eagerly(True)
        try:
            function, (specs,) = self.reader.signatures(predict)[0]["serving_default"]
            function(_tensors(specs, [row]))
        except Exception as error:  # noqa: BLE001 - that a row is not answered is what this was asked for
            place = self._origins.raised(error)
            return found[0] if found else place and {"what": "DATA.signatures", "place": place}
        finally:
            tf.config.run_functions_eagerly(False)
        return found[0] if found else None


def _first(parts: Sequence[Part], count: int) -> list[Part]:
    found = []
    for part in parts:
        if count > 0:
            found.append(part if len(part.rows) <= count else part.cut(count))
        count -= len(part.rows)
    return found


def _single(output: Any) -> Any:
    # As it is exported: JSON knows no half precision.
    half = (tf.float16, tf.bfloat16)
    return tf.nest.map_structure(lambda one: tf.cast(one, tf.float32) if one.dtype in half else one, output)


def _tensors(specs: Any, instances: list[Any]) -> Any:
    instances = _decoded(instances)
    if isinstance(specs, dict):
        return {key: tf.constant([row[key] for row in instances], spec.dtype) for key, spec in specs.items()}
    return tf.constant(instances, specs.dtype)


def _decoded(value: Any) -> Any:
    """JSON values, with the bytes that {"b64": ...} stands for."""
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    if isinstance(value, dict):
        named = {key: _decoded(one) for key, one in value.items()}
        return base64.b64decode(value["b64"]) if list(value) == ["b64"] else named
    return value


def _column(column: Any) -> dict[str, Any]:
    known = list(getattr(column, "vocabulary", ()))
    return {
        "key": column.key,
        "kind": type(column).__name__,
        "dtype": column.dtype,
        "missing": column.default is not None,
        "size": getattr(column, "size", None),
        "example": getattr(column, "example", None),
        "largest": max(known) if known and column.dtype == "int64" else None,
    }
