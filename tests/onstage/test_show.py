"""What people see of times and sizes."""

import itertools

import pytest

from onstage import verbosity
from onstage.commands.show import Bytes, Waiting, clock, pauses, size


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


def test_quiet_says_nothing_of_what_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for level, said in ((verbosity.NORMAL, ["waiting", "a line", "data: 5 B in "]), (verbosity.QUIET, ["a line"])):
        monkeypatch.setattr(verbosity, "_level", level)
        with Waiting() as waiting:
            waiting.now("waiting", "a clock")
            waiting.line("a line")
        with Bytes("data", 5) as progress:
            progress.add(5)
        lines = capsys.readouterr().out.splitlines()
        assert [line[: len(start)] for line, start in zip(lines, said, strict=True)] == said


def test_a_patient_progress_is_silent_for_a_second_and_leaves_standard_output_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("onstage.commands.show.time.monotonic", lambda: clock[0])
    with Bytes("data", 5, patient=True) as progress:
        progress.add(5)
    said = capsys.readouterr()
    assert said.out + said.err == ""
    with Bytes("data", 90, patient=True) as progress:
        for clock[0] in (20.0, 31.0, 40.0):
            progress.add(30)
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()) == ("", ["data: 90 B in 40.0 s, 2 B/s, done"])
