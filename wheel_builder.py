"""Builds the wheel of `onstage/` from the folder that this file lies in, with the standard library only.

The template's hook writes it into a project, and pip builds it (PEP 517, PEP 660: pyproject.toml names this module), so
both make the same bytes. These depend on the sources alone, not on the machine, the clone or the time: `cruft update`
renders a project's old version again and can replace its wheel only if that render has not changed by one byte.
"""

import base64
import gzip
import hashlib
import io
import os
import tarfile
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
PACKAGE = "onstage"
# What else lies in a clone (bytecode, editors' and notebooks' leavings) is no source; all of these are text.
SOURCES = ("*.py", "*.json", "py.typed", "*-packages.txt", "account.yaml", "account.sh")
WHEEL = b"Wheel-Version: 1.0\nGenerator: wheel_builder\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
# Where the files of the folder dist-info stand in a clone.
INFO = {
    "METADATA": "packaging/METADATA",
    "entry_points.txt": "packaging/entry_points.txt",
    "licenses/LICENSE": "LICENSE",
}
# What an editable install has in the package's place. This folder on the path would do as well, but it holds more:
# cookiecutter in that environment would take the template's extensions from here, and give the projects of another
# clone this one's wheel.
FINDER = """\
import sys
from importlib.machinery import PathFinder


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [{folder!r}]) if name == {package!r} else None


sys.meta_path.append(Finder)
"""
# What an sdist needs beside them to build the same wheel.
BUILD = ("pyproject.toml", "wheel_builder.py")

Files = dict[str, bytes]


def add_wheel(folder: Path) -> str:
    """Write the wheel into `folder`, in which no other one of the package stays; return its version."""
    folder.mkdir(parents=True, exist_ok=True)
    name = build_wheel(str(folder))
    for other in folder.glob(f"{PACKAGE}-*.whl"):
        if other.name != name:
            other.unlink()
    return name.split("-")[1]


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """PEP 517: write the wheel into a folder and return its file name."""
    code = _code()
    return _write_wheel(wheel_directory, _version(code), code)


def build_editable(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """PEP 660: write a wheel that only points to this folder, under the plain version, and return its file name."""
    name, finder = f"_{PACKAGE}_editable", FINDER.format(folder=str(ROOT), package=PACKAGE)
    files = {f"{PACKAGE}.pth": f"import {name}\n".encode(), f"{name}.py": finder.encode()}
    return _write_wheel(wheel_directory, _plain_version(), files)


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    """PEP 517: write the source distribution into a folder and return its file name."""
    code = _code()
    version = _version(code)
    others = {name: _text(ROOT / name) for name in (*INFO.values(), *BUILD)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted({**code, **others, "PKG-INFO": _info(version)["METADATA"]}.items()):
            member = tarfile.TarInfo(f"{PACKAGE}-{version}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    file = f"{PACKAGE}-{version}.tar.gz"
    Path(sdist_directory, file).write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    return file


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Any = None) -> str:
    """PEP 517: write the wheel's dist-info into a folder and return its name."""
    return _write_info(metadata_directory, _version(_code()))


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Any = None) -> str:
    """PEP 660: write the editable wheel's dist-info into a folder and return its name."""
    return _write_info(metadata_directory, _plain_version())


def _code() -> Files:
    """The package's source files; neither hidden ones nor links, which may lead out of the clone."""
    code = {}
    for folder, folders, files in os.walk(ROOT / PACKAGE):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        for path in (Path(folder, name) for name in files if not name.startswith(".")):
            if not path.is_symlink() and any(fnmatchcase(path.name, pattern) for pattern in SOURCES):
                code[path.relative_to(ROOT).as_posix()] = _text(path)
    return dict(sorted(code.items()))


def _text(path: Path) -> bytes:
    """A text file's bytes with LF, whatever line ends git gave this clone."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def _plain_version() -> str:
    lines = _text(ROOT / INFO["METADATA"]).decode().splitlines()
    return next(line.removeprefix("Version: ") for line in lines if line.startswith("Version: "))


def _version(code: Files) -> str:
    """The version with a local label made of all contents, since the same version would be the same code for pip.

    No index accepts a local version, so none can put another package in the place of this one.
    """
    plain = _plain_version()
    digest = hashlib.sha256()
    for name, content in {**code, **_info(plain)}.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return f"{plain}+{digest.hexdigest()[:12]}"


def _info(version: str) -> Files:
    """The files of dist-info for a version, RECORD aside."""
    files = {name: _text(ROOT / place) for name, place in INFO.items()}
    plain, wanted = (f"\nVersion: {number}\n".encode() for number in (_plain_version(), version))
    return {**files, "METADATA": files["METADATA"].replace(plain, wanted, 1), "WHEEL": WHEEL}


def _write_info(folder: str, version: str) -> str:
    name = f"{PACKAGE}-{version}.dist-info"
    for file, content in _info(version).items():
        target = Path(folder, name, file)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return name


def _write_wheel(folder: str, version: str, code: Files) -> str:
    """Write a zip file without times, modes or systems, stored, because zlib's versions deflate differently."""
    info = f"{PACKAGE}-{version}.dist-info"
    files = code | {f"{info}/{name}": content for name, content in sorted(_info(version).items())}
    lines = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()]
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"]).encode()
    wheel = f"{PACKAGE}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder, wheel), "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o100644 << 16
            archive.writestr(member, content)
    return wheel


def _digest(content: bytes) -> str:
    """A sha256 as RECORD spells it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
