"""Starts, feeds and ends the model server's process."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from onstage.errors import UserError
from onstage.serving.archive import find_models, find_versions

MAIN = Path(__file__).resolve().parent / "model_server" / "main.py"
# All that the server needs to know of this machine. It gets no credentials and no PYTHONPATH.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class ServedModel:
    """The version of a model that answers by default.

    `signatures` is what each takes, in words; `examples` holds a correct request to each; `problems` says why requests
    will fail although TensorFlow Serving loads the model.
    """

    version: int
    signatures: dict[str, str]
    examples: dict[str, dict[str, Any]]
    problems: list[str]

    @property
    def example(self) -> dict[str, Any]:
        """A correct request: to the signature that is asked by default or, where there is none of its name, by name."""
        if "serving_default" in self.examples:
            return self.examples["serving_default"]
        name, request = next(iter(self.examples.items()))
        return {**request, "signature_name": name}


class ServingProcess(AbstractContextManager["ServingProcess"]):
    """A model server that has neither the project nor Keras. Use `with`, or call `stop`.

    Make it early: it starts at once, imports TensorFlow while something else runs, and is then told what to `load`. Its
    log goes to standard error with `show_log`, or else to what `log` returns. `environment` is the platform's own.
    `models` are those that were loaded last: name to version to folder.
    """

    def __init__(
        self,
        platform: str = "sagemaker",
        port: int = 0,
        python: str = sys.executable,
        show_log: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.models: Mapping[str, Mapping[int, Path]] = {}
        self._platform, self._environment = platform, dict(environment or {})
        self._replies: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._ports: dict[str, int] = {}
        # It has no name, so that nothing of it is left when both processes are killed.
        self._log_file = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - `stop` closes it
        self._log = ""
        self._log_lock = threading.Lock()
        flags = ["-I", "-B"] if sys.dont_write_bytecode else ["-I"]
        self._process = subprocess.Popen(
            [python, *flags, str(MAIN), platform, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if show_log else self._log_file,
            env=_environment() | self._environment,
            encoding="utf-8",
        )
        assert self._process.stdin and self._process.stdout, "both are pipes"
        self._commands, self._answers = self._process.stdin, self._process.stdout
        threading.Thread(target=self._read, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def load(self, folder: Path, seconds: float = 120) -> ServedModel:
        """Serve the models of an unpacked archive as SageMaker's container does, in place of those with their names.

        Returns the default one, once it is AVAILABLE. Raises UserError when the container would not start, or when the
        model loads but cannot answer, with the loader's own words.
        """
        return self.load_answering({name: find_versions(base) for name, base in find_models(folder).items()}, seconds)

    def load_answering(self, models: Mapping[str, Mapping[int, Path]], seconds: float = 120) -> ServedModel:
        """`load_models`, of which it returns the default one. Raises UserError, too, for one that cannot answer."""
        served = self.load_models(models, seconds)
        for name, model in served.items():
            if model.problems:
                problems = "\n".join(model.problems)
                raise UserError(f"TensorFlow Serving loads model {name}, but cannot answer: {problems}")
        return next(iter(served.values()))

    def load_models(self, models: Mapping[str, Mapping[int, Path]], seconds: float = 120) -> dict[str, ServedModel]:
        """Serve these version folders, the first model by default. Raises UserError when one cannot be loaded."""
        self._wait_for_ports(seconds)
        wanted = {
            name: {str(number): str(path.resolve()) for number, path in versions.items()}
            for name, versions in models.items()
        }
        reply = self._answer({"default": next(iter(wanted)), "models": wanted}, seconds)
        self.models = models
        return {name: ServedModel(**model) for name, model in reply["models"].items()}

    def again(self, python: Path) -> "ServingProcess":
        """The same platform's server by another Python, which has loaded nothing yet."""
        return ServingProcess(self._platform, python=str(python), environment=self._environment)

    def weights(self, folder: Path) -> list[tuple[list[int], str, float]]:
        """Of every variable of the SavedModel in `folder`: shape, digest, and sum of absolute values; sorted.

        Raises UserError when they cannot be read.
        """
        self._wait_for_ports()
        return [tuple(one) for one in self._answer({"weights": str(folder.resolve())}, 60)["weights"]]

    @property
    def url(self) -> str:
        """Of the platform's front."""
        return f"http://127.0.0.1:{self._wait_for_ports()['port']}"

    @property
    def rest_url(self) -> str:
        """Of TensorFlow Serving's REST interface, which the platform's front hides."""
        return f"http://127.0.0.1:{self._wait_for_ports()['rest_port']}"

    @property
    def model_url(self) -> str:
        """Of the model that answers by default, in TensorFlow Serving's REST interface."""
        return f"{self.rest_url}/v1/models/{quote(next(iter(self.models)), safe='')}"

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def log(self) -> str:
        """What the server has said so far: for each refused request, what would have been right."""
        with self._log_lock:
            if not self._log_file.closed:
                self._log_file.seek(0)
                self._log = self._log_file.read().decode("utf-8", "replace")
        return self._log

    def wait(self) -> None:
        """Wait until the process ends. Raises UserError then: it should not."""
        raise UserError(f"the model server ended with code {self._process.wait()}\n{self._tail()}")

    def stop(self) -> None:
        """End the process; `log` still answers."""
        try:
            # Its end is the signal to go.
            self._commands.close()
            self._process.wait(5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self.log()
        self._log_file.close()

    def _read(self) -> None:
        for line in self._answers:
            self._replies.put(json.loads(line))
        self._replies.put(None)

    def _wait_for_ports(self, seconds: float = 30) -> dict[str, int]:
        if not self._ports:
            self._ports = self._reply(seconds)
        return self._ports

    def _answer(self, command: dict[str, Any], seconds: float) -> dict[str, Any]:
        try:
            self._commands.write(f"{json.dumps(command)}\n")
            self._commands.flush()
        except BrokenPipeError:
            raise UserError(f"the model server ended\n{self._tail()}") from None
        return self._reply(seconds)

    def _reply(self, seconds: float) -> dict[str, Any]:
        try:
            reply = self._replies.get(timeout=seconds)
        except queue.Empty:
            raise UserError(f"the model server has not answered for {seconds:.0f} s\n{self._tail()}") from None
        if reply is None:
            raise UserError(f"the model server ended with code {self._process.wait()}\n{self._tail()}")
        if "error" in reply:
            raise UserError(f"the model server {reply['error']}")
        return reply

    def _tail(self) -> str:
        return "\n".join(self.log().splitlines()[-20:])


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # Without Keras, TensorFlow has to be told not to look for it. The GPU may still be the training's.
    # TensorFlow's own old copy of Keras writes a settings file to KERAS_HOME, or none where it cannot.
    own = {"TF_USE_LEGACY_KERAS": "1", "KERAS_HOME": f"{os.devnull}/keras", "CUDA_VISIBLE_DEVICES": "-1"}
    return kept | own | {"TF_CPP_MIN_LOG_LEVEL": "2"}
