# Owned by the template: edit `model.py` instead.
"""The one training story, the same on a laptop, on SageMaker and on Vertex AI."""

import atexit
import contextlib
import dataclasses
import inspect
import math
import os
import runpy
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from trainer import model
from trainer.checkpoints import Checkpoints
from trainer.cluster import Peers
from trainer.columns import Table
from trainer.data import CsvReader
from trainer.explaining import UserError, ask, explaining_model
from trainer.export import export, keeping_weights
from trainer.files import gathered
from trainer.loop import Loop, build
from trainer.reader import Reader, prepare
from trainer.reporting import Callbacks, Reporter, leave_weights, refuse_on_hosts, refuse_used
from trainer.run import Run

# What operations raise that wait for another host.
_OF_A_LOST_HOST = (
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError, tf.errors.InternalError, tf.errors.UnknownError,
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a training left: the last epoch's metrics, the model's folder, and one request with its answer.

    `constant` are the metrics of what is best to answer without looking at the columns, which `constant_answer` names;
    only a `Table` knows it.
    """

    metrics: dict[str, float]
    constant: dict[str, float]
    constant_answer: str
    export_dir: str
    request: dict
    response: dict
    # For whoever draws: the metrics of each epoch, what read the data, and the trained network.
    history: list[dict[str, float]]
    reader: Reader
    network: keras.Model


class Beginning(NamedTuple):
    """What a training begins with; `jit`: whether `build_model` asked for XLA."""

    reader: Reader
    strategy: tf.distribute.Strategy
    network: keras.Model
    jit: bool


def train(run: Run) -> Result | None:
    """Train the model of `model.py`, resuming from a checkpoint if there is one, and export it.

    Of several hosts, the chief alone writes and exports, and the others return None. Raises UserError for a mistake in
    the data, the hyperparameters or `model.py`, before the first step where it can, and where a host is lost.
    """
    with explaining_model(others=False):
        peers = Peers(run.cluster)
        try:
            for name in run.cluster.sharded if run.cluster else ():
                whole: dict[str, Any] = {f"{name}_data": gathered(getattr(run, f"{name}_data"), peers)}
                run = dataclasses.replace(run, **whole)
            with peers.named(*_OF_A_LOST_HOST):
                result = _train(run if peers.is_chief else _elsewhere(run), peers)
        except BaseException as error:
            peers.close(error)
            raise
        peers.close()
        return result


def begin(run: Run) -> Beginning:
    """Look at the data, and build the network with which a training begins. Raises UserError."""
    with explaining_model(others=False):
        return _begin(run, Peers(None))


def _elsewhere(run: Run) -> Run:
    """`run` with a temporary folder for whatever a host writes that is not the chief."""
    folder = tempfile.mkdtemp(prefix="host-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    export, checkpoint, log = (f"{folder}/{name}" for name in ("export", "checkpoint", "log"))
    return dataclasses.replace(run, metric_file=None, export_dir=export, checkpoint_dir=checkpoint, log_dir=log)


def _begin(run: Run, peers: Peers) -> Beginning:
    hyperparameters = run.hyperparameters
    _check(hyperparameters)
    # Not 0: under a global seed of 0, tf.data compares the seed of an epoch, a tensor, with a number and fails.
    keras.utils.set_random_seed(hyperparameters.seed + 1)
    # Before any other operation, which tf.distribute's strategies for several workers demand.
    strategy = _strategy(hyperparameters.batch_size, peers)
    reader: Reader = CsvReader(model.DATA, run.rows_dir) if isinstance(model.DATA, Table) else model.DATA
    prepare(reader, run.train_data, run.eval_data)
    print(f"train: {reader.train_rows} rows, eval: {reader.eval_rows} rows", flush=True)
    if isinstance(reader, CsvReader) and (said := reader.units.said(reader.table)):
        print(f"loss, val_loss: of {', '.join(said)}; metrics and answers are in its own units", flush=True)
    if peers.count > 1:
        _agree(reader, hyperparameters, peers)
    with scope(strategy):
        return Beginning(reader, strategy, *build(model, hyperparameters, reader))


@contextlib.contextmanager
def scope(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """As `strategy.scope()`, but that each host has its own metrics: one host alone evaluates."""

    def create(create_next: Callable, **settings: Any) -> tf.Variable:
        if settings.get("synchronization") == tf.VariableSynchronization.ON_READ:
            settings["synchronization"] = tf.VariableSynchronization.AUTO
            settings["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
        return create_next(**settings)

    with strategy.scope(), tf.variable_creator_scope(create):
        yield


def _agree(reader: Reader, hyperparameters: Any, peers: Peers) -> None:
    """Raise UserError unless all hosts walk the same rows in the same order."""
    _, target, weight = next(iter(reader.batches(True, hyperparameters.batch_size, seed=hyperparameters.seed)))
    first = zlib.crc32(b"".join(value.numpy().tobytes() for value in tf.nest.flatten((target, weight))))
    peers.agree(
        {
            "hyperparameters": dataclasses.asdict(hyperparameters),
            "rows for training": reader.train_rows,
            "rows for evaluation": reader.eval_rows,
            "the checksum of the first batch's targets": first,
        },
        "every host must see all of the data, and shuffle it alike, by the seed that `batches` is given",
    )


def _train(run: Run, peers: Peers) -> Result | None:
    hyperparameters = run.hyperparameters
    reader, strategy, network, jit = _begin(run, peers)
    if peers.count > 1:
        refuse_on_hosts(network)
        if jit:
            # XLA compiles no exchange between hosts.
            jit = False
            print("note: jit_compile=True is for one host, and left out on several", flush=True)
    with scope(strategy):
        loop = Loop(network, reader, strategy, hyperparameters, peers, jit=jit)
    refuse_used([one for some in network.metrics for one in getattr(some, "metrics", [some])], "metric")
    _check_objective(loop.metric_names)
    callbacks = Callbacks(model, run, network, loop.metric_names, loop.steps)
    checkpoints = Checkpoints(run, network, reader, loop.steps)
    reporter = Reporter(run, model.OBJECTIVE)
    with checkpoints.termination:
        has_trained = _epochs(loop, checkpoints, callbacks, reporter)
    leave_weights(network)
    if not peers.is_chief:
        return None
    metrics, last = checkpoints.history[-1], len(checkpoints.history)
    weights = checkpoints.finish()
    if weights == "best":
        last = checkpoints.best(model.OBJECTIVE)
        metrics = checkpoints.history[last - 1]
        print(f"epoch {last} was the best, and its weights are exported; of them:", flush=True)
    elif weights == "averages":
        print("use_ema: the averages of the weights are exported; of them:", flush=True)
        metrics = {**metrics, **loop.evaluate()}
    elif checkpoints.step and not has_trained:
        metrics = {**metrics, **loop.evaluate()}
    if weights != "last" or not has_trained:
        reporter.report(last, metrics)
    callbacks.end(metrics)

    answer, constant = "", {}
    if isinstance(reader, CsvReader):
        answer, values = reader.constant
        constant = loop.evaluate_constant(values)
        _note_if_no_better(metrics, constant, answer, hyperparameters)
    with keeping_weights(run):
        request, response = export(network, reader, run.export_dir)
    print(f"model: {run.export_dir}", flush=True)
    # A rehearsal compares the network with the one that the project's folder makes.
    if look := os.environ.get("ONSTAGE_LOOK"):
        runpy.run_path(look)["look"](hyperparameters, reader)
    return Result(metrics, constant, answer, run.export_dir, request, response, checkpoints.history, reader, network)


def _epochs(loop: Loop, checkpoints: Checkpoints, callbacks: Callbacks, reporter: Reporter) -> bool:
    """Train until all epochs are done, the patience is at its end, or a callback ends it; whether there was one."""
    peers, objective, total = loop.peers, model.OBJECTIVE, loop.hyperparameters.epochs
    start = _restored(checkpoints, loop)
    step, loss = checkpoints.step, checkpoints.loss
    if peers.is_chief:
        checkpoints.prepare()
    if start and checkpoints.began_with != total and "steps" in inspect.signature(model.build_model).parameters:
        print(
            f"build_model's steps are those of {total} epochs now, and were those of {checkpoints.began_with}",
            flush=True,
        )
    is_over = callbacks.begin(checkpoints.history, within=step > 0) or checkpoints.is_over(objective)
    is_over = peers.share(lambda: is_over)
    if callbacks.are_there:
        # What they changed when they were shown the epochs before.
        _restored(checkpoints, loop, again=True)
    epochs = loop.epochs(start, callbacks.begin_epoch, _within(checkpoints, peers), step, loss)
    for epoch, metrics in () if is_over else _checked(epochs, loop.reader):
        if not (math.isfinite(metrics["loss"]) and math.isfinite(metrics["val_loss"])):
            with scope(loop.strategy):
                raise UserError(_why_not_finite(epoch, metrics, loop))
        if peers.is_chief:
            reporter.report(epoch, metrics)
        is_over = checkpoints.add(metrics, objective)
        is_over |= callbacks.end_epoch(epoch, metrics)
        if peers.is_chief:
            checkpoints.save(epoch, last=is_over or epoch == total)
        # A callback may look at a clock.
        is_over = peers.share(lambda is_over=is_over: is_over)
        if is_over:
            no_better = f"no epoch since {checkpoints.best(objective)} was better in {objective.metric}"
            why = no_better if checkpoints.is_over(objective) else "a callback has stopped it"
            print(f"ended after epoch {epoch} of {total}: {why}", flush=True)
            break
    else:
        if start >= total or is_over:
            # As after a job that was stopped between its last epoch and its export.
            more = f" and {step} steps of another, with whose weights it is exported" if step else ""
            print(f"nothing left to train: the checkpoint has seen {start} epochs{more}, of {total}", flush=True)
    return len(checkpoints.history) > start


def _restored(checkpoints: Checkpoints, loop: Loop, again: bool = False) -> int:
    """What the chief restores, on every host; how many epochs it has seen."""
    peers, start = loop.peers, checkpoints.restore(again)
    if peers.count == 1:
        return start
    restored = checkpoints.restored
    about = peers.share(
        lambda: [restored, start, checkpoints.step, checkpoints.loss, checkpoints.began_with, checkpoints.history]
    )
    restored, start, checkpoints.step, checkpoints.loss, checkpoints.began_with, checkpoints.history = about
    for variable in [*loop.network.variables, *loop.network.optimizer.variables] if restored else ():
        value = peers.share(lambda variable=variable: tf.io.serialize_tensor(variable.value).numpy())
        if not peers.is_chief:
            variable.assign(tf.io.parse_tensor(value, variable.dtype))
    return start


def _within(checkpoints: Checkpoints, peers: Peers) -> Callable[[int, int, float], None]:
    """What is done after every few steps: the chief saves, and ends the job where any host has been told to end."""

    def on_chief(epoch: int, step: int, loss: float) -> None:
        checkpoints.termination.came |= peers.is_asked_to_stop
        checkpoints.save_within(epoch, step, loss)

    def on_others(*_: object) -> None:
        if checkpoints.termination.came:
            peers.ask_to_stop()

    if not peers.is_chief:
        # The chief may evaluate for long, meanwhile.
        peers.waiting = on_others
    return on_chief if peers.is_chief else on_others


def _checked(epochs: Iterator[tuple[int, dict[str, float]]], reader: Reader) -> Iterator[tuple[int, dict[str, float]]]:
    """`epochs`, of which each has seen the files that the first pass has."""
    check = reader.check_again if isinstance(reader, CsvReader) else lambda: None
    try:
        for epoch in epochs:
            check()
            yield epoch
    except tf.errors.OpError:
        # It may be why.
        check()
        raise


def _check(hyperparameters: Any) -> None:
    for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("patience", 0)):
        missing = 0 if name == "patience" else f"missing: add {name}: int = {least} to Hyperparameters"
        value = getattr(hyperparameters, name, missing)
        if not isinstance(value, int) or value < least:
            raise UserError(f"the hyperparameter {name} must be a whole number, {least} or more, not {value}")


def _strategy(batch_size: int, peers: Peers) -> tf.distribute.Strategy:
    gpus = len(tf.config.list_physical_devices("GPU"))
    if batch_size < (parts := peers.count * max(gpus, 1)):
        raise UserError(f"batch_size is {batch_size}, and is for all {parts} hosts or GPUs together: {parts} or more")
    if peers.count > 1:
        with peers.connecting():
            return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.MirroredStrategy() if gpus > 1 else tf.distribute.get_strategy()


def _check_objective(names: list[str]) -> None:
    if model.OBJECTIVE.metric not in names:
        raise UserError(f"model.py: OBJECTIVE names {model.OBJECTIVE.metric!r}; the metrics are {', '.join(names)}")


def _note_if_no_better(metrics: dict[str, float], constant: dict[str, float], answer: str, trained: Any) -> None:
    """Say of a whole training, not of a short one, that it has learned nothing."""
    name, goal = model.OBJECTIVE.metric, model.OBJECTIVE.goal
    is_short = trained.epochs < getattr(type(trained), "epochs", 0)
    if (
        is_short
        or name not in constant
        or name not in metrics
        or (metrics[name] > constant[name]) == (goal == "maximize")
    ):
        return
    said = f"{name} is {metrics[name]:.4g}, and {constant[name]:.4g} with {answer} for every row"
    print(f"note: {said}: the model has learned nothing from the columns", flush=True)


def _why_not_finite(epoch: int, metrics: dict[str, float], loop: Loop) -> str:
    reader, hyperparameters = loop.reader, loop.hyperparameters
    in_training = not math.isfinite(metrics["loss"])
    # After such a step the weights say nothing any more: a new network does.
    looked_at = build(model, hyperparameters, reader)[0] if in_training else loop.network
    if found := ask("not_finite", looked_at, reader, in_training, hyperparameters.batch_size):
        untrained = ", before any step of training: other steps do not help" if in_training else ""
        return f"{found}{untrained}. No model was written."
    name = "loss" if in_training else "val_loss"
    rate = getattr(hyperparameters, "learning_rate", None)
    hint = f"try --learning-rate {min(rate / 10, 0.01):g}" if rate else "try smaller steps"
    return f"{name} is {metrics[name]} after epoch {epoch}: the training diverged; {hint}. No model was written."
