"""What the hosts of one job share on this machine: names, ports, and where it lets them a network of their own.

TensorFlow's servers listen to all of a machine's addresses, whatever they are told. In a network with nothing but
loopback nobody else reaches them.
"""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from pathlib import Path

from onstage.rehearsal import host_names
from onstage.rehearsal.tunnel import Tunnel

# Hosts would share a GPU of this machine, of which TensorFlow takes all and NCCL takes no two ranks; a job that is
# compared with them computes as they do.
ON_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}
# It runs by itself, and only Linux can import it.
_HOLDER = Path(__file__).with_name("loopback.py")
# For the answers of the process that holds the network, which does nothing else.
_SECONDS = 20.0


class Cluster(AbstractContextManager["Cluster"]):
    """The hosts of one job, by their names, as long as its `with`.

    `ports` are theirs, one for each name. `why_open` says why they have no network of their own; "" where they do.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._caller: socket.socket | None = None
        self._holder: subprocess.Popen[bytes] | None = None
        self.why_open = self._begin()
        # In a network of their own, all ports are free.
        numbers = _free(len(names)) if self.why_open else range(2222, 2222 + len(names))
        self.ports = dict(zip(names, numbers, strict=True))

    def __exit__(self, *_: object) -> None:
        if self._caller:
            self._caller.close()
        if self._holder:
            self._holder.wait()

    def give_to(self, python: str) -> None:
        """Let each process of an overlay's interpreter be in the hosts' network, and know their names."""
        for library in Path(python).parent.parent.glob("[Ll]ib/**/site-packages"):
            shutil.copyfile(host_names.__file__, library / "onstage_hosts.py")
            told = {"ports": self.ports, "network": self._holder.pid if self._holder else None}
            (library / "onstage_hosts.json").write_text(json.dumps(told), encoding="utf-8")
            (library / "onstage_hosts.pth").write_text("import onstage_hosts\n", encoding="utf-8")

    def way_out(self, stack: ExitStack) -> dict[str, str]:
        """Variables with which the hosts reach other machines until `stack` ends; none where they do so anyway."""
        if self._caller is None:
            return {}
        # What is not Python, and pip, is not in the hosts' network, and has the same variables.
        outside = stack.enter_context(Tunnel())
        stack.enter_context(Tunnel(self.listener(outside.server_port)))
        return outside.environment

    def listener(self, port: int) -> socket.socket | None:
        """A socket of this process that listens to 127.0.0.1:`port` in the hosts' network; None without one."""
        if self._caller is None:
            return None
        self._caller.sendall(str(port).encode())
        _, (number,), _, _ = socket.recv_fds(self._caller, 16, 1)
        return socket.socket(fileno=number)

    def _begin(self) -> str:
        if not sys.platform.startswith("linux"):
            return "only Linux has networks of processes"
        ours, theirs = socket.socketpair()
        ours.settimeout(_SECONDS)
        with theirs:
            # The environment is this process's own: a job's would have its names and its network.
            command = [sys.executable, "-I", "-S", str(_HOLDER)]
            # Ctrl-C is for the jobs first, which are in it.
            held = subprocess.Popen(command, stdin=theirs.fileno(), stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            said = ours.recv(256).decode()
        except OSError as error:
            said = str(error)
        if said == "ready":
            self._caller, self._holder = ours, held
            return ""
        ours.close()
        held.wait()
        return said.removeprefix("no: ") or "the process that was to hold it has ended"


@cache
def why_open() -> str:
    """Why a job's hosts have no network of their own on this machine; "" where they do."""
    with Cluster([]) as found:
        return found.why_open


def not_seen(platform: str, count: int) -> list[str]:
    """What a rehearsal of `count` hosts says of their network."""
    if count < 2 or not why_open():
        return []
    why = f"a network of its own for the job ({why_open()})"
    return [f"{platform}: {why}: while it runs, TensorFlow's ports are open on all addresses of this machine"]


def has_asked(root: Path) -> bool:
    """Whether a process of the host whose folder is `root` asked for the name of a host."""
    return (root / "tmp" / host_names.ASKED).exists()


def weights_of(root: Path) -> Path:
    """Where the host whose folder is `root` leaves the weights that it ends with."""
    return root / "weights.npz"


def _free(count: int) -> list[int]:
    """Ports of this machine that nobody uses."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in sockets]
