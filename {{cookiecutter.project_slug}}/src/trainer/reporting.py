# Owned by the template.
"""What becomes of each epoch: people are told by a line, and TensorBoard, Vertex AI's tuning and callbacks in theirs;
it is saved, so that a stopped job goes on where it was, and the best one is remembered.
"""

import dataclasses
import inspect
import json
import math
import time
import weakref
from collections import deque
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from trainer.explaining import UserError, ask, explaining_model
from trainer.files import plain_path
from trainer.loop import call
from trainer.run import Objective, Run, join

# Objects that remember a training.
_used: weakref.WeakSet = weakref.WeakSet()
SECONDS_BETWEEN = 10
# No hyperparameter can be called so.
_ORDER = "rows come from"
_NEW_FOLDER = "use another folder, or delete the checkpoints to start again"


def number(value: float, digits: int = 6) -> str:
    """A number as people read it: with so many digits, and no power of ten for one that is merely large."""
    return f"{value:.0f}" if 10**digits <= abs(value) < 1e16 else f"{value:.{digits}g}"


class Reporter:
    """Reports the metrics of each epoch, to everybody who may read them."""

    def __init__(self, run: Run, objective: Objective) -> None:
        self._run, self._objective = run, objective
        self._scalars = tf.summary.create_file_writer(run.log_dir)
        # The package cloudml-hypertune, whose file this equals, keeps the last 100 lines.
        self._trials: deque[dict] = deque(maxlen=100)

    def report(self, epoch: int, metrics: dict[str, float]) -> None:
        """Report one epoch. The printed line is what SageMaker's metric definitions read with a regex."""
        print(f"epoch={epoch} " + " ".join(f"{name}={number(value)}" for name, value in metrics.items()), flush=True)
        # tf.summary.scalar needs the tensorboard package, which the training images do not hold.
        scalar = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        )
        with self._scalars.as_default():
            for name, value in metrics.items():
                tf.summary.write(name, value, step=epoch, metadata=scalar)
        self._scalars.flush()
        # Of a training that is only exported again, the metrics may be others.
        if self._run.metric_file and self._objective.metric in metrics:
            self._write_objective(epoch, metrics[self._objective.metric])

    def _write_objective(self, epoch: int, value: float) -> None:
        line = {
            "timestamp": time.time(),
            "trial": self._run.trial,
            self._objective.metric: str(value),
            "global_step": str(epoch),
            "checkpoint_path": "",
        }
        self._trials.append(line)
        tf.io.gfile.makedirs(self._run.metric_file.rpartition("/")[0] or ".")
        with tf.io.gfile.GFile(self._run.metric_file, "w") as file:
            file.write("".join(json.dumps(line, sort_keys=True) + "\n" for line in self._trials))


def refuse_used(objects: Sequence[Any], kind: str) -> None:
    """Raise UserError for a callback, or a metric, that another training has used: it remembers that one."""
    for one in dict.fromkeys(objects):
        if one in _used:
            name = getattr(one, "name", type(one).__name__)
            raise UserError(
                f"model.py: the {kind} {name!r} was used by another training and remembers it; make a new one each "
                f"time, in {'build_model' if kind == 'metric' else 'a function callbacks()'}"
            )
        _used.add(one)


class Callbacks:
    """What `callbacks` of model.py lists, if it is there: a list, or a function that returns one and may ask for
    `hyperparameters` and `log_dir`, a folder of the job's that is kept.
    """

    def __init__(self, model: ModuleType, run: Run, network: keras.Model, names: Sequence[str], steps: int) -> None:
        """`names`: of the metrics; `steps`: of an epoch. Raises UserError for a callback that would not work here."""
        listed = getattr(model, "callbacks", [])
        if callable(listed) and not inspect.isclass(listed):
            with explaining_model("callbacks may ask for hyperparameters and log_dir, and returns a list"):
                listed = call(listed, hyperparameters=run.hyperparameters, log_dir=run.log_dir)
        if not isinstance(listed, (list, tuple)) or not all(
            isinstance(one, keras.callbacks.Callback) for one in listed
        ):
            raise UserError(
                f"model.py: callbacks must list objects such as keras.callbacks.CSVLogger(...), not {listed}"
            )
        if found := ask("callbacks", listed, list(names), [run.log_dir, run.checkpoint_dir], network):
            raise UserError(f"model.py: {found}")
        refuse_used(listed, "callback")
        epochs = run.hyperparameters.epochs
        self._network = network
        self._list = keras.callbacks.CallbackList(list(listed), model=network, epochs=epochs, steps=steps, verbose=0)
        self.are_there = bool(listed)

    def begin(self, history: Sequence[dict[str, float]]) -> bool:
        """A training begins, or goes on: of the epochs before, the callbacks are shown what was recorded. Whether one
        of them ends it.
        """
        self._network.stop_training = False
        with explaining_model():
            self._list.on_train_begin()
            for epoch, metrics in enumerate(history, start=1):
                self.begin_epoch(epoch)
                self.end_epoch(epoch, metrics)
        return bool(self._network.stop_training)

    def begin_epoch(self, epoch: int) -> None:
        with explaining_model():
            self._list.on_epoch_begin(epoch - 1)

    def end_epoch(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Whether a callback ends the training."""
        with explaining_model():
            # Some write into what they are shown.
            self._list.on_epoch_end(epoch - 1, dict(metrics))
        return bool(self._network.stop_training)

    def end(self, metrics: dict[str, float]) -> None:
        with explaining_model():
            self._list.on_train_end(dict(metrics))


class Checkpoints:
    """Model, optimizer and epoch under `checkpoint_dir`, with the hyperparameters, the order of rows and the metrics
    of theirs. `history` has the metrics of each epoch so far.

    With `patience` among the hyperparameters also the weights of the epoch with the best OBJECTIVE.
    """

    def __init__(self, run: Run, network: keras.Model, order: str = "") -> None:
        self._folder, plain = run.checkpoint_dir, plain_path(run.checkpoint_dir)
        if plain != self._folder:
            tf.io.gfile.makedirs(self._folder)
        self._hyperparameters = dataclasses.asdict(run.hyperparameters)
        self._order, self._network = order, network
        self._patience = self._hyperparameters.get("patience", 0)
        self._epoch = tf.Variable(0, dtype=tf.int64)
        self._best = [tf.Variable(weight.value) for weight in network.weights] if self._patience else []
        self.history: list[dict[str, float]] = []
        # For how many epochs the training began that is gone on with.
        self.began_with: int | None = None
        # Not a file beside it: a job may be killed between the two.
        self._kept_history = tf.Variable("[]")
        # Keras leaves the state of its random layers out of the model's own checkpoint.
        states = [variable.value for variable in network.non_trainable_variables]
        self._checkpoint = tf.train.Checkpoint(
            model=network,
            optimizer=network.optimizer,
            epoch=self._epoch,
            states=states,
            best=self._best,
            history=self._kept_history,
        )
        self._manager = tf.train.CheckpointManager(self._checkpoint, plain, max_to_keep=2)
        self._saved = time.monotonic()

    def restore(self, again: bool = False) -> int:
        """Restore the newest checkpoint; return the epochs that it has seen. Raises UserError for another model's."""
        newest = self._manager.latest_checkpoint
        if newest is None:
            return 0
        self._check_same_model()
        name = join(self._folder, newest.rpartition("/")[2])
        try:
            self._checkpoint.restore(newest).assert_consumed()
        except (AssertionError, ValueError, IndexError, tf.errors.OpError) as error:
            raise UserError(
                f"the checkpoint {name} is broken or belongs to another build_model; {_NEW_FOLDER}"
            ) from error
        self.history = json.loads(self._kept_history.numpy())
        if not again:
            print(f"resuming after epoch {int(self._epoch)} from {name}", flush=True)
        return int(self._epoch)

    def add(self, metrics: dict[str, float], objective: Objective) -> bool:
        """Note the metrics of one more epoch; whether the patience is at its end."""
        self.history.append(metrics)
        if self._patience and self.best(objective) == len(self.history):
            for kept, weight in zip(self._best, self._network.weights, strict=True):
                kept.assign(weight.value)
        return self.is_over(objective)

    def best(self, objective: Objective) -> int:
        """The first epoch with the best objective."""
        sign = 1 if objective.goal == "maximize" else -1
        # Epochs of before may have been told other metrics.
        values = [sign * metrics.get(objective.metric, math.nan) for metrics in self.history]
        return values.index(max(values, key=lambda value: -math.inf if math.isnan(value) else value)) + 1

    def is_over(self, objective: Objective) -> bool:
        """Whether no epoch was better for as many as the patience."""
        return bool(self._patience and self.history) and len(self.history) - self.best(objective) >= self._patience

    def finish(self) -> str:
        """Give the network the weights that are exported: the best epoch's, or averages, as at the end of fit; say
        which. After the last checkpoint, from which a training goes on.
        """
        if self._patience:
            for kept, weight in zip(self._best, self._network.weights, strict=True):
                weight.assign(kept)
            return "best"
        optimizer = self._network.optimizer
        if not getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False):
            return "last"
        optimizer.finalize_variable_values(self._network.trainable_variables)
        return "averages"

    def save(self, epoch: int, last: bool) -> None:
        """Save after `epoch`, unless that was done a moment ago."""
        if not last and time.monotonic() - self._saved < SECONDS_BETWEEN:
            return
        self._epoch.assign(epoch)
        tf.io.gfile.makedirs(self._folder)
        # Once, and before the first checkpoint: a job that is killed while it writes leaves half a note.
        if self._manager.latest_checkpoint is None:
            with tf.io.gfile.GFile(self._note, "w") as note:
                note.write(json.dumps({**self._hyperparameters, _ORDER: self._order}, indent=2))
        self._kept_history.assign(json.dumps(self.history))
        self._manager.save()
        self._saved = time.monotonic()

    @property
    def _note(self) -> str:
        return join(self._folder, "hyperparameters.json")

    def _check_same_model(self) -> None:
        # A restored optimizer brings its learning rate along: a new --learning-rate would do nothing.
        try:
            with tf.io.gfile.GFile(self._note) as note:
                before = json.loads(note.read())
        except (tf.errors.NotFoundError, ValueError) as error:
            raise UserError(f"{self._note} is missing or broken; {_NEW_FOLDER}") from error
        self.began_with = before.get("epochs")
        changed = [
            f"{name}={before.get(name)} then, {value} now"
            for name, value in self._hyperparameters.items()
            if name != "epochs" and before.get(name) != value
        ]
        if changed:
            raise UserError(f"the checkpoint in {self._folder} was made with {', '.join(changed)}; {_NEW_FOLDER}")
        if before.get(_ORDER, self._order) != self._order:
            print(
                f"rows come from {self._order} now, not from {before[_ORDER]}: their order differs from here on",
                flush=True,
            )
