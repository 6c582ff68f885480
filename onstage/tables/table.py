"""The `Table(...)` of a profile as Python, and what has to be said about it."""

import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from onstage.errors import StartError
from onstage.tables import guess, target
from onstage.tables.guess import Choice, Guess
from onstage.tables.profile import Profile
from onstage.tables.values import is_number

# What every trainer has. Others are asked for by name.
KINDS = frozenset({"Numeric", "Categorical", "Hashed", "Dropped", "Classes", "Number"})
_WIDTH = 108


@dataclass(frozen=True)
class Written:
    """`DATA = Table(...)`, not yet laid out; the classes that it needs; and sentences about it for people.

    `labels` are so many, 0 of a target that is a number.
    """

    text: str
    kinds: frozenset[str]
    target: Choice
    target_name: str
    labels: int
    notes: tuple[str, ...]


def write(
    profile: Profile, names: Sequence[str], wanted: str, *, kinds: Collection[str], prefers_number: bool
) -> Written:
    """The table of a profile of the files `names`. `wanted` is the target's name, or "" for a guess.

    Raises StartError for a target that cannot be, or a table with nothing to learn from.
    """
    guessing = Guess(profile, guess.missing_text(profile.columns), frozenset(kinds))
    name, why = (target.find(guessing, wanted), "") if wanted else target.guessed(guessing)
    goal = target.choose(guessing, profile.column(name), prefers_number)
    if why:
        goal = Choice(goal.kind, goal.call, (f"the target is guessed, {why}: --target NAME names another", *goal.notes))
    taken = {guess.key(name): name}
    choices: list[Choice] = []
    for column in profile.columns:
        if column.name == name:
            choices.append(goal)
            continue
        choice = guessing.choose(column)
        if choice.kind != "Dropped" and (other := taken.setdefault(guess.key(column.name), column.name)) != column.name:
            choice = guess.dropped(column, f"it has one input name with {other!r}: rename one in the file to use it")
        choices.append(choice)
    if all(choice.kind in ("Dropped", goal.kind) for choice in choices if choice is not goal):
        reasons = "\n".join(
            f"  {choice.call}: {'; '.join(choice.notes)}" for choice in choices[:10] if choice is not goal
        )
        raise StartError(f"{names[0]} has no column to learn {name!r} from:\n{reasons}")
    return Written(
        _text(profile, names, choices, guessing.missing_text),
        frozenset(choice.kind for choice in choices) | {"Table"},
        goal,
        name,
        guessing.given(profile.column(name))[1] if goal.kind == "Classes" else 0,
        tuple(_notes(guessing, choices, name, why)),
    )


def _text(profile: Profile, names: Sequence[str], choices: Sequence[Choice], missing_text: str) -> str:
    options = {
        "header": None if profile.dialect.header else False,
        "delimiter": None if profile.dialect.delimiter == "," else profile.dialect.delimiter,
        "missing_text": missing_text or None,
        "encoding": None if profile.encoding == "utf-8" else profile.encoding,
    }
    columns = [line for choice in choices for line in (*_comment("; ".join(choice.notes)), f"        {choice.call},")]
    given = [f"    {key}={value!r}," for key, value in options.items() if value is not None]
    more = f" and {len(names) - 1} more files" if len(names) > 1 else ""
    # A name may have a line end, and this becomes code.
    name = "".join(letter if letter.isprintable() else "?" for letter in names[0])
    said = f"# {name}{more}: {profile.rows:,} rows of {len(choices)} columns."
    return "\n".join([said, "DATA = Table(", "    [", *columns, "    ],", *given, ")", ""])


def _comment(text: str) -> list[str]:
    found = textwrap.wrap(text, _WIDTH, break_long_words=True, break_on_hyphens=False)
    return [f"        # {line}" for line in found]


def _notes(guessing: Guess, choices: Sequence[Choice], name: str, why: str) -> list[str]:
    profile, found = guessing.profile, []
    if why:
        found.append(f"the target is guessed: {name!r}, {why}; --target NAME names another")
    if profile.dialect.header and (odd := [one for one in profile.dialect.names if is_number(one)]):
        found.append(
            f"row 1 is taken for a header, although it has {', '.join(map(repr, odd[:3]))}; see that it is one"
        )
    left = [choice for choice in choices if choice.kind == "Dropped"]
    if left:
        found.append(f"left out (Dropped): {len(left)} of {len(choices)} columns; the comment above each says why")
    spelled = guess.spellings(profile.columns)
    if len(spelled) > 1:
        found.append(
            f"no value is spelled in several ways, {', '.join(map(repr, spelled[:6]))}: missing_text is "
            f"{guessing.missing_text!r}, and a table has one beside the empty field; write the others as empty fields"
        )
    if profile.encoding != "utf-8":
        found.append(f"the file is not UTF-8: it is read as {profile.encoding}; if letters look wrong, name another")
    return found
