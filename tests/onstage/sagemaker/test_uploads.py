"""`onstage sagemaker upload`: what is not in the bucket yet is sent, however often it is cut off."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.onstage.sagemaker.desk import Desk

PART = 8 * 1024 * 1024


def test_a_second_upload_sends_what_has_changed_only(new_desk: Desk) -> None:
    new_desk.run("upload", "--create-bucket")
    assert "2 of 2 files are there already" in new_desk.run("upload")
    file = new_desk.folder / "data" / "eval" / "iris.csv"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[::-1], encoding="utf-8")
    assert f"would send {file}" in new_desk.run("upload", "--dry-run")
    said = new_desk.run("upload")
    assert "1 of 2 files are there already" in said
    assert "1 files to" in said
    assert list(new_desk.objects()) == ["iris_classifier/data/eval/iris.csv", "iris_classifier/data/train/iris.csv"]


@pytest.mark.long
def test_a_bucket_is_made_in_the_jobs_region_and_private(new_desk: Desk) -> None:
    new_desk.change('region = "us-east-1"', 'region = "eu-west-1"')
    assert "there is no bucket" in new_desk.run("upload", code=1)
    assert "made the bucket" in new_desk.run("upload", "--create-bucket")
    assert "there is already the bucket" in new_desk.run("upload", "--create-bucket")
    s3 = new_desk.aws.client("s3", "eu-west-1")
    assert s3.get_bucket_location(Bucket=new_desk.bucket)["LocationConstraint"] == "eu-west-1"
    assert all(s3.get_public_access_block(Bucket=new_desk.bucket)["PublicAccessBlockConfiguration"].values())
    new_desk.change('region = "eu-west-1"', 'region = "us-east-1"')
    said = new_desk.run("train", code=1)
    assert f"the bucket {new_desk.bucket} is in eu-west-1, the jobs are in us-east-1" in said


def large_file(desk: Desk, parts: int) -> Path:
    """A file of a few parts in the training data; the bucket is there."""
    file = desk.folder / "data" / "train" / "large.csv"
    file.write_bytes(os.urandom(1024) * (PART // 1024) * parts + b"end")
    desk.aws.client("s3").create_bucket(Bucket=desk.bucket)
    return file


def content(desk: Desk, name: str = "large.csv") -> bytes:
    key = f"iris_classifier/data/train/{name}"
    return desk.aws.client("s3").get_object(Bucket=desk.bucket, Key=key)["Body"].read()


def parts_sent(desk: Desk, since: int) -> set[int]:
    """The numbers of the parts that were sent since so many requests."""
    return {int(found[1]) for label in desk.aws.seen[since:] if (found := re.search(r"partNumber=(\d+)", label))}


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_upload_that_was_cut_off_goes_on_with_the_parts_that_arrived(new_desk: Desk, how: int) -> None:
    file = large_file(new_desk, 4)
    # The last part does not arrive, however often it is sent; that takes longer than the signal does.
    new_desk.aws.slow = ("partNumber=5", 5)
    new_desk.aws.fail("partNumber=5", "SlowDown", status=503)
    first = len(new_desk.aws.seen)
    s3 = new_desk.aws.client("s3")

    def four_arrived() -> bool:
        begun = s3.list_multipart_uploads(Bucket=new_desk.bucket).get("Uploads", ())
        return any(
            len(s3.list_parts(Bucket=new_desk.bucket, Key=one["Key"], UploadId=one["UploadId"]).get("Parts", ())) == 4
            for one in begun
        )

    said = new_desk.stop_when(four_arrived, "upload", how=how)
    assert how == signal.SIGKILL or "to go on: onstage sagemaker upload" in said.lower()
    assert parts_sent(new_desk, first) >= {1, 2, 3, 4}
    new_desk.aws.faults.clear()
    new_desk.aws.slow = ("", 0)
    second = len(new_desk.aws.seen)
    new_desk.run("upload")
    # What the first run had begun to send may still come in.
    assert parts_sent(new_desk, second) == {5}
    assert content(new_desk) == file.read_bytes()
    assert not s3.list_multipart_uploads(Bucket=new_desk.bucket).get("Uploads")
    assert "3 of 3 files are there already" in new_desk.run("upload")


def test_parts_of_a_file_that_has_changed_are_sent_again(new_desk: Desk) -> None:
    file = large_file(new_desk, 2)
    new_desk.aws.fail("partNumber=3", "AccessDenied", status=403)
    new_desk.run("upload", code=1)
    new_desk.aws.faults.clear()
    file.write_bytes(b"x" * PART + file.read_bytes()[PART:])
    new_desk.run("upload")
    assert content(new_desk) == file.read_bytes()


def test_files_in_folders_and_empty_ones_are_sent_too(new_desk: Desk) -> None:
    deep = new_desk.folder / "data" / "train" / "deep" / "er"
    deep.mkdir(parents=True)
    (deep / "empty.txt").touch()
    (deep / ".ipynb_checkpoints").mkdir()
    (deep / ".ipynb_checkpoints" / "iris.csv").write_text("of Jupyter", encoding="utf-8")
    new_desk.run("upload", "--create-bucket")
    assert content(new_desk, "deep/er/empty.txt") == b""
    assert "3 of 3 files are there already" in new_desk.run("upload")


@pytest.mark.long
def test_data_that_is_not_in_the_bucket_is_missed(new_desk: Desk) -> None:
    new_desk.aws.client("s3").create_bucket(Bucket=new_desk.bucket)
    said = new_desk.run("train", code=1)
    assert f"no data at s3://{new_desk.bucket}/iris_classifier/data/train" in said
    assert "-> onstage sagemaker upload" in said
    new_desk.run("upload")
    with (new_desk.folder / "data" / "train" / "iris.csv").open("a", encoding="utf-8") as file:
        file.write("5.1,3.5,1.4,0.2,setosa\n")
    new_desk.aws.jobs_end = ("Completed", "")
    assert "other data than here" in new_desk.run("train")


def test_what_is_only_in_the_bucket_is_named_and_removed_when_asked(new_desk: Desk) -> None:
    new_desk.run("upload", "--create-bucket")
    old = new_desk.folder / "data" / "train" / "iris.csv"
    old.rename(old.with_name("flowers.csv"))
    (new_desk.folder / "data" / "train_old").mkdir()
    said = new_desk.run("upload")
    assert "only in the bucket, jobs read these too; onstage sagemaker upload --delete removes them:" in said
    assert "/iris_classifier/data/train/iris.csv" in said
    assert "only in the bucket, would remove:" in new_desk.run("upload", "--delete", "--dry-run")
    assert "there is no terminal to ask at: add --yes" in new_desk.run("upload", "--delete", code=2)
    assert "iris_classifier/data/train/iris.csv" in list(new_desk.objects())
    assert "removed 1 objects" in new_desk.run("upload", "--delete", "--yes")
    assert "iris_classifier/data/train/iris.csv" not in list(new_desk.objects())
    assert "only in the bucket" not in new_desk.run("upload")
