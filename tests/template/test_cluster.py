"""Who the hosts of a job are, and how they meet: without TensorFlow, each host a thread."""

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.template.hosts import both

TWO = {"cluster": {"workerpool0": ["a-0:2222"], "workerpool1": ["b-0:2222", "b-1:2223"]}}
ALGOS = {"SM_HOSTS": '["algo-2", "algo-1"]', "SM_CURRENT_HOST": "algo-2"}
OLD = {"cluster": {"chief": ["a:2222"], "worker": ["b:2222"]}}
TWO_CHIEFS = {"cluster": {"chief": ["a:1", "b:1"]}}


def spec(told: dict, kind: str, index: int = 0, variable: str = "CLUSTER_SPEC") -> dict[str, str]:
    """A variable of Vertex AI for one host."""
    return {variable: json.dumps({**told, "task": {"type": kind, "index": index}})}


def channels(way: str) -> dict[str, str]:
    """SageMaker's variable for channels that are given to hosts this way."""
    return {"SM_INPUT_DATA_CONFIG": json.dumps({"train": {"TrainingInputMode": "File", "S3DistributionType": way}})}


@pytest.fixture
def hosts_of(project: Path) -> Callable[[dict[str, str]], Any]:
    """The cluster that an entry point makes of a host's variables: SageMaker's, where there is an SM_ variable."""
    import sagemaker_entry

    from trainer import task

    def made(environment: dict[str, str]) -> Any:
        channels = {"SM_CHANNEL_TRAIN": "t", "SM_CHANNEL_EVAL": "e"}
        if any(name.startswith("SM_") for name in environment):
            return sagemaker_entry.make_run([], channels | environment).cluster
        return task.make_run(["--train-data=t", "--eval-data=e", "--job-dir=j"], environment).cluster

    return made


@pytest.mark.parametrize(
    ("environment", "hosts", "index"),
    [
        (ALGOS, ["algo-1:2222", "algo-2:2222"], 1),
        (ALGOS | channels("FullyReplicated"), ["algo-1:2222", "algo-2:2222"], 1),
        (spec(TWO, "workerpool0"), ["a-0:2222", "b-0:2222", "b-1:2223"], 0),
        (spec(TWO, "workerpool1", 1), ["a-0:2222", "b-0:2222", "b-1:2223"], 2),
        (spec(OLD, "chief", variable="TF_CONFIG"), ["a:2222", "b:2222"], 0),
        (spec({"cluster": {"worker": ["b:1", "c:2"]}}, "worker", 1, "TF_CONFIG"), ["b:1", "c:2"], 1),
        (spec(TWO, "workerpool0") | {"TF_CONFIG": "not looked at"}, ["a-0:2222", "b-0:2222", "b-1:2223"], 0),
    ],
)
def test_hosts_are_those_of_the_platform_with_the_chief_first(
    hosts_of: Callable, environment: dict[str, str], hosts: list[str], index: int
) -> None:
    found = hosts_of(environment)
    assert [f"{name}:{port}" for name, port in found.hosts] == hosts
    assert found.index == index


def test_a_channel_that_is_sharded_is_known(hosts_of: Callable) -> None:
    assert hosts_of(ALGOS | channels("ShardedByS3Key")).sharded == ("train",)
    assert hosts_of(ALGOS | channels("FullyReplicated")).sharded == ()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SM_HOSTS": '["algo-1"]', "SM_CURRENT_HOST": "algo-1"} | channels("ShardedByS3Key"),
        spec({"cluster": {"workerpool0": ["a-0:2222"]}}, "workerpool0"),
        spec({"cluster": {"workerpool0": ["a-0:2222"], "workerpool2": []}}, "workerpool0"),
        {"TF_CONFIG": "{}"},
    ],
)
def test_one_host_is_no_cluster(hosts_of: Callable, environment: dict[str, str]) -> None:
    assert hosts_of(environment) is None


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"SM_HOSTS": "algo-1,algo-2"}, "SM_HOSTS is no JSON .*: algo-1,algo-2"),
        ({"SM_HOSTS": '{"a": 1}'}, "SM_HOSTS is a list such as"),
        ({"SM_HOSTS": '["a", "a"]', "SM_CURRENT_HOST": "a"}, "SM_HOSTS names a host twice: a, a"),
        ({"SM_HOSTS": '["a", "b"]', "SM_CURRENT_HOST": "c"}, "SM_CURRENT_HOST is 'c', which is not one of SM_HOSTS"),
        ({"SM_HOSTS": '["a", "b"]'}, "SM_CURRENT_HOST is None, which is not one of SM_HOSTS: a, b"),
        ({"TF_CONFIG": "{'cluster'"}, "TF_CONFIG is no JSON"),
        ({"CLUSTER_SPEC": "[1]"}, 'CLUSTER_SPEC must be an object with "cluster" and "task"'),
        (spec(TWO_CHIEFS, "chief", variable="TF_CONFIG"), "TF_CONFIG names 2 chiefs, a:1, b:1"),
        (spec({"cluster": {**TWO["cluster"], "workerpool2": ["c:1"]}}, "workerpool0"),
         r"CLUSTER_SPEC has a parameter server \(workerpool2\)"),
        (spec({"cluster": {**OLD["cluster"], "ps": ["c:1"]}}, "worker", variable="TF_CONFIG"),
         r"a parameter server \(ps\)"),
        (spec({"cluster": {**TWO["cluster"], "workerpool3": ["c:1"]}}, "workerpool3"),
         r"an? evaluator \(workerpool3\)"),
        (spec(OLD, "evaluator", variable="TF_CONFIG"), r"TF_CONFIG has an? evaluator \(evaluator\)"),
        (spec({"cluster": {**OLD["cluster"], "king": ["c:1"]}}, "worker", variable="TF_CONFIG"), "a role 'king'"),
        (spec(TWO, "workerpool1", 7), "CLUSTER_SPEC: this host is workerpool1 7, which is not in its cluster"),
        (spec({"cluster": {"chief": ["a"], "worker": ["b:1"]}}, "chief", variable="TF_CONFIG"), "a host is NAME:PORT"),
        (spec({"cluster": {"chief": ["a:99999"], "worker": ["b:1"]}}, "chief"), "a host is NAME:PORT"),
        (spec({"cluster": {"chief": "a:1", "worker": ["b:1"]}}, "chief"), "chief must be a list of hosts, and is 'a"),
        (spec({"cluster": {"chief": 5}}, "chief"), "CLUSTER_SPEC: chief must be a list of hosts, and is 5"),
        (spec({"cluster": {"chief": ["a:1"], "worker": ["a:1"]}}, "chief"), "names a host twice: a:1, a:1"),
    ],
)  # fmt: skip
def test_a_bad_cluster_is_refused_by_the_name_of_its_variable(
    hosts_of: Callable, environment: dict[str, str], message: str
) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match=message):
        hosts_of(environment)


def test_hosts_meet_and_hear_what_the_chief_makes(meet: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    chief, *workers = meet(0, 1, 2, hosts=("algo-1", "algo-2", "algo-3"), delay=0.3)
    assert chief.is_chief
    assert not any(one.is_chief for one in workers)
    for value in ({"loss": 0.1, "val_loss": float("inf")}, b"\x00\n" * 100_000, None):
        shares = [lambda one=one, value=value: one.share(lambda: value) for one in (chief, *workers)]
        assert both(*shares) == [value] * 3
    same = [lambda one=one: one.agree({"rows": 120}, "all alike") for one in (chief, *workers)]
    assert both(*same) == [None] * 3
    counts = zip((chief, *workers), (120, 120, 60), strict=True)
    other = [lambda one=one, rows=rows: one.agree({"rows": rows}, "all alike") for one, rows in counts]
    assert both(*other) == ["UserError: rows: algo-1 has 120, algo-3 has 60; all alike"] * 3


def test_tensorflow_is_told_addresses_and_not_names(meet: Callable, capsys: pytest.CaptureFixture) -> None:
    import os

    meet(0, 1)
    told = json.loads(os.environ["TF_CONFIG"])
    assert told["cluster"] == {"worker": [f"127.0.0.1:{port}" for port in meet.ports[:2]]}
    printed = capsys.readouterr().out
    assert "algo-2, host 2 of 2: waits up to 2 s for all" in printed
    assert "all 2 hosts are there: algo-1, algo-2" in printed


def test_one_host_alone_is_the_chief_and_waits_for_nobody(project: Path) -> None:
    from trainer.cluster import Peers

    alone = Peers(None)
    assert alone.is_chief
    assert alone.share(lambda: object) is object
    alone.close()


def test_a_host_that_never_comes_ends_the_job_with_its_name(meet: Callable) -> None:
    found = meet(0, 1, hosts=("algo-1", "algo-2", "algo-3"))
    late = "algo-3 did not come within 2 s, and the job has 3 hosts; see the log of what is missing"
    assert found == [late, f"algo-1 has ended: {late}"]
    (found,) = meet(1)
    assert found == f"algo-1, the chief of 2 hosts, did not answer at 127.0.0.1:{meet.ports[0]} within 2 s"


@pytest.mark.long
def test_a_name_that_nobody_knows_is_named(meet: Callable) -> None:
    for name in ("no-such-host.invalid", "a..b"):
        (found,) = meet(0, hosts=("algo-1", name))
        assert found.startswith(f"no address is known for the host {name} after 2 s: ")


def test_a_port_that_is_taken_is_named_with_its_host(meet: Callable) -> None:
    with socket.create_server(("127.0.0.1", meet.ports[1])):
        (found,) = meet(1)
    assert found == f"algo-2 cannot open its port {meet.ports[1]}: another program on that host has it"


def test_two_hosts_of_one_name_and_hosts_of_another_job_are_refused(meet: Callable) -> None:
    from trainer.cluster import Cluster, Peers

    three = tuple((f"algo-{number}", 2222) for number in (1, 2, 3))
    found = both(*(lambda index=index: Peers(Cluster(three, index)) for index in (0, 0)))
    assert sum("another program on that host has it" in str(one) for one in found) == 1
    found = meet(0, 1, 1, hosts=("algo-1", "algo-2", "algo-3"), delay=0.3)
    twice = "two hosts say that they are algo-2, number 1 of the job"
    assert found == [twice, *[f"algo-1 has ended: {twice}"] * 2]
    found = both(lambda: Peers(Cluster(three, 0)), lambda: Peers(Cluster(three[:2], 1)))
    assert "algo-2 knows other hosts than algo-1" in found[0]
    assert found[1].startswith("UserError: algo-1 has ended: algo-2 knows other hosts")


def visit(port: int, said: bytes, stays: float = 0) -> threading.Thread:
    """Say something at a port of this machine as soon as somebody listens there, and stay for some seconds."""

    def say() -> None:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=2) as one:
                    one.sendall(said)
                    time.sleep(stays)
                    return
            except OSError:
                time.sleep(0.01)

    visitor = threading.Thread(target=say)
    visitor.start()
    return visitor


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("said", "stays"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", 0),
        (b"GET", 3),
        (b'{"kind": "x", "bytes": 1000000000000000000000, "json": true}\n', 0),
        (b'{"kind": "hello", "bytes": 1000000000, "json": false}\nabc', 3),
        (b'{"kind": "hello", "bytes": 2, "json": true}\n17', 0),
    ],
)
def test_a_stranger_at_the_port_keeps_nobody_waiting(meet: Callable, said: bytes, stays: float) -> None:
    visitor = visit(meet.ports[0], said, stays)
    chief, worker = meet(0, 1, delay=0.5)
    visitor.join(10)
    assert both(lambda: chief.share(lambda: 1), lambda: worker.share(lambda: 2)) == [1, 1]


def hello(index: int, count: int) -> bytes:
    """What a host says first."""
    told = json.dumps({"index": index, "hosts": [[f"algo-{number}", 2222] for number in range(1, count + 1)]})
    return f'{{"kind": "hello", "bytes": {len(told)}, "json": true}}\n{told}'.encode()


def test_a_host_that_is_started_again_while_others_are_awaited_joins(meet: Callable) -> None:
    visitor = visit(meet.ports[0], hello(1, 3))
    chief, second, third = meet(0, 1, 2, hosts=("algo-1", "algo-2", "algo-3"), delay=0.5)
    visitor.join(10)
    assert both(*(lambda one=one: one.share(lambda: one.index) for one in (chief, second, third))) == [0, 0, 0]
