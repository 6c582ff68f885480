"""Checksums of files and of their parts, as S3 has them."""

import base64
import hashlib
import zlib
from pathlib import Path

from onstage.commands.transfers import blocks


def md5(file: Path, start: int = 0, size: int | None = None) -> "hashlib._Hash":
    """The MD5 of `size` bytes (None: all) from `start`: the tag of an object, or of a part."""
    # S3's tag protects nothing: it finds changes.
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks(file, start, size):
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
    for block in blocks(file):
        value = zlib.crc32(block, value)
    return base64.b64encode(value.to_bytes(4, "big")).decode()
