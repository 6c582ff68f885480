"""Names of jobs and places in Cloud Storage. Whatever uploads, sends or rehearses asks here for them."""

from dataclasses import dataclass
from datetime import datetime

LONGEST_NAME = 128


@dataclass(frozen=True)
class Locations:
    """Where a project's objects are: all below gs://bucket/slug."""

    bucket: str
    slug: str

    def channel(self, name: str) -> str:
        """The data of an input channel, such as "train"."""
        return self._uri("data", name)

    def source(self, job: str) -> str:
        """The source distribution that a job installs."""
        return self._uri("jobs", job, "source", "trainer.tar.gz")

    def output(self, job: str) -> str:
        """A job's baseOutputDirectory: the service puts model/, checkpoints/ and logs/ below it.

        In a tuning job, each trial has a folder of its own in between, named by its number.
        """
        return self._uri("jobs", job)

    def model(self, job: str) -> str:
        """The model that a job leaves."""
        return self._uri("jobs", job, "model")

    def predictions(self, job: str) -> str:
        """What a batch prediction job answers, one .jsonl object for each replica."""
        return self._uri("predictions", job)

    def batch(self, job: str) -> str:
        """The rows that a batch prediction job reads, as JSON lines."""
        return self._uri("batch", job, "rows.jsonl")

    def _uri(self, *names: str) -> str:
        return "/".join([f"gs://{self.bucket}", self.slug, *names])


def mounted(uri: str) -> str:
    """The path of a gs:// URI below /gcs, where every training container has the buckets mounted.

    Source: https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system
    """
    return "/gcs/" + uri.removeprefix("gs://")


def job_name(slug: str, when: datetime) -> str:
    """A display name: the slug and the time to the millisecond."""
    stamp = when.strftime("%Y%m%d-%H%M%S-") + f"{when.microsecond // 1000:03d}"
    return f"{slug.replace('_', '-')[: LONGEST_NAME - len(stamp) - 1]}-{stamp}"
