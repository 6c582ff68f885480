"""The sections of settings.toml as typed values, each key with the sentence that `onstage settings` prints; a cloud's
stands in `sagemaker_section`, or in `vertex_section`.

What both clouds check between members of a request stands in `requests/rules.py` of each; here is what one key, or the
keys of one section, can be.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from onstage import identifiers
from onstage.ignored import Ignored

# What src/trainer/run.py does by itself.
CHECKPOINT_SECONDS = 60
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


def _check_scalar(value: object) -> object:
    if isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError("should be a boolean, a number or a string")


Scalar = Annotated[bool | int | float | str, BeforeValidator(_check_scalar)]


class Section(BaseModel):
    """A table of settings.toml: no other keys, and values of just the types that they are declared with."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """Where the tables are on this machine, as paths from the project's folder; `upload` sends them to the bucket."""

    train: str = Field(description="Training data: a CSV file, a folder of CSV files, or a glob pattern.")
    eval: str = Field(
        description="Evaluation data, for the val_ metrics: a CSV file, a folder of CSV files, or a glob pattern."
    )


class Rehearsal(Section):
    """How little work a rehearsal does."""

    hyperparameters: dict[str, Scalar] = Field(
        default={},
        description="Hyperparameters that a rehearsal changes, by their names in model.py; flags win over them.",
    )
    time_limit: Positive = Field(
        default=300, description="Seconds that a rehearsed job may run before it is ended and fails."
    )
    rows: Count = Field(
        default=4000,
        description="Rows of each channel that a rehearsed job gets, from several files, every class kept; 0, or "
        "`onstage rehearse --all-rows`: all.",
    )
    ignore: Ignored = Field(
        default={},
        description="Checks whose findings do not count, by their ids (`onstage rehearse --list`), each with the "
        "reason; the cheap checks of cloud commands ignore them, too.",
    )


class Batch(Section):
    """Predictions of many rows without an endpoint, by `onstage PLATFORM batch` and `onstage rehearse --batch`."""

    rows: str = Field(
        default="",
        description="File of rows, one a line as JSON, or a URI, for `batch` without FILE; a rehearsal has the rows of "
        "the file, or of the evaluation data.",
    )
    key: Annotated[str, AfterValidator(identifiers.batch_key)] = Field(
        default="",
        description="Field of every row that the model does not see, such as an id, which its answer comes with "
        "(DataProcessing, keyField); a row is an object of it and the model's inputs then.",
    )
