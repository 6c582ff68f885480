"""Troubles that the Google fakes make on purpose: errors, lost answers, dropped connections, slowness."""

import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler


@dataclass
class Fault:
    """For requests "METHOD /path?query" in which `pattern` is found: an error, or with `status` 0 no answer at all."""

    pattern: str
    status: int = 0
    message: str = ""
    name: str = ""
    times: int = 1_000_000
    # The request is carried out, and its answer is lost.
    after: bool = False


@dataclass
class Troubles:
    """The faults of a fake, and how long it takes for every request, in seconds."""

    faults: list[Fault] = field(default_factory=list)
    latency: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, line: str) -> Fault | None:
        """The fault that a request meets, which is then used up by one."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, line):
                    fault.times -= 1
                    return fault
        return None

    def meets(self, handler: BaseHTTPRequestHandler) -> bool:
        """Whether a request is dealt with here; its body is read, but of a dropped one only the first half."""
        time.sleep(self.latency)
        fault = self.find(f"{handler.command} {handler.path}")
        if fault is None or fault.after:
            # The answer goes into a connection that has ended for the client already.
            if fault:
                handler.connection.shutdown(socket.SHUT_WR)
                handler.close_connection = True
            return False
        size = int(handler.headers.get("Content-Length") or 0)
        handler.close_connection = fault.status == 0
        if fault.status == 0:
            handler.rfile.read(size // 2)
            handler.connection.shutdown(socket.SHUT_RDWR)
            return True
        handler.rfile.read(size)
        error = {"code": fault.status, "message": fault.message, "status": fault.name}
        answer(handler, fault.status, {"error": error})
        return True


def answer(handler: BaseHTTPRequestHandler, status: int, content: object) -> None:
    """Answer with JSON."""
    body = json.dumps(content).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
