# Owned by the template: edit `model.py` instead.
"""The one training story, the same on a laptop, on SageMaker and on Vertex AI."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from trainer import model
from trainer.checkpoints import Checkpoints
from trainer.columns import Table
from trainer.data import CsvReader, Reader
from trainer.export import export
from trainer.reporting import Reporter
from trainer.run import Run, UserError, explaining_model

SECONDS_BETWEEN_SIGNS_OF_LIFE = 30
STEPS_PER_CALL = 500


@dataclass(frozen=True)
class Result:
    """What a training left: the last epoch's metrics, the model's folder, and one request with its answer."""

    metrics: dict[str, float]
    export_dir: str
    request: dict
    response: dict


def train(run: Run) -> Result:
    """Train the model of `model.py`, resuming from a checkpoint if there is one, and export it.

    Raises UserError for a mistake in the data, the hyperparameters or `model.py`, each before the first step.
    """
    hyperparameters = run.hyperparameters
    _check(hyperparameters)
    # Not 0: under a global seed of 0, tf.data compares the seed of an epoch, a tensor, with a number and fails.
    keras.utils.set_random_seed(hyperparameters.seed + 1)
    # Before any other operation, which tf.distribute's strategies for several workers demand.
    strategy = _strategy(hyperparameters.batch_size)
    reader: Reader = CsvReader(model.DATA) if isinstance(model.DATA, Table) else model.DATA
    reader.prepare(run.train_data, run.eval_data)
    print(f"train: {reader.train_rows} rows, eval: {reader.eval_rows} rows", flush=True)

    with strategy.scope():
        network = _build(hyperparameters, reader)
        loop = _Loop(network, reader, strategy, hyperparameters)
    _check_objective(loop.metric_names)

    checkpoints = Checkpoints(run, network)
    reporter = Reporter(run, model.OBJECTIVE)
    metrics: dict[str, float] = {}
    for epoch, metrics in loop.epochs(start=checkpoints.restore()):
        _refuse_nan(epoch, metrics, hyperparameters)
        reporter.report(epoch, metrics)
        checkpoints.save(epoch, last=epoch == hyperparameters.epochs)
    if not metrics:
        # As after a job that was stopped between its last epoch and its export.
        print(f"nothing left to train: the checkpoint has seen {hyperparameters.epochs} epochs or more", flush=True)
        metrics = loop.evaluate()
        reporter.report(hyperparameters.epochs, metrics)

    request, response = export(network, reader, run.export_dir)
    print(f"model: {run.export_dir}", flush=True)
    return Result(metrics, run.export_dir, request, response)


class _Loop:
    """The training and evaluation steps, compiled once, under any tf.distribute strategy.

    Not `model.fit`: with Keras 3 it fails under several workers before the first step (keras-team/keras#20585).
    """

    def __init__(
        self, network: keras.Model, reader: Reader, strategy: tf.distribute.Strategy, hyperparameters: Any
    ) -> None:
        self.network, self.reader, self.strategy, self.hyperparameters = network, reader, strategy, hyperparameters
        batch_size = hyperparameters.batch_size
        self.steps = math.ceil(reader.train_rows / batch_size)
        evaluation = reader.batches(False, batch_size)
        self.eval_steps = int(evaluation.reduce(0, lambda count, _: count + 1))
        # One iterator for all epochs: creating one costs more than an epoch over a small table.
        self._evaluation = iter(evaluation.repeat())
        self._eval_loss = keras.metrics.Mean(name="val_loss")
        # Keras creates these variables on first use, which must not be inside a tf.function.
        network.optimizer.build(network.trainable_variables)
        with explaining_model("The loss and the metrics must fit the target and the output of build_model"):
            self._loss = keras.losses.get(network.loss)
            self._evaluate_batch(*next(iter(evaluation)))
        self.metric_names = ["loss", *self._eval_results()]

    def epochs(self, start: int) -> Iterator[tuple[int, dict[str, float]]]:
        """Train epochs `start` + 1 and on; yield each epoch's number and metrics."""
        total = self.hyperparameters.epochs
        if start >= total:
            return
        batches = iter(
            self.strategy.distribute_datasets_from_function(lambda context: self._epoch_batches(context, start, total))
        )
        for epoch in range(start + 1, total + 1):
            loss, done, told = 0.0, 0, time.monotonic()
            while done < self.steps:
                count = min(STEPS_PER_CALL, self.steps - done)
                loss += float(self._train_steps(batches, tf.constant(count)))
                done += count
                if not math.isfinite(loss):
                    break
                if time.monotonic() - told > SECONDS_BETWEEN_SIGNS_OF_LIFE:
                    told = time.monotonic()
                    print(f"epoch {epoch}: step {done} of {self.steps}, loss so far {loss / done:.6g}", flush=True)
            yield epoch, {"loss": loss / self.steps, **self.evaluate()}

    def evaluate(self) -> dict[str, float]:
        """Metrics over the whole evaluation data, their names prefixed with `val_`."""
        self.network.reset_metrics()
        self._eval_loss.reset_state()
        self._evaluate_steps(self._evaluation, tf.constant(self.eval_steps))
        return self._eval_results()

    def _epoch_batches(self, context: tf.distribute.InputContext, start: int, total: int) -> tf.data.Dataset:
        batch_size = context.get_per_replica_batch_size(self.hyperparameters.batch_size)
        steps = self.steps * context.num_replicas_in_sync // context.num_input_pipelines
        # Each epoch has its own seed, so that a resumed job sees the same rows in the same order as an uninterrupted
        # one.
        seeds = tf.data.Dataset.range(self.hyperparameters.seed + start, self.hyperparameters.seed + total)
        return seeds.flat_map(lambda seed: self.reader.batches(True, batch_size, seed).take(steps)).prefetch(
            tf.data.AUTOTUNE
        )

    def _losses(self, target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        """The loss of each row, [batch]; a Keras loss called as usual would return their mean."""
        per_row = self._loss.call if isinstance(self._loss, keras.losses.Loss) else self._loss
        return per_row(target, output)

    def _train_batch(self, features: dict, target: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            output = self.network(features, training=True)
            losses = self._losses(_like(target, output), output)
            loss = tf.nn.compute_average_loss(losses, weight, self.hyperparameters.batch_size)
            if self.network.losses:
                loss += tf.nn.scale_regularization_loss(tf.add_n(self.network.losses))
            scaled = self.network.optimizer.scale_loss(loss)
        variables = self.network.trainable_variables
        self.network.optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables, strict=True))
        return loss

    @tf.function
    def _train_steps(self, batches: Iterator, count: tf.Tensor) -> tf.Tensor:
        total = 0.0
        for _ in tf.range(count):
            losses = self.strategy.run(self._train_batch, args=next(batches))
            total += self.strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)
        return total

    def _evaluate_batch(self, features: dict, target: tf.Tensor, weight: tf.Tensor) -> None:
        output = self.network(features, training=False)
        target = _like(target, output)
        loss = self._losses(target, output) * weight
        self._eval_loss.update_state(loss + tf.add_n(self.network.losses) if self.network.losses else loss)
        self.network.compute_metrics(features, target, output, weight)

    @tf.function
    def _evaluate_steps(self, batches: Iterator, count: tf.Tensor) -> None:
        for _ in tf.range(count):
            self._evaluate_batch(*next(batches))

    def _eval_results(self) -> dict[str, float]:
        compiled = {name: value for name, value in self.network.get_metrics_result().items() if name != "loss"}
        return {f"val_{name}": float(value) for name, value in {"loss": self._eval_loss.result(), **compiled}.items()}


def _like(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    # A target [batch] against an output [batch, 1], one sigmoid unit, would broadcast to [batch, batch].
    return target[:, tf.newaxis] if target.shape.rank == 1 and output.shape[-1] == 1 else target


def _check(hyperparameters: Any) -> None:
    for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
        value = getattr(hyperparameters, name, f"missing: add {name}: int = {least} to Hyperparameters")
        if not isinstance(value, int) or value < least:
            raise UserError(f"the hyperparameter {name} must be a whole number, {least} or more, not {value}")


def _strategy(batch_size: int) -> tf.distribute.Strategy:
    gpus = len(tf.config.list_physical_devices("GPU"))
    if gpus > 1 and batch_size % gpus:
        raise UserError(f"batch_size is {batch_size}; on {gpus} GPUs it must be a multiple of {gpus}")
    return tf.distribute.MirroredStrategy() if gpus > 1 else tf.distribute.get_strategy()


def _build(hyperparameters: Any, reader: Reader) -> keras.Model:
    for training in (True, False):
        _check_batches(reader.batches(training, hyperparameters.batch_size))
    inputs = reader.inputs()
    with explaining_model(f"build_model gets the inputs {list(inputs)} and returns keras.Model(inputs, ...)"):
        network = model.build_model(hyperparameters, dict(inputs))
    if not isinstance(network, keras.Model):
        raise UserError(f"model.py: build_model must return a keras.Model, not {type(network).__name__}")
    if not getattr(network, "optimizer", None) or not network.loss:
        raise UserError("model.py: build_model must compile its model with an optimizer and a loss")
    features, _, _ = next(iter(reader.batches(False, hyperparameters.batch_size)))
    with explaining_model(f"build_model gets the inputs {list(inputs)} and returns keras.Model(inputs, ...)"):
        output = network(features, training=False)
    if problem := reader.check_output(output):
        raise UserError(f"model.py: {problem}")
    return network


def _check_batches(batches: Any) -> None:
    if not isinstance(batches, tf.data.Dataset):
        kind = "a function that nobody called: add ()" if callable(batches) else f"a {type(batches).__name__}"
        raise UserError(f"model.py: DATA.batches must return a tf.data.Dataset; it returned {kind}")


def _check_objective(names: list[str]) -> None:
    if model.OBJECTIVE.metric not in names:
        raise UserError(f"model.py: OBJECTIVE names {model.OBJECTIVE.metric!r}; the metrics are {', '.join(names)}")


def _refuse_nan(epoch: int, metrics: dict[str, float], hyperparameters: Any) -> None:
    bad = [name for name in ("loss", "val_loss") if not math.isfinite(metrics[name])]
    if bad:
        rate = getattr(hyperparameters, "learning_rate", None)
        hint = f"try --learning-rate {min(rate / 10, 0.01):g}" if rate else "try smaller steps"
        raise UserError(
            f"{bad[0]} is {metrics[bad[0]]} after epoch {epoch}: the training diverged; {hint}. No model was written."
        )
