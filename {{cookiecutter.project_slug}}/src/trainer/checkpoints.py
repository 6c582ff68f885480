# Owned by the template.
"""What is saved of a training, after epochs and within them: a job that was stopped or killed goes on where it was, and
ends with the weights of one that nobody has disturbed.
"""

import dataclasses
import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from trainer.explaining import UserError
from trainer.files import plain_path, reason, write_whole
from trainer.reader import Reader, described, differences
from trainer.reporting import Kill, Termination
from trainer.run import Objective, Run, join

# Between checkpoints after epochs, which may be short.
SECONDS_BETWEEN = 10
KEPT = 2
# No hyperparameter can be called so.
_ORDER = "rows come from"
_NEW_FOLDER = "use another folder, or delete the checkpoints to start again"
_ABOUT = "about/.ATTRIBUTES/VARIABLE_VALUE"
_FILE = re.compile(r"ckpt-(\d+)\.(index|data-\d+-of-\d+)")


class _BrokenError(Exception):
    """Files of a checkpoint that cannot be read."""


class Checkpoints:
    """Model, optimizer, epoch and step under `checkpoint_dir`, with hyperparameters, what is known of the data, and
    with `patience` the weights of the epoch with the best OBJECTIVE. The newest two are kept.

    `history` has the metrics of each epoch so far; `step` and `loss` are how many steps of the next one are done, and
    the sum of their losses.
    """

    def __init__(self, run: Run, network: keras.Model, reader: Reader | None = None, steps: int = 0) -> None:
        """`steps`: of an epoch. Without a reader, it is not asked whether the data is what it was."""
        self._folder, self._plain = run.checkpoint_dir, plain_path(run.checkpoint_dir)
        if self._plain != self._folder:
            tf.io.gfile.makedirs(self._folder)
        self._hyperparameters = dataclasses.asdict(run.hyperparameters)
        self._seconds, self._steps, self._network = run.checkpoint_seconds, steps, network
        self._data = {} if reader is None else described(reader)
        self._patience = self._hyperparameters.get("patience", 0)
        self._best = [tf.Variable(weight.value) for weight in network.weights] if self._patience else []
        self.history: list[dict[str, float]] = []
        self.step, self.loss = 0, 0.0
        # For how many epochs the training began that is gone on with.
        self.began_with: int | None = None
        self.termination = Termination()
        self._epoch, self._step = tf.Variable(0, dtype=tf.int64), tf.Variable(0, dtype=tf.int64)
        # Not of float32: the sum shall not depend on where it was interrupted.
        self._loss = tf.Variable(0.0, dtype=tf.float64)
        # Not files beside it: a job may be killed between the two.
        self._kept_history, self._about = tf.Variable("[]"), tf.Variable("{}")
        # Keras leaves the state of its random layers out of the model's own checkpoint.
        states = [variable.value for variable in network.non_trainable_variables]
        self._checkpoint = tf.train.Checkpoint(
            model=network,
            optimizer=network.optimizer,
            epoch=self._epoch,
            step=self._step,
            loss=self._loss,
            states=states,
            best=self._best,
            history=self._kept_history,
            about=self._about,
        )
        # Which one the weights are of, if any; the newest.
        self.restored = ""
        # Epoch and step of the newest one.
        self._saved, self._at = time.monotonic(), (-1, 0)

    def restore(self, again: bool = False) -> int:
        """Restore the newest checkpoint that is whole; return the epochs that it has seen. Raises UserError for another
        model's, for other columns, and where none is whole.
        """
        if again:
            if self.restored:
                self._read(self.restored)
            return int(self._epoch)
        listed = self._listed()
        numbers = self._numbers() | {int(number) for number in re.findall(r"\d+", " ".join(listed or ()))}
        broken: dict[str, str] = {}
        for number in sorted(numbers, reverse=True):
            try:
                self._read(f"ckpt-{number}")
            except _BrokenError as error:
                broken[f"ckpt-{number}"] = str(error)
                continue
            self.restored = f"ckpt-{number}"
            break
        self._say_broken(broken, listed)
        if not self.restored:
            return 0
        if not listed or listed[-1] != self.restored:
            older = [f"ckpt-{number}" for number in sorted(numbers) if f"ckpt-{number}" not in broken]
            try:
                self._list(older)
            except (tf.errors.OpError, OSError) as error:
                raise self._unwritten(error) from error
        self._say_where()
        return int(self._epoch)

    def _say_broken(self, broken: Mapping[str, str], listed: list[str] | None) -> None:
        """Say which checkpoints are not used. Raises UserError where none is left of those once written completely."""
        state, is_new = join(self._folder, "checkpoint"), not tf.io.gfile.exists(self._path("checkpoint"))
        if listed is None and self.restored:
            how = "is missing" if is_new else "is empty or broken"
            print(f"warning: {state} {how}, and made anew: {self.restored} is the newest one", flush=True)
        # A job that is killed while it writes the first one leaves no list.
        half = {name for name in broken if (name not in listed if listed is not None else is_new and name == "ckpt-1")}
        if not self.restored and (worse := [name for name in broken if name not in half]):
            why = broken[worse[0]]
            raise UserError(f"every checkpoint in {self._folder} is broken; {worse[0]}: {why}; {_NEW_FOLDER}")
        for name, why in broken.items():
            what = "was not written to its end" if name in half else f"is broken ({why})"
            then = f"{self.restored} is used" if self.restored else "the training begins anew"
            print(f"warning: the checkpoint {join(self._folder, name)} {what}; {then}", flush=True)

    def _say_where(self) -> None:
        epoch, place = int(self._epoch), join(self._folder, self.restored)
        before = json.loads(self._about.numpy())["data"]
        if self._data and before:
            self._say_changes(before)
        if self.step and self._data and before and before["rows"] != self._data["rows"]:
            # Its steps had other rows than those that would be left out now.
            changed = "its rows are not those of then"
            print(f"epoch {epoch + 1} begins again, with the weights of step {self.step}: {changed}", flush=True)
            self.step, self.loss = 0, 0.0
        elif self.step:
            print(f"goes on in epoch {epoch + 1} at step {self.step} of {self._steps}, from {place}", flush=True)
            if self._data and self._data["rows"]["come from"] not in ("memory", "files"):
                why = "which takes as long as reading them does"
                print(f"the {self.step} batches before it are read once more, {why}", flush=True)
        else:
            print(f"resuming after epoch {epoch} from {place}", flush=True)

    def prepare(self) -> None:
        """Before the first step, write the hyperparameters down for people. Raises UserError for a folder that cannot
        be written.
        """
        note = join(self._folder, "hyperparameters.json")
        order = self._data["rows"]["come from"] if self._data else ""
        expected = {**self._hyperparameters, _ORDER: order}
        known = {"epochs": 0, _ORDER: ""}
        try:
            tf.io.gfile.makedirs(self._folder)
            try:
                with tf.io.gfile.GFile(note) as file:
                    found = {**json.loads(file.read()), **known}
            except (tf.errors.NotFoundError, ValueError, TypeError):
                found = None
            if found is None and self.restored:
                print(f"warning: {note} was missing or broken, and is made anew", flush=True)
            if found != {**expected, **known}:
                write_whole(self._path("hyperparameters.json"), json.dumps(expected, indent=2))
        except tf.errors.OpError as error:
            raise self._unwritten(error) from error

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
        """Save after `epoch`, unless that was done a moment ago. Raises UserError where it cannot be written."""
        between = min(SECONDS_BETWEEN, self._seconds or SECONDS_BETWEEN)
        if last or self.termination.came or time.monotonic() - self._saved >= between:
            try:
                self._save(epoch, 0, 0.0)
            except (tf.errors.OpError, OSError) as error:
                raise self._unwritten(error) from error
        self.termination.end()

    def save_within(self, epoch: int, step: int, loss: float) -> None:
        """Save after `step` steps of an epoch, the sum of whose losses is `loss`, where it is time; and where SIGTERM
        came, which then ends the job. One that cannot be written is left out with a warning: the one before remains.
        """
        is_time = self._seconds and time.monotonic() - self._saved >= self._seconds
        kill = Kill(epoch, step, self._steps, self._hyperparameters["epochs"])
        if (is_time or self.termination.came or kill.is_near) and (epoch - 1, step) != self._at:
            try:
                self._save(epoch - 1, step, loss)
            except (tf.errors.OpError, OSError) as error:
                then = "" if self.termination.came else ". The training goes on without it"
                print(f"warning: {self._unwritten(error)}{then}", flush=True)
                self._saved = time.monotonic()
        kill.do()
        self.termination.end()

    def _save(self, epoch: int, step: int, loss: float) -> None:
        tf.io.gfile.makedirs(self._folder)
        name = f"ckpt-{int(self.restored.removeprefix('ckpt-') or 0) + 1}"
        began_with = self.began_with or self._hyperparameters["epochs"]
        about = {"hyperparameters": {**self._hyperparameters, "epochs": began_with}, "data": self._data}
        self._epoch.assign(epoch)
        self._step.assign(step)
        self._loss.assign(loss)
        self._kept_history.assign(json.dumps(self.history))
        self._about.assign(json.dumps(about))
        kept = [*(one for one in self._listed() or () if one != name), name][-KEPT:]
        try:
            self._checkpoint.write(self._path(name))
            self._list(kept)
        except (tf.errors.OpError, OSError):
            self._tidy(name)
            raise
        self.restored = name
        oldest = int(kept[0].removeprefix("ckpt-"))
        self._tidy(*(f"ckpt-{number}" for number in self._numbers() if number < oldest))
        self._saved, self._at = time.monotonic(), (epoch, step)

    def _tidy(self, *others: str) -> None:
        """Take away what writing has left, which may fill the disk, and these checkpoints."""
        for one in self._names():
            if re.match(r"ckpt-\d+_temp|.+\.part$", one) or one.startswith(tuple(f"{name}." for name in others)):
                place = self._path(one.rstrip("/"))
                tf.io.gfile.rmtree(place) if tf.io.gfile.isdir(place) else tf.io.gfile.remove(place)

    def _unwritten(self, error: Exception) -> UserError:
        kept = f"; the last good one is {join(self._folder, self.restored)}" if self.restored else ""
        return UserError(f"no checkpoint can be written to {self._folder}: {reason(error)}{kept}")

    def _names(self) -> list[str]:
        return tf.io.gfile.listdir(self._plain) if tf.io.gfile.isdir(self._plain) else []

    def _numbers(self) -> set[int]:
        """Of the checkpoints that have files here."""
        return {int(match[1]) for match in map(_FILE.fullmatch, self._names()) if match}

    def _path(self, name: str) -> str:
        return join(self._plain, name)

    def _listed(self) -> list[str] | None:
        """The checkpoints that the file `checkpoint` names, the newest one last; None where it says nothing."""
        try:
            with tf.io.gfile.GFile(self._path("checkpoint"), "rb") as file:
                text = file.read().decode("utf-8", "replace")
        except tf.errors.NotFoundError:
            return None
        return re.findall(r'^all_model_checkpoint_paths: ".*?([^"/]+)"', text, re.MULTILINE) or None

    def _list(self, names: list[str]) -> None:
        """Write the file `checkpoint`, as tf.train.latest_checkpoint reads it, without the times of a host's clock."""
        lines = [f'model_checkpoint_path: "{names[-1]}"', *(f'all_model_checkpoint_paths: "{name}"' for name in names)]
        write_whole(self._path("checkpoint"), "\n".join(lines) + "\n")

    def _read(self, name: str) -> None:
        """Restore one checkpoint. Raises _BrokenError, and UserError for another model's."""
        place = join(self._folder, name)
        try:
            reader = tf.train.load_checkpoint(self._path(name))
            about = json.loads(reader.get_tensor(_ABOUT)) if reader.has_tensor(_ABOUT) else None
        except (tf.errors.OpError, ValueError, IndexError) as error:
            raise _BrokenError(reason(error)) from error
        if about is None:
            raise UserError(f"the checkpoint {place} is of another version of src/trainer; {_NEW_FOLDER}")
        self._refuse_others(about)
        try:
            self._checkpoint.read(self._path(name)).assert_consumed()
        except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
            _refuse_broken(reader)
            raise UserError(f"the checkpoint {place} belongs to another build_model; {_NEW_FOLDER}") from error
        self.history = json.loads(self._kept_history.numpy())
        self.step, self.loss = int(self._step), float(self._loss)

    def _refuse_others(self, about: dict[str, Any]) -> None:
        # A restored optimizer brings its learning rate along: a new --learning-rate would do nothing.
        before = about["hyperparameters"]
        self.began_with = before.get("epochs")
        changed = [
            f"{name}={before.get(name)} then, {value} now"
            for name, value in self._hyperparameters.items()
            if name != "epochs" and before.get(name) != value
        ]
        if changed:
            raise UserError(f"the checkpoint in {self._folder} was made with {', '.join(changed)}; {_NEW_FOLDER}")
        if not (self._data and about["data"]):
            return
        then, now = about["data"], self._data
        if changed := differences(then["columns"], now["columns"]):
            what = f"the checkpoint in {self._folder} was made of another table: {'; '.join(changed)}"
            raise UserError(f"{what}; its weights do not fit; {_NEW_FOLDER}")

    def _say_changes(self, then: dict[str, Any]) -> None:
        now = self._data
        if then["rows"]["come from"] != now["rows"]["come from"]:
            sources = f"{now['rows']['come from']} now, not from {then['rows']['come from']}"
            print(f"{_ORDER} {sources}: their order differs from here on", flush=True)
        if changed := differences(then["learned"], now["learned"]):
            print(f"note: the data has changed since the checkpoint: {'; '.join(changed)}", flush=True)


def _refuse_broken(reader: Any) -> None:
    """Read all that a checkpoint holds, each with a checksum. Raises _BrokenError."""
    try:
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, IndexError) as error:
        raise _BrokenError(reason(error)) from error
