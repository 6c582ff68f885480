"""Jobs of several hosts: a process for each on 127.0.0.1, started as SageMaker's toolkit or Vertex AI starts them.

Hosts on one machine need a port each: the processes are told one where they ask for the address of a name.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Runs in each process before the entry point, with which it begins; `places` has address and port of each name.
BEGIN = """
import json, os, socket, sys
sys.path[:0] = ["src"]
places, known = json.loads(os.environ["PLACES"]), socket.getaddrinfo
socket.getaddrinfo = lambda name, port, *more, **options: known(*places.get(name, (name, port)), *more, **options)
from trainer import cluster
"""
SAGEMAKER = """
import sagemaker_entry
sys.exit(sagemaker_entry.main(
    lambda: sagemaker_entry.run(sys.argv[1:], os.environ),
    sagemaker_entry.Path(sagemaker_entry.base_dir(os.environ), "output", "failure"),
))
"""
PATIENCE = 600


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Job:
    """A SageMaker job of `count` hosts: `algo-1` is the chief, the folder of each is `folder/algo-N`."""

    def __init__(self, project: Path, folder: Path, count: int, shared: dict[str, str] | None = None) -> None:
        self.project, self.folder, self.shared = project, folder, shared or {}
        self.names = [f"algo-{number}" for number in range(1, count + 1)]
        self.places = {name: ("127.0.0.1", port) for name, port in zip(self.names, free_ports(count), strict=True)}
        self.running: dict[str, subprocess.Popen] = {}
        self.train = dict.fromkeys(self.names, project / "data" / "train")

    def shard(self, counts: Sequence[int]) -> None:
        """Give each host other files of the rows for training, so many of them, as ShardedByS3Key does."""
        (whole,) = (self.project / "data" / "train").iterdir()
        header, *lines = whole.read_text(encoding="utf-8").splitlines(keepends=True)
        # Uneven ones, that stand in the order of the rows when they are together.
        ends = [len(lines) * (number + 1) ** 2 // sum(counts) ** 2 for number in range(sum(counts))]
        starts, owners = (
            [0, *ends],
            [name for name, count in zip(self.names, counts, strict=True) for _ in range(count)],
        )
        for name in self.names:
            self.train[name] = self.folder / f"data-{name}"
            self.train[name].mkdir(parents=True)
        for number, (start, end, owner) in enumerate(zip(starts, ends, owners, strict=False)):
            part = self.train[owner] / "parts" / f"{number}.csv"
            part.parent.mkdir(exist_ok=True)
            part.write_text(header + "".join(lines[start:end]), encoding="utf-8")
        config = {"train": {"S3DistributionType": "ShardedByS3Key"}, "eval": {"S3DistributionType": "FullyReplicated"}}
        self.shared["SM_INPUT_DATA_CONFIG"] = json.dumps(config)

    def start(self, name: str, flags: Sequence[str] = (), before: str = "", entry: str = SAGEMAKER) -> None:
        """Start a host; `before` is code that runs before the entry point."""
        base = self.folder / name
        base.mkdir(parents=True, exist_ok=True)
        scrubbed = {
            key: text for key, text in os.environ.items() if not key.startswith(("PYTEST", "COV", "TF_", "SM_"))
        }
        environment = {
            **scrubbed,
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PLACES": json.dumps(self.places),
            "SAGEMAKER_BASE_DIR": str(base),
            "SM_HOSTS": json.dumps(self.names),
            "SM_CURRENT_HOST": name,
            "SM_CHANNEL_TRAIN": str(self.train[name]),
            "SM_CHANNEL_EVAL": str(self.project / "data" / "eval"),
            **self.shared,
        }
        command = [sys.executable, "-c", BEGIN + before + entry, *flags]
        with (base / "log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                command, cwd=self.project, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def wait(self) -> dict[str, int]:
        """The exit code of each host."""
        until = time.monotonic() + PATIENCE
        try:
            return {name: one.wait(max(until - time.monotonic(), 0.1)) for name, one in self.running.items()}
        finally:
            for one in self.running.values():
                one.kill()
                one.wait()

    def log(self, name: str) -> str:
        return (self.folder / name / "log").read_text(encoding="utf-8", errors="replace")

    def wait_for(self, name: str, text: str) -> None:
        """Wait until a host has printed `text`."""
        until = time.monotonic() + PATIENCE
        while text not in self.log(name):
            assert time.monotonic() < until and self.running[name].poll() is None, self.log(name)
            time.sleep(0.05)

    def files(self, name: str) -> set[str]:
        """What a host has left in its folder, its log aside."""
        base = self.folder / name
        return {path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file()} - {"log"}


def both(*calls: Callable[[], Any]) -> list[Any]:
    """What calls in a thread each return, or the message of what they raise."""
    found: list[Any] = [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        try:
            found[place] = call()
        except Exception as error:  # noqa: BLE001 - what it was is compared
            found[place] = f"{type(error).__name__}: {error}"

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    return found
