"""A way out for the processes of a job whose network ends at this machine: a proxy for https, which reads nothing."""

import selectors
import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class Server(ThreadingHTTPServer):
    """On a free port of 127.0.0.1, or with a `listener` of another network, from `begin` to the end of its `with`."""

    daemon_threads = True
    # A burst of parallel uploads must not be refused.
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], listener: socket.socket | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler, bind_and_activate=listener is None)
        if listener is not None:
            self.socket.close()
            self.socket = listener
            self.server_address = listener.getsockname()
            self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self.url = f"http://127.0.0.1:{self.server_port}"

    def begin(self) -> None:
        """Answer, from now on."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def server_close(self) -> None:
        """End it, which `with` does."""
        self.shutdown()
        super().server_close()


class Tunnel(Server):
    """Takes a job's processes that have its `environment` to other machines, by https."""

    def __init__(self, listener: socket.socket | None = None) -> None:
        super().__init__(_Handler, listener)
        self.environment = {"https_proxy": self.url, "no_proxy": "127.0.0.1,localhost"}
        self.begin()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news, and there is no other error."""


class _Handler(BaseHTTPRequestHandler):
    def do_CONNECT(self) -> None:
        lead(self, *self.path.rpartition(":")[::2])

    def log_message(self, format: str, *args: Any) -> None:
        """The rehearsal has a report of its own."""


def lead(client: BaseHTTPRequestHandler, host: str, port: str) -> None:
    """Answer a CONNECT, and pass bytes on in both directions until one side has nothing more to say."""
    client.close_connection = True
    try:
        outside = _connection(host, int(port))
    except (OSError, ValueError) as error:
        client.send_error(502, f"no connection to {client.path}: {error}")
        return
    with outside:
        agree(client)
        _exchange(client.connection, outside)


def agree(client: BaseHTTPRequestHandler) -> None:
    """Say that the way is free."""
    client.send_response(200)
    client.end_headers()
    client.wfile.flush()


def _connection(host: str, port: int) -> socket.socket:
    """A connection to a host, by way of this machine's own proxy if it has one."""
    proxy = urlsplit(urllib.request.getproxies().get("https", ""))
    if not proxy.hostname or urllib.request.proxy_bypass(host):
        return socket.create_connection((host, port), timeout=10)
    connection = socket.create_connection((proxy.hostname, proxy.port or 80), timeout=10)
    connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        received = connection.recv(1)
        answer += received
        if not received or len(answer) > 65536:
            break
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        connection.close()
        raise OSError(f"the proxy {proxy.hostname} answered {answer[:60]!r}")
    return connection


def _exchange(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, (one, other))
        selector.register(other, selectors.EVENT_READ, (other, one))
        while True:
            for ready, _ in selector.select():
                source, target = ready.data
                received = source.recv(65536)
                if not received:
                    return
                target.sendall(received)
