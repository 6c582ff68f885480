"""Archives that come from elsewhere are unpacked into their folder, or not at all."""

import io
import tarfile
from pathlib import Path

import pytest

from onstage.errors import UserError
from onstage.rehearsal.archives import unpack


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
