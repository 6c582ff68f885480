"""Compares answers, as JSON has them, with what a network outputs."""

import json
from typing import Any

import numpy as np


def close(one: np.ndarray, other: np.ndarray, relative: float) -> np.ndarray:
    """Where values are equal but for rounding: of themselves, and of the greatest, as of sums of which little is left.

    Both have the same shape, and so has the answer.
    """
    finite = np.abs(one[np.isfinite(one)])
    span = relative * (np.abs(one) + (finite.max() if finite.size else 0.0))
    with np.errstate(invalid="ignore"):
        return (one == other) | (np.abs(one - other) <= span) | (np.isnan(one) & np.isnan(other))


def like(answers: list[Any], output: np.ndarray) -> dict[str, np.ndarray]:
    """The parts of the answers that have the shape of the output, by name ("" for a part without one)."""
    found = {}
    for key, values in _columns(answers).items():
        try:
            array = np.array(values)
        except ValueError:
            continue
        if array.dtype.kind not in "fiu":
            continue
        if array.shape == output.shape:
            found[key] = array
        elif array.shape == output.shape[:1] and output.shape[1:] == (1,):
            found[key] = array[:, np.newaxis]
        elif array.shape[1:] == (2,) and output.shape[1:] == (1,):
            # One unit says how likely the second of two labels is.
            found[key] = array[:, 1:]
    return found


def in_order(output: np.ndarray, candidate: np.ndarray, relative: float) -> bool:
    """Whether, in every row, greater outputs are greater in the candidate: another unit, or probabilities of logits."""
    if output.ndim == 1:
        return True
    order = np.argsort(output, axis=-1, kind="stable")
    slack = 2 * relative * float(np.abs(candidate).max(initial=0.0))
    return bool((np.diff(np.take_along_axis(candidate, order, axis=-1), axis=-1) >= -slack).all())


def first_difference(expected: dict[str, np.ndarray], answers: list[Any], relative: float) -> dict[str, Any] | None:
    """How many rows are not as `expected`, the number of the first one, and what is otherwise in it."""
    found = _columns(answers)
    if len(expected) == 1 and "" in found:
        expected = {"": next(iter(expected.values()))}
    if missing := [key for key in expected if key not in found]:
        given = ", ".join(filter(None, found)) or "one value without a name"
        return {"differ": len(answers), "first": 0, "what": f"the answer has {given}, and no {', '.join(missing)}"}
    # Where two labels are as likely as each other, rounding decides.
    floats = [value for value in expected.values() if value.dtype.kind == "f" and value.ndim == 2]
    unsure = np.zeros(len(answers), bool)
    for value in floats:
        if value.shape[1] > 1:
            best = np.sort(value, axis=1)[:, -2:]
            unsure |= best[:, 1] - best[:, 0] <= 2 * relative
    wrong, what = np.zeros(len(answers), bool), ""
    for key, value in expected.items():
        try:
            differs = _differs(value, found[key], relative)
        except ValueError:
            differs = np.ones(len(answers), bool)
        if value.dtype.kind != "f":
            differs &= ~unsure
        if differs.any() and (not wrong.any() or differs.argmax() < wrong.argmax()):
            row = int(differs.argmax())
            what = f"{key or 'the answer'} is {_shown(found[key][row])}, not {_shown(_plain(value[row]))}"
        wrong |= differs
    return {"differ": int(wrong.sum()), "first": int(wrong.argmax()), "what": what} if wrong.any() else None


def features_differ(asked: Any, parts: Any, number: int) -> str:
    """In words, which feature of a row the network gets otherwise in a request than in the data; empty for none."""
    for part in parts:
        if number < len(part.rows):
            break
        number -= len(part.rows)
    features, row = part.batch[0], number + sum(len(one.rows) for one in parts[: parts.index(part)])
    if not (isinstance(features, dict) and isinstance(asked, dict)):
        return ""
    for key in features.keys() & asked.keys():
        trained, served = (_plain(np.asarray(value)) for value in (features[key][number], asked[key][row]))
        if np.shape(trained) != np.shape(served) or not np.allclose(trained, served, 1e-4, 1e-6):
            return f"predict gets {key} {_shown(served)}, where batches() has {_shown(trained)}"
    return ""


def _columns(answers: list[Any]) -> dict[str, list[Any]]:
    if not isinstance(answers[0], dict):
        return {"": answers}
    return {key: [row[key] for row in answers] for key in answers[0]}


def _differs(value: np.ndarray, found: list[Any], relative: float) -> np.ndarray:
    """Of each row. Raises ValueError where the shapes do."""
    if value.dtype.kind == "f":
        array = np.array(found, float)
        if array.shape != value.shape:
            raise ValueError
        return np.array([not row.all() for row in close(value, array, relative)])
    return np.array([one != other for one, other in zip(_plain(value), found, strict=True)])


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [_plain(one) for one in value]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _shown(value: Any) -> str:
    """A value for people, with the digits that count; the beginning of a long one."""
    text = json.dumps(_rounded(value))
    return text if len(text) <= 80 else f"{text[:80]}..."


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
