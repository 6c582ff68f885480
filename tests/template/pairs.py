"""Few combinations of answers in which every answer to one question meets every answer to each other question."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

Answers = dict[str, str]


def pairs_of(answers: Mapping[str, str]) -> set[tuple[tuple[str, str], ...]]:
    """Every two of a combination's answers."""
    return set(itertools.combinations(sorted(answers.items()), 2))


def covering(questions: Mapping[str, Sequence[str]], whole: Sequence[str] = ()) -> list[Answers]:
    """Combinations that have all pairs: first every combination of the `whole` questions, then as few as it takes.

    Each time the combination with the most pairs that are missing still is taken, of several the first.
    """
    missing = set().union(*(pairs_of(one) for one in product(questions, questions)))
    chosen: list[Answers] = []
    begun: Iterable[Answers] = product(questions, whole) if whole else []
    for fixed in begun:
        others = [name for name in questions if name not in fixed]
        chosen.append(max((fixed | one for one in product(questions, others)), key=lambda one: gain(one, missing)))
        missing -= pairs_of(chosen[-1])
    while missing:
        chosen.append(max(product(questions, questions), key=lambda one: gain(one, missing)))
        missing -= pairs_of(chosen[-1])
    return chosen


def gain(answers: Answers, missing: set[tuple[tuple[str, str], ...]]) -> int:
    """How many missing pairs a combination has."""
    return len(pairs_of(answers) & missing)


def product(questions: Mapping[str, Sequence[str]], names: Iterable[str]) -> Iterable[Answers]:
    """Every combination of the answers to these questions."""
    names = list(names)
    return (dict(zip(names, one, strict=True)) for one in itertools.product(*(questions[name] for name in names)))
