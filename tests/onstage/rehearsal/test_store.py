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


def test_a_prefix_takes_all_that_begins_so_and_a_folder_or_a_mount_only_its_own(tmp_path: Path) -> None:
    for name in ("train/a.csv", "train_old/b.csv", "train.csv", "eval/c.csv"):
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).touch()
    store = LocalStore(tmp_path)
    assert [name for name, _ in store.objects("s3://b/train/")] == ["a.csv"]
    assert [name for name, _ in store.objects("s3://b/train")] == ["a.csv", "train.csv", "train_old/b.csv"]
    assert [name for name, _ in store.objects("s3://b/train_")] == ["train_old/b.csv"]
    assert [name for name, _ in store.objects("s3://b/train.csv")] == ["train.csv"]
    assert store.objects("s3://b/none") == []
    mounted = LocalStore(tmp_path / "other", {"s3://b/train": tmp_path / "b" / "train"})
    assert [name for name, _ in mounted.objects("s3://b/train")] == ["a.csv"]
