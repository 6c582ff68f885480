# Owned by the template.
"""What becomes of each epoch: people are told by a line, and TensorBoard, Vertex AI's tuning and callbacks in theirs.
And who ends a training before its time: a callback, the platform, or a rehearsal.
"""

import inspect
import json
import os
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.explaining import UserError, ask, explaining_model
from trainer.loop import call
from trainer.run import Objective, Run, Terminated

# Objects that remember a training.
_used: weakref.WeakSet = weakref.WeakSet()


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
            self._write_objective(self._run.metric_file, epoch, metrics[self._objective.metric])

    def _write_objective(self, place: str, epoch: int, value: float) -> None:
        line = {
            "timestamp": time.time(),
            "trial": self._run.trial,
            self._objective.metric: str(value),
            "global_step": str(epoch),
            "checkpoint_path": "",
        }
        self._trials.append(line)
        tf.io.gfile.makedirs(place.rpartition("/")[0] or ".")
        with tf.io.gfile.GFile(place, "w") as file:
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


def leave_weights(network: keras.Model) -> None:
    """Where a rehearsal asks for it, write all that is trained into a file, by number and name, as float64.

    It compares what several hosts have, and one alone.
    """
    if place := os.environ.get("ONSTAGE_WEIGHTS"):
        variables = [*network.variables, *network.optimizer.variables]
        values: list[Any] = [np.asarray(keras.ops.convert_to_numpy(one), np.float64) for one in variables]
        names = [f"{number} {one.path}" for number, one in enumerate(variables)]
        np.savez(place, **dict(zip(names, values, strict=True)))


def refuse_on_hosts(network: keras.Model) -> None:
    """Raise UserError for what several hosts would compute by their own rows only, and so otherwise than one does."""
    for layer in network._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable and not layer.synchronized:
            raise UserError(
                f"model.py: the layer {layer.name!r} would normalise by the rows of one host, each by others; write "
                "keras.layers.BatchNormalization(synchronized=True)"
            )
    for loss in tf.nest.flatten(network.loss):
        if (way := getattr(loss, "reduction", None)) in ("sum", "mean_with_sample_weight"):
            raise UserError(
                f"model.py: a loss has reduction={way!r}, of which each host would compute its own; leave it out"
            )
    optimizer = getattr(network.optimizer, "inner_optimizer", network.optimizer)
    if optimizer.gradient_accumulation_steps:
        raise UserError(
            "model.py: gradient_accumulation_steps is for one host; leave it out, and raise batch_size, of which each "
            "host gets its part"
        )


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

    def begin(self, history: Sequence[dict[str, float]], within: bool = False) -> bool:
        """A training begins, or goes on, perhaps `within` an epoch: of the epochs before, the callbacks are shown what
        was recorded. Whether one of them ends it.
        """
        self._network.stop_training = False
        with explaining_model():
            self._list.on_train_begin()
            for epoch, metrics in enumerate(history, start=1):
                self.begin_epoch(epoch)
                self.end_epoch(epoch, metrics)
            if within:
                self.begin_epoch(len(history) + 1)
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


class Termination:
    """SIGTERM, by which a platform says that it will take the machine away: noted, until a checkpoint is written."""

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    # After the strategy is made: that of several workers takes the signal for itself.
    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
            self._before = signal.signal(signal.SIGTERM, self._note)

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        self.came = True

    def end(self) -> None:
        """End the job if the signal came. Raises Terminated, or what who listened before raises."""
        if self.came:
            if callable(self._before):
                self._before(signal.SIGTERM, None)
            raise Terminated


class Kill:
    """`onstage rehearse --kill`, which names a file in ONSTAGE_KILL: in the middle of the second epoch, or of the only
    one, a checkpoint is saved, and a step later this process is killed.
    """

    def __init__(self, epoch: int, step: int, steps: int, epochs: int) -> None:
        middle, here = max(1, steps // 2), os.environ.get("ONSTAGE_KILL") if epoch == min(2, epochs) else None
        self.is_near = bool(here) and step == middle
        self._file = here if step == min(middle + 1, steps) else None
        self._said = {"epoch": epoch, "saved": middle, "step": step, "steps": steps}

    def do(self) -> None:
        if self._file:
            Path(self._file).write_text(json.dumps(self._said), encoding="utf-8")
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
