# Owned by the template.
"""What is wrong with the text of one field, or of a whole file, and what to write instead. Standard library only."""

import math
import re
from collections.abc import Iterable
from difflib import get_close_matches

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_TRUTH = {"true", "false", "yes", "no", "t", "f", "y", "n"}
_NO_VALUE = {"nan", "na", "n/a", "#n/a", "null", "none", "nil", "-", "--", "?", ".", "missing", "<na>"}
_DATE = re.compile(r"\d{4}[-/.]\d\d?([-/.]\d\d?)?([T ].*)?|\d\d?[-/.]\d\d?[-/.](\d\d|\d{4})( .*)?|\d\d?:\d\d(:\d\d.*)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}([,' _\u00a0\u2009\u202f]\d{3})+(\.\d*)?")
_WITH_UNIT = re.compile(
    r"[^\w.+-]*([+-]?[0-9]+\.?[0-9]*)\s*[^\d\s.,+-][^\d.,]*|[^\d\s.,+-]{1,3}\s*([+-]?[0-9]+\.?[0-9]*)"
)
# The first bytes of files that are no text.
_FORMATS = {
    "\x1f\udc8b": "compressed by gzip: unpack it",
    "PK\x03\x04": "a zip archive or an Excel file: unpack it, or save the sheet as CSV UTF-8",
    "PAR1": "a Parquet file: write it as CSV",
    "<!DOCTYPE": "a web page: what was downloaded is not the data",
    "<html": "a web page: what was downloaded is not the data",
    "version https://git-lfs": "Git LFS's note of where the file is: git lfs pull",
    "\udcd0\udccf": "an old Excel file: save the sheet as CSV UTF-8",
}


def nearest(value: object, known: Iterable[object]) -> object | None:
    """The one of `known` that `value` most likely means: case and blanks count little, and 1.0 is 1."""
    known = list(known)
    for one in known:
        if is_number(str(value)) and is_number(str(one)) and float(str(value)) == float(str(one)):
            return one
    plain = {str(one).strip().casefold(): one for one in known}
    near = get_close_matches(str(value).strip().casefold(), plain, n=1)
    return plain[near[0]] if near else None


def is_number(text: str) -> bool:
    """Whether TensorFlow reads `text` as a number."""
    return bool(_NUMBER.fullmatch(text.strip()))


def not_a_number(name: str, text: str, classes: str = "Categorical") -> str | None:
    """What is wrong with a number of the column `name`; `classes` is the kind of column that lists values."""
    if not is_number(text):
        return f"{text!r} is not a number{_advice(name, text, classes)}"
    # TensorFlow reads float32: a larger number would become infinite.
    return None if math.isfinite(float(text)) and abs(float(text)) < 3.4e38 else f"{text!r} is not a finite number"


def not_whole(name: str, text: str, classes: str = "Categorical") -> str | None:
    """What is wrong with a whole number of the column `name`."""
    if _INTEGER.fullmatch(text.strip()) and -(2**63) <= int(text) < 2**63:
        return None
    advice = _advice(name, text, classes)
    if is_number(text) and math.isfinite(float(text)):
        advice = f"; write {int(float(text))}" if float(text).is_integer() else f"; fractions are Numeric({name!r})"
    return f"{text!r} is not a whole number of 64 bits{advice}"


def not_a_label(text: str, labels: list) -> str:
    """Says that a field is none of the labels, and which it may mean."""
    near = nearest(text, labels)
    meant = f"; write {near!r}, spelt as in model.py, or spell model.py as the file" if near is not None else ""
    return f"{text!r} is not one of the labels {labels}{meant}"


def not_utf8(text: str) -> str | None:
    """What is wrong with a text in which bytes that are no UTF-8 were read as surrogates; None where there are none."""
    if text.isascii() or not (found := re.search(r"[^,;\t\"\r\n]{0,20}[\udc80-\udcff][^,;\t\"\r\n]{0,20}", text)):
        return None
    raw = found[0].encode("utf-8", "surrogateescape")
    try:
        likely, seen = "cp1252", raw.decode("cp1252")
    except UnicodeDecodeError:
        likely, seen = "latin-1 or an Asian encoding", raw.decode("latin-1")
    code = likely.partition(" ")[0]
    return f"{raw!r} is not UTF-8; it is likely {likely}, {seen!r}. Convert it: iconv -f {code} -t utf-8 OLD > NEW"


def not_a_text(line: str) -> str | None:
    """What a file is instead of UTF-8 text, by its first line, in which odd bytes are surrogates; None for a text."""
    for start, what in _FORMATS.items():
        if line.startswith(start):
            return f"is {what}"
    wide = "32" if "\x00\x00\x00" in line[:8] else "16"
    if line.startswith(("\udcff\udcfe", "\udcfe\udcff")) or "\x00" in line:
        # Without a byte order mark, ASCII's zero bytes say where the lower half is.
        order = "" if line[0] >= "\udc80" else "LE" if line.find("\x00") % 2 else "BE"
        return f"is UTF-{wide}{order}, not UTF-8. Convert it: iconv -f utf-{wide}{order.lower()} -t utf-8 OLD > NEW"
    if "\r" in line.rstrip("\r\n"):
        return "has lines that end in CR alone. Convert it: tr '\\r' '\\n' < OLD > NEW"
    return None


def _advice(name: str, text: str, classes: str) -> str:
    plain = text.strip()
    if plain.casefold() in _TRUTH:
        return f"; for two values write {classes}({name!r}, {_truths(plain)})"
    if plain.casefold() in _NO_VALUE:
        return f"; if it means no value: Table(..., missing_text={text!r}), and say missing=... for the column"
    if _DATE.fullmatch(plain):
        return f"; a date: write a number, such as the days since one, or leave it out by Dropped({name!r})"
    if _GROUPED.fullmatch(plain):
        whole = re.sub(r"[^\d.+-]", "", plain)
        return f"; write {whole}" + (f", or {plain.replace(',', '.')}" if plain.count(",") == 1 else "")
    if re.fullmatch(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)?,\d+", plain):
        return f"; write {plain.replace('.', '').replace(',', '.')}, with a decimal point"
    if plain.endswith("%") and is_number(number := plain[:-1].strip().replace(",", ".")):
        ways = dict.fromkeys([f"{float(number) / 100:g}", number])
        return f"; write {' or '.join(ways)}, without %, the same way in all rows"
    if unit := _WITH_UNIT.fullmatch(plain):
        return f"; write {unit[1] or unit[2]} alone"
    if plain and not re.search(r"\d", plain) and "inf" not in plain.casefold():
        way = f"Classes({name!r}, [...])" if classes == "Classes" else f"Categorical({name!r}, [...]) or Hashed"
        return f"; texts are {way}"
    return ""


def _truths(text: str) -> str:
    """The two values of which `text` is one, spelt as it is."""
    pairs = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"))
    pair = next(pair for pair in pairs if text.casefold() in pair)
    spelt = [one.upper() if text.isupper() else one.capitalize() if text[0].isupper() else one for one in pair]
    return f'["{spelt[0]}", "{spelt[1]}"]'
