"""Runs at the start of every Python process of a job of several hosts: knows their names, and joins their network.

In a cloud each host's name has an address. Here they are processes of one machine, on ports of their own, which only
these processes know: `onstage_hosts.json` beside this file has `ports`, by name, and `network`, the process that holds
the job's network, if there is one. Standard library only: the job has no onstage.
"""

import contextlib
import ctypes
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

# What a cluster's hosts listen to there.
PORT = "2222"
# Beside the temporary files of a process that has asked for the name of a host.
ASKED = "onstage-asked"
# pip needs the network of this machine, and so does what it starts.
_OUTSIDE = "ONSTAGE_OUTSIDE"


def begin(file: Path) -> None:
    """Do what `file` says."""
    told = json.loads(file.read_text(encoding="utf-8"))
    if told["network"] and not _is_for_pip():
        _join(told["network"])
    give_names(told["ports"])


def give_names(ports: dict[str, int]) -> None:
    """Let `socket` find the hosts, by name, at 127.0.0.1, and at these ports where it is asked for 2222."""
    getaddrinfo, gethostbyname = socket.getaddrinfo, socket.gethostbyname

    def found(host: Any, port: Any = None) -> tuple[Any, Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in ports:
            return host, port
        with contextlib.suppress(KeyError, OSError):
            Path(os.environ["TMPDIR"], ASKED).touch()
        return "127.0.0.1", ports[name] if str(port) == PORT else port

    def with_names(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        return getaddrinfo(*found(host, port), *more, **named)

    def by_name(host: Any) -> str:
        return gethostbyname(found(host)[0])

    socket.getaddrinfo, socket.gethostbyname = with_names, by_name


def _is_for_pip() -> bool:
    words = sys.orig_argv
    if "-m" in words and words[words.index("-m") + 1 :][:1] == ["pip"]:
        os.environ[_OUTSIDE] = "1"
    return _OUTSIDE in os.environ


def _join(holder: int) -> None:
    """Enter the network of a process. Raises OSError."""
    # Who is root of her own has to be that first.
    for kind in ("user", "net"):
        place = f"/proc/{holder}/ns/{kind}"
        if os.stat(place).st_ino == os.stat(f"/proc/self/ns/{kind}").st_ino:
            continue
        with open(place, "rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), place)


if (_file := Path(__file__).with_name("onstage_hosts.json")).exists():
    begin(_file)
