"""boto3's calls are recorded without an SDK on top, and only as long as they are asked for."""

import os
from pathlib import Path

import boto3
import botocore.handlers
import pytest

from onstage.errors import UserError
from onstage.sagemaker.client.recorder import record


def test_boto3_alone_is_recorded_too(tmp_path: Path) -> None:
    large = os.urandom(20_000_000)
    (tmp_path / "large").write_bytes(large)
    with record(tmp_path / "recorded", "us-west-2") as recorder:
        s3, sagemaker = recorder.session.client("s3"), boto3.client("sagemaker")
        # In parts, as whatever is larger than 8 MB.
        s3.upload_file(str(tmp_path / "large"), "mine", "a/large")
        s3.put_object(Bucket="mine", Key="a/small", Body="text")
        s3.download_file("mine", "a/large", str(tmp_path / "back"))
        assert [one["Key"] for one in s3.list_objects_v2(Bucket="mine", Prefix="a/")["Contents"]] == [
            "a/large",
            "a/small",
        ]
        with pytest.raises(s3.exceptions.NoSuchKey):
            s3.get_object(Bucket="mine", Key="missing")
        with pytest.raises(UserError, match="leads out of its bucket"):
            s3.put_object(Bucket="mine", Key="../../stolen", Body=b"")
        sagemaker.create_endpoint(EndpointName="iris", EndpointConfigName="iris")
        assert sagemaker.describe_endpoint(EndpointName="iris")["EndpointStatus"] == "InService"
        with pytest.raises(sagemaker.exceptions.ClientError, match="Could not find Endpoint 'other'"):
            sagemaker.describe_endpoint(EndpointName="other")
        with pytest.raises(UserError, match="the recorder cannot answer ec2's DescribeInstances"):
            recorder.session.client("ec2").describe_instances()
    assert (tmp_path / "back").read_bytes() == (tmp_path / "recorded" / "store" / "mine" / "a" / "large").read_bytes()
    assert (tmp_path / "back").read_bytes() == large
    assert [file.name for file in recorder.files] == ["1-CreateEndpoint.json"]
    assert not (tmp_path / "recorded" / "parts").exists()


def test_later_sessions_are_not_recorded(tmp_path: Path) -> None:
    before = list(botocore.handlers.BUILTIN_HANDLERS), dict(os.environ)
    with pytest.raises(ZeroDivisionError), record(tmp_path / "recorded"):
        assert os.environ["AWS_ACCESS_KEY_ID"] == "rehearsal"
        raise ZeroDivisionError
    assert (list(botocore.handlers.BUILTIN_HANDLERS), dict(os.environ)) == before
