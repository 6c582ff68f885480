"""Who the hosts of a job are, and how they meet: without TensorFlow, each host a thread."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.template.hosts import free_ports

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


@pytest.fixture
def meet(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Start hosts of one cluster, each in a thread; returns what became of each: its Peers, or an error."""
    from trainer import cluster

    monkeypatch.setenv("TF_CONFIG", "")
    monkeypatch.setattr(cluster, "SECONDS_TO_MEET", 2.0)
    monkeypatch.setattr(cluster, "SECONDS_TO_END", 0.1)
    monkeypatch.setattr(cluster, "SECONDS_BETWEEN", 0.05)
    monkeypatch.setattr(cluster, "SECONDS_OF_SILENCE", 2.0)
    ports, begun = free_ports(3), []
    known = socket.getaddrinfo

    def resolve(name: str, port: int, *more: Any, **options: Any) -> Any:
        number = {"algo-1": 0, "algo-2": 1, "algo-3": 2}.get(name)
        return known(name, port, *more, **options) if number is None else known("127.0.0.1", ports[number], **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    def start(*indices: int, hosts: tuple[str, ...] = ("algo-1", "algo-2"), delay: float = 0) -> list[Any]:
        found: list[Any] = [None] * len(indices)

        def run(place: int, index: int) -> None:
            time.sleep(delay * place)
            try:
                ended: list[str] = []
                found[place] = cluster.Peers(
                    cluster.Cluster(tuple((host, 2222) for host in hosts), index), ended.append
                )
                found[place].ended = ended
                begun.append(found[place])
            except cluster.UserError as error:
                found[place] = str(error)

        threads = [threading.Thread(target=run, args=pair) for pair in enumerate(indices)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(60)
        return found

    start.ports = ports
    yield start
    for one in begun:
        one.close()


def both(*calls: Callable[[], Any]) -> list[Any]:
    """What calls in a thread each return, or the message of what they raise."""
    found: list[Any] = [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        try:
            found[place] = call()
        except Exception as error:  # noqa: BLE001 - what it was is compared
            found[place] = f"{type(error).__name__}: {error}"

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    return found


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


@pytest.fixture
def gather(meet: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """What each of three hosts has of all files, as text by name, where each has these in its own folder."""
    from trainer import files

    monkeypatch.setattr(files, "SENT_BYTES", 4)

    def gathered(*have: dict[str, str]) -> list[Any]:
        for number, some in enumerate(have):
            for name, text in some.items():
                file = tmp_path / str(number) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
        peers = meet(0, 1, 2, hosts=("algo-1", "algo-2", "algo-3"))

        def of(number: int) -> Any:
            whole = Path(files.gathered(str(tmp_path / str(number)), peers[number]))
            found = sorted(path for path in whole.rglob("*") if path.is_file())
            return {path.relative_to(whole).as_posix(): path.read_text(encoding="utf-8") for path in found}

        return both(*(lambda number=number: of(number) for number in range(3)))

    return gathered


def test_hosts_that_have_other_files_each_get_all_of_them(gather: Callable) -> None:
    all_files = {"a.csv": "x,y\n1,2\n", "deep/b.csv": "", "deep/c.csv": "x,y\n" + "3,4\n" * 100}
    names = iter(all_files)
    one, three = {name: all_files[name] for name in (next(names), next(names))}, {}
    three["deep/c.csv"] = all_files["deep/c.csv"]
    # The second has no file, and no folder.
    assert gather(one, {}, three) == [all_files] * 3


def test_a_file_that_two_hosts_have_is_refused(gather: Callable) -> None:
    said = "UserError: ShardedByS3Key: the hosts of the job have more than one file a.csv"
    assert gather({"a.csv": "x"}, {"b.csv": "y"}, {"a.csv": "z"}) == [said] * 3


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


def test_a_host_that_vanishes_is_the_one_that_is_named_whatever_it_was_being_sent(meet: Callable) -> None:
    visitor = visit(meet.ports[0], hello(1, 3), stays=8)
    chief, third = meet(0, 2, hosts=("algo-1", "algo-2", "algo-3"), delay=0.5)
    long = bytes(50_000_000)
    lost = "UserError: algo-2 is lost: its process was killed, or the host does not answer any more; see its log"
    wait = lambda one: [one.share(lambda: long) for _ in range(3)] and one.agree({}, "")
    assert both(lambda: wait(chief), lambda: wait(third)) == [lost, lost]
    visitor.join(20)


def test_what_a_host_does_not_take_yet_waits_at_the_others(meet: Callable) -> None:
    from trainer import cluster

    chief, worker = meet(0, 1)
    pieces = [bytes([number]) * 1_000_000 for number in range(30)]
    sending = threading.Thread(target=lambda: [chief.share(lambda piece=piece: piece) for piece in pieces])
    sending.start()
    sending.join(1)
    assert sending.is_alive()
    assert worker._links[0].values.qsize() <= cluster.WAITING
    assert [worker.share(lambda: None) for _ in pieces] == pieces
    sending.join(10)


def test_a_host_that_waits_can_still_ask_the_chief_to_stop(meet: Callable) -> None:
    chief, worker = meet(0, 1)
    worker.waiting = worker.ask_to_stop
    waiting = threading.Thread(target=lambda: worker.share(lambda: None))
    waiting.start()
    until = time.monotonic() + 10
    while not chief.is_asked_to_stop:
        assert time.monotonic() < until
        time.sleep(0.01)
    chief.share(lambda: 1)
    waiting.join(10)


def test_hosts_that_tensorflow_does_not_connect_end_with_the_ports_it_needs(
    meet: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import cluster

    chief, _ = meet(0, 1)
    with chief.connecting():
        pass
    monkeypatch.setattr(cluster, "SECONDS_TO_MEET", 0.1)
    with chief.connecting():
        time.sleep(0.5)
    told = "TensorFlow has not connected the hosts within 0 s: each must reach each, algo-1:2222, algo-2:2222"
    assert chief.ended == [told]


def test_weights_that_the_chief_restores_are_sent_though_its_epoch_begins_again(meet: Callable) -> None:
    import keras
    import tensorflow as tf

    from trainer import training

    def host(number: int, peers: Any) -> tuple[Any, Any]:
        """The checkpoints of a job whose data has changed within its first epoch; the chief alone has them."""
        network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        network.compile("sgd", "mse")
        network.optimizer.build(network.trainable_variables)

        def restore(again: bool) -> int:
            if number == 0:
                network.layers[0].kernel.assign(tf.ones((2, 1)))
            return 0

        told = {"step": 0, "loss": 0.0, "began_with": 3, "history": [], "restored": "" if number else "ckpt-1"}
        return SimpleNamespace(restore=restore, **told), SimpleNamespace(peers=peers, network=network)

    found = [host(number, peers) for number, peers in enumerate(meet(0, 1))]
    assert both(*(lambda one=one: training._restored(*one) for one in found)) == [0, 0]
    assert [loop.network.layers[0].kernel.numpy().tolist() for _, loop in found] == [[[1.0], [1.0]]] * 2


def test_a_host_that_is_lost_is_named_on_all_others(meet: Callable) -> None:
    from trainer.cluster import UserError

    chief, second, third = meet(0, 1, 2, hosts=("algo-1", "algo-2", "algo-3"))
    # As the kernel does for a process that was killed.
    third._links[0]._connection.shutdown(socket.SHUT_RDWR)
    lost = "algo-3 is lost: its process was killed, or the host does not answer any more; see its log"
    with pytest.raises(UserError, match=lost), second.named(ZeroDivisionError):
        raise ZeroDivisionError
    with pytest.raises(UserError, match=lost):
        second.share(lambda: 1)
    with pytest.raises(UserError, match=lost):
        chief.agree({}, "")
    # Whoever waits for something else is ended from outside.
    until = time.monotonic() + 30
    while not (chief.ended and second.ended):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert chief.ended == second.ended == [lost]


def test_a_host_that_ends_says_why_and_one_that_is_done_is_not_missed(meet: Callable) -> None:
    from trainer.cluster import UserError

    chief, worker = meet(0, 1)
    worker.close(ValueError("no room on the disk"))
    with pytest.raises(UserError, match="algo-2 has ended: no room on the disk"):
        chief.agree({}, "")
    chief, worker = meet(0, 1)
    worker.close()
    with pytest.raises(ZeroDivisionError), chief.named(ZeroDivisionError):
        raise ZeroDivisionError
    assert chief.lost is None
