"""The values of a SavedModel's variables, so that two exports can be compared although they name them differently."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


def describe(folder: Path) -> list[list[Any]]:
    """Of every numeric variable: its shape, the digest of its values, and the sum of their absolute values; sorted.

    Raises OpError for a folder without variables.
    """
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    found = (np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map())
    return sorted(
        [list(values.shape), hashlib.sha256(values.tobytes()).hexdigest(), float(np.abs(values.astype("f8")).sum())]
        for values in found
        if values.dtype.kind in "fiu"
    )
