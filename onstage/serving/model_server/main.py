"""The server's process: `python -I main.py PLATFORM PORT`, started by `onstage/serving/process.py`.

Listens at once and imports TensorFlow meanwhile. Reads JSON lines from standard input, {"default": name, "models":
{name: {version: folder} } }, loads what they say and answers each with a line on standard output; {"weights": folder}
asks for a model's variables. Ends with that input, so that it never outlives whoever started it.
"""

import contextlib
import gc
import importlib
import json
import os
import queue
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

# TensorFlow Serving has neither the project nor Python: a model that needs them must fail here, too. Without Keras,
# TensorFlow imports in half the time.
for _absent in ("keras", "tf_keras", "trainer", "onstage"):
    sys.modules[_absent] = None  # type: ignore[assignment]
# An isolated interpreter has no folder of the script's own on its path.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from model_server.http_server import listen
from model_server.rest import Rest

_GREETING = re.compile(
    rb"WARNING: All log messages before absl|[IW]0000 \S+ +\d+ (port|cpu_feature_guard)\.cc|To enable the following"
)


def main(platform: str, port: int) -> int:
    """Serve TensorFlow Serving's REST routes and, on `port`, what `platform` puts before them."""
    # Ctrl-C is for whoever started the server.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = _own_standard_output()
    rest = Rest()
    # A project for one platform has that platform's front only.
    front = importlib.import_module(f"model_server.{platform}_front").Front(rest)
    try:
        _reply(replies, port=listen(front, port, front.limit), rest_port=listen(rest, 0))
    except OSError as error:
        _reply(replies, error=f"cannot use port {port}: {error}")
        return 1
    commands: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(commands,), daemon=True).start()
    load = _import_loader()
    while True:
        command = json.loads(commands.get())
        if "weights" in command:
            _reply(replies, **_weights(Path(command["weights"])))
            continue
        outcome = _load(load, rest, command["models"])
        if "error" not in outcome:
            front.default_model = command["default"]
        _reply(replies, **outcome)


def _load(make_model: Any, rest: Rest, wanted: dict[str, dict[str, str]]) -> dict[str, Any]:
    models: dict[str, dict[int, Any]] = {name: {} for name in wanted}
    for name, versions in wanted.items():
        for version, folder in versions.items():
            try:
                models[name][int(version)] = make_model(Path(folder))
            except Exception as error:  # noqa: BLE001 - the loader raises what it likes; all of it is reported
                return {"error": f"cannot load {folder}: {type(error).__name__}: {error}"}
    rest.models.update(models)
    described = {name: _described(versions) for name, versions in models.items()}
    return {"models": described}


def _weights(folder: Path) -> dict[str, Any]:
    from model_server.weights import describe

    try:
        return {"weights": describe(folder)}
    except Exception as error:  # noqa: BLE001 - as for a model
        return {"error": f"cannot read the variables of {folder}: {type(error).__name__}: {error}"}


def _described(versions: dict[int, Any]) -> dict[str, Any]:
    """The fields of process.ServedModel."""
    default = versions[max(versions)]
    return {
        "version": max(versions),
        "signatures": {name: str(signature) for name, signature in default.served.items()},
        "examples": {name: default.example(name) for name in default.served},
        "problems": [problem for model in versions.values() for problem in model.problems()],
    }


def _import_loader() -> Any:
    # The import makes a million objects, none of them garbage.
    gc.disable()
    with _without_greetings():
        from model_server.model import Model

    gc.freeze()
    gc.enable()
    return Model


@contextlib.contextmanager
def _without_greetings() -> Iterator[None]:
    """Keep TensorFlow's greetings, which no setting silences, from standard error; whatever else is said comes."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            os.write(2, b"".join(line for line in said if not _GREETING.match(line)))


def _own_standard_output() -> TextIO:
    """Keep standard output for replies: what a model prints goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _reply(replies: TextIO, **content: Any) -> None:
    replies.write(json.dumps(content) + "\n")
    replies.flush()


def _read(commands: queue.Queue[str]) -> None:
    for line in sys.stdin:
        commands.put(line)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
