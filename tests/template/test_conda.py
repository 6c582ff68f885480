"""environment.yml, solved and installed by conda's own machinery (rattler) from a channel that the test makes."""

import asyncio
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from rattler import Channel, Gateway, MatchSpec, Subdir, install, solve
from rattler.index import index_fs

from onstage import uv
from tests.conftest import Bake, Command
from tests.template.clones import UV, wheel_of

# Beside what a project needs of the standard library: as large as all else.
_LEFT_OUT = {"__pycache__", "test", "idlelib", "turtledemo", "tkinter", "ensurepip", "site-packages", "dist-packages"}
_LAYOUT = """
import json, sys, sysconfig
print(json.dumps({"executable": sys._base_executable, "version": "%d.%d.%d" % sys.version_info[:3],
                  "stdlib": sysconfig.get_path("stdlib", vars={"base": sys.base_prefix}),
                  "library": sysconfig.get_config_var("INSTSONAME"), "folder": sysconfig.get_config_var("LIBDIR")}))
"""
Described = dict[str, Any]


@pytest.fixture(scope="module")
def project(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default project for conda, in a folder of its own."""
    folder = tmp_path_factory.mktemp("conda") / "project"
    shutil.copytree(bake(environment="conda"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def described(project: Path) -> Described:
    return yaml.safe_load((project / "environment.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def channel(described: Described, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """conda-forge in small: this machine's Python of environment.yml's version, others that are empty, and pip."""
    if sys.platform == "win32":
        pytest.skip("a Python of Windows has another layout than the packages that are made here")
    (wanted,) = [found[1] for one in described["dependencies"] if (found := re.match(r"python=3\.(\d+)$", str(one)))]
    python = uv.pythons(uv.environment())[0].get(int(wanted))
    if python is None:
        pytest.skip(f"no Python 3.{wanted} is found on this machine, of which the channel's package would be made")
    folder, subdir = tmp_path_factory.mktemp("channel"), str(Subdir.current())
    for version in ("3.11.9", "3.13.1"):
        _write_package(folder / subdir, "python", version, {})
    layout = json.loads(subprocess.run([python, "-c", _LAYOUT], capture_output=True, check=True).stdout)
    _write_package(folder / subdir, "python", layout["version"], dict(_python_files(layout)))
    pip = tmp_path_factory.mktemp("pip")
    subprocess.run([*UV, "pip", "install", "--quiet", "--target", pip, "pip"], check=True)
    files = {f"site-packages/{name}": file for name, file in _files(pip)}
    version = next(pip.glob("pip-*.dist-info")).name.removeprefix("pip-").removesuffix(".dist-info")
    scripts = {"noarch": {"type": "python", "entry_points": ["pip = pip._internal.cli.main:main"]}}
    _write_package(
        folder / "noarch", "pip", version, files, {"info/link.json": {**scripts, "package_metadata_version": 1}},
        depends=["python >=3.9"], noarch="python",
    )  # fmt: skip
    asyncio.run(index_fs(folder))
    return folder


@pytest.fixture(scope="module")
def prefix(channel: Path, described: Described, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment before its pip section."""
    specs = [MatchSpec(line, strict=True) for line in described["dependencies"] if isinstance(line, str)]
    folder = tmp_path_factory.mktemp("environment") / "prefix"

    async def make() -> None:
        source = Channel(f"file://{channel}")
        records = await solve([source], specs, Gateway(), [Subdir.current(), Subdir("noarch")])
        await install(records, folder, cache_dir=folder.with_name("cache"), show_progress=False)

    asyncio.run(make())
    return folder


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Names and files of a folder, at any depth, without what nobody imports."""
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if file.is_file() and not _LEFT_OUT & {*parts} and not any(part.startswith("config-") for part in parts):
            yield "/".join(parts), file


def _python_files(layout: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """An interpreter and its library, where conda has them: it finds its prefix by where it lies."""
    minor = layout["version"].rpartition(".")[0]
    for name in ("python", f"python{minor}"):
        yield f"bin/{name}", Path(layout["executable"])
    for name, file in _files(Path(layout["stdlib"])):
        yield f"lib/python{minor}/{name}", file
    library = Path(layout["folder"], layout["library"])
    # Another Python has it in the interpreter.
    if library.suffix != ".a" and library.is_file():
        yield f"lib/{library.name}", library


def _write_package(
    folder: Path, name: str, version: str, files: Mapping[str, Path], more: Mapping[str, Any] | None = None,
    depends: list[str] | None = None, noarch: str | None = None,
) -> None:  # fmt: skip
    """A conda package, as conda-build lays it out."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {place: file.read_bytes() for place, file in files.items()}
    paths = [
        {"_path": place, "path_type": "hardlink", "sha256": hashlib.sha256(content).hexdigest(),
         "size_in_bytes": len(content)}
        for place, content in contents.items()
    ]  # fmt: skip
    index = {
        "name": name, "version": version, "build": "0", "build_number": 0, "depends": depends or [],
        "subdir": folder.name, **({"noarch": noarch} if noarch else {}),
    }  # fmt: skip
    info = {"info/index.json": index, "info/paths.json": {"paths": paths, "paths_version": 1}, **(more or {})}
    with tarfile.open(folder / f"{name}-{version}-0.tar.bz2", "w:bz2", compresslevel=1) as tar:
        for place, content in [*((place, json.dumps(one).encode()) for place, one in info.items()), *contents.items()]:
            member = tarfile.TarInfo(place)
            member.size, member.mode = len(content), 0o755 if place.startswith("bin/") else 0o644
            tar.addfile(member, io.BytesIO(content))


def as_conda_installs(prefix: Path, project: Path, lines: list[str], command: Command, *options: str) -> str:
    """What pip says when it is called as conda calls it for the lines of a pip section: in the project's folder."""
    file = project / "condaenv.test.requirements.txt"
    file.write_text("\n".join(lines), encoding="utf-8")
    words = ("-m", "pip", "install", "-U", "-r", file, "--exists-action=b", *options)
    done = command(prefix / "bin" / "python", *words, cwd=project, environment=_activated(prefix))
    file.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _activated(prefix: Path) -> dict[str, str]:
    """Variables as `conda activate` sets them."""
    return {"CONDA_PREFIX": str(prefix), "PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def is_from_the_projects_wheel(prefix: Path, project: Path, command: Command) -> bool:
    """Whether the prefix has the very `onstage` of wheels/, to the contents that its version is made of."""
    code = "import importlib.metadata, onstage; print(importlib.metadata.version('onstage'), onstage.__file__)"
    done = command(prefix / "bin" / "python", "-c", code, cwd=prefix)
    version, _, place = done.stdout.strip().partition(" ")
    return Path(place).is_relative_to(prefix) and wheel_of(project).name == f"onstage-{version}-py3-none-any.whl"


def test_the_environment_names_what_conda_forge_has(described: Described) -> None:
    assert described["name"] == "iris_classifier"
    assert described["channels"] == ["conda-forge", "nodefaults"]
    assert described["dependencies"] == ["python=3.12", "pip", {"pip": ["-r requirements.txt"]}]


def test_conda_solves_and_installs_the_environment(prefix: Path, channel: Path, command: Command) -> None:
    """The Python of the version that is asked for, not the newest; it and pip run from the prefix."""
    said = command(prefix / "bin" / "pip", "--version", cwd=prefix)
    assert said.returncode == 0, said.stderr
    assert str(prefix / "lib" / "python3.12" / "site-packages" / "pip") in said.stdout
    where = command(prefix / "bin" / "python", "-c", "import sys, ssl, zlib; print(sys.prefix)", cwd=prefix)
    assert where.stdout.strip() == str(prefix), where.stderr
    records = [json.loads(file.read_text(encoding="utf-8")) for file in (prefix / "conda-meta").glob("*.json")]
    assert {record["name"] for record in records} == {"python", "pip"}
    assert len(list((channel / str(Subdir.current())).glob("python-*.tar.bz2"))) == 3


def test_pip_finds_the_projects_wheel_as_conda_calls_it(prefix: Path, project: Path, command: Command) -> None:
    lines = (project / "requirements.txt").read_text(encoding="utf-8").splitlines()
    own = [line for line in lines if line.startswith(("--find-links", "onstage["))]
    assert len(own) == 2
    as_conda_installs(prefix, project, own, command, "--no-deps", "--no-index")
    assert is_from_the_projects_wheel(prefix, project, command)


@pytest.mark.long
def test_a_rehearsal_passes_in_the_environment(
    prefix: Path, project: Path, described: Described, command: Command
) -> None:
    (section,) = [one["pip"] for one in described["dependencies"] if isinstance(one, dict)]
    as_conda_installs(prefix, project, section, command)
    assert is_from_the_projects_wheel(prefix, project, command)
    done = command(prefix / "bin" / "onstage", "rehearse", cwd=project, environment=_activated(prefix))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^PASSED", done.stdout, re.MULTILINE)
    assert "Python 3.12 there" not in done.stdout
