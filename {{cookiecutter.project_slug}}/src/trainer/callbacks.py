# Owned by the template: edit `model.py` instead.
"""Keras' callbacks, at the begin and the end of a training and of its epochs; and what `model.py` may ask for."""

import inspect
import weakref
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import keras

from trainer.fields import ask
from trainer.run import Run, UserError, explaining_model

# Objects that remember a training.
_used: weakref.WeakSet = weakref.WeakSet()


def call(function: Callable, *given: Any, **offered: Any) -> Any:
    """`function` of model.py, with what it takes beyond `given`: those of `offered` that its parameters name."""
    taken = inspect.signature(function).parameters
    return function(*given, **{name: value for name, value in offered.items() if name in taken})


def refuse_used(objects: Sequence[Any], kind: str) -> None:
    """Raise UserError for a callback, or a metric, that another training has used: it remembers that one."""
    for one in objects:
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
        if found := ask("callbacks", listed, list(names), [run.log_dir, run.checkpoint_dir]):
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
