"""What hosts of one job left is held against each other, against one host alone, and against a loss."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onstage.rehearsal import worker_checks
from onstage.rehearsal.terms import Terms
from onstage.rehearsal.worker_checks import Ending, Host, Words

WORDS = Words("it is the first", "one is kept", "every machine is paid for")
GOOD = {"0 dense/kernel": np.ones((2, 2)), "1 sgd/iteration": np.array(8.0)}


@pytest.fixture
def host(tmp_path: Path) -> Callable[..., Host]:
    def make(name: str, *wrote: str, asked: bool = True, weights: dict[str, Any] | None = GOOD) -> Host:
        root = tmp_path / name
        (root / "tmp").mkdir(parents=True)
        if asked:
            (root / "tmp" / "onstage-asked").touch()
        if weights:
            np.savez(root / "weights.npz", **weights)
        return Host(name, root, wrote)

    return make


def test_hosts_that_end_alike_and_leave_the_files_to_the_chief_pass(host: Callable[..., Host]) -> None:
    hosts = [host("algo-1", "SM_MODEL_DIR/model/1/saved_model.pb"), host("algo-2")]
    assert worker_checks.of_cluster(hosts, WORDS) == []
    assert worker_checks.of_one(hosts, host("one")) == ([], "2 variables as of one host (to 0)")


def test_files_of_another_host_than_the_chief_are_named(host: Callable[..., Host]) -> None:
    names = [f"SM_MODEL_DIR/{number}" for number in range(5)]
    (found,) = worker_checks.of_cluster([host("algo-1"), host("algo-2", *names)], WORDS)
    assert found.detail == (
        "algo-2, which is not the chief, wrote SM_MODEL_DIR/0, SM_MODEL_DIR/1, SM_MODEL_DIR/2 and 2 more"
    )
    assert (found.fix, found.cloud) == ("let the chief alone write it: it is the first", "one is kept")


def test_a_host_that_looked_for_no_other_trains_alone(host: Callable[..., Host]) -> None:
    hosts = [host("algo-1", asked=False), host("algo-2", "SM_MODEL_DIR/x", asked=False)]
    first, second = worker_checks.of_cluster(hosts, WORDS)
    assert first.detail.startswith("algo-1 and algo-2 never looked for the other hosts: each trains a model of its own")
    assert first.cloud == "every machine is paid for" and "SM_MODEL_DIR/x" in second.detail


def test_other_weights_on_another_host_are_named_and_batch_statistics_are_known(host: Callable[..., Host]) -> None:
    first = GOOD | {"2 normal/moving_mean": np.zeros(2)}
    chief = host("algo-1", weights=first)
    near = host("algo-2", weights=first | {"0 dense/kernel": np.ones((2, 2)) + 1e-7})
    assert worker_checks.of_cluster([chief, near], WORDS) == []
    other = host("algo-3", weights=first | {"0 dense/kernel": np.full((2, 2), 1.5)})
    moving = host("algo-4", weights=first | {"2 normal/moving_mean": np.array([0.0, 0.25])})
    found = worker_checks.of_cluster([chief, near, other, moving], WORDS)
    assert [one.detail for one in found] == [
        "algo-3 ends with other weights than algo-1: dense/kernel by 0.5",
        "algo-4 ends with other weights than algo-1: normal/moving_mean by 0.25",
    ]
    assert found[0].fix.startswith("look in src/trainer/model.py for what is not the same on all hosts")
    assert found[1].fix == "write keras.layers.BatchNormalization(synchronized=True)"


def _adam(weights: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("sgd/", "adam/"): value for name, value in weights.items()}


@pytest.mark.parametrize(
    ("optimizer", "distance", "passes"),
    [("sgd", 5e-6, True), ("sgd", 1e-4, False), ("adam", 1e-4, True), ("adam", 0.1, False)],
)
def test_weights_may_be_as_far_from_those_of_one_host_as_the_optimizer_makes_of_rounding(
    host: Callable[..., Host], optimizer: str, distance: float, passes: bool
) -> None:
    kind = _adam if optimizer == "adam" else dict
    hosts = [host(name, weights=kind(GOOD | {"0 dense/kernel": np.full((2, 2), 1 - distance)})) for name in "ab"]
    found, said = worker_checks.of_one(hosts, host("one", weights=kind(GOOD)))
    if passes:
        assert (found, said) == ([], f"2 variables as of one host (to {distance:.1g})")
    else:
        (one,) = found
        assert one.detail == (
            f"2 hosts train another model than one does; weights differ: dense/kernel by {distance:.2g}"
        )


def test_layers_that_go_their_own_way_are_named_where_weights_differ(host: Callable[..., Host]) -> None:
    drawn = {"2 dropout_1/seed_generator/seed_generator_state": np.ones(2), "3 normal/moving_mean": np.ones(2)}
    hosts = [host(name, weights=GOOD | drawn) for name in "ab"]
    assert worker_checks.of_one(hosts, host("same", weights=GOOD | drawn))[1] == "4 variables as of one host (to 0)"
    other = host("other", weights=GOOD | drawn | {"0 dense/kernel": np.zeros((2, 2))})
    why = "dropout_1 draws random numbers, normal takes the statistics of a batch"
    assert worker_checks.of_one(hosts, other) == ([], f"weights not comparable with those of one host: {why}")


def test_a_trainer_of_another_time_leaves_nothing_to_compare_and_it_is_said(host: Callable[..., Host]) -> None:
    hosts = [host("algo-1", weights=None), host("algo-2", weights=None)]
    assert worker_checks.of_cluster(hosts, WORDS) == []
    said = "weights not compared: src/trainer/training.py is of a time before this check"
    assert worker_checks.of_one(hosts, host("one", weights=None)) == ([], said)


def test_a_job_that_does_not_go_well_on_one_host_alone_is_named() -> None:
    terms = Terms(60, (), "onstage rehearse vertex")
    found = worker_checks.not_alone("Traceback\nerror: it needs two", terms)
    assert found.detail == "the same job on one host, to compare with, fails: it needs two"
    late = worker_checks.not_alone(None, terms)
    assert "had to be ended: it was out of time" in late.detail and "time_limit" in late.fix


ENDINGS = {
    "before anything was lost": (Ending("algo-2", None, "AlgorithmError: full", False), "the job ended before that: x"),
    "never": (Ending("algo-2", 60.0, None, True), "60 s later the others still wait for it"),
    "well": (Ending("algo-2", 4.0, None, False), "the job succeeds all the same"),
    "without a name": (Ending("algo-2", 4.0, "UnavailableError: reset", False), "does not name it: UnavailableError"),
}


@pytest.mark.parametrize(("ending", "said"), ENDINGS.values(), ids=ENDINGS)
def test_a_job_that_lost_a_host_and_ends_otherwise_than_it_should_fails(ending: Ending, said: str) -> None:
    (found,), nothing = worker_checks.of_loss(ending, "some\nx\n", WORDS)
    assert said in found.detail and not nothing


def test_a_job_that_lost_a_host_and_says_which_passes() -> None:
    ended = Ending("algo-2", 4.2, "AlgorithmError: algo-2 is lost: see its log\n\nTraceback", False)
    said = "without algo-2 the job ends within 4 s: AlgorithmError: algo-2 is lost: see its log"
    assert worker_checks.of_loss(ended, "", WORDS) == ([], said)
