"""Which checks a rehearsal has: what one needs of others, and what an option asks for."""

import pytest

from onstage import catalogue


def test_what_one_check_needs_is_needed_by_none_that_is_not_listed() -> None:
    for one in catalogue.CHECKS:
        chosen = catalogue.selected([one])
        assert {one, catalogue.SETTINGS} <= chosen <= set(catalogue.CHECKS)
    assert catalogue.selected([]) == frozenset()
    everything = catalogue.selected(["project", "sagemaker", "vertex", "both"])
    assert everything == set(catalogue.CHECKS)


OPTIONS = {
    "tune": {"search", "tuning"}, "workers": {"workers"}, "kill": {"kill"}, "batch": {"batch"},
    "serving_version": {"serving-version"},
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_a_check_on_request_is_of_a_rehearsal_only_when_its_option_asks_for_it(option: str) -> None:
    asked = catalogue.requested([], ["vertex"], {option: True})[1]
    usual, more = (set(catalogue.of_rehearsal(["vertex"], some)) for some in ((), asked))
    assert more - usual == {f"vertex.{name}" for name in OPTIONS[option]} == asked
    assert not asked & {*catalogue.of_body("vertex")}


@pytest.mark.parametrize(
    ("words", "tune", "chosen", "is_asked"),
    [
        ([], False, [], False),
        ([], None, [], False),
        ([], True, [], True),
        (["project"], False, ["project"], False),
        (["project"], True, ["project", "sagemaker.tuning", "vertex.tuning"], True),
        (["vertex.tuning"], False, ["vertex.tuning"], True),
        (["vertex.tuning"], None, ["vertex.tuning"], False),
        (["vertex.tuning"], True, ["vertex.tuning"], True),
        (["vertex.search"], False, ["vertex.search"], True),
        (["vertex.kill"], False, ["vertex.kill"], False),
    ],
)
def test_who_selects_a_check_of_an_option_asks_for_it_and_the_other_way_round(
    words: list[str], tune: bool | None, chosen: list[str], is_asked: bool
) -> None:
    found, asked = catalogue.requested(words, ["sagemaker", "vertex"], {"tune": tune})
    assert found == chosen
    assert asked == (
        {f"{one}.{name}" for one in ("sagemaker", "vertex") for name in OPTIONS["tune"]} if is_asked else set()
    )
