"""What is said about a network beyond the plain fact: what this training would leave out, and what makes NaN.

A project's trainer runs this file as it does advice.py, and hands over objects of its own Keras.
"""

import functools
import importlib
import inspect
import math
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

SECONDS_TO_LOOK = 30
# What `fit`, `evaluate` and `predict` call, and the loop of a project's training does not.
_NOT_CALLED = (
    "train_step", "test_step", "predict_step", "fit", "evaluate", "predict", "train_on_batch", "test_on_batch",
)  # fmt: skip
# Losses, and what may end a network, that know no number below 0; standardised, half of the targets are.
_WITHOUT_NEGATIVES = {
    "poisson", "mean_squared_logarithmic_error", "mean_absolute_percentage_error", "binary_crossentropy", "relu",
    "relu6", "softplus", "exponential", "exp", "sigmoid", "hard_sigmoid",
}  # fmt: skip
# How far from 0, in deviations of the target, a new network seldom answers.
_FAR = 10
# What does here what these callbacks do in `fit`.
_INSTEAD = {
    "ModelCheckpoint": "the training saves checkpoints by itself, and --patience exports the best epoch",
    "BackupAndRestore": "the training saves checkpoints by itself, and a job that is started again goes on from them",
    "OrbaxCheckpoint": "the training saves checkpoints by itself, and a job that is started again goes on from them",
    "TerminateOnNaN": "the training ends by itself where the loss is not finite",
    "SwapEMAWeights": "use_ema=True of the optimizer is enough: the averages are exported",
    "ProgbarLogger": "the training prints a line an epoch",
}
_PATHS = ("log_dir", "filename", "filepath")


def not_run(network: Any, model: ModuleType) -> str:
    """An override, or a callback, that would never be called, in words; "" where there is none."""
    kind = type(network)
    for name in _NOT_CALLED:
        if name in vars(network) or not getattr(kind, name).__module__.startswith("keras."):
            return (
                f"{kind.__name__} has a {name} of its own, which this training, a loop of its own, never calls; what "
                "it calls are call, compute_loss and compute_metrics: write it there"
            )
    names = [name for name, value in vars(network).items() if _holds_callbacks(value)] + _unused_callbacks(model)
    return (
        f"{', '.join(names)}: nobody calls these callbacks; list them in model.py: callbacks = [...]" if names else ""
    )


def _unused_callbacks(model: ModuleType) -> list[str]:
    """Names in model.py of callbacks, or of their classes, that stand there once only: where they are defined."""
    members = {name: value for name, value in vars(model).items() if name != "callbacks"}
    names = [
        name
        for name, value in members.items()
        if _holds_callbacks(value) or (_is_callback(value) and value.__module__ == model.__name__)
    ]
    text = inspect.getsource(model) if names else ""
    return [name for name in names if len(re.findall(rf"\b{re.escape(name)}\b", text)) == 1]


def _is_callback(kind: Any) -> bool:
    return inspect.isclass(kind) and any(
        one.__name__ == "Callback" and one.__module__.startswith("keras.") for one in kind.__mro__
    )


def _holds_callbacks(value: Any) -> bool:
    values: Iterable[Any] = (
        value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
    )
    return any(_is_callback(type(one)) for one in values)


def callbacks(listed: Sequence[Any], names: Sequence[str], folders: Sequence[str], network: Any) -> str:
    """What is wrong with callbacks of a training whose metrics have these `names`, and whose `folders` are kept."""
    has_schedule = type(getattr(network.optimizer, "_learning_rate", 0.0)).__module__.startswith("keras.src.optimizers")
    for one in listed:
        kinds = [kind.__name__ for kind in type(one).__mro__]
        if found := next((kind for kind in kinds if kind in _INSTEAD), None):
            return f"callbacks: leave out {found}: {_INSTEAD[found]}"
        if getattr(one, "restore_best_weights", False):
            return (
                f"callbacks: {kinds[0]} loses the best weights when a job goes on: write patience into Hyperparameters"
            )
        if has_schedule and kinds[0] in ("LearningRateScheduler", "ReduceLROnPlateau"):
            return f"callbacks: {kinds[0]} sets the learning rate, and the optimizer has a schedule of its own: use one"
        if hooks := [] if "TensorBoard" in kinds else [name for name in _hooks(one) if _is_own(one, name)]:
            which = "train_begin, train_end, epoch_begin and epoch_end"
            return f"callbacks: {kinds[0]} has {', '.join(hooks)}, and this training calls {which} only"
        if "TensorBoard" in kinds and (wanted := _without_tensorboard()):
            return wanted
        monitor = getattr(one, "monitor", None)
        if isinstance(monitor, str) and monitor not in names:
            near = get_close_matches(monitor, names, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            return f"callbacks: {kinds[0]} monitors {monitor!r}; {meant}The metrics are {', '.join(names)}"
        for name in _PATHS:
            place = getattr(one, name, None)
            if isinstance(place, (str, os.PathLike)) and not _is_inside(str(place), folders):
                return (
                    f"callbacks: {kinds[0]} writes to {place}, which is lost with the cloud's machine: write a "
                    f"function callbacks(log_dir) that returns [{kinds[0]}(...)] with a place in log_dir"
                )
    return ""


def _without_tensorboard() -> str:
    """What to say where the source's requirements lack what Keras' TensorBoard writes with."""
    file = Path(next(iter(sys.modules["trainer"].__path__))).with_name("requirements.txt")
    if not file.is_file() or re.search(r"(?mi)^tensorboard\b", file.read_text(encoding="utf-8")):
        return ""
    import tensorflow as tf

    version = ".".join(tf.__version__.split(".")[:2])
    return (
        "callbacks: TensorBoard needs the package tensorboard, which the training images do not hold: add the line "
        f"tensorboard=={version}.* to src/requirements.txt"
    )


def _hooks(one: Any) -> list[str]:
    return [
        name for name in dir(one) if re.fullmatch(r"on_((train_|test_|predict_)?batch|test|predict)_(begin|end)", name)
    ]


def _is_own(one: Any, name: str) -> bool:
    return not getattr(getattr(one, name), "__qualname__", "").startswith("Callback.")


def _is_inside(place: str, folders: Sequence[str]) -> bool:
    if "://" in place:
        return any(place.startswith(folder.rstrip("/") + "/") or place == folder for folder in folders)
    full = os.path.realpath(place)
    return any(
        "://" not in folder and os.path.commonpath([full, os.path.realpath(folder)]) == os.path.realpath(folder)
        for folder in folders
    )


def _targets(reader: Any) -> list[Any]:
    found: list[Any] = getattr(getattr(reader, "table", None), "targets", [])
    return found


def labels(reader: Any) -> str:
    """Which losses and metrics fit the labels of a table, as a continued sentence; "" where there are none."""
    found = next((target for target in _targets(reader) if hasattr(target, "one_hot")), None)
    if found is None:
        return ""
    if found.one_hot:
        return f"; the labels of {found.name!r} are one-hot, for categorical_crossentropy"
    return f"; F1Score, or categorical_crossentropy, wants one-hot labels: Classes({found.name!r}, ..., one_hot=True)"


def losses(network: Any, reader: Any) -> str:
    """What is wrong with the losses of a table's outputs, in words; "" where nothing is."""
    targets = _targets(reader)
    by_key = network.loss if isinstance(network.loss, dict) else {}
    for target in targets if len(targets) > 1 else []:
        if by_key and target.key not in by_key:
            return (
                f"compile has no loss for the output {target.key!r}: write {target.key!r}: None if it is to have none"
            )
    ends = getattr(network, "_outputs_struct", None)
    for target in targets:
        loss, end = (
            one.get(target.key) if isinstance(one, dict) and (len(targets) > 1 or target.key in one) else one
            for one in (network.loss, ends)
        )
        if getattr(target, "standardise", False) and (found := _without_negatives(loss, end)):
            return (
                f"{found} knows no negative number, and half of a standardised target is below 0: write "
                f"Number({target.name!r}, standardise=False)"
            )
    return ""


def _without_negatives(loss: Any, end: Any) -> str | None:
    import keras

    tree = keras.tree.flatten
    used = [getattr(one, "fn", one) for one in map(keras.losses.get, [one for one in tree(loss) if one is not None])]
    for tensor in tree(end):
        operation = getattr(getattr(tensor, "_keras_history", None), "operation", None)
        used.append(getattr(operation, "activation", None) or type(operation))
    names = (getattr(one, "__name__", "").lower() for one in used)
    return next((name for name in names if name in _WITHOUT_NEGATIVES), None)


def far(output: Any, reader: Any) -> str:
    """Whether a new network answers far from where a standardised target is, in words."""
    for target in _targets(reader):
        values = output[target.key] if isinstance(output, dict) else output
        mean = float(values.numpy().mean()) if getattr(target, "standardise", False) else 0
        if mean > _FAR:
            return (
                f"before any training the network answers {mean:.4g}, where the standardised target has mean 0 and "
                "deviation 1. Leave out what model.py scales it by, or write Number(..., standardise=False)"
            )
    return ""


def not_finite(network: Any, reader: Any, training: bool, batch_size: int) -> str | None:
    """A sentence about the first such row and layer; None where there is none, or none is found in time."""
    import tensorflow as tf

    stop = time.monotonic() + SECONDS_TO_LOOK
    for places, batch in _placed(reader, training, batch_size):
        if time.monotonic() > stop:
            return None
        if _guilty(network, reader, *batch):
            for row, place in enumerate(places):
                alone = tf.nest.map_structure(lambda value, row=row: value[row : row + 1], batch)
                if who := _guilty(network, reader, *alone):
                    return f"{who} is not finite for {place}"
    return None


def _placed(reader: Any, training: bool, batch_size: int) -> Iterator[tuple[list[str], Any]]:
    import tensorflow as tf

    if hasattr(reader, "placed"):
        yield from reader.placed(training)
        return
    count = math.ceil((reader.train_rows if training else reader.eval_rows) / batch_size)
    for number, batch in enumerate(reader.batches(training, batch_size).take(count), start=1):
        end = f"of batch {number} of the {'shuffled training' if training else 'evaluation'} data"
        yield [f"row {row + 1} {end}" for row in range(len(tf.nest.flatten(batch)[0]))], batch


def _guilty(network: Any, reader: Any, features: Any, target: Any, weight: Any) -> str | None:
    """What first answers with a value that is not finite, in words, if the output or the loss is not."""
    values = importlib.import_module("trainer.values")
    is_finite = importlib.import_module("trainer.loop").is_finite
    found = [f"the input {name!r}" for name, value in features.items() if not is_finite(value)]
    watched = list(network._flatten_layers(include_self=False))
    watched += [one for function in [network, *watched] for one in getattr(function, "operations", ())]

    def watch(one: Any, *arguments: Any, **named: Any) -> Any:
        # Whoever answers first is at the origin.
        output = type(one).call(one, *arguments, **named)
        if not is_finite(output):
            found.append(f"the output of the layer {one.name!r} ({type(one).__name__})")
        return output

    for one in watched:
        vars(one)["call"] = functools.partial(watch, one)
    try:
        output = network(features, training=False)
    finally:
        for one in watched:
            vars(one).pop("call", None)
    if not is_finite(output):
        return found[0] if found else "the output"
    target = getattr(reader, "units", values.Units()).standardise(values.like(target, output))
    return None if is_finite(network.compute_loss(features, target, output, weight)) else "the loss"
