"""What the text of one field may be: a number as TensorFlow reads it, a spelling of no value, a date."""

import calendar
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WITH_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+")
_WITH_UNIT = re.compile(r"[^\w\s.+-]?\s?[+-]?\d{1,3}([,' _]\d{3})*(\.\d+)?\s?(%|[^\W\d]{1,4}|[^\w\s])?")
_LARGEST = 3.4e38
# In a column of texts the words are as good as any; among numbers and dates they can only mean no value.
_NO_VALUE = {"", "nan", "na", "n/a", "n.a.", "#n/a", "null", "?", "<na>", "\\n"}
_NO_NUMBER = {*_NO_VALUE, "none", "nil", "-", "--", ".", "missing", "unknown", "not available", "undefined"}
# The letters of a format, as fields of a fixed width and of any; a lazy writer leaves out zeros.
_PARTS = {
    "Y": (r"(?:1[5-9]|2[0-2])\d\d", r"(?:1[5-9]|2[0-2])\d\d"),
    "m": (r"(?:0[1-9]|1[0-2])", r"(?:0?[1-9]|1[0-2])"),
    "d": (r"(?:0[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|[12]\d|3[01])"),
    "H": (r"(?:[01]\d|2[0-3])", r"(?:[01]?\d|2[0-3])"),
    "M": (r"[0-5]\d", r"[0-5]?\d"),
    "S": (r"[0-5]\d", r"[0-5]?\d"),
}
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d")
_TIMES = ("", "%H:%M:%S", "%H:%M")
_ENDS = ("", "Z")


@dataclass(frozen=True)
class DateFormat:
    """One way to write dates, in the letters of `strptime`; `fixed` if each value has the same width."""

    text: str
    fixed: bool
    pattern: re.Pattern[str]

    def fits(self, texts: Iterable[str]) -> bool:
        """Whether all of the texts are dates of this format, of days that there are."""
        return all(map(self._is_day, texts))

    def moment(self, text: str) -> int:
        """The date as a number of its year, month, day, hour, minute and second, which sorts. Raises ValueError."""
        found = self.pattern.fullmatch(text)
        if not found:
            raise ValueError(f"{text!r} is not of the format {self.text}")
        parts = found.groupdict()
        return int("".join(parts.get(letter, "0").zfill(2) for letter in _PARTS))

    def _is_day(self, text: str) -> bool:
        found = self.pattern.fullmatch(text)
        if found is None or found["d"] <= "28":
            return found is not None
        return int(found["d"]) <= calendar.monthrange(int(found["Y"]), int(found["m"]))[1]


def is_number(text: str) -> bool:
    """Whether TensorFlow reads `text` as a finite float32."""
    return bool(_NUMBER.fullmatch(text.strip())) and abs(float(text)) < _LARGEST


def extremes(texts: Sequence[str]) -> tuple[float, float] | None:
    """The least and the largest number, if one look shows that all texts are numbers; None where it does not."""
    try:
        numbers = list(map(float, texts))
    except ValueError:
        return None
    joined, low, high = "".join(texts), min(numbers), max(numbers)
    # float() takes more than TensorFlow does: 1_000, nan, digits of other scripts.
    usual = joined.isascii() and "_" not in joined and math.isfinite(sum(numbers))
    return (low, high) if usual and -_LARGEST < low <= high < _LARGEST else None


def is_no_value(text: str, *, words: bool = True) -> bool:
    """Whether `text` is empty, or a usual spelling of no value; `words` such as none, too."""
    return len(text) < 16 and text.strip().casefold() in (_NO_NUMBER if words else _NO_VALUE)


def has_decimal_comma(text: str) -> bool:
    """Whether `text` is a number with a decimal comma."""
    return bool(_WITH_COMMA.fullmatch(text.strip()))


def is_number_for_people(text: str) -> bool:
    """Whether `text` is a number as people write it: 1,000 or 5 % or $3."""
    return bool(_WITH_UNIT.fullmatch(text.strip())) and not is_number(text)


def date_formats(text: str) -> list[DateFormat]:
    """The formats that `text` is a date of, those of a fixed width first."""
    return [one for one in _FORMATS if one.fits([text])] if text[:1].isdigit() else []


def _make(text: str, fixed: bool) -> DateFormat:
    pattern = re.sub(r"%(\w)", lambda found: f"(?P<{found[1]}>{_PARTS[found[1]][not fixed]})", text.replace(".", r"\."))
    return DateFormat(text, fixed, re.compile(pattern, re.ASCII))


def _texts() -> Iterable[str]:
    for day, between, time, end in product(_DAYS, " T", _TIMES, _ENDS):
        if (time or (between == " " and not end)) and (between == " " or day == "%Y-%m-%d"):
            yield f"{day}{between}{time}{end}" if time else day


_FORMATS = [_make(text, fixed) for fixed in (True, False) for text in _texts() if fixed or "%m%d" not in text]
