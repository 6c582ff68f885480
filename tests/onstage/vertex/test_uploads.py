"""`onstage vertex upload`: what is not in the bucket yet is sent, however often it is cut off."""

import base64
import os
import signal
from pathlib import Path

import pytest

from onstage.vertex.client.transfers import checksum, part_size
from tests.emulators.faults import Fault
from tests.onstage.vertex.desk import BUCKET, Desk, make_desk

PART = 8 * 1024 * 1024


def test_what_is_there_is_not_sent_again_and_what_changed_is(desk: Desk) -> None:
    storage = desk.google.storage
    before = len([one for one in storage.requests if "POST" in one and "/upload/" in one])
    said = desk.run("upload")
    assert "2 of 2 files are there already" in said
    file = desk.folder / "data" / "eval" / "iris.csv"
    text = file.read_text(encoding="utf-8")
    # Of the same size.
    file.write_text(text.replace("0", "1", 1), encoding="utf-8")
    assert f"would send {file}" in desk.run("upload", "--dry-run")
    assert "1 of 2 files are there already" in desk.run("upload")
    after = len([one for one in storage.requests if "POST" in one and "/upload/" in one])
    assert after == before + 1
    file.write_text(text, encoding="utf-8")
    desk.run("upload")


def test_a_bucket_is_made_private_in_the_job_s_region(project: Path, desk: Desk, tmp_path: Path) -> None:
    new = make_desk(project, tmp_path / "new", desk.google, "new-bucket")
    assert "there is no bucket new-bucket; make it in us-central1" in new.run("upload", code=1)
    new.run("upload", "--create-bucket")
    made = desk.google.storage.buckets["new-bucket"]
    assert made["location"] == "US-CENTRAL1"
    assert made["versioning"] == {"enabled": True}
    assert made["iamConfiguration"]["publicAccessPrevention"] == "enforced"
    assert made["iamConfiguration"]["uniformBucketLevelAccess"] == {"enabled": True}
    assert "there is already the bucket new-bucket" in new.run("upload", "--create-bucket")
    made["location"] = "US"
    assert "is in us, the jobs are in us-central1; they must be together" in new.run("upload", code=1)


def test_a_bucket_of_somebody_else_is_named_as_such(project: Path, desk: Desk, tmp_path: Path) -> None:
    (desk.google.storage.objects.root / "taken").mkdir(exist_ok=True)
    other = make_desk(project, tmp_path / "other", desk.google, "taken")
    assert "belongs to somebody else" in other.run("upload", "--create-bucket", code=1)
    said = other.run("upload", code=1)
    assert "the permission storage.buckets.get is missing" in said
    assert "belongs to somebody else" in said


def large_desk(project: Path, desk: Desk, folder: Path) -> Desk:
    large = make_desk(project, folder, desk.google)
    (large.folder / "data" / "train" / "large.csv").write_bytes(os.urandom(1024) * (5 * 8 * 1024 + 1))
    return large


def sent_parts(desk: Desk) -> list[str]:
    return [one for one in desk.google.storage.requests if one.startswith("PUT") and "partNumber" in one]


@pytest.mark.few(1)
@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_an_upload_that_was_cut_off_goes_on_with_the_parts_that_arrived(
    project: Path, desk: Desk, tmp_path: Path, how: str
) -> None:
    large = large_desk(project, desk, tmp_path / "large")
    before = len(sent_parts(desk))
    # The last parts hang.
    desk.google.storage.troubles.faults.append(Fault("partNumber=[56]", 503, "slow down"))
    number = signal.SIGKILL if how == "killed" else signal.SIGINT
    said = large.stop_when(lambda: len(sent_parts(desk)) - before >= 4, "upload", how=number)
    assert how == "killed" or "To go on: onstage vertex upload" in said
    desk.google.storage.troubles.faults.clear()
    first = len(sent_parts(desk)) - before
    assert first >= 4
    large.run("upload")
    assert first + 2 >= len(sent_parts(desk)) - before >= 6
    file = large.folder / "data" / "train" / "large.csv"
    stored = desk.google.storage.objects.get(BUCKET, "iris_classifier/data/train/large.csv")
    assert stored.content() == file.read_bytes()
    assert desk.google.storage.parts == {}
    desk.google.storage.objects.delete(BUCKET, "iris_classifier/data/train/large.csv")


def test_connections_that_break_in_mid_upload_are_made_again(project: Path, desk: Desk, tmp_path: Path) -> None:
    large = large_desk(project, desk, tmp_path / "large")
    desk.google.storage.troubles.faults += [
        Fault("partNumber=2", times=1),
        Fault("POST .*uploadId=", times=1, after=True),
        Fault("partNumber=3", 503, "try later", times=1),
    ]
    said = large.run("upload")
    total = (large.folder / "data" / "train" / "large.csv").stat().st_size
    assert f"{total / 1e6:.1f} MB in" in said
    stored = desk.google.storage.objects.get(BUCKET, "iris_classifier/data/train/large.csv")
    assert stored.content() == (large.folder / "data" / "train" / "large.csv").read_bytes()
    desk.google.storage.objects.delete(BUCKET, "iris_classifier/data/train/large.csv")


def test_sums_are_those_that_cloud_storage_has(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"123456789")
    # Source: RFC 3720, B.4: the check value of CRC-32C.
    assert checksum(file) == base64.b64encode(bytes.fromhex("e3069283")).decode()
    assert checksum(file, 1, 3) == checksum(_written(tmp_path / "part", b"234"))
    assert (part_size(1), part_size(10_000 * PART), part_size(10_000 * PART + 1)) == (PART, PART, PART + 1)


def _written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def test_what_is_only_in_the_bucket_is_named_and_removed_when_asked(project: Path, desk: Desk, tmp_path: Path) -> None:
    new = make_desk(project, tmp_path / "renamed", desk.google, "renamed-bucket")
    new.run("upload", "--create-bucket")
    old = new.folder / "data" / "train" / "iris.csv"
    old.rename(old.with_name("flowers.csv"))
    said = new.run("upload")
    assert "only in the bucket, jobs read these too; onstage vertex upload --delete removes them:" in said
    assert "gs://renamed-bucket/iris_classifier/data/train/iris.csv" in said
    assert "only in the bucket, would remove:" in new.run("upload", "--delete", "--dry-run")
    assert "there is no terminal to ask at: add --yes" in new.run("upload", "--delete", code=2)
    assert "iris_classifier/data/train/iris.csv" in new.objects("renamed-bucket")
    assert "removed 1 objects" in new.run("upload", "--delete", "--yes")
    assert "iris_classifier/data/train/iris.csv" not in new.objects("renamed-bucket")
    assert "only in the bucket" not in new.run("upload")
