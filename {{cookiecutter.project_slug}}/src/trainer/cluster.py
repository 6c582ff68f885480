# Owned by the template.
"""Several hosts that train one model: who they are, how they meet and hear of each other, and which one is lost.

Before TensorFlow starts, each host connects to the port that is the chief's in the cluster, and keeps the connection:
TensorFlow itself waits for a host that never comes, or whose name nobody knows, without a word. Standard library only.
"""

import contextlib
import errno
import json
import math
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.explaining import UserError
from trainer.run import Terminated, say_failure

# How long a host waits for the names and the start of all others; and for how long one may be silent after that.
SECONDS_TO_MEET = 600.0
SECONDS_OF_SILENCE = 45.0
# What TensorFlow gets to notice by itself that a host is lost.
SECONDS_TO_END = 20.0
SECONDS_BETWEEN = 0.5
# What a host says first is short; and of what one sends, so many values wait for the other to take them.
HELLO_BYTES, WAITING = 100_000, 4


@dataclass(frozen=True)
class Cluster:
    """The hosts of a job with their ports, the chief first, which of them this one is, and whether the data `train` or
    `eval` is `sharded`: each host has other files.
    """

    hosts: tuple[tuple[str, int], ...]
    index: int
    sharded: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.hosts[self.index][0]


def json_of(variable: str, environment: Mapping[str, str]) -> Any:
    """What a variable of a platform says; None where it is not set. Raises UserError for what is no JSON."""
    text = environment.get(variable)
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{variable} is no JSON ({error}): {text[:200]}") from error


class Peers:
    """The other hosts, once all are there. Of one host alone, there are none, and it is the chief.

    `end` is called with a message, on a thread, where a host is lost and this one does not end by itself; without it,
    the process ends.
    """

    def __init__(self, cluster: Cluster | None, end: Callable[[str], None] | None = None) -> None:
        """Wait for all hosts, and tell TensorFlow in TF_CONFIG where they are. Raises UserError."""
        self._hosts, self._end = cluster.hosts if cluster else (), end or _give_up
        self.count, self.index = (len(cluster.hosts), cluster.index) if cluster else (1, 0)
        self.is_chief = self.index == 0
        self.lost: str | None = None
        self.is_asked_to_stop = False
        # Called while this host waits for another one's value.
        self.waiting: Callable[[], object] = lambda: None
        self._is_lost, self._lock = threading.Event(), threading.Lock()
        self._links: dict[int, _Link] = {}
        if cluster:
            self._meet(cluster, time.monotonic() + SECONDS_TO_MEET)

    def share(self, make: Callable[..., Any], owner: int = 0) -> Any:
        """What one host makes, a JSON value or bytes, on every host. Raises UserError where a host is lost."""
        if not self._links:
            return make()
        made = make() if self.index == owner else self._receive(owner if self.is_chief else 0)
        for index, link in self._links.items():
            if index != owner and (self.is_chief or self.index == owner):
                link.send("value", made)
        return made

    def agree(self, values: dict[str, Any], hint: str) -> None:
        """Raise UserError, on all hosts, unless each has the same JSON values of these names, which are for people."""
        problem = None
        if self.is_chief:
            for index in self._links:
                theirs = self._receive(index)
                found = (
                    f"{name}: {self._name(0)} has {value}, {self._name(index)} has {theirs[name]}; {hint}"
                    for name, value in values.items()
                    if theirs[name] != value
                )
                problem = problem or next(found, None)
        else:
            self._links[0].send("value", values)
        if problem := self.share(lambda: problem):
            raise UserError(problem)

    @contextlib.contextmanager
    def named(self, *kinds: type[BaseException]) -> Iterator[None]:
        """Turn what TensorFlow raises when a host is lost into a UserError that names it."""
        try:
            yield
        except kinds as error:
            # A process that dies is heard of at once, and by workers through the chief; of a machine, TensorFlow may
            # hear first.
            if self._links and self._is_lost.wait(SECONDS_OF_SILENCE + SECONDS_TO_END / 2):
                raise UserError(self.lost) from error
            raise

    @contextlib.contextmanager
    def connecting(self) -> Iterator[None]:
        """End the process where TensorFlow has not connected the hosts in time, for which it would wait forever."""
        ports = ", ".join(f"{name}:{port}" for name, port in self._hosts)
        message = (
            f"TensorFlow has not connected the hosts within {SECONDS_TO_MEET:.0f} s: each must reach each, {ports}"
        )
        timer = threading.Timer(SECONDS_TO_MEET, self._end, [message])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def ask_to_stop(self) -> None:
        """Tell the chief that this host has been told to end, as all will then, by Terminated."""
        self._links[0].send("stop", None)

    def close(self, error: BaseException | None = None) -> None:
        """Tell the others that this host has done its part, or why it ends. It may be lost without harm after that."""
        kind = "done" if error is None else "stopped" if isinstance(error, Terminated) else "ended"
        for link in self._links.values():
            link.send(kind, error and (str(error) or type(error).__name__))
        self._links = {}

    def _name(self, index: int) -> str:
        return self._hosts[index][0]

    def _receive(self, index: int) -> Any:
        values = self._links[index].values
        while True:
            try:
                value = values.get(timeout=SECONDS_BETWEEN)
            except queue.Empty:
                if self._is_lost.is_set():
                    raise UserError(self.lost) from None
                self.waiting()
                continue
            if value is _STOPPED:
                raise Terminated
            return value

    def _lose(self, index: int, message: str) -> None:
        with self._lock:
            # Of a host that is done itself, nobody waits for anything.
            if self.lost or not self._links:
                return
            self.lost = message
        for other, link in self._links.items() if self.is_chief else ():
            if other != index:
                link.send("lost", message)
        self._is_lost.set()
        time.sleep(SECONDS_TO_END)
        self._end(message)

    def _meet(self, cluster: Cluster, until: float) -> None:
        limit = f"{SECONDS_TO_MEET:.0f} s"
        print(f"{cluster.name}, host {cluster.index + 1} of {self.count}: waits up to {limit} for all", flush=True)
        addresses = [_resolve(name, port, until, limit) for name, port in cluster.hosts]
        listener = self._listen(addresses)
        with listener:
            if self.is_chief:
                links = self._wait_for_workers(listener, until, limit)
        if not self.is_chief:
            links = {0: self._wait_for_chief(addresses[0], until, limit)}
        self._links = links
        for index, link in links.items():
            threading.Thread(target=self._listen_to, args=(index, link), daemon=True).start()
            # One that sends something long to a host that is lost still tells the others that it lives.
            threading.Thread(target=self._beat, args=(link,), daemon=True).start()
        places = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in addresses]
        # All are workers, of which TensorFlow takes the first for the chief.
        task = {"type": "worker", "index": self.index}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": places}, "task": task})
        print(f"all {self.count} hosts are there: {', '.join(name for name, _ in cluster.hosts)}", flush=True)

    def _listen(self, addresses: Sequence[tuple[str, int]]) -> socket.socket:
        """The port that TensorFlow will open; where all hosts are on this machine, on the loopback interface only."""
        host, port = addresses[self.index]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        is_local = all(one.startswith("127.") or one == "::1" for one, _ in addresses)
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host if is_local else "", port))
            listener.listen(self.count)
        except OSError as error:
            listener.close()
            why = "another program on that host has it" if error.errno == errno.EADDRINUSE else error.strerror
            raise UserError(f"{self._name(self.index)} cannot open its port {port}: {why}") from error
        return listener

    def _wait_for_workers(self, listener: socket.socket, until: float, limit: str) -> dict[int, "_Link"]:
        links: dict[int, _Link] = {}
        greeted: queue.SimpleQueue = queue.SimpleQueue()
        listener.settimeout(SECONDS_BETWEEN / 10)
        link = None
        try:
            while len(links) < self.count - 1:
                with contextlib.suppress(TimeoutError):
                    visitor = _Link(listener.accept()[0], 10)
                    # Whoever says nothing, or something else for long, keeps nobody else waiting.
                    greet = lambda visitor=visitor: greeted.put((visitor, *visitor.receive(HELLO_BYTES)))
                    threading.Thread(target=greet, daemon=True).start()
                if not greeted.empty():
                    link, kind, value = greeted.get()
                    index = value.get("index", 0) if kind == "hello" and isinstance(value, dict) else 0
                    if index not in range(1, self.count):
                        link.close()
                    # One that had come may have been started again.
                    elif index in links and not links[index].has_ended():
                        name = self._name(index)
                        raise UserError(f"two hosts say that they are {name}, number {index} of the job")
                    elif value.get("hosts") != [list(host) for host in self._hosts]:
                        name, known = self._name(index), value.get("hosts")
                        raise UserError(f"{name} knows other hosts than {self._name(0)}: {known}")
                    else:
                        links[index] = link
                elif time.monotonic() > until:
                    late = ", ".join(self._name(index) for index in range(1, self.count) if index not in links)
                    missing = f"the job has {self.count} hosts; see the log of what is missing"
                    raise UserError(f"{late} did not come within {limit}, and {missing}")
        except UserError as error:
            for one in {*links.values(), *([link] if link else [])}:
                one.send("ended", str(error))
            raise
        for one in links.values():
            one.send("welcome", None)
        return links

    def _wait_for_chief(self, address: tuple[str, int], until: float, limit: str) -> "_Link":
        chief, place = self._name(0), f"{address[0]}:{address[1]}"
        while True:
            with contextlib.suppress(OSError):
                # The chief ends first, and says who did not come.
                connection = socket.create_connection(address, timeout=5)
                link = _Link(connection, max(until - time.monotonic(), 0) + SECONDS_TO_END)
                link.send("hello", {"index": self.index, "hosts": self._hosts})
                kind, value = link.receive()
                if kind == "welcome":
                    return link
                link.close()
                if kind == "ended":
                    raise UserError(f"{chief} has ended: {value}")
            if time.monotonic() > until:
                raise UserError(f"{chief}, the chief of {self.count} hosts, did not answer at {place} within {limit}")
            time.sleep(SECONDS_BETWEEN)

    def _listen_to(self, index: int, link: "_Link") -> None:
        link.wait_at_most(SECONDS_OF_SILENCE)
        while True:
            kind, value = link.receive()
            if kind == "value":
                link.values.put(value)
            elif kind == "stop":
                self.is_asked_to_stop = True
            elif kind == "stopped":
                link.values.put(_STOPPED)
                return
            elif kind == "done":
                return
            elif kind != "beat":
                break
        name = self._name(index)
        said: dict[str | None, str] = {"lost": value, "ended": f"{name} has ended: {value}"}
        gone = f"{name} is lost: its process was killed, or the host does not answer any more; see its log"
        self._lose(index, said.get(kind, gone))

    def _beat(self, link: "_Link") -> None:
        while not self._is_lost.wait(SECONDS_OF_SILENCE / 10):
            link.send("beat", None)


class _Link:
    """A connection that carries values: a line that says what comes and how long it is, then JSON or bytes."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._lock = connection, threading.Lock()
        connection.settimeout(seconds)
        self._incoming = connection.makefile("rb")
        self.values: queue.Queue = queue.Queue(WAITING)

    def wait_at_most(self, seconds: float) -> None:
        self._connection.settimeout(seconds)

    def has_ended(self) -> bool:
        """Whether the other end is closed, of a connection on which it has nothing to say now."""
        try:
            self._connection.settimeout(0)
            return not self._connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """End the connection, of which both ends hear."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def send(self, kind: str, value: Any) -> None:
        """Send a value. Of one that cannot be sent, whoever listens to either end is told."""
        is_bytes = isinstance(value, bytes)
        content = value if is_bytes else json.dumps(value).encode()
        head = json.dumps({"kind": kind, "bytes": len(content), "json": not is_bytes}).encode()
        rest = memoryview(head + b"\n" + content)
        with self._lock:
            try:
                # Not sendall, whose time is for all of it.
                while rest:
                    rest = rest[self._connection.send(rest) :]
            except OSError:
                self.close()

    def receive(self, most: float = math.inf) -> tuple[str | None, Any]:
        """The next value and its kind; None for the end of the connection, silence, and what was not sent by `send`,
        or has more than `most` bytes.
        """
        try:
            head = json.loads(self._incoming.readline(1000))
            if 0 <= head["bytes"] <= most:
                content = self._incoming.read(head["bytes"])
                if len(content) == head["bytes"]:
                    return head["kind"], json.loads(content) if head["json"] else content
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None, None


def _resolve(name: str, port: int, until: float, limit: str) -> tuple[str, int]:
    """Address and port of a host. Raises UserError for one whose name nobody knows in time."""
    while True:
        try:
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
            address = min(found, key=lambda one: one[0] != socket.AF_INET)[4]
            return str(address[0]), int(address[1])
        except (OSError, UnicodeError) as error:
            if time.monotonic() > until:
                raise UserError(f"no address is known for the host {name} after {limit}: {error}") from error
        time.sleep(SECONDS_BETWEEN)


def _give_up(message: str) -> None:
    """End the process, whose main thread waits for something that does not come, as a UserError ends it."""
    try:
        say_failure(UserError(message))
    finally:
        os._exit(1)


_STOPPED = object()
