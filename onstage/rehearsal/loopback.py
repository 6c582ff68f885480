"""Holds a network that has nothing but 127.0.0.1, for others to join: run as a script, on Linux only.

Standard input is a Unix socket. It is told "ready", or why there is none; a port that it then names is listened to in
the network, and the listening socket, which belongs there, is sent back. At its end the network ends, when those in it
have ended. Standard library only.
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

# Source: linux/sched.h, linux/sockios.h and linux/if.h.
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1


def main() -> None:
    """Make the network, and hold it until standard input ends."""
    with socket.socket(fileno=0) as caller:
        try:
            enter()
        except OSError as error:
            caller.sendall(f"no: {error.strerror}".encode())
            return
        caller.sendall(b"ready")
        while port := caller.recv(16):
            with socket.create_server(("127.0.0.1", int(port)), backlog=128) as listener:
                socket.send_fds(caller, [b"here"], [listener.fileno()])


def enter() -> None:
    """Leave this machine's network for a new one, whose loopback is up. Raises OSError where that is not allowed."""
    user, group = os.getuid(), os.getgid()
    with contextlib.suppress(PermissionError):
        _unshare(_NEW_NET)
        _begin_loopback()
        return
    # Who may not may where she is root of her own: `user` and `group` stay what they are.
    _unshare(_NEW_USER | _NEW_NET)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path("/proc/self", name).write_text(text, encoding="ascii")
    _begin_loopback()


def _unshare(what: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(what):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _begin_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sh22x", b"lo", 0))
        (flags,) = struct.unpack_from("h", asked, 16)
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", flags | _UP))


if __name__ == "__main__":
    main()
