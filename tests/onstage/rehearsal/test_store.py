"""Addresses of objects are files of this machine, and never lead out of their bucket."""

from pathlib import Path

import pytest

from onstage.errors import UserError
from onstage.rehearsal.store import LocalStore


def test_the_longest_mount_stands_for_a_uri(tmp_path: Path) -> None:
    mounts = {"s3://b/data": tmp_path / "data", "s3://b/data/train/": tmp_path / "x.csv", "gs://b": tmp_path / "g"}
    store = LocalStore(tmp_path / "root", mounts)
    assert store.path("s3://b/data/train") == tmp_path / "x.csv"
    assert store.path("s3://b/data/training/a") == tmp_path / "data" / "training" / "a"
    assert store.path("s3://b/database") == tmp_path / "root" / "b" / "database"
    assert store.path("gs://b/data/train") == tmp_path / "g" / "data" / "train"


@pytest.mark.parametrize("uri", ["s3://b/../x", "s3://../x", "s3://b/a\\b", "s3://b/c:/x", "s3://", "/b/x", "b/x"])
def test_uris_that_are_no_place_in_a_store_are_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match=r"is not an object's address|cannot be a file of this machine"):
        LocalStore(tmp_path).path(uri)
    assert LocalStore(tmp_path).path("s3://b/..x/y") == tmp_path / "b" / "..x" / "y"
