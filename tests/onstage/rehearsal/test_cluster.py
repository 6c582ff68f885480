"""The hosts of a job find each other by their names, in a network of their own where the machine lets them have one."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onstage.rehearsal import cluster, overlay
from onstage.rehearsal.cluster import Cluster

NAMES = ("algo-1", "algo-2")
needs_a_network = pytest.mark.skipif(bool(cluster.why_open()), reason=f"no network of its own: {cluster.why_open()}")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return overlay.create(tmp_path_factory.mktemp("overlay"), sys.executable)


@pytest.fixture
def hosts(python: str) -> Iterator[Cluster]:
    with Cluster(NAMES) as found:
        found.give_to(python)
        yield found


def run(python: str, code: str, folder: Path, **environment: str) -> Any:
    """What a host's process prints, as JSON."""
    (folder / "tmp").mkdir(exist_ok=True)
    ended = subprocess.run(
        [python, "-c", f"import json, os, socket\n{code}"],
        env={"TMPDIR": str(folder / "tmp"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_names_are_known_to_the_jobs_processes_and_to_no_other(python: str, hosts: Cluster, tmp_path: Path) -> None:
    code = "print(json.dumps([socket.getaddrinfo(name, 2222, type=socket.SOCK_STREAM)[0][4] for name in {}]))"
    assert not cluster.has_asked(tmp_path)
    found = run(python, code.format(NAMES), tmp_path)
    assert found == [["127.0.0.1", hosts.ports[name]] for name in NAMES]
    assert len({*hosts.ports.values()}) == 2 and cluster.has_asked(tmp_path)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("algo-1", 2222)
    other = "print(json.dumps([socket.getaddrinfo('127.0.0.1', 80)[0][4], socket.gethostbyname('algo-2')]))"
    assert run(python, other, tmp_path) == [["127.0.0.1", 80], "127.0.0.1"]


def test_a_host_that_asks_for_no_other_is_known(python: str, hosts: Cluster, tmp_path: Path) -> None:
    assert run(python, "print(json.dumps(socket.getaddrinfo('127.0.0.1', 80)[0][4]))", tmp_path) == ["127.0.0.1", 80]
    assert not cluster.has_asked(tmp_path)


@needs_a_network
def test_what_the_hosts_listen_to_is_not_open_on_this_machine(python: str, hosts: Cluster, tmp_path: Path) -> None:
    code = """
with socket.create_server(("", 0)) as server:
    port = server.getsockname()[1]
    socket.create_connection(("127.0.0.1", port)).close()
    names = [name for _, name in socket.if_nameindex()]
    print(json.dumps([port, os.getuid(), names, os.readlink("/proc/self/ns/net")]), flush=True)
    import sys; sys.stdin.read()
"""
    running = subprocess.Popen(
        [python, "-c", f"import json, os, socket\n{code}"],
        env={"TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with running:
        assert running.stdout and running.stdin
        port, user, names, network = json.loads(running.stdout.readline())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        running.stdin.close()
    assert (user, names[:1]) == (os.getuid(), ["lo"]) and network != os.readlink("/proc/self/ns/net")


@needs_a_network
def test_pip_and_what_it_starts_stay_on_this_machines_network(python: str, hosts: Cluster, tmp_path: Path) -> None:
    ours = os.readlink("/proc/self/ns/net")
    here = "print(json.dumps(os.readlink('/proc/self/ns/net')))"
    (tmp_path / "pip.py").write_text(f"import json, os\n{here}")
    # As `python -m pip`, with a module in pip's place.
    ended = subprocess.run([python, "-m", "pip"], cwd=tmp_path, env={}, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout) == ours
    assert run(python, here, tmp_path) != ours
    assert run(python, here, tmp_path, ONSTAGE_OUTSIDE="1") == ours


@needs_a_network
def test_the_hosts_reach_other_machines_by_the_proxy_of_their_environment(
    python: str, hosts: Cluster, tmp_path: Path
) -> None:
    with cluster.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as elsewhere:
        way = hosts.way_out(stack)

        def answer() -> None:
            for _ in range(2):
                client, _ = elsewhere.accept()
                with client:
                    client.sendall(b"from afar")

        threading.Thread(target=answer, daemon=True).start()
        code = f"""
proxy = socket.create_connection(("127.0.0.1", int(os.environ["https_proxy"].rpartition(":")[2])))
proxy.sendall(b"CONNECT 127.0.0.1:{elsewhere.getsockname()[1]} HTTP/1.1\\r\\n\\r\\n")
print(json.dumps(b"".join(iter(lambda: proxy.recv(1), b"")).decode().rpartition("\\r\\n")[2]))
"""
        assert run(python, code, tmp_path, **way) == "from afar"
        # Also what is not in the hosts' network, such as pip.
        assert run(python, code, tmp_path, **way, ONSTAGE_OUTSIDE="1") == "from afar"


def test_where_the_machine_allows_no_network_the_names_are_known_all_the_same_and_it_is_said(
    python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = tmp_path / "holder.py"
    holder.write_text("import socket\nsocket.socket(fileno=0).sendall(b'no: Operation not permitted')\n")
    monkeypatch.setattr(cluster, "_HOLDER", holder)
    monkeypatch.setattr(cluster, "why_open", cluster.why_open.__wrapped__)
    with Cluster(NAMES) as hosts, cluster.ExitStack() as stack:
        assert (hosts.why_open, hosts.way_out(stack)) == ("Operation not permitted", {})
        hosts.give_to(python)
        code = "print(json.dumps([socket.getaddrinfo('algo-2', '2222')[0][4], os.readlink('/proc/self/ns/net')]))"
        found, network = run(python, code, tmp_path)
        assert found == ["127.0.0.1", hosts.ports["algo-2"]]
        assert network == os.readlink("/proc/self/ns/net")
    (line,) = cluster.not_seen("vertex", 2)
    assert "(Operation not permitted): while it runs, TensorFlow's ports are open on all addresses" in line
    assert cluster.not_seen("vertex", 1) == []
