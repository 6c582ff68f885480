"""Jobs of SageMaker whose source is a script of a few lines, and a store with data for them."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from onstage.errors import UserError
from onstage.rehearsal.store import LocalStore
from onstage.sagemaker.agent.agent import run_training_job
from onstage.sagemaker.agent.outcome import JobResult

SAVE = "import os; open(os.environ['SM_MODEL_DIR'] + '/weights', 'w').write('w')"


class Bench:
    """A store with data, and jobs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = LocalStore(folder / "store")
        self.put("s3://bucket/data/a.csv", "1\n")
        self.put("s3://bucket/data/deep/b.csv", "2\n")
        self.runs = 0

    def put(self, uri: str, content: str | bytes) -> None:
        path = self.store.path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def body(self, source: str | Mapping[str, str | bytes] = SAVE, hosts: int = 1, **members: Any) -> dict[str, Any]:
        """A request whose source is train.py, or these files; `members` replace or add members of it."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, content in ({"train.py": source} if isinstance(source, str) else source).items():
                member = tarfile.TarInfo(name)
                data = content.encode() if isinstance(content, str) else content
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        self.put("s3://bucket/code/sourcedir.tar.gz", packed.getvalue())
        return {
            "TrainingJobName": "a-job",
            "RoleArn": "arn:aws:iam::111122223333:role/any",
            "AlgorithmSpecification": {
                "TrainingImage": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:2.21",
                "TrainingInputMode": "File",
            },
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": "s3://bucket/code/sourcedir.tar.gz",
            },
            "InputDataConfig": [channel()],
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **members,
        }

    def run(self, body: Mapping[str, Any], **options: Any) -> JobResult:
        self.runs += 1
        return run_training_job(body, self.store, self.folder / f"run-{self.runs}", **options)

    def refusal(self, body: Mapping[str, Any]) -> str:
        with pytest.raises(UserError) as refused:
            self.run(body)
        return str(refused.value)


def channel(name: str = "train", uri: str = "s3://bucket/data", **members: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    known = {key: members.pop(key) for key in list(members) if key.startswith("S3")}
    return {"ChannelName": name, "DataSource": {"S3DataSource": {**source, **known}}, **members}
