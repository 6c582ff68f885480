"""Reads JSON byte by byte, where Python's own reader would read another thing, or refuse in other words.

Source: ParseJson of tensorflow_serving/util/json_tensor.cc, the iterative parser of rapidjson 1.1.0. It stops at the
document's end, takes NaN and Inf, and keeps every member of an object.
"""

import re
from typing import Any, NoReturn

from .refusal import refuse

BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \n\r\t]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]*")
_HEX = re.compile(rb"[0-9A-Fa-f]{4}")
_ESCAPES = {b'"': '"', b"/": "/", b"\\": "\\", b"b": "\b", b"f": "\f", b"n": "\n", b"r": "\r", b"t": "\t"}
_WORDS = {b"n": (b"null", None), b"t": (b"true", True), b"f": (b"false", False)}
_INVALID = "Invalid value."
_TOO_BIG = "Number too big to be stored in double."
# DBL_MAX / 10: one digit more may be too much.
_ALMOST = 1.7976931348623157e307


class Members(dict[str, Any]):
    """An object that has a name twice: the first value is the name's; `pairs` has all."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(reversed(pairs))
        self.pairs = pairs


def members(value: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names and values of an object, all of them."""
    return value.pairs if isinstance(value, Members) else list(value.items())


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these names and values."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else Members(pairs)


class Parser:
    """The first JSON value of a body; `at` is where it stands. Raises RefusedError."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0
        for byte in BOM:
            # Each byte of a byte-order mark is dropped, with or without the others.
            self._take(bytes([byte]))

    def document(self) -> Any:
        """The value, read without recursion: a body may be nested as deep as it likes."""
        root: list[Any] = []
        # Each list or object that is open, and where its values go.
        stack: list[list[Any] | list[tuple[str, Any]]] = [root]
        names: list[str | None] = [None]
        self._skip()
        if self._peek() in (b"", b"\0", b"]", b"}", b",", b":"):
            self._fail("The document is empty.")
        while True:
            opened = self._peek()
            if opened in (b"[", b"{"):
                self.at += 1
                self._skip()
                stack.append([])
                names.append(None if opened == b"[" else "")
                if self._peek() != (b"]" if opened == b"[" else b"}"):
                    if opened == b"{":
                        names[-1] = self._name()
                    continue
            else:
                self._add(stack, names, self._value())
            # After a value: what follows it, and everything that ends with it.
            while len(stack) > 1:
                self._skip()
                is_object = names[-1] is not None
                token = self._peek()
                if token == (b"}" if is_object else b"]"):
                    self.at += 1
                    done: Any = stack.pop()
                    names.pop()
                    self._add(stack, names, object_of(done) if is_object else done)
                elif token == b",":
                    self.at += 1
                    self._skip()
                    if is_object:
                        names[-1] = self._name()
                    break
                else:
                    wanted = "a comma or '}' after an object member" if is_object else (
                        "a comma or ']' after an array element")  # fmt: skip
                    self._fail(f"Missing {wanted}.")
            else:
                return root[0]

    def _add(self, stack: list[Any], names: list[str | None], value: Any) -> None:
        stack[-1].append(value if names[-1] is None else (names[-1], value))

    def _name(self) -> str:
        if self._peek() != b'"':
            self._fail("Missing a name for object member.")
        name = self._string()
        self._skip()
        if self._peek() != b":":
            self._fail("Missing a colon after a name of object member.")
        self.at += 1
        self._skip()
        return name

    def _value(self) -> Any:
        token = self._peek()
        if token == b'"':
            return self._string()
        if token not in _WORDS:
            return self._number()
        word, value = _WORDS[token]
        self._expect(word)
        return value

    def _string(self) -> str:
        self.at += 1
        parts = []
        while True:
            run = _PLAIN.match(self.body, self.at)
            assert run is not None, "it matches nothing, too"
            parts.append(run[0].decode("utf-8", "surrogateescape"))
            self.at = run.end()
            end = self._peek()
            if end == b'"':
                self.at += 1
                # As C++ has it: half of a character beside another half is none yet.
                return "".join(parts).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
            if end == b"\\":
                parts.append(self._escape())
            elif end in (b"", b"\0"):
                self._fail("Missing a closing quotation mark in string.")
            else:
                self._fail("Invalid escape character in string.")

    def _escape(self) -> str:
        start = self.at
        kind = self.body[start + 1 : start + 2]
        if kind in _ESCAPES:
            self.at += 2
            return _ESCAPES[kind]
        if kind != b"u":
            self._fail("Invalid escape character in string.", start)
        code = self._hex(start)
        if 0xD800 <= code <= 0xDBFF:
            pair = self.body[self.at : self.at + 2] == b"\\u"
            low = self._hex(start) if pair else 0
            if not 0xDC00 <= low <= 0xDFFF:
                self._fail("The surrogate pair in string is invalid.", start)
            code = ((code - 0xD800) << 10 | (low - 0xDC00)) + 0x10000
        # The second half of a pair alone is written out as three bytes that are no UTF-8.
        return chr(code).encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")

    def _hex(self, start: int) -> int:
        found = _HEX.match(self.body, self.at + 2)
        if found is None:
            self._fail("Incorrect hex digit after \\u escape in string.", start)
        self.at = found.end()
        return int(found[0], 16)

    def _number(self) -> float:
        start = self.at
        minus = self._take(b"-")
        first = self._peek()
        if first == b"N":
            self._expect(b"NaN")
            return float("nan")
        if first == b"I":
            self._expect(b"Inf")
            if self._peek() == b"i":
                self._expect(b"inity")
            return float("-inf" if minus else "inf")
        digits = b"0" if self._take(b"0") else self._digits()
        if not digits:
            self._fail(_INVALID)
        value, limit = 0, 2**63 if minus else 2**64 - 1
        exact: float | None = None
        for digit in digits:
            if exact is None and value * 10 + digit - 48 > limit:
                exact = float(value)
            if exact is None:
                value = value * 10 + digit - 48
            elif exact >= _ALMOST:
                self._fail(_TOO_BIG, start)
            else:
                exact = exact * 10 + (digit - 48)
        point, power = self._take(b"."), 0
        if point:
            exact, power = self._fraction(value, exact, len(digits) - 1)
        if self._take(b"e") or self._take(b"E"):
            exact = float(value) if exact is None else exact
            power += self._exponent(308 - power, start)
        if exact is None:
            return -value if minus else value
        found = _scaled(exact, power)
        return -found if minus else found

    def _fraction(self, value: int, exact: float | None, significant: int) -> tuple[float, int]:
        digits = self._digits()
        if not digits:
            self._fail("Miss fraction part in number.")
        power, rest = 0, iter(digits)
        if exact is None:
            # 53 bits are exact; the digits after them are added as floating-point numbers.
            while value < 2**53 and (digit := next(rest, None)) is not None:
                value = value * 10 + digit - 48
                power -= 1
                significant += value != 0
            exact = float(value)
        for digit in rest:
            if significant < 17:
                exact = exact * 10.0 + (digit - 48)
                power -= 1
                significant += exact > 0.0
        return exact, power

    def _exponent(self, most: int, start: int) -> int:
        negative = not self._take(b"+") and self._take(b"-")
        digits = self._digits()
        if not digits:
            self._fail("Miss exponent in number.")
        # All of a long one says the same as its first digits.
        exponent = int(digits.lstrip(b"0")[:9] or b"0")
        if negative:
            return -exponent
        if exponent > most and len(digits) > 1:
            self._fail(_TOO_BIG, start)
        return exponent

    def _digits(self) -> bytes:
        found = _DIGITS.match(self.body, self.at)
        assert found is not None, "it matches nothing, too"
        self.at = found.end()
        return found[0]

    def _peek(self) -> bytes:
        return self.body[self.at : self.at + 1]

    def _take(self, byte: bytes) -> bool:
        taken = self._peek() == byte
        self.at += taken
        return taken

    def _expect(self, word: bytes) -> None:
        for index in range(len(word)):
            if not self._take(word[index : index + 1]):
                self._fail(_INVALID)

    def _skip(self) -> None:
        found = _SPACE.match(self.body, self.at)
        self.at = found.end() if found else self.at

    def _fail(self, words: str, offset: int | None = None) -> NoReturn:
        refuse(f"JSON Parse error: {words} at offset: {self.at if offset is None else offset}")


def _scaled(significand: float, power: int) -> float:
    """Its conversion is fast, not exact: the last bit may be another than the nearest number's."""
    if power < -308:
        significand, power = _times(significand, -308), power + 308
    return _times(significand, power)


def _times(significand: float, power: int) -> float:
    if power < -308:
        return 0.0
    return significand * float(f"1e{power}") if power >= 0 else significand / float(f"1e{-power}")
