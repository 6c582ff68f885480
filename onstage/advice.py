"""What is said about a table beyond the plain fact: what its columns cannot be, and what to write instead.

A project's trainer runs this file where ONSTAGE_ADVICE names it: on the researcher's machine, and in a rehearsed job,
which has no onstage. It does not travel. Standard library only; columns are known by the names of their classes.
"""

import codecs
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

_TRUTH = {"true", "false", "yes", "no", "t", "f", "y", "n"}
_NO_VALUE = {"nan", "na", "n/a", "#n/a", "null", "none", "nil", "-", "--", "?", ".", "missing", "<na>"}
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
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
_INDEXED = ("Categorical", "Hashed", "Identity")
_DATE_PARTS = ("%Y", "%m", "%d", "%H", "%M", "%S")
_HOW = "`onstage columns FILE` says what the columns of a file are"
_64_BITS = range(-(2**63), 2**63)


def mistakes(table: Any) -> list[str]:
    """What is wrong with a table as model.py describes it."""
    of_columns = [list(_of_column(column)) for column in table.columns]
    found = [mistake for some in of_columns for mistake in some]
    names = [column.name for column in table.columns]
    if len(set(names)) < len(names):
        found.append(f"a column name stands twice in {names}")
    # A column that cannot say its type has said what is wrong with it.
    used = [column for column, some in zip(table.columns, of_columns, strict=True) if some or column.dtype]
    keys: dict[str, list[str]] = {}
    for column in used:
        keys.setdefault(column.key, []).append(column.name)
    for key, same in keys.items():
        if not key:
            found += [f"the column {name!r} has no a-z or 0-9 in its name: rename it" for name in same]
        elif len(set(same)) > 1:
            found.append(f"the columns {same} have one input name, {key!r}: rename one")
    kinds = [type(column).__name__ for column in table.columns]
    targets = [name for name, kind in zip(names, kinds, strict=True) if kind in ("Classes", "Number")]
    if not targets:
        found.append("the table needs a target: Classes or Number")
    if kinds.count("Weight") > 1:
        found.append("the table may have one Weight column")
    if not table.features:
        found.append("the table has no column to learn from")
    if len(table.delimiter) != 1 or table.delimiter in '"\n\r':
        found.append(f"the delimiter must be one character, not {table.delimiter!r}")
    if not _can_split(table.encoding):
        found.append(f"encoding is utf-8, or one with a byte a character, such as cp1252, not {table.encoding!r}")
    if type(table.memory_mb) is not int or table.memory_mb < 0:
        found.append(f"memory_mb must be a whole number, 0 or more, not {table.memory_mb!r}")
    return found


def _of_column(column: Any) -> Iterator[str]:
    kind, name, missing = type(column).__name__, column.name, getattr(column, "missing", None)
    if kind == "Numeric" and not (missing is None or (type(missing) in (int, float) and math.isfinite(missing))):
        spelling = "; how the files spell no value is Table(..., missing_text=...)" * isinstance(missing, str)
        yield f"missing of {name!r} must be a finite number, not {missing!r}{spelling}"
    elif kind in _INDEXED:
        yield from _of_indexed(column, kind)
    elif kind == "Classes":
        if found := _wrong_values(name, "labels", column.labels):
            yield found
        elif len(column.labels) < 2:
            yield f"{name!r} needs two labels or more, not {list(column.labels)}"
        else:
            yield from _of_weights(name, list(column.labels), getattr(column, "weights", {}))
    elif kind == "Text":
        for what, value in (("words", column.words), ("length", column.length)):
            if type(value) is not int or value < 1:
                yield f"{what} of {name!r} must be a whole number, 1 or more, not {value!r}"
        if missing is not None and not isinstance(missing, str):
            yield f"missing of {name!r} must be a text, not {missing!r}"
    elif kind == "Date":
        pieces = re.findall("%.?", str(column.format))
        if "%Y" not in pieces or not set(pieces) <= set(_DATE_PARTS) or len(set(pieces)) < len(pieces):
            known = ", ".join(_DATE_PARTS)
            yield f"format of {name!r} has %Y and other parts, each once, of {known}; not {column.format!r}"
        elif missing is not None and (problem := column.problem(str(missing))):
            yield f"missing of {name!r}: {problem}"


def _of_weights(name: str, labels: list[Any], weights: Any) -> Iterator[str]:
    if not isinstance(weights, Mapping):
        yield f"weights of {name!r} must be a dict from labels to numbers, not {weights!r}"
        return
    for one, weight in weights.items():
        if one not in labels:
            near = nearest(one, labels)
            meant = f"; did you mean {near!r}?" if near is not None else ""
            yield f"weights of {name!r} have {one!r}, which is none of the labels {labels}{meant}"
        elif type(weight) not in (int, float) or not 0 <= weight < math.inf:
            yield f"the weight of {one!r} of {name!r} must be a number, 0 or more, not {weight!r}"


def _of_indexed(column: Any, kind: str) -> Iterator[str]:
    name: str = column.name
    missing: Any = column.missing
    if kind == "Categorical" and (found := _wrong_values(name, "vocabulary", column.vocabulary)):
        yield found
        return
    if type(column.size) is not int or not 1 <= column.size < 2**31:
        yield f"the size of {name!r} must be a whole number from 1 to 2^31 - 1, not {column.size!r}"
    if column.encoding not in ("one_hot", "index"):
        yield f"{name!r}: encoding is 'one_hot' or 'index', not {column.encoding!r}"
    is_whole = column.dtype == "int64"
    if missing is not None and type(missing) is not (int if is_whole else str):
        yield f"missing of {name!r} must be {'a whole number' if is_whole else 'a text'}, not {missing!r}"
    elif is_whole and (missing or 0) not in _64_BITS:
        yield f"missing of {name!r} must be a whole number of 64 bits, not {missing}"
    elif kind == "Identity" and type(missing) is type(column.size) is int and not 0 <= missing < column.size:
        yield f"missing of {name!r}, {missing}, is not between 0 and {column.size - 1}"


def _wrong_values(name: str, what: str, values: Any) -> str:
    must = f"the {what} of {name!r} must be a list of distinct strings or distinct whole numbers"
    if isinstance(values, str) or not isinstance(values, Sequence):
        return f"{must}, not {values!r}"
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return f'{must}; for {list(values)} write ["False", "True"], spelt as in the files'
    if kinds == {float} and all(value.is_integer() for value in values):
        return f"{must}; write {[int(value) for value in values]}, also in the files"
    if kinds not in ({str}, {int}):
        return f"{must}, not {list(values)}"
    if large := [value for value in values if isinstance(value, int) and value not in _64_BITS]:
        return f'{must} of 64 bits; as texts, "{large[0]}" and others have as many digits as they like'
    twice = [value for value in dict.fromkeys(values) if list(values).count(value) > 1]
    return f"{must}; {', '.join(map(repr, twice))} stands there twice" if twice else ""


def _can_split(name: object) -> bool:
    """Whether lines of this encoding end at the byte of a line feed."""
    try:
        known = codecs.lookup(str(name)).name
        plain = bytes(range(128)).decode(known) == bytes(range(128)).decode("ascii")
        alone = all(len(bytes([code, 0xA1]).decode(known, "replace")) == 2 for code in range(128, 256))
    except (LookupError, UnicodeError):
        return False
    return plain and (alone or known == "utf-8") and known != "utf-8-sig"


def nearest(value: object, known: Iterable[object]) -> object | None:
    """Which of `known` a value may mean: the same number, else a text that is almost the same."""
    known = list(known)
    for one in known:
        if _is_number(str(value)) and _is_number(str(one)) and float(str(value)) == float(str(one)):
            return one
    plain = {str(one).strip().casefold(): one for one in known}
    near = get_close_matches(str(value).strip().casefold(), plain, n=1)
    return plain[near[0]] if near else None


def label(text: str, labels: list[Any]) -> str:
    """Which of the labels a field may mean."""
    near = nearest(text, labels)
    return f"; write {near!r}, spelt as in model.py, or spell model.py as the file" if near is not None else ""


def whole(name: str, text: str) -> str:
    """What to write for a number that is not whole."""
    number = float(text)
    return f"; write {int(number)}" if number.is_integer() else f"; fractions are Numeric({name!r})"


def header(names: list[str], known: list[str], delimiter: str) -> str:
    """What is wrong with a header, of which not all `names` are those `known` to model.py; "" where nothing is."""
    if len(names) == 1 and len(known) > 1:
        return f"one column, {names[0]!r}; is {delimiter!r} the right delimiter? {_HOW}"
    if not set(names) & set(known) and any(map(_is_number, names)):
        way = "if the files have no header, write Table(..., header=False) in model.py"
        return f"{names} is no header, but holds numbers; {way}. {_HOW}"
    missing = [name for name in known if name not in names]
    more = list(dict.fromkeys(name for name in names if name not in known))
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    problems = []
    if missing:
        near = [nearest(name, more) for name in missing]
        meant = "".join(f"did you mean {name!r}? " for name in dict.fromkeys(near) if name is not None)
        problems.append(f"{_are(missing, ' of model.py')} missing. {meant}The header is {names}")
    if more:
        dropped = ", ".join(f"Dropped({name!r})" for name in more)
        problems.append(f"{_are(more)} not in model.py; add {dropped} to leave {'them' if more[1:] else 'it'} out")
    if twice:
        problems.append(f"the column {', '.join(map(repr, twice))} stands twice in the header")
    if missing or more:
        problems.append(_HOW)
    return "\n".join(problems)


def _are(names: list[str], whose: str = "") -> str:
    some = len(names) > 1
    return f"the column{'s' * some} {', '.join(map(repr, names))}{whose} {'are' if some else 'is'}"


def not_utf8(around: bytes) -> str:
    """The likely encoding of bytes that are no UTF-8, and how to convert them."""
    try:
        likely, seen = "cp1252", around.decode("cp1252")
    except UnicodeDecodeError:
        likely, seen = "latin-1 or an Asian encoding", around.decode("latin-1")
    code = likely.partition(" ")[0]
    return f"; it is likely {likely}, {seen!r}. Convert it: iconv -f {code} -t utf-8 OLD > NEW"


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


def field(name: str, text: str, classes: str) -> str:
    """What to write for a field that is no number; `classes` is the kind of column that lists values."""
    plain = text.strip()
    if plain.casefold() in _TRUTH:
        return f"; for two values write {classes}({name!r}, {_truths(plain)})"
    if plain.casefold() in _NO_VALUE:
        return f"; if it means no value: Table(..., missing_text={text!r}), and say missing=... for the column"
    if _DATE.fullmatch(plain):
        return f"; a date: Date({name!r}, format=...), or leave it out by Dropped({name!r})"
    if _GROUPED.fullmatch(plain):
        whole = re.sub(r"[^\d.+-]", "", plain)
        return f"; write {whole}" + (f", or {plain.replace(',', '.')}" if plain.count(",") == 1 else "")
    if re.fullmatch(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)?,\d+", plain):
        return f"; write {plain.replace('.', '').replace(',', '.')}, with a decimal point"
    if plain.endswith("%") and _is_number(number := plain[:-1].strip().replace(",", ".")):
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


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text.strip()))
