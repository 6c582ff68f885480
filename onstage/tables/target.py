"""What is predicted: which column, and whether it is classes or a number."""

import re
from collections import Counter

from onstage import advice
from onstage.errors import StartError
from onstage.tables.guess import MOST_CODES, Choice, Guess, call, key
from onstage.tables.profile import Column
from onstage.tables.values import has_decimal_comma

MOST_LABELS = 1_000
# Whole numbers that come less often are amounts.
_ROWS_OF_LABEL = 5
_SURE = ("target", "label", "labels", "class", "classes", "y", "outcome", "response", "target_variable")
_LIKELY = (
    "survived", "diagnosis", "churn", "exited", "attrition", "loan_status", "default", "fraud", "isfraud", "is_fraud",
    "sentiment", "price", "saleprice", "sale_price", "medv", "median_house_value", "charges",
)  # fmt: skip
_BY_ENDING = re.compile(r"(^|[_ .-])(target|label|class)$", re.IGNORECASE)


def find(guess: Guess, name: str) -> str:
    """The column that `--target` names. Raises StartError, with the nearest one, for one that is not there."""
    names = guess.profile.dialect.names
    if name in names:
        return name
    near = advice.nearest(name, names)
    meant = f"did you mean {near!r}? " if near is not None else ""
    shown = ", ".join(map(repr, names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    raise StartError(f"--target {name}: there is no such column; {meant}The columns are {shown}")


def guessed(guess: Guess) -> tuple[str, str]:
    """The column that is most likely predicted, and why. Raises StartError where none can be."""
    usable = [column.name for column in guess.profile.columns if _can_be_predicted(guess, column)]
    plain = {name.strip().casefold(): name for name in usable}
    # x, y and z measure a thing.
    sure = [name for name in _SURE if name != "y" or not {"x", "z"} & set(plain)]
    for name in sure:
        if name in plain:
            return plain[name], "by its name"
    for name in usable:
        if _BY_ENDING.search(name):
            return name, "by its name"
    for name in _LIKELY:
        if name in plain:
            return plain[name], "by its name"
    if not usable:
        raise StartError("no column can be predicted: each is empty, constant, an identifier, a date or free text")
    return usable[-1], "the last column" if usable[-1] == guess.profile.dialect.names[-1] else "the last that can be"


def choose(guess: Guess, column: Column, prefers_number: bool) -> Choice:
    """The target's kind; `prefers_number` is what model.py predicts now, for whole numbers that could be either.

    Raises StartError for a column that cannot be predicted.
    """
    rows, different = guess.given(column)
    place = f"the target {column.name!r}"
    if not key(column.name):
        raise StartError(f"{place} has no a-z or 0-9 in its name: rename it in the file")
    if different < 2:
        what = f"has {next(iter(guess.values(column)))!r} in every row" if rows else "has no value in any row"
        raise StartError(f"{place} {what}: there is nothing to learn; name another by --target")
    drop = True if guess.missing(column) else None
    left_out = (f"{guess.missing(column):,} rows without it are left out",) if drop else ()
    if guess.is_number(column):
        whole = column.whole and column.values is not None
        values = guess.values(column)
        labels = sorted({int(text) for text in values}) if whole else []
        classes = call("Classes", column.name, labels, drop_missing=drop)
        number = call("Number", column.name, drop_missing=drop)
        few = len(labels) <= min(MOST_CODES, rows / _ROWS_OF_LABEL) and not prefers_number
        if len(labels) == 2 or (labels and few):
            other = (f"classes; an amount is {number}",) if len(labels) > 2 else ()
            return Choice("Classes", classes, (*_rare(values), *other, *left_out))
        if not whole and different == 2:
            classes = call("Classes", column.name, sorted(values), drop_missing=drop)
            return Choice("Classes", classes, (*_rare(values), *left_out))
        other = (f"an amount; classes are {classes}",) if 2 < len(labels) <= 2 * MOST_CODES else ()
        return Choice("Number", number, (*other, *left_out))
    return _texts(guess, column, place, drop, left_out)


def _texts(guess: Guess, column: Column, place: str, drop: bool | None, left_out: tuple[str, ...]) -> Choice:
    rows, different = guess.given(column)
    if (odd := guess.odd(column)) and different > MOST_CODES:
        shown = ", ".join(map(repr, odd[:3]))
        raise StartError(
            f"{place} is nearly always a number, but {shown} is none: correct the file, or leave the field empty"
        )
    values = guess.values(column)
    if (sample := guess.sample(column)) and all(map(has_decimal_comma, sample)):
        raise StartError(f"{place} has numbers with a decimal comma: write 0.5 for 0,5 in the file")
    if column.dates:
        raise StartError(f"{place} has dates: write a number that is to be predicted, or name another by --target")
    if not values or different > MOST_LABELS or (different > MOST_CODES and different > 0.5 * rows):
        about = "about " * (column.values is None)
        raise StartError(
            f"{place} has {about}{different:,} different texts in {rows:,} rows: too many for classes; name another by "
            "--target"
        )
    return Choice(
        "Classes", call("Classes", column.name, sorted(values), drop_missing=drop), (*_rare(values), *left_out)
    )


def _can_be_predicted(guess: Guess, column: Column) -> bool:
    if guess.choose(column).kind in ("Dropped", "Text", "Date"):
        return False
    try:
        choose(guess, column, prefers_number=False)
    except StartError:
        return False
    return True


def _rare(values: Counter[str]) -> tuple[str, ...]:
    """Labels that one row has: it can be in train or in eval."""
    rare = [text for text, count in values.items() if count == 1]
    more = f" and {len(rare) - 3} more" if len(rare) > 3 else ""
    return (f"one row each: {', '.join(map(repr, rare[:3]))}{more}",) if rare else ()
