"""A project folder and an AWS on loopback, as the tests of `onstage sagemaker` need them."""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.emulators.aws import KEYS, FakeAws
from tests.emulators.sagemaker import ACCOUNT
from tests.onstage import desk

ROLE = f"arn:aws:iam::{ACCOUNT}:role/trainer"
BUCKET = "iris-of-mine"


@dataclass
class Desk(desk.Desk):
    """A project folder and the AWS that its commands talk to."""

    platform = "sagemaker"
    secrets = tuple(KEYS.values())
    screen = 250

    aws: FakeAws

    @property
    def environment(self) -> Mapping[str, str]:
        return self.aws.environment

    @property
    def bucket(self) -> str:
        """The one that settings.toml names."""
        return re.search(r'bucket = "(.+)"', (self.folder / "settings.toml").read_text(encoding="utf-8"))[1]

    def objects(self) -> dict[str, int]:
        """Name and size of what is in the bucket."""
        found = self.aws.client("s3").list_objects_v2(Bucket=self.bucket).get("Contents", ())
        return {one["Key"]: one["Size"] for one in found}

    def left(self) -> list[str]:
        """The models, configurations and endpoints that exist."""
        client = self.aws.client("sagemaker")
        models = [one["ModelName"] for one in client.list_models()["Models"]]
        configs = [one["EndpointConfigName"] for one in client.list_endpoint_configs()["EndpointConfigs"]]
        return [*models, *configs, *(name for kind, name in self.aws.jobs if kind == "Endpoint")]


def make_desk(project: Path, folder: Path, aws: FakeAws, bucket: str = BUCKET) -> Desk:
    """A copy of the project that has a bucket and a role in its settings."""
    made = Desk(Path(shutil.copytree(project, folder, ignore=shutil.ignore_patterns("__pycache__"))), aws)
    made.change('bucket = ""\nrole = ""', f'bucket = "{bucket}"\nrole = "{ROLE}"')
    return made


@contextmanager
def copied(used: Desk, folder: Path) -> Iterator[Desk]:
    """A copy of a desk, in front of an AWS that works again afterwards."""
    yield Desk(Path(shutil.copytree(used.folder, folder)), used.aws)
    mend(used.aws)


def mend(aws: FakeAws) -> None:
    """No faults and no endpoints any more."""
    for job in aws.jobs.values():
        job.stopped.set()
    aws.faults.clear()
    aws.slow, aws.jobs_end, aws.endpoints_end, aws.answer = ("", 0.0), ("run", ""), ("InService", ""), None
    for name in {name for kind, name in aws.jobs if kind == "Endpoint"}:
        # What a failed test left must not fail the next one.
        del aws.jobs["Endpoint", name]
    client = aws.client("sagemaker")
    for one in client.list_models()["Models"]:
        client.delete_model(ModelName=one["ModelName"])
    for one in client.list_endpoint_configs()["EndpointConfigs"]:
        client.delete_endpoint_config(EndpointConfigName=one["EndpointConfigName"])
