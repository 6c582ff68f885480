"""Which kind of `trainer.columns` a column is, as far as its values tell, and what they leave open."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from onstage.tables.profile import Column, Profile
from onstage.tables.values import has_decimal_comma, is_no_value, is_number_for_people

MOST_VOCABULARY, MOST_CODES = 50, 12
MOST_HASHED, LONGEST_TEXT = 1024, 200
# Above this share of different values, a value says which row it is, and little about others.
_NEARLY_ALL, _MOST = 0.9, 0.5
_EXACT = 2**24
_WEIGHT = re.compile(r"(?i)((sample|instance|row|case|survey)[_ ]?weights?|fnlwgt)")
_IDENTIFIER = re.compile(r"(?i:(^|[^a-z])(id|uuid|guid|key|index|row)$)|[a-z](Id|ID)$")


@dataclass(frozen=True)
class Choice:
    """A column as model.py has it, the `call` of a class of `trainer.columns`, and what to say beside it."""

    kind: str
    call: str
    notes: tuple[str, ...] = ()


def call(kind: str, name: str, *values: object, **options: object) -> str:
    """A column's Python: the one place where kinds are written. Options that are None are left out."""
    given = [f"{key}={_literal(value)}" for key, value in options.items() if value is not None]
    return f"{kind}({', '.join([*map(_literal, (name, *values)), *given])})"


@dataclass(frozen=True)
class Guess:
    """Chooses kinds, of those that the project's trainer has, for a table with this spelling of no value."""

    profile: Profile
    missing_text: str
    kinds: frozenset[str]

    def missing(self, column: Column) -> int:
        """How many fields are empty, or say so."""
        return sum(column.missing[text] for text in {"", self.missing_text})

    def given(self, column: Column) -> tuple[int, int]:
        """How many fields have a value, and how many different ones there are; estimated where they are many."""
        spelled = sum(text in column.missing for text in {"", self.missing_text})
        return column.rows - self.missing(column), max(0, column.different - spelled)

    def values(self, column: Column) -> Counter[str]:
        """Each value with its count; of a column that has too many, none."""
        return Counter({t: n for t, n in (column.values or {}).items() if t not in ("", self.missing_text)})

    def odd(self, column: Column) -> list[str] | None:
        """Of a column of numbers, the texts that are neither numbers nor no value; None for one of texts."""
        if column.odd is None or sum(column.odd.values()) > _MOST * column.rows + self.missing(column) / 2:
            return None
        return [text for text in column.odd if text not in ("", self.missing_text)]

    def is_number(self, column: Column) -> bool:
        """Whether all that it has are numbers, and no codes such as 007."""
        return self.odd(column) == [] and not column.padded and self.given(column)[0] > 0

    def sample(self, column: Column) -> list[str]:
        """Some of the values."""
        return [text for text in column.sample if text not in ("", self.missing_text)]

    def choose(self, column: Column) -> Choice:
        """What a column that is not the target is."""
        rows, different = self.given(column)
        if not rows:
            return dropped(column, "no row has a value")
        if column.counts_rows:
            return dropped(column, "it counts the rows")
        if different == 1 and not self.missing(column):
            return dropped(column, f"every row has {_short(next(iter(self.values(column))))}")
        if not key(column.name):
            return dropped(column, "its name has no a-z or 0-9; rename it in the file to use it")
        notes = []
        if self.missing(column) > _MOST * column.rows:
            notes.append(f"{100 * self.missing(column) / column.rows:.0f} % of the rows have no value")
        if column.dates and not (self.is_number(column) and "date" not in column.name.casefold()):
            return self._date(column)
        odd = self.odd(column)
        if odd and different > MOST_CODES and not column.padded:
            return self._odd_numbers(column, odd)
        if _IDENTIFIER.search(column.name) and (column.whole or odd is None):
            return self._identifier(column)
        if self.is_number(column) and different > 1:
            found = self._number(column)
        else:
            found = self._text(column)
        return found if found.kind == "Dropped" else Choice(found.kind, found.call, (*notes, *found.notes))

    def _number(self, column: Column) -> Choice:
        missing, different = self.missing(column), self.given(column)[1]
        typical = median(map(float, self.sample(column))) if missing and self.sample(column) else 0.0
        notes = []
        if column.whole and 2 < different <= MOST_CODES:
            codes = call("Categorical", column.name, _by_frequency(self.values(column), int), missing=_code(missing))
            notes.append(f"{different} different whole numbers; if they are codes, no amounts: {codes}")
        elif column.whole and max(abs(column.low), abs(column.high)) > _EXACT:
            notes.append(f"up to {column.high:.0f}, of which float32 keeps about 7 digits")
        if _WEIGHT.fullmatch(column.name) and column.low >= 0:
            notes.append(f"if it says how much a row counts: {call('Weight', column.name)}")
        text = call("Numeric", column.name, missing=float(f"{typical:.4g}") if missing else None)
        return Choice("Numeric", text, tuple(notes))

    def _odd_numbers(self, column: Column, odd: Sequence[str]) -> Choice:
        shown = ", ".join(map(_short, odd[:3]))
        if all(map(is_no_value, odd)):
            other = f"beside {self.missing_text!r}, " if self.missing_text else ""
            return dropped(
                column, f"a number, but {other}{shown} says that there is none, too: write empty fields in the file"
            )
        return dropped(column, f"nearly always a number, but {shown} is none: correct the file to use it")

    def _identifier(self, column: Column) -> Choice:
        rows, different = self.given(column)
        if different > _NEARLY_ALL * rows:
            return dropped(column, "an identifier: it differs in each row")
        if different <= MOST_VOCABULARY and column.values is not None:
            return self._text(column)
        return dropped(
            column,
            f"an identifier, {self._count(column)}; to learn something about each: {self._hashed(column)}; to keep "
            f"each in one part: onstage split FILE --by {shlex.quote(column.name)}",
        )

    def _date(self, column: Column) -> Choice:
        fixed = [one for one in column.dates if one.fixed]
        example = _short(self.sample(column)[0] if self.sample(column) else "")
        if not fixed:
            return dropped(column, f"dates of different width, such as {example}; write 2026-03-07 in the file")
        if "Date" not in self.kinds:
            return dropped(column, f"a date, such as {example}: write a number, such as the days since one, to use it")
        if other := [text for text in column.missing if text not in ("", self.missing_text)]:
            return self._odd_numbers(column, other)
        notes = []
        if fixed[1:]:
            notes.append(f"or {fixed[1].text}: no row tells")
        typical = None
        if self.missing(column):
            given = sorted(self.sample(column), key=fixed[0].moment)
            typical = given[len(given) // 2] if given else None
        return Choice("Date", call("Date", column.name, format=fixed[0].text, missing=typical), tuple(notes))

    def _text(self, column: Column) -> Choice:
        rows, different = self.given(column)
        sample = self.sample(column)
        few = column.values is not None and different <= MOST_VOCABULARY
        if few and (different <= MOST_CODES or different <= _MOST * rows):
            return self._categorical(column)
        if sample and all(map(_is_json, sample)):
            return dropped(column, "JSON; write what matters of it as columns")
        if _share(has_decimal_comma, sample) > _NEARLY_ALL:
            return dropped(column, f"numbers with a decimal comma; write {_short(sample[0].replace(',', '.'))}")
        if _share(is_number_for_people, sample) > _NEARLY_ALL:
            return dropped(column, f"numbers such as {_short(sample[0])}; write the digits alone, and a decimal point")
        words = sorted(len(text.split()) for text in sample)
        if words and sum(words) >= 3 * len(words):
            return self._free_text(column, words)
        if different > _MOST * rows:
            return dropped(column, f"{self._count(column)}; to use it: {self._hashed(column)}")
        return Choice("Hashed", self._hashed(column), (self._count(column),))

    def _categorical(self, column: Column) -> Choice:
        values, missing = self.values(column), self.missing(column)
        if column.whole and self.is_number(column) and self.given(column)[1] > 1:
            text = call("Categorical", column.name, _by_frequency(values, int), missing=_code(missing))
            return Choice("Categorical", text)
        word = next(word for word in ("unknown", "missing", "no value") if word not in values) if missing else None
        return Choice("Categorical", call("Categorical", column.name, _by_frequency(values, str), missing=word))

    def _free_text(self, column: Column, words: Sequence[int]) -> Choice:
        length = min(LONGEST_TEXT, max(1, words[int(0.95 * (len(words) - 1))]))
        if "Text" not in self.kinds:
            return dropped(column, f"free text, about {words[len(words) // 2]} words a row")
        text = call("Text", column.name, length=length)
        return Choice("Text", text, (f"free text; {call('Dropped', column.name)} leaves it out",))

    def _hashed(self, column: Column) -> str:
        size = 64
        while size < min(MOST_HASHED, 2 * self.given(column)[1]):
            size *= 2
        return call("Hashed", column.name, size, missing="" if self.missing(column) else None)

    def _count(self, column: Column) -> str:
        rows, different = self.given(column)
        about = "about " * (column.values is None)
        return f"{about}{different:,} different values in {rows:,} rows"


def dropped(column: Column, why: str) -> Choice:
    """A column that is left out."""
    return Choice("Dropped", call("Dropped", column.name), (why,))


def key(name: str) -> str:
    """The name of a model's input, as `trainer.columns` makes it; two columns may not share one."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")


def missing_text(columns: Iterable[Column]) -> str:
    """The spelling of no value, beside the empty field, that helps most columns, those of numbers and dates first."""
    found = [(text, 1000 if need else 1) for column in columns for text, need in _spellings(column)]
    votes: Counter[str] = Counter()
    for text, weight in found:
        votes[text] += weight
    return max(votes, key=lambda text: (votes[text], text), default="")


def spellings(columns: Iterable[Column]) -> list[str]:
    """All spellings of no value but the empty field."""
    return sorted({text for column in columns for text, _ in _spellings(column)})


def _spellings(column: Column) -> Iterable[tuple[str, bool]]:
    """A column's, and whether it needs them: a category is as good as no value, a number or a date is not."""
    need = _has_numbers(column) or bool(column.dates)
    return [(text, need) for text in column.missing if text and is_no_value(text, words=need)]


def _has_numbers(column: Column) -> bool:
    return column.odd is not None and sum(column.odd.values()) < column.rows


def _by_frequency(values: Counter[str], kind: type) -> list[object]:
    return list(dict.fromkeys(kind(text) for text, _ in values.most_common()))


def _code(missing: int) -> int | None:
    return -1 if missing else None


def _share(what: Callable[[str], bool], texts: Sequence[str]) -> float:
    return sum(map(what, texts)) / max(1, len(texts))


def _is_json(text: str) -> bool:
    if text.strip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except ValueError:
        # As Python prints it.
        return text.strip()[-1] in "}]"
    return True


def _literal(value: object) -> str:
    """A value as Python has it, and ruff writes it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_literal, value))}]"
    quoted = repr(value)
    return f'"{quoted[1:-1]}"' if isinstance(value, str) and quoted[0] == "'" and '"' not in value else quoted


def _short(text: str) -> str:
    return repr(text if len(text) <= 30 else f"{text[:30]}…")
