"""The process: `python -I -B main.py`, started by `onstage/rehearsal/trained.py`.

Imports TensorFlow at once, then reads JSON lines from standard input and answers each with a line on standard output.
The first says what trainer, hyperparameters and data there are; what follows asks. Ends with that input.
"""

import contextlib
import gc
import importlib
import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

# An isolated interpreter has no folder of the script's own on its path.
sys.path.append(str(Path(__file__).resolve().parent.parent))


def main() -> None:
    """Answer until the input ends."""
    # Ctrl-C is for whoever started this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The jobs and their servers are waited for.
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    replies = _own_standard_output()
    commands: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(commands,), daemon=True).start()
    # Before the first command comes: it takes seconds, a sixth more where its objects are searched for garbage.
    gc.disable()
    from trained_network.network import Network

    gc.enable()
    told = json.loads(commands.get())
    sys.path.insert(0, told["source"])
    trained: Any = None
    try:
        trained = Network(told)
        _reply(replies, {"answer": trained.described()})
    except Exception as error:  # noqa: BLE001 - the researcher's code raises what it likes; all of it is reported
        _reply(replies, {"unable": _words(error)})
    while True:
        command = json.loads(commands.get())
        try:
            _reply(replies, {"answer": getattr(trained, command.pop("ask"))(**command)})
        except Exception as error:  # noqa: BLE001 - as before
            _reply(replies, {"unable": _words(error)})


def _words(error: Exception) -> str:
    """What is to be said of an exception, on one line, with the researcher's own line where one raised it."""
    if type(error).__name__ in ("UserError", "DataError", "UnableError"):
        return " ".join(str(error).split())
    with contextlib.suppress(ImportError, AttributeError):
        failure = importlib.import_module("trainer.explaining").explain(error)
        return f"{failure.place}: {failure.reason}" if failure.place else failure.reason
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


def _own_standard_output() -> TextIO:
    """Keep standard output for replies: what a trainer prints goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _reply(replies: TextIO, content: dict[str, Any]) -> None:
    replies.write(json.dumps(content) + "\n")
    replies.flush()


def _read(commands: queue.Queue[str]) -> None:
    for line in sys.stdin:
        commands.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
