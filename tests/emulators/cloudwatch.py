"""The log streams that a job of the emulated SageMaker writes."""

import contextlib
import time
from typing import Any


class Log:
    """Log events of one stream, sent every so often."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client, self._names = client, {"logGroupName": group, "logStreamName": stream}
        # Another job may have been faster.
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=group)
        client.create_log_stream(**self._names)
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """A line; one that ends an epoch is sent at once, with all before it."""
        self._lines.append(line)
        if line.startswith("epoch="):
            self.flush()

    def flush(self) -> None:
        """Send what was not sent yet."""
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in self._lines if line]
        if events:
            self._client.put_log_events(**self._names, logEvents=events)
        self._lines.clear()


class Logs:
    """Log events of a job, in a stream for each of its hosts."""

    def __init__(self, client: Any, group: str, job: str, hosts: int) -> None:
        names = [f"algo-{number}" for number in range(1, hosts + 1)]
        self._streams = {name: Log(client, group, f"{job}/{name}-1700000000") for name in names}

    def add(self, line: str) -> None:
        """A line as the agent gives it: of several hosts, it begins with the host's name."""
        host, _, text = line.partition(": ") if len(self._streams) > 1 else ("algo-1", "", line)
        self._streams[host].add(text)

    def flush(self) -> None:
        """Send what was not sent yet, of each host."""
        for stream in self._streams.values():
            stream.flush()
