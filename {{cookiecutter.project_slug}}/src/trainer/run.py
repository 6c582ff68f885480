# Owned by the template: edit `model.py` instead.
"""What every platform's entry point hands to `training.train`: one `Run`, read from its flags and environment.

Standard library only.
"""

import argparse
import contextlib
import dataclasses
import faulthandler
import gc
import math
import os
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trainer.explaining import UserError, ask, explaining_model

# What a platform says to every script, whether it asked or not.
# `model_dir`: the SageMaker TensorFlow toolkit (in tuning jobs as None/<job>/model); `job-dir`: AI Platform, gcloud;
# `_tuning_objective_metric`: SageMaker's tuning service.
PLATFORM_FLAGS = {
    "model_dir": "where the model goes when the platform's environment does not say it",
    "job_dir": "the folder for model, checkpoints and logs when the platform's environment does not say it",
    "_tuning_objective_metric": argparse.SUPPRESS,
}


# What a shell says of a process that SIGTERM has ended: 128 and the number of the signal.
TERMINATED = 143
CHECKPOINT_SECONDS = 60

# What is wrong with model.py, while it is loaded.
_mistakes: list[str] | None = None
# Where the reason of a failure is left.
_failure_file: Path | None = None


class Terminated(KeyboardInterrupt):
    """SIGTERM ended a training, and a checkpoint holds what it had done."""


def mistaken(message: str) -> None:
    """Raise UserError for a mistake in model.py; while that is loaded, only when all others are known, too."""
    if _mistakes is None:
        raise UserError(message)
    _mistakes.append(message)


@contextlib.contextmanager
def _all_mistakes() -> Iterator[None]:
    global _mistakes
    found: list[str] = []
    _mistakes = found
    try:
        yield
    except UserError:
        # What is wrong already may have caused it.
        if not found:
            raise
    finally:
        _mistakes = None
    if found:
        sys.modules.pop("trainer.model", None)
        raise UserError("\n".join(found))


@dataclass(frozen=True)
class Objective:
    """What tuning looks at: a metric of the epoch line, such as `val_accuracy`, and "maximize" or "minimize"."""

    metric: str
    goal: str

    def __post_init__(self) -> None:
        if self.goal not in ("maximize", "minimize"):
            mistaken(f"model.py: OBJECTIVE's goal is 'maximize' or 'minimize', not {self.goal!r}")


@dataclass(frozen=True)
class Run:
    """One training job, in words that no platform owns. Locations are folders or gs:// URIs."""

    hyperparameters: Any
    train_data: str
    eval_data: str
    # Ends in the version number, or in what else the platform's serving container expects to hold saved_model.pb.
    export_dir: str
    checkpoint_dir: str
    log_dir: str
    # Where the objective is written for Vertex AI's tuning service, and the trial it belongs to.
    metric_file: str | None = None
    trial: str = "0"
    # Where decoded rows are kept for another training on the same files; nowhere for "".
    rows_dir: str = ""
    # How often a checkpoint is written within an epoch; 0: only after one.
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    # How to export the trained model again, should that fail: a sentence for people.
    export_again: str = ""
    # A `cluster.Cluster`, where several hosts train together.
    cluster: Any = None


def tunable(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    scale: str | None = None,
    values: Sequence[Any] | None = None,
    when: Mapping[str, Any] | None = None,
    help: str = "",
) -> Any:
    """A field of `Hyperparameters` with its search space: `low` to `high`, or a list of `values`; a bool needs neither.

    `scale`: "linear", "log", or "reverse_log" (fine near `high`, below 1); `step`: the distance of neighbours.
    `when={"optimizer": "sgd"}`: it counts only where that field has that value, or one of a list of them.
    That bounds the search, not a flag.
    """
    told = {"low": low, "high": high, "step": step, "scale": scale, "values": values, "when": when}
    search = {name: value for name, value in told.items() if value is not None}
    return field(default=default, metadata={"search": search, "help": help})


def parse_flags(
    hyperparameters: type, argv: Sequence[str], flags: Mapping[str, str] | None = None
) -> tuple[Any, dict[str, str | None]]:
    """Hyperparameters and the other `flags` (name to help text; PLATFORM_FLAGS are always known) of a command line.

    Both spellings of a name (`--batch-size`, `--batch_size`) and `--name value` as well as `--name=value` are accepted;
    the last one wins, because Vertex AI's tuning appends its own. Raises UserError for an unknown flag or a bad value.
    """
    known = {**PLATFORM_FLAGS, **(flags or {})}
    parser = _Parser(allow_abbrev=False, argument_default=argparse.SUPPRESS)
    kinds = typing.get_type_hints(hyperparameters)
    for item in dataclasses.fields(hyperparameters):
        if item.name in (*known, "h", "help"):
            raise UserError(f"model.py: a hyperparameter cannot be called {item.name!r}: the platforms use that flag")
        text = item.metadata.get("help") or f"a hyperparameter of {hyperparameters.__module__}"
        parser.add_argument(
            *_spellings(item.name),
            dest=item.name,
            metavar=getattr(_required(kinds[item.name])[0], "__name__", "value").upper(),
            type=_converter(item, kinds[item.name]),
            help=f"{text} (default: {item.default})".replace("%", "%%"),
        )
    for name, text in known.items():
        parser.add_argument(*_spellings(name), dest=name, metavar="TEXT", help=text)
    parsed, unknown = parser.parse_known_args(_joined(argv))
    if unknown:
        names = [*kinds, *(name for name, text in known.items() if text != argparse.SUPPRESS)]
        raise UserError(_unknown_flag(unknown[0], names))
    values = vars(parsed)
    others = {name: values.pop(name, None) for name in known}
    try:
        return hyperparameters(**values), others
    except (TypeError, ValueError) as error:
        raise UserError(f"model.py refuses the hyperparameters: {error}") from error


def main(run: Callable[[], object], failure_file: Path | None = None) -> int:
    """Call `run`; on an error print it, leave it in `failure_file`, and return the exit code.

    SageMaker shows the first 1,024 characters of that file as FailureReason, so the message comes before the traceback.
    A rehearsal asks in two variables where a program is that does not end, and for a note when `run` is over.
    """
    global _failure_file
    _failure_file = failure_file
    if seconds := os.environ.get("ONSTAGE_SECONDS"):
        faulthandler.dump_traceback_later(float(seconds))
    try:
        run()
    except Terminated:
        print("stopped by SIGTERM; the same job goes on from its checkpoint", file=sys.stderr, flush=True)
        return TERMINATED
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr, flush=True)
        return 130
    except Exception as error:  # noqa: BLE001 - the job's last line of defence: everything is reported, nothing swallowed
        say_failure(error)
        return 1
    finally:
        if ended := os.environ.get("ONSTAGE_ENDED"):
            Path(ended).touch()
            faulthandler.dump_traceback_later(5)
    return 0


def say_failure(error: Exception) -> None:
    """Print an error, and leave it in the failure file of `main`."""
    known = isinstance(error, UserError)
    message = str(error) if known else f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    print(f"error: {message}" if known else trace, file=sys.stderr, flush=True)
    if _failure_file is not None:
        _failure_file.parent.mkdir(parents=True, exist_ok=True)
        _failure_file.write_text(f"{message}\n\n{trace}", encoding="utf-8")


def join(folder: str, *names: str) -> str:
    """`folder/names...` for local folders and gs:// URIs alike (pathlib would turn gs:// into gs:/)."""
    return "/".join([folder.rstrip("/"), *names])


def load_model() -> types.ModuleType:
    """`model.py`. Raises UserError, with the line, for one that cannot be imported or lacks a part."""
    with _all_mistakes(), explaining_model():
        # Brings TensorFlow: a million objects, none of them garbage, and to look for some took a sixth of its import.
        gc.disable()
        try:
            from trainer import model
        finally:
            gc.enable()

        is_known = dataclasses.is_dataclass(getattr(model, "Hyperparameters", None))
        for mistake in ask("ranges", model.Hyperparameters) if is_known else ():
            mistaken(mistake)
    for name in ("DATA", "OBJECTIVE", "Hyperparameters", "build_model"):
        if not hasattr(model, name):
            raise UserError(f"model.py has no {name}")
    if not dataclasses.is_dataclass(model.Hyperparameters):
        raise UserError("model.py: Hyperparameters must be a dataclass: write @dataclass(frozen=True) above it")
    return model


def export_again(place: str) -> str:
    """How the checkpoints of a cloud's job, which are at `place`, are exported again, for people."""
    command = "python train.py --job-dir FOLDER, with the job's hyperparameters,"
    return f"Copy {place} to FOLDER/checkpoints in the project, and {command} exports them again, without training."


def checkpoint_seconds(environment: Mapping[str, str]) -> float:
    """What settings.toml says of checkpoints, and the job's CHECKPOINT_SECONDS. Raises UserError for no such number."""
    text = environment.get("CHECKPOINT_SECONDS") or str(CHECKPOINT_SECONDS)
    try:
        if (value := _finite(text)) >= 0:
            return value
    except ValueError:
        pass
    raise UserError(f"the variable CHECKPOINT_SECONDS is {text!r}: a number of seconds, or 0 for none within epochs")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        raise UserError(f"{message}; --help lists all flags")


def _spellings(name: str) -> list[str]:
    if len(name) == 1:
        return [f"-{name}", f"--{name}"]
    return list(dict.fromkeys([f"--{name.replace('_', '-')}", f"--{name}"]))


def _joined(argv: Sequence[str]) -> list[str]:
    # Every flag has one value. Joined to its flag, a value such as -1e-5 or an empty one cannot be taken for a flag.
    rest, joined = iter(argv), []
    for token in rest:
        takes_value = token.startswith("-") and "=" not in token and token not in ("-h", "--help")
        joined.append(f"{token}={next(rest, '')}" if takes_value else token)
    return joined


def _unknown_flag(token: str, names: Sequence[str]) -> str:
    spelt = token.partition("=")[0]
    near = get_close_matches(spelt.strip("-").replace("-", "_"), names, n=1)
    meant = f"did you mean {_spellings(near[0])[0]}? " if near else ""
    return f"unknown flag {spelt}; {meant}Known flags: {', '.join(_spellings(name)[0] for name in names)}"


def _required(kind: Any) -> tuple[Any, bool]:
    """The type without None, and whether None was among its choices."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        if len(members) == 1:
            return members[0], True
    return kind, False


def _converter(item: dataclasses.Field, kind: Any) -> Callable[[str], Any]:
    required, optional = _required(kind)
    convert, wanted = _KINDS.get(required, (None, ""))
    if convert is None:
        raise UserError(f"model.py: {item.name} must be a bool, int, float or str, or one of them `| None`, not {kind}")

    def converted(text: str) -> Any:
        # SageMaker's toolkit sends None as an empty string, its SDK's drivers as null.
        if optional and text in ("", "null", "None"):
            return None
        if not text and required is not str:
            raise argparse.ArgumentTypeError("needs a value")
        try:
            return convert(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None

    return converted


def _boolean(text: str) -> bool:
    if text in ("True", "true", "1"):
        return True
    if text in ("False", "false", "0"):
        return False
    raise ValueError(text)


def _whole(text: str) -> int:
    # Tuning services send whole numbers as 256.0.
    value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    try:
        return int(text)
    except ValueError:
        return int(value)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


_KINDS: dict[type, tuple[Callable[[str], Any], str]] = {
    bool: (_boolean, "true or false"), int: (_whole, "a whole number"), float: (_finite, "a finite number"),
    str: (str, "a text"),
}  # fmt: skip
