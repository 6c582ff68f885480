# Owned by the template.
"""Saves a training, so that a stopped job goes on where it was; and remembers the best epoch."""

import dataclasses
import json
import math
import time

import keras
import tensorflow as tf

from trainer.files import plain_path
from trainer.run import Objective, Run, UserError, join

SECONDS_BETWEEN = 10
# No hyperparameter can be called so.
_ORDER = "rows come from"
_NEW_FOLDER = "use another folder, or delete the checkpoints to start again"


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
