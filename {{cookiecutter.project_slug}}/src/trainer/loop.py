# Owned by the template: edit `model.py` instead.
"""The network of `build_model`, and the steps of its training and evaluation: what `keras.Model.fit` and `evaluate`
compute, and nothing less. What this training, an export or an endpoint could not do with a network is refused.
"""

import inspect
import math
import os
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from trainer.cluster import Peers
from trainer.data import CsvReader
from trainer.explaining import UserError, ask, explaining_model
from trainer.export import answers_alike, signatures_of, tensors
from trainer.files import as_written
from trainer.reader import Reader, part, refuse
from trainer.values import Units, like, named

SECONDS_BETWEEN_SIGNS_OF_LIFE = 30
# Between two calls, a checkpoint is saved, or SIGTERM answered.
STEPS_PER_CALL, SECONDS_PER_CALL = 500, 2.0
FIRST_STEPS, FEW_STEPS, LARGE_BATCH = 8, 64, 4096


def build(model: ModuleType, hyperparameters: Any, reader: Reader) -> tuple[keras.Model, bool]:
    """The network of `build_model`, and whether it was compiled with jit_compile=True; "auto" is no wish."""
    is_own = type(reader) is not CsvReader
    if is_own:
        refuse("batches", reader, hyperparameters.batch_size)
        # What a reader has drawn, or a look at it, shall not decide on the weights.
        keras.utils.set_random_seed(hyperparameters.seed + 1)
    inputs = reader.inputs()
    hint = f"build_model gets the inputs {list(inputs)} and returns keras.Model(inputs, ...)"
    with explaining_model(hint):
        network = call(model.build_model, hyperparameters, dict(inputs), steps=steps_of(hyperparameters, reader))
    if not isinstance(network, keras.Model):
        raise UserError(f"model.py: build_model must return a keras.Model, not {type(network).__name__}")
    if problem := ask("not_run", network, model):
        raise UserError(f"model.py: {problem}")
    features, _, _ = next(iter(reader.batches(False, hyperparameters.batch_size)))
    with explaining_model(hint):
        output = network(features, training=False)
    if not getattr(network, "optimizer", None) or not _has_loss(network):
        raise UserError("model.py: build_model must compile its model with an optimizer and a loss")
    if is_own:
        refuse("answers", reader, lambda: signatures_of(network, reader), tensors, output)
    looked = (network, reader, False, hyperparameters.batch_size)
    found = (
        None if is_finite(output) else ask("not_finite", *looked, otherwise="the output of a new network is not finite")
    )
    if problem := found or reader.check_output(output) or ask("losses", network, reader):
        raise UserError(f"model.py: {problem}")
    if not answers_alike(network, output, network(features, training=False)):
        what = "the network answers the same rows otherwise each time, with training=False, too"
        raise UserError(f"model.py: {what}: an export could not be compared with it; leave chance to the training")
    if note := ask("far", output, reader):
        print(f"note: {note}", flush=True)
    # Where "auto" comes to the same, as on a GPU, the page tells whether somebody asked.
    asked = network.jit_compile and (
        not network._resolve_auto_jit_compile() or "jit_compile" in inspect.getsource(model)
    )
    return network, asked


def call(function: Callable, *given: Any, **offered: Any) -> Any:
    """`function` of model.py, with what it takes beyond `given`: those of `offered` that its parameters name."""
    taken = inspect.signature(function).parameters
    return function(*given, **{name: value for name, value in offered.items() if name in taken})


def steps_of(hyperparameters: Any, reader: Reader) -> int:
    """How many steps a whole training has: what a schedule of the learning rate is made for."""
    return hyperparameters.epochs * math.ceil(reader.train_rows / hyperparameters.batch_size)


def _has_loss(network: keras.Model) -> bool:
    # Beside compile's, a loss is what compute_loss was overridden for, or add_loss was called with.
    added = len(network.losses) - len([one for one in network.trainable_variables if one.regularizer])
    return bool(network.loss) or type(network).compute_loss is not keras.Model.compute_loss or added > 0


def is_finite(values: Any) -> bool:
    """Whether every number of a tensor, or of several, is."""
    floats = [value for value in tf.nest.flatten(values) if tf.is_tensor(value) and value.dtype.is_floating]
    return all(bool(tf.reduce_all(tf.math.is_finite(value))) for value in floats)


def _from(reader: Reader, batch_size: int, seed: tf.Tensor, skip: tf.Tensor) -> tf.data.Dataset:
    """The batches of an epoch from one on; a reader of one's own makes those before it, too."""
    if isinstance(reader, CsvReader):
        return reader.batches(True, batch_size, seed=seed, skip=skip)
    return reader.batches(True, batch_size, seed=seed).skip(skip)


class Loop:
    """The training and evaluation steps, compiled once, under any tf.distribute strategy. Of several hosts each trains
    on its part of every batch, and the chief evaluates.

    Not `model.fit`: with Keras 3 it fails under several workers before the first step (keras-team/keras#20585). What
    `compile` was told is done here, too; `network.jit_compile` only where `jit` says that somebody asked for it.
    """

    def __init__(
        self,
        network: keras.Model,
        reader: Reader,
        strategy: tf.distribute.Strategy,
        hyperparameters: Any,
        peers: Peers,
        jit: bool,
    ) -> None:
        self.network, self.reader, self.strategy, self.hyperparameters = network, reader, strategy, hyperparameters
        self.peers = peers
        batch_size = hyperparameters.batch_size
        self.units = getattr(reader, "units", Units())
        self.steps = math.ceil(reader.train_rows / batch_size)
        evaluation = reader.batches(False, batch_size)
        self.eval_steps = int(evaluation.cardinality())
        if self.eval_steps < 0:
            self.eval_steps = int(evaluation.reduce(0, as_written(lambda count, _: count + 1)))
        self._per_call = {True: FIRST_STEPS, False: FIRST_STEPS}
        # One iterator for all epochs: creating one costs more than an epoch over a small table.
        self._evaluation = iter(evaluation.repeat())
        self._eval_loss = keras.metrics.Mean(name="val_loss")
        self._takes_training = "training" in inspect.signature(network.compute_loss).parameters
        # Keras creates these variables on first use, which must not be inside a tf.function.
        network.optimizer.build(network.trainable_variables)
        hint = "The loss and the metrics must fit the target and the output of build_model"
        with explaining_model(hint + ask("labels", reader)):
            results = self._evaluate_batch(*next(iter(evaluation)))
        # What the last batch left; in a loop of the graph, its structure must be known before.
        self._nothing = tf.nest.map_structure(tf.zeros_like, results)
        self.metric_names = ["loss", *self._numbers(results)]
        self._train_batches = self._in_graph(self._train_batch, jit)
        self._train_steps = self._in_graph(self._steps_of_training)
        self._evaluate_one = self._in_graph(self._evaluate_batch, jit)
        self._evaluate_steps = self._in_graph(self._steps_of_evaluation)

    def epochs(
        self,
        start: int,
        begin: Callable[[int], None] = lambda epoch: None,
        within: Callable[[int, int, float], None] = lambda epoch, step, loss: None,
        done: int = 0,
        loss: float = 0.0,
    ) -> Iterator[tuple[int, dict[str, float]]]:
        """Train epochs `start` + 1 and on, each after a call of `begin`; yield each one's number and metrics.

        `within` gets the epoch, its steps so far and the sum of their losses, after every few steps. Of the first
        epoch, which has begun then, `done` steps, whose losses add up to `loss`, are left out.
        """
        total = self.hyperparameters.epochs
        if start >= total:
            return
        first = done
        batches = iter(
            self.strategy.distribute_datasets_from_function(
                lambda context: self._epoch_batches(context, start, total, first)
            )
        )
        for epoch in range(start + 1, total + 1):
            if not done:
                begin(epoch)
            told = time.monotonic()
            for count in self._calls(True, self.steps - done):
                loss = float(self._train_steps(batches, tf.constant(count), tf.constant(loss, tf.float64)))
                done += count
                if not math.isfinite(loss):
                    break
                if self.peers.is_chief and time.monotonic() - told > SECONDS_BETWEEN_SIGNS_OF_LIFE:
                    told = time.monotonic()
                    print(f"epoch {epoch}: step {done} of {self.steps}, loss so far {loss / done:.6g}", flush=True)
                within(epoch, done, loss)
            tell = lambda epoch=epoch, loss=loss: within(epoch, self.steps, loss)
            seen = lambda loss=loss, tell=tell: {"loss": loss / self.steps, **self.evaluate(tell)}
            yield epoch, self.peers.share(seen)
            done, loss = 0, 0.0

    def evaluate(self, between: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Metrics over the whole evaluation data, their names prefixed with `val_`; `between` is called in between."""
        self._reset()
        results = self._nothing
        for number, count in enumerate(self._calls(False, self.eval_steps)):
            if number:
                between()
            results = self._evaluate_steps(self._evaluation, tf.constant(count))
        return self._values(results)

    def _calls(self, training: bool, steps: int) -> Iterator[int]:
        """How many of so many steps each call of a graph does, so that none takes long."""
        most = 1 if os.environ.get("ONSTAGE_KILL") else STEPS_PER_CALL
        while steps:
            count = min(self._per_call[training], steps, most)
            if training:
                # By the chief's clock: what hosts compute together has to be in calls of the same length.
                count = self.peers.share(lambda count=count: count)
            began = time.monotonic()
            yield count
            steps -= count
            seconds = time.monotonic() - began
            self._per_call[training] = max(1, min(STEPS_PER_CALL, int(count * SECONDS_PER_CALL / max(seconds, 1e-9))))

    def evaluate_constant(self, answer: Any) -> dict[str, float]:
        """What `evaluate` gives where every row is answered with `answer`, the numbers of each output in the target's
        units; only the last one where the network has one.
        """
        self._reset()
        batch_size = self.hyperparameters.batch_size if self.eval_steps < FEW_STEPS else LARGE_BATCH
        outputs = None
        for features, target, weight in self.reader.batches(False, batch_size):
            if outputs is None:
                # Once: out of a graph, a network of hundreds of columns is slow.
                made = self.network(features, training=False)
                last = lambda values, like: tf.constant(values[-like.shape[-1] :], tf.float32)
                one = {key: last(answer[key], made[key]) for key in answer} if isinstance(answer, dict) else None
                outputs = self.units.standardise(one or last(answer, made))
                outputs = tf.nest.map_structure(lambda value, like: tf.cast(value, like.dtype), outputs, made)
            rows = tf.shape(tf.nest.flatten(target)[0])[0]
            repeated = tf.nest.map_structure(lambda one, rows=rows: tf.repeat(one[tf.newaxis], rows, axis=0), outputs)
            results = self._evaluate_batch(features, target, weight, repeated)
        return self._values(results)

    def _reset(self) -> None:
        self.network.reset_metrics()
        self._eval_loss.reset_state()

    def _values(self, results: dict[str, tf.Tensor]) -> dict[str, float]:
        return {name: float(value) for name, value in self._numbers(results).items()}

    def _numbers(self, results: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What is reported: `val_loss`, then the compiled metrics."""
        return {
            f"val_{name}": one
            for name, one in named({"loss": self._eval_loss.result(), **results}, self.reader, self.network).items()
        }

    def _epoch_batches(self, context: tf.distribute.InputContext, start: int, total: int, done: int) -> tf.data.Dataset:
        """This host's parts of the batches of all epochs from `start` on, without the first one's `done` steps."""
        batch_size, replicas = self.hyperparameters.batch_size, self.strategy.num_replicas_in_sync
        # Each epoch has its own seed, so that a resumed job sees the same rows in the same order as an uninterrupted
        # one.
        seeds = tf.data.Dataset.range(self.hyperparameters.seed + start, self.hyperparameters.seed + total)

        def epoch(seed: tf.Tensor) -> tf.data.Dataset:
            skip = tf.where(seed == self.hyperparameters.seed + start, tf.constant(done, tf.int64), 0)
            return _from(self.reader, batch_size, seed, skip).take(self.steps - skip)

        batches = seeds.flat_map(as_written(epoch))
        if replicas > 1:
            # Every host walks the same order.
            own = replicas // context.num_input_pipelines
            numbers = tf.data.Dataset.range(own).map(lambda number: number + context.input_pipeline_id * own)
            cut = lambda *batch: numbers.map(as_written(lambda number: part(batch, number, replicas)))
            batches = batches.flat_map(as_written(cut))
        return batches.prefetch(tf.data.AUTOTUNE)

    def _in_graph(self, function: Callable, jit: bool | None = None) -> Callable:
        if self.network.run_eagerly or jit is False:
            return function
        return tf.function(function, jit_compile=jit)

    def _loss(self, features: dict, target: Any, output: Any, weight: tf.Tensor, training: bool) -> tf.Tensor:
        """The batch's loss, with the model's own losses; divided by the number of replicas, where Keras computes it."""
        target = self.units.standardise(like(target, output))
        told = {"training": training} if self._takes_training else {}
        loss = self.network.compute_loss(features, target, output, weight, **told)
        if loss is None or loss.shape.rank:
            kind = "nothing" if loss is None else f"a value of the shape {tuple(loss.shape)}"
            raise UserError(
                f"model.py: the loss must be one number for a batch, and is {kind}; leave out reduction=None"
            )
        return loss

    def _train_batch(self, features: dict, target: Any, weight: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            output = self.network(features, training=True)
            loss = self._loss(features, target, output, weight, training=True)
            scaled = self.network.optimizer.scale_loss(loss)
        if variables := self.network.trainable_variables:
            gradients = self._clipped(tape.gradient(scaled, variables))
            self.network.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return tf.cast(loss, tf.float32)

    def _clipped(self, gradients: list) -> list:
        """Gradients that are clipped, and found to be finite, by those of all replicas. Keras would do so before it
        adds them up, each replica by its own.
        """
        optimizer = self.network.optimizer
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        clips = inner.clipnorm or inner.global_clipnorm or inner.clipvalue
        replicas = self.strategy.num_replicas_in_sync
        if replicas == 1 or not (clips or inner is not optimizer):
            return gradients
        there = [tf.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]
        summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, there)
        scale = optimizer.scale_loss(tf.ones([], there[0].dtype))
        whole = iter(inner._clip_gradients([gradient / tf.cast(scale, gradient.dtype) for gradient in summed]))
        back = lambda gradient: gradient * tf.cast(scale / replicas, gradient.dtype)
        return [None if gradient is None else back(next(whole)) for gradient in gradients]

    def _steps_of_training(self, batches: Iterator, count: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
        """Add the losses of `count` steps to `total`, one by one: the sum does not depend on how they are divided."""
        for _ in tf.range(count):
            losses = self.strategy.run(self._train_batches, args=next(batches))
            total += tf.cast(self.strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None), tf.float64)
        return total

    def _evaluate_batch(
        self, features: dict, target: Any, weight: tf.Tensor, output: Any = None
    ) -> dict[str, tf.Tensor]:
        output = self.network(features, training=False) if output is None else output
        loss = self._loss(features, target, output, weight, training=False)
        # A mean over rows, of which the last batch has fewer.
        self._eval_loss.update_state(loss, sample_weight=tf.shape(tf.nest.flatten(features)[0])[0])
        results = self.network.compute_metrics(features, like(target, output), self.units.restore(output), weight)
        # Keras' own loss is ours above, and stands at 0.
        left_out = "loss" if type(self.network).metrics is keras.Model.metrics else None
        return {name: tf.cast(value, tf.float32) for name, value in results.items() if name != left_out}

    def _steps_of_evaluation(self, batches: Iterator, count: tf.Tensor) -> dict[str, tf.Tensor]:
        results = self._nothing
        for _ in tf.range(count):
            results = self._evaluate_one(*next(batches))
        return results
