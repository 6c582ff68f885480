"""Names of jobs and places in S3. Whatever uploads, sends or rehearses asks here, so that all mean the same object."""

import re
from dataclasses import dataclass
from datetime import datetime

LONGEST_NAME = 63
# Source: CreateHyperParameterTuningJob; the service appends the trial's number to it.
LONGEST_TUNING_NAME = 32


@dataclass(frozen=True)
class Locations:
    """Where a project's objects are: all below s3://bucket/slug."""

    bucket: str
    slug: str

    def channel(self, name: str) -> str:
        """The data of an input channel, such as "train"."""
        return self._uri("data", name)

    def source(self, job: str) -> str:
        """The archive of `src/` that a job runs."""
        return self._uri("jobs", job, "source", "sourcedir.tar.gz")

    @property
    def jobs(self) -> str:
        """What S3OutputPath is: a job's model becomes `jobs`/<job>/output/model.tar.gz."""
        return self._uri("jobs")

    def model(self, job: str) -> str:
        """The model that a job leaves."""
        return self._uri("jobs", job, "output", "model.tar.gz")

    def checkpoints(self, name: str) -> str:
        """The checkpoints of all jobs that continue each other; a job's own name in it would start from nothing."""
        return self._uri("checkpoints", name)

    def own_checkpoints(self, job: str) -> str:
        """The checkpoints of one job, which no other one continues."""
        return self._uri("jobs", job, "checkpoints")

    def predictions(self, job: str) -> str:
        """What a batch transform job answers, one .out object for each input object."""
        return self._uri("predictions", job)

    def batch(self, job: str) -> str:
        """The rows that a batch transform job reads, as JSON lines."""
        return self._uri("batch", job, "rows.jsonl")

    def _uri(self, *names: str) -> str:
        return "/".join([f"s3://{self.bucket}", self.slug, *names])


def job_name(slug: str, when: datetime, longest: int = LONGEST_NAME) -> str:
    """A name for a job, model or endpoint: the slug, as far as it fits, and the time to the millisecond.

    Source of the rule [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}: TrainingJobName. `longest` is LONGEST_TUNING_NAME for tuning.
    """
    stamp = when.strftime("%Y%m%d-%H%M%S-") + f"{when.microsecond // 1000:03d}"
    name = re.sub(r"[^a-zA-Z0-9]+", "-", slug).strip("-")[: longest - len(stamp) - 1].strip("-")
    return f"{name}-{stamp}" if name else stamp


def name_prefix(slug: str) -> str:
    """How the names of all the project's jobs and endpoints begin, those of tuning jobs included."""
    longest = LONGEST_TUNING_NAME - len(job_name("", datetime(2000, 1, 1))) - 1
    return re.sub(r"[^a-zA-Z0-9]+", "-", slug).strip("-")[:longest].strip("-")
