"""Which rows of a table are eval: by chance within each label, by whole groups, or the latest."""

import random
from array import array
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone

from onstage.errors import StartError
from onstage.tables.values import date_formats, is_number


def by_label(counts: Counter[str], share: float, seed: int) -> Callable[[str], bool]:
    """Says of each row's label, in the rows' order, whether the row is eval: of each label the same share.

    A label with one row has it in train, any other at least one in each.
    """
    chance = random.Random(seed)
    left = Counter(counts)
    wanted = Counter({label: _share(count, share) for label, count in counts.items()})

    def is_eval(label: str) -> bool:
        chosen = chance.random() * left[label] < wanted[label]
        left[label] -= 1
        wanted[label] -= chosen
        return chosen

    return is_eval


def by_group(counts: Counter[str], share: float, seed: int, column: str) -> frozenset[str]:
    """The groups whose rows are eval, together as near to the share as whole groups allow, and not much above it.

    Raises StartError where no group is small enough.
    """
    names = sorted(counts)
    random.Random(seed).shuffle(names)
    total = sum(counts.values())
    most, taken, chosen = share * total, 0, []
    for name in names:
        if taken + counts[name] <= most:
            chosen.append(name)
            taken += counts[name]
    if len(names) < 2 or not chosen:
        smallest = min(counts.values()) / total
        way = f"--eval {smallest:.2g} or more" if len(names) > 1 else "name another column"
        raise StartError(
            f"--by {column}: {len(names)} group{'s' * (len(names) != 1)} of {total:,} rows, and the smallest has "
            f"{100 * smallest:.0f} %, which is more than --eval {share:g}: {way}"
        )
    return frozenset(chosen)


def clock(text: str) -> list[tuple[str, Callable[[str], float]]]:
    """The ways to read a time or a number that sorts, of which `text` is one, each with its name.

    What they return is larger for what is later; they raise ValueError for a text of another kind.
    """
    ways: list[tuple[str, Callable[[str], float]]] = [("a number", _number)] if is_number(text) else []
    return [*ways, *((one.text, one.moment) for one in date_formats(text)), ("ISO 8601", _iso)]


def by_time(moments: "array[float]", share: float, column: str) -> float:
    """The first moment of eval; rows of one moment stay together. Raises StartError where there is one moment only."""
    ordered = sorted(moments)
    if ordered[0] == ordered[-1]:
        raise StartError(f"--time {column}: all rows have the same time")
    begin = ordered[len(ordered) - _share(len(ordered), share)]
    return begin if begin > ordered[0] else next(moment for moment in ordered if moment > begin)


def since(begin: float, read: Callable[[str], float]) -> Callable[[str], bool]:
    """Says of each row's time whether it is `begin` or later."""
    return lambda text: read(text) >= begin


def described(counts: Counter[str]) -> str:
    """Labels with their counts, the most frequent first."""
    shown = ", ".join(f"{label or 'no value'} {count:,}" for label, count in counts.most_common(10))
    return shown + (f" and {len(counts) - 10} more" if len(counts) > 10 else "")


def _share(count: int, share: float) -> int:
    return 0 if count < 2 else min(count - 1, max(1, round(count * share)))


def _number(text: str) -> float:
    if not is_number(text):
        raise ValueError(text)
    return float(text)


def _iso(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
