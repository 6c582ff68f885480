"""How a hyperparameter's value is written in a request, and read back from a trial. Pure functions."""

import json
from collections.abc import Mapping
from typing import Any

from onstage.errors import UserError


def as_text(name: str, value: Any) -> str:
    """A value as JSON: the toolkit decodes it to exactly the value, so that a text "8" stays a text.

    Raises UserError for NaN and infinities, which JSON does not have.
    """
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"the hyperparameter {name} cannot be {value!r}: {error}") from error


def searched(tuning: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """What a trial was told of the hyperparameters that its tuning job searches, with values as model.py has them.

    `tuning` is the body, or the description, of the tuning job.
    """
    ranges = tuning.get("HyperParameterTuningJobConfig", {}).get("ParameterRanges") or {}
    whole = {one["Name"] for one in ranges.get("IntegerParameterRanges") or ()}
    return {name: _read(text, whole=name in whole) for name, text in told.items() if not name.startswith("_")}


def fixed(tuning: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that every trial of a tuning job has."""
    told = tuning.get("TrainingJobDefinition", {}).get("StaticHyperParameters") or {}
    ours = {
        name: text for name, text in told.items() if not name.startswith(("sagemaker_", "_")) and name != "model_dir"
    }
    return {name: _read(text) for name, text in ours.items()}


def _read(text: str, *, whole: bool = False) -> Any:
    # The service writes whole numbers as 16.0, too.
    if whole:
        return round(float(text))
    try:
        return json.loads(text)
    except ValueError:
        # Not ours: others send texts without quotes.
        return text
