"""Starts and asks the process that has the trained network as its trainer makes it, with Keras and the project."""

import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from onstage.rehearsal import processes
from onstage.report import NotDoneError, Report
from onstage.settings import Settings

MAIN = Path(__file__).resolve().parent / "trained_network" / "main.py"
MOST_ROWS = 2000
# For one answer. The first one waits for TensorFlow, for all rows of the data, and for build_model.
_SECONDS = 300.0
# Of trainer.run.Run, beside what is known.
_NOWHERE = {"export_dir": "", "log_dir": ""}


class TrainedNetwork(AbstractContextManager["TrainedNetwork"]):
    """`build_model`, with the weights of a job's checkpoint, for all platforms of a rehearsal.

    It starts at once, and reads the data while the jobs train. Use `with`. Each question raises NotDoneError where the
    process cannot answer it: the job itself has run the same code, and has ended well.
    """

    def __init__(self, report: Report, settings: Settings, hyperparameters: Mapping[str, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="trained-", ignore_cleanup_errors=True)
        root, self._settings = Path(self._folder.name), settings
        for name in ("home", "tmp", "work"):
            (root / name).mkdir()
        self._places = {channel: root / "data" / channel for channel, _ in settings.data}
        self._told = {
            "source": str(settings.project.source.resolve()),
            "hyperparameters": dict(hyperparameters),
            "rows": MOST_ROWS,
            "run": _NOWHERE,
            **{channel: str(place) for channel, place in self._places.items()},
        }
        self._log = root / "log.txt"
        self._replies: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._lock, self._described = threading.Lock(), dict[str, Any]()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", str(MAIN)],
                cwd=root / "work",
                env=processes.environment(root, sys.executable)
                | {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )
        assert self._process.stdin and self._process.stdout, "both are pipes"
        self._commands, self._answers = self._process.stdin, self._process.stdout
        threading.Thread(target=self._read, daemon=True).start()
        try:
            link_samples(report, root / "data")
            self._write(self._told)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    @property
    def content(self) -> dict[str, Any]:
        """The first `rows` of the evaluation data as a client sends them, of `all`; more of `labels`, and `columns`."""
        with self._lock:
            if not self._described:
                self._described = self._reply()
            return self._answered(self._described)

    def ask(self, question: str, **details: Any) -> Any:
        """The answer of a method of trained_network/network.py."""
        _ = self.content
        with self._lock:
            self._write({"ask": question, **details})
            return self._answered(self._reply())

    def file(self, place: list[Any] | None) -> tuple[str, int | None]:
        """A place in the data as its author knows it."""
        return (self._at_home(place[0]), place[1]) if place else ("", None)

    def _answered(self, reply: dict[str, Any]) -> Any:
        if "unable" in reply:
            raise NotDoneError(self._at_home(reply["unable"]))
        return reply["answer"]

    def _at_home(self, text: str) -> str:
        for channel, location in self._settings.data:
            root = self._settings.project.root
            folder = location if (root / location).is_dir() else location.rpartition("/")[0]
            text = text.replace(str(self._places[channel]), folder.rstrip("/") or ".")
        return text

    def _write(self, command: Any) -> None:
        try:
            self._commands.write(f"{json.dumps(command)}\n")
            self._commands.flush()
        except BrokenPipeError:
            # `_reply` says it.
            return

    def _reply(self) -> dict[str, Any]:
        try:
            reply = self._replies.get(timeout=_SECONDS)
        except queue.Empty:
            raise NotDoneError(f"the trained network has not answered for {_SECONDS:.0f} s") from None
        if reply is None:
            said = self._log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise NotDoneError(f"the process of the trained network has ended: {said}")
        return reply

    def _read(self) -> None:
        for line in self._answers:
            self._replies.put(json.loads(line))
        self._replies.put(None)


def link_samples(report: Report, folder: Path) -> dict[str, Path]:
    """Below `folder`, a folder for each channel, with what an upload of its data, or of a sample, would put there."""
    places = {}
    for channel, sample in report.samples.items():
        places[channel] = folder / channel
        for name, part in sample.parts.items():
            part.write(folder / channel / name, link=True)
    return places
