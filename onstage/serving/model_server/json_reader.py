"""Reads JSON as TensorFlow Serving does: what it takes, what it refuses, in which words and at which byte.

Python's own reader does what both read alike; `Parser`, slower, does the rest.
"""

import json
import re
from typing import Any

from .json_parser import BOM, Parser, object_of
from .refusal import refuse

# Of all digits one, and of both exponents: numbers that may be too big are then found without looking at each.
_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
_MAYBE_TOO_BIG = (b"0" * 300, b"e000", b"e+000")
# Halves of surrogate pairs, and the character at which a name ends in C++.
_ODD_ESCAPE = re.compile(rb"\\u(?:[dD]|0000)")
_DECODER = json.JSONDecoder(object_pairs_hook=object_of)


def read(body: bytes) -> tuple[Any, bytes]:
    """The first JSON value of a body, and the bytes after it, which count for nothing. Raises RefusedError."""
    if not body:
        refuse("JSON Parse error: The document is empty")
    if not _is_odd(body):
        text = body.removeprefix(BOM).lstrip(b" \n\r\t").decode("utf-8", "surrogateescape")
        try:
            value, end = _DECODER.raw_decode(text)
            if isinstance(value, dict):
                return value, text[end:].encode("utf-8", "surrogateescape")
        except (ValueError, RecursionError):
            pass  # Parser finds the place, and the words
    parser = Parser(body)
    return parser.document(), body[parser.at :]


def _is_odd(body: bytes) -> bool:
    """Whether there may be something in it that Python reads in another way."""
    if b"\0" in body or (b"\\u" in body and _ODD_ESCAPE.search(body)):
        return True
    alike = body.translate(_ALIKE)
    return any(number in alike for number in _MAYBE_TOO_BIG)
