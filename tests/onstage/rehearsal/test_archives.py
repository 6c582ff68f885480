"""Archives that come from elsewhere are unpacked into their folder, or not at all."""

import gzip
import io
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from onstage.errors import UserError
from onstage.rehearsal import archives
from onstage.rehearsal.archives import unpack, unpack_zip


def test_an_archive_is_unpacked_only_into_its_folder(tmp_path: Path) -> None:
    def packed(name: str, kind: bytes = tarfile.REGTYPE) -> Path:
        with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member, io.BytesIO())
        return tmp_path / "model.tar.gz"

    unpack(packed("model/1/saved_model.pb"), tmp_path / "out")
    assert (tmp_path / "out/model/1/saved_model.pb").is_file()
    for name, kind in (
        ("/tmp/x", tarfile.REGTYPE),
        ("model/../../x", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
        ("link", tarfile.LNKTYPE),
        ("fifo", tarfile.FIFOTYPE),
    ):
        with pytest.raises(UserError, match="it may hold only files and folders of its own"):
            unpack(packed(name, kind), tmp_path / "out")
    (tmp_path / "broken.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"broken.tar.gz cannot be unpacked"):
        unpack(tmp_path / "broken.tar.gz", tmp_path / "out")


Links = list[tuple[str, bytes, str]]


def archive_of(folder: Path, *members: tuple[str, bytes, str]) -> Path:
    """Each with its name, kind and link; a file holds its own name."""
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            member.size = len(name) if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(name.encode()))
    return folder / "model.tar.gz"


FILE, FOLDER, SOFT, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize(
    ("members", "read"),
    [
        ([("model/1/a", FILE, ""), ("model/latest", SOFT, "1")], "model/latest/a"),
        ([("model/1/a", FILE, ""), ("model/1/b", SOFT, "a")], "model/1/b"),
        ([("model/1/a", FILE, ""), ("c", HARD, "model/1/a")], "c"),
        ([("model/1/a", FILE, ""), ("other/b", SOFT, "../model/1/a")], "other/b"),
    ],
)
def test_a_link_to_what_the_archive_holds_is_unpacked(members: Links, read: str, tmp_path: Path) -> None:
    unpack(archive_of(tmp_path, *members), tmp_path / "out")
    assert (tmp_path / "out" / read).read_text() == "model/1/a"


@pytest.mark.parametrize(
    "members",
    [
        [("a", SOFT, "..")],
        [("a/b", SOFT, "../../x")],
        [("a", SOFT, "."), ("b", SOFT, "a/..")],
        [("a", SOFT, "b"), ("b", FOLDER, ""), ("a/x", FILE, "")],
        [("a", SOFT, "/etc"), ("a/x", FILE, "")],
        [("a", HARD, "../x")],
        [("a", HARD, "missing")],
    ],
)
def test_a_link_that_leads_out_or_is_written_through_is_refused(members: Links, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it may hold only files and folders of its own"):
        unpack(archive_of(tmp_path, *members), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("limit", "most", "message"),
    [
        ("MOST_BYTES", 2**20, "holds more than 0.0 GiB"),
        ("MOST_MEMBERS", 3, "holds more than 2 files"),
        ("MOST_FOLDERS", 4, "more than 3 folders in each other"),
    ],
)
def test_an_archive_that_is_too_large_is_not_unpacked(
    limit: str, most: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as opened:
        for name in ("a/b/c/d", "e", "f"):
            opened.writestr(name, b"0" * (2**20 // 3))
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        for name in ("a/b/c/d", "e", "f"):
            member = tarfile.TarInfo(name)
            member.size = 2**20 // 3
            tar.addfile(member, io.BytesIO(b"0" * member.size))
    for make, name in ((unpack, "x.tar.gz"), (unpack_zip, "x.whl")):
        monkeypatch.setattr(archives, limit, most)
        make(tmp_path / name, tmp_path / f"taken {name}")
        monkeypatch.setattr(archives, limit, most - 1 if limit != "MOST_BYTES" else 2**20 - 2)
        with pytest.raises(UserError, match=message):
            make(tmp_path / name, tmp_path / f"refused {name}")
        assert not (tmp_path / f"refused {name}").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-8] + b"\0\0\0\0" + content[-4:], "CRC check failed"),
        (lambda content: content + b"more", "cannot be unpacked"),
        (lambda content: content + gzip.compress(b"more"), "holds something after its end"),
        (lambda content: content[:-20], "cannot be unpacked"),
    ],
)
def test_an_archive_is_read_to_its_end(damage: Callable[[bytes], bytes], message: str, tmp_path: Path) -> None:
    archive = archive_of(tmp_path, ("a", FILE, ""))
    archive.write_bytes(archive.read_bytes() + gzip.compress(b"\0" * 10_240))
    unpack(archive, tmp_path / "whole")
    archive = archive_of(tmp_path, ("a", FILE, ""))
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(UserError, match=message):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
