"""What people see of times and sizes."""

import itertools

import pytest

from onstage.commands.show import clock, pauses, size


def test_pauses_grow_but_stay_short() -> None:
    first = list(itertools.islice(pauses(), 20))
    assert first == sorted(first)
    assert (first[0], first[-1]) == (0.3, 5.0)


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (200_000_000, "200.0 MB"), (3e13, "30.0 TB")]
)
def test_bytes_are_shown_in_the_unit_that_suits(count: float, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(5.9, "00:05"), (61, "01:01"), (3723, "1:02:03")])
def test_seconds_are_shown_as_a_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
