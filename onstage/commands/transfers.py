"""Files to object storage, in parallel: large ones in parts, which a second run does not send again."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from onstage.cloud import Item
from onstage.errors import UserError

PART = 8 * 1024 * 1024
_BLOCK = 256 * 1024
# Sources: Amazon S3 multipart upload limits; Cloud Storage quotas, XML API multipart uploads.
_MOST_PARTS = 10_000


def part_size(size: int) -> int:
    """Bytes of a part of a file of that size: always the same, so that parts can be compared."""
    return max(PART, -(-size // _MOST_PARTS))


def key_of(uri: str, bucket: str) -> str:
    """The key of an object by its URI; `bucket` is the bucket's. Raises UserError for another bucket's object."""
    if not uri.startswith(f"{bucket}/"):
        raise UserError(f"{uri} is not in the bucket of settings.toml, {bucket.partition('://')[2]}")
    return uri.removeprefix(f"{bucket}/")


def blocks(file: Path, start: int = 0, size: int | None = None) -> Iterator[bytes]:
    """The `size` bytes (None: all) of a file from `start`, a little at a time."""
    with file.open("rb") as content:
        content.seek(start)
        left = size
        while block := content.read(_BLOCK if left is None else min(_BLOCK, left)):
            yield block
            left = None if left is None else left - len(block)


class Begun(Protocol):
    """The upload of a large file; `missing` are the numbers of the parts that are still to be sent."""

    missing: list[int]


Large = TypeVar("Large", bound=Begun)


class Uploads(ABC, Generic[Large]):
    """The uploads of one call, while they run; a platform says how a file or a part is sent."""

    def __init__(self, connections: int, sent: Callable[[int], None]) -> None:
        self._sent = sent
        # Threads that are under way look at it before they send more.
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(connections)

    def run(self, items: Sequence[Item]) -> None:
        """Send everything, or raise the first error; then what is under way ends at once."""
        try:
            begun = self._each(self._begin, [item for item in items if item.size > PART])
            # Large files first: the small ones fill the gaps.
            work: list[Callable[[], None]] = [
                *(lambda one=one, number=number: self._part(one, number) for one in begun for number in one.missing),
                *(lambda item=item: self._whole(item) for item in items if item.size <= PART),
            ]
            self._each(lambda call: call(), work)
            self._each(self._complete, begun)
        finally:
            self._stopped.set()
            self._pool.shutdown(wait=True, cancel_futures=True)

    @abstractmethod
    def _whole(self, item: Item) -> None:
        """Send a small file."""

    @abstractmethod
    def _begin(self, item: Item) -> Large:
        """The upload of a large file that was cut off, if there is one, else a new one."""

    @abstractmethod
    def _part(self, upload: Large, number: int) -> None:
        """Send one part."""

    @abstractmethod
    def _complete(self, upload: Large) -> None:
        """Make the object of its parts."""

    def _each(self, call: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        futures = [self._pool.submit(call, item) for item in items]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        failed = [future for future in done if future.exception()]
        if failed:
            self._stopped.set()
            failed[0].result()
        return [future.result() for future in futures]
