"""Checksums of files and of their parts, as S3 has them."""

import base64
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 1024 * 1024


def md5(file: Path, start: int = 0, size: int | None = None) -> "hashlib._Hash":
    """The MD5 of `size` bytes (None: all) from `start`: the tag of an object, or of a part."""
    # S3's tag protects nothing: it finds changes.
    digest = hashlib.md5(usedforsecurity=False)
    for block in _blocks(file, start, size):
        digest.update(block)
    return digest


def md5_of_parts(file: Path, part: int) -> str:
    """The tag of an object that was sent in parts of that size."""
    total = file.stat().st_size
    digests = [md5(file, start, part).digest() for start in range(0, total, part)]
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def crc32(file: Path) -> str:
    """The CRC-32 of a file in base 64, as S3 says it."""
    value = 0
    for block in _blocks(file, 0, None):
        value = zlib.crc32(block, value)
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def _blocks(file: Path, start: int, size: int | None) -> Iterator[bytes]:
    with file.open("rb") as content:
        content.seek(start)
        left = size
        while block := content.read(_BLOCK if left is None else min(_BLOCK, left)):
            yield block
            left = None if left is None else left - len(block)
