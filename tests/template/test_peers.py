"""Hosts that have met, each a thread: what they send each other, what they wait for, and what a lost one leaves."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.template.hosts import both
from tests.template.test_cluster import hello, visit


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


@pytest.mark.long
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
