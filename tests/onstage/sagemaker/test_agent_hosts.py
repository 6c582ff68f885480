"""Hosts of one CreateTrainingJob body find each other here, and outlive one that is lost."""

import threading

from onstage.rehearsal.processes import Loss
from tests.onstage.sagemaker.bench import Bench

MEET = """
import os, socket, time
own, hosts = os.environ["SM_CURRENT_HOST"], ["algo-1", "algo-2"]
address = {name: socket.getaddrinfo(name, 2222, type=socket.SOCK_STREAM)[0][4] for name in hosts}
with socket.create_server(("", address[own][1])) as server:
    for other in set(hosts) - {own}:
        for _ in range(100):
            try:
                socket.create_connection((other, 2222)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        else:
            raise SystemExit(f"no {other}")
    server.settimeout(10)
    server.accept()
print(own, "has met the other one", flush=True)
"""


def test_several_hosts_find_each_other_by_their_names(bench: Bench) -> None:
    result = bench.run(bench.body(MEET, hosts=2))
    assert result.status == "Completed", result.failure_reason
    assert result.log == "algo-1 has met the other one\nalgo-2 has met the other one\n"


def test_a_lost_host_does_not_end_its_peers_who_have_a_limit(bench: Bench) -> None:
    waits = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)"
    loss = Loss("algo-2", 1.0, threading.Event())
    loss.due.set()
    result = bench.run(bench.body(waits, hosts=2), loss=loss)
    assert (result.status, loss.at is not None) == ("Stopped", True)
    ends = "import os, sys, time\ntime.sleep(600 if os.environ['SM_CURRENT_HOST'] == 'algo-2' else 1)\nsys.exit(4)"
    loss = Loss("algo-2", 30.0, threading.Event())
    loss.due.set()
    result = bench.run(bench.body(ends, hosts=2), loss=loss)
    assert result.status == "Failed" and "ExitCode 4" in result.failure_reason
    assert [host.exit_code for host in result.hosts] == [1, None]
