"""The first rows of the evaluation data, twice: as a client sends them, and as `batches` makes features of them."""

import inspect
import itertools
import json
import re
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

# Of rows as JSON, in bytes: pictures are large.
MOST_BYTES = 2**24
# Lines of a table that are looked at for labels that the first rows do not have.
LABEL_ROWS = 2**16
_TABLE_BATCH = 1024
NO_COUNT = "DATA.examples takes no count: write examples(self, count=3), the first rows of batches(False), in its order"


class UnableError(Exception):
    """Why there are no rows to compare."""


@dataclass(frozen=True)
class Part:
    """A batch of the data, (features, target, weight), and the rows that it was made of."""

    rows: list[Any]
    batch: tuple[Any, Any, Any]

    def cut(self, count: int) -> "Part":
        """Its first rows."""
        batch = tf.nest.map_structure(lambda value: value[:count], self.batch)
        return Part(self.rows[:count], batch)


def read(reader: Any, is_table: bool, batch_size: int, most: int) -> list[Part]:
    """At most `most` rows. Raises UnableError where examples and batches(False) cannot be held side by side."""
    parameters = inspect.signature(reader.examples).parameters
    if not parameters:
        raise UnableError(NO_COUNT)
    few = reader.examples()
    left = min(most, max(len(few), MOST_BYTES * len(few) // max(len(json.dumps(few)), 1)))
    rows = reader.examples(count=left) if "count" in parameters else reader.examples(left)
    parts, first = list[Part](), 0
    for batch in reader.batches(False, _TABLE_BATCH if is_table else batch_size) if rows else ():
        size = min(count(batch), len(rows) - first)
        parts.append(Part(rows[first : first + size], tuple(batch)).cut(size))
        first += size
        if first == len(rows):
            break
    if first < len(rows):
        raise UnableError(f"DATA.examples gives {len(rows)} rows, and batches(False) {first}")
    if not parts:
        raise UnableError("DATA.examples gives no row")
    return parts


def count(batch: Any) -> int:
    """The rows of a batch."""
    return int(tf.shape(tf.nest.flatten(batch)[0])[0])


def of_labels(reader: Any, parts: list[Part]) -> list[Any]:
    """The first row of each label of a table that the rows in `parts` do not have."""
    seen = {one for part in parts for row in _labels(part.batch[1]) for one in row}
    found, passed = list[int](), 0
    if not seen:
        return []
    for _, target, _ in reader.batches(False, _TABLE_BATCH).take(LABEL_ROWS // _TABLE_BATCH):
        rows = _labels(target)
        for number, row in enumerate(rows, start=passed):
            if not seen.issuperset(row):
                seen.update(row)
                found.append(number)
        passed += len(rows)
    examples = reader.examples(found[-1] + 1) if found else []
    return [examples[number] for number in found]


def _labels(target: Any) -> list[list[tuple[int, int]]]:
    """The labels of each row, with the numbers of the outputs that they are of."""
    columns = []
    for values in tf.nest.flatten(target):
        # One-hot labels are as wide as there are labels; a number has the width 1.
        is_one_hot = values.shape.rank == 2 and values.shape[1] > 1
        if is_one_hot or (values.dtype.is_integer and values.shape.rank == 1):
            columns.append((tf.argmax(values, axis=1) if is_one_hot else values).numpy().tolist())
    return [list(enumerate(row)) for row in zip(*columns, strict=True)]


def place(reader: Any, number: int) -> list[Any] | None:
    """File and row, as an editor counts it, of a row of a table; None where nobody knows."""
    places = (one for places, _ in reader.placed(False) for one in places)
    found = re.match(r"(.+?), row (\d+)(:|$)", next(itertools.islice(places, number, None)))
    return [found[1], int(found[2])] if found else None
