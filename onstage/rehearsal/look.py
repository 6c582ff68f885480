"""Runs in a job's process when its training is done: builds the network again, as the job and as at home.

At home are the project's folder, its source, and the variables of the researcher's shell that her code names. The
trainer calls `look`; ONSTAGE_HOME names a JSON file with `root` and `variables`, in whose place comes the answer.
Standard library and Keras only: the job has no onstage.
"""

import contextlib
import importlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

_EVENTS = {"open": "opens", "os.listdir": "lists", "os.scandir": "lists", "glob.glob": "looks for"}
_OWNED = "# Owned by the template"


def look(hyperparameters: Any, reader: Any) -> None:
    """Write what is in the networks of the job and of home, as flat tables, and what the code at home has read."""
    place = Path(os.environ["ONSTAGE_HOME"])
    answer: dict[str, Any]
    # Nothing in here may end a job that was done.
    try:
        said = json.loads(place.read_text(encoding="utf-8"))
        # To make them again would take half of the time.
        inputs = reader.inputs()
        loop = sys.modules["trainer.loop"]
        steps = loop.steps_of(hyperparameters, reader)
        build = lambda model: loop.call(model.build_model, hyperparameters, dict(inputs), steps=steps)
        job = _described(sys.modules["trainer.model"], hyperparameters, build)
        reads: list[tuple[str, int, str]] = []
        with _at_home(Path(said["root"]), said["variables"], reads):
            home = _described(importlib.import_module("trainer.model"), hyperparameters, build)
        answer = {"job": job, "home": home, "reads": list(dict.fromkeys(reads))}
    except BaseException as error:  # noqa: BLE001
        answer = {"error": f"{type(error).__name__}: {error}".partition("\n")[0]}
    place.write_text(json.dumps(answer), encoding="utf-8")


def _described(model: Any, hyperparameters: Any, build: Callable[[Any], Any]) -> dict[str, str]:
    import keras

    # Names begin anew; to collect what is free takes a fifth of a second.
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(hyperparameters.seed + 1)
    network = build(model)
    table: dict[str, str] = {f"{one.path} has": f"{tuple(one.shape)} {one.dtype}" for one in network.weights}
    if type(model.DATA).__name__ == "Table":
        table["DATA is"] = repr(model.DATA)
    for layer in network.layers:
        # A layer of a class of its own need not know its configuration.
        with contextlib.suppress(Exception):
            table.update(_flat(layer.name, layer.get_config()))
    with contextlib.suppress(Exception):
        table.update(_flat("the optimizer", network.optimizer.get_config()))
    return {key: re.sub(" at 0x[0-9a-f]+", "", text) for key, text in table.items()}


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for part, one in value.items():
            yield from _flat(f"{name}: {part}", one)
    else:
        yield f"{name} is", repr(value)


@contextlib.contextmanager
def _at_home(root: Path, variables: dict[str, str], reads: list[tuple[str, int, str]]) -> Iterator[None]:
    """Be in the project's folder for a while, with its source; `reads` gets what that asks for."""
    source = root / "src"
    tops = {path.name.removesuffix(".py") for path in source.iterdir()}
    job = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops}
    folder, environment, path = os.getcwd(), dict(os.environ), list(sys.path)
    encode: Callable[[str], Any] = os.environ.encodekey
    is_listening = True

    def note(what: str) -> None:
        nonlocal is_listening
        if is_listening:
            # To find the place is to read files, too.
            is_listening = False
            if place := _place(sys._getframe(2), source):
                reads.append((*place, what))
            is_listening = True

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS and isinstance(arguments[0], (str, os.PathLike)):
            note(f"{_EVENTS[event]} {os.fspath(arguments[0])}")

    def encodekey(key: str) -> Any:
        note(f"asks for the variable {key}")
        return encode(key)

    os.chdir(root)
    os.environ.clear()
    os.environ.update(variables)
    sys.path.insert(0, str(source))
    importlib.invalidate_caches()
    os.environ.encodekey = encodekey
    sys.addaudithook(listen)
    try:
        yield
    finally:
        is_listening = False
        os.environ.encodekey = encode
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            del sys.modules[name]
        sys.modules.update(job)


def _place(frame: FrameType | None, source: Path) -> tuple[str, int] | None:
    """File and line of the researcher's code that asks; None where a library asks for itself, such as an import."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib") or re.search(r"[/\\](keras|tensorflow)[/\\]", file):
            return None
        if Path(file).is_relative_to(source):
            with open(file, encoding="utf-8") as text:
                is_hers = not text.readline().startswith(_OWNED)
            return (Path(file).relative_to(source.parent).as_posix(), frame.f_lineno) if is_hers else None
        frame = frame.f_back
    return None
