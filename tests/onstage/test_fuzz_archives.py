"""Archives that come from elsewhere, whatever they hold: unpacked inside their folder, or one message of ours."""

import gzip
import io
import os
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from onstage.errors import UserError
from onstage.rehearsal.archives import unpack, unpack_zip
from tests.onstage.test_fuzz import assert_is_a_message, damages, emptied, examples

pieces = st.sampled_from(
    [
        "model",
        "1",
        "a",
        "b",
        "..",
        ".",
        "",
        "saved_model.pb",
        "C:",
        "con",
        "a\\b",
        "..\\x",
        "\u202e",
        "é",
        "x" * 120,
        "~",
    ]
)
names = st.lists(pieces, min_size=1, max_size=4).map("/".join) | st.sampled_from(
    ["/etc/passwd", "//x", "../beside", "a/../../beside", "/", "./", "a/" * 70, "beside"]
)
kinds = st.sampled_from(
    [tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE,
     tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.AREGTYPE, b"Z"]
)  # fmt: skip
members = st.lists(
    st.tuples(
        names,
        kinds,
        names,
        st.binary(max_size=20),
        st.sampled_from([0, 0, 0, 1, 600, 2**33, 2**62]),
        st.integers(0, 0o7777),
    ),
    max_size=6,
)


def packed(content: list[tuple[Any, ...]], damage: list[tuple[int, int]]) -> bytes:
    """A tar file of these members, the size that a member claims aside what it has; some bytes are others then."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind, link, data, more, mode in content:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, link, mode
            member.size = len(data) if kind in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE) else 0
            member.devmajor = member.devminor = 1
            if more:
                tar.addfile(tarfile.TarInfo("a"))
                member.size = more
                tar.fileobj.write(member.tobuf(tarfile.GNU_FORMAT))  # type: ignore[union-attr]
                continue
            tar.addfile(member, io.BytesIO(data))
    found = bytearray(raw.getvalue())
    for place, byte in damage:
        found[place % len(found)] = byte
    return bytes(found)


def check_unpacked(folder: Path) -> None:
    """Nothing but files and folders, all of them inside, and links that stay inside."""
    for path in folder.rglob("*"):
        # A link may lead to itself, and then to no file.
        assert Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)), path
        assert path.is_symlink() or path.is_file() or path.is_dir(), path
        if path.is_file() and not path.is_symlink():
            assert not path.stat().st_mode & 0o6000, "set-user-id"


def any_archive(folder: Path, content: list[Any], damage: list[tuple[int, int]], zipped: bool, cut: int) -> None:
    whole = packed(content, damage)
    archive = emptied(folder) / "model.tar.gz"
    archive.write_bytes(gzip.compress(whole)[: -cut or None] if zipped else whole)
    try:
        unpack(archive, folder / "out")
    except UserError as error:
        assert_is_a_message(error, 3)
    check_unpacked(folder / "out")
    assert {path.name for path in folder.iterdir()} <= {"model.tar.gz", "out"}


def any_wheel(folder: Path, content: list[tuple[str, bytes]], damage: list[tuple[int, int]]) -> None:
    raw = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(raw, "w") as opened:
        warnings.simplefilter("ignore", UserWarning)
        for name, data in content:
            opened.writestr(name, data)
    found = bytearray(raw.getvalue())
    for place, byte in damage:
        found[place % len(found)] = byte
    archive = emptied(folder) / "x.whl"
    archive.write_bytes(bytes(found))
    try:
        unpack_zip(archive, folder / "out")
    except UserError as error:
        assert_is_a_message(error, 3)
    check_unpacked(folder / "out")
    assert {path.name for path in folder.iterdir()} <= {"x.whl", "out"}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize(
    "check",
    [
        *examples(any_archive, content=members, damage=damages, zipped=st.booleans(), cut=st.integers(0, 40)),
        *examples(
            any_wheel,
            content=st.lists(st.tuples(names.filter(bool), st.binary(max_size=20)), max_size=5),
            damage=damages,
        ),
    ],
)
def test_any_archive_is_unpacked_inside_its_folder_or_refused(check: Any, folder: Path) -> None:
    check(folder)
