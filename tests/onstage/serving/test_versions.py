"""Another version of TensorFlow is installed once, by the real uv: small wheels stand for TensorFlow's here."""

import json
import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onstage import uv
from onstage.errors import StartError
from onstage.serving import versions
from onstage.serving.versions import Installed, require
from tests.onstage import small
from tests.onstage.small import forked, refusal


def write_wheel(folder: Path, version: str, tag: str = "py3-none-any", code: str = "") -> None:
    """A wheel of tensorflow-cpu whose `tensorflow` is this code."""
    files = {
        "tensorflow/__init__.py": f'__version__ = "{version}"\n{code}',
        f"tensorflow_cpu-{version}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: tensorflow-cpu\nVersion: {version}\n"
        ),
        f"tensorflow_cpu-{version}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"tensorflow_cpu-{version}.dist-info/RECORD": "",
    }
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"tensorflow_cpu-{version}-{tag}.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of wheels that there is; a cache of its own."""
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR", str(uv.cache().with_name("uv"))))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    write_wheel(tmp_path / "wheels", "2.15.0")
    write_wheel(tmp_path / "wheels", "2.15.1")
    return tmp_path / "wheels"


def test_the_newest_wheel_of_a_version_is_installed_once_and_needs_no_index_then(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = require("2.15")
    assert installed == Installed("2.15.1", versions._python_of(uv.cache() / "tensorflow" / "2.15"))
    for wheel in wheels.iterdir():
        wheel.unlink()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert require("2.15") == installed


def test_what_was_not_installed_to_its_end_or_lost_its_python_is_made_anew_by_one_of_two(wheels: Path) -> None:
    installed = require("2.15")
    folder = installed.python.parents[1]
    (folder / "rest-of-the-first").touch()
    (folder / "installed.json").unlink()
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(require, "2.15").result for _ in range(2))
        assert first() == second() == installed
    assert json.loads((folder / "installed.json").read_text(encoding="utf-8")) == {"tensorflow": "2.15.1"}
    assert not (folder / "rest-of-the-first").exists()
    installed.python.unlink()
    assert require("2.15") == installed
    assert installed.python.exists()


def test_the_version_that_is_here_is_not_installed_again(wheels: Path) -> None:
    minor = versions.here().rpartition(".")[0]
    assert require(minor) == Installed(versions.here(), Path(sys.executable))
    assert not uv.cache().exists()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return small.write(tmp_path / "project")


@pytest.mark.long
def test_without_a_python_that_it_has_wheels_for_the_pythons_are_named(wheels: Path, project: Path) -> None:
    found, known = uv.pythons(uv.environment())
    lacking = [minor for minor in known if minor not in found and minor > 9]
    assert lacking, "this machine has every Python that uv knows"
    for minor in lacking[:2]:
        write_wheel(wheels, "2.16.2", f"cp3{minor}-none-any")
    here = versions._listed(sorted(minor for minor in found if minor > 9), "and")
    assert refusal(forked("rehearse", "--serving-version", "2.16", folder=project)) == (
        f"--serving-version 2.16: TensorFlow 2.16 has wheels for Python {versions._listed(lacking[:2], 'or')}, and "
        f"this machine has {here}: python -m uv python install 3.{lacking[:2][-1]}"
    )
    # Accepted: the rehearsal goes on, to a project that has no model.py.
    accepted = forked("rehearse", "--serving-version", "2.15", folder=project)
    assert (accepted.returncode, accepted.stderr) == (1, "")


@pytest.mark.parametrize("said", ["2.14", "2", "2.15.1", "newest"])
def test_what_is_no_version_from_the_oldest_on_is_refused(said: str, project: Path) -> None:
    assert refusal(forked("rehearse", "--serving-version", said, folder=project)) == (
        f"--serving-version {said}: a minor version of TensorFlow, 2.15 or newer, such as 2.15"
    )


def test_a_version_that_there_is_not_is_refused(wheels: Path) -> None:
    with pytest.raises(StartError, match="^--serving-version 2.99: the index has no wheel of TensorFlow 2.99 for this"):
        require("2.99")


def test_a_version_that_does_not_run_here_is_refused_and_not_kept(wheels: Path) -> None:
    write_wheel(wheels, "2.17.0", code='raise ImportError("your processor has no AVX")')
    for _ in range(2):
        with pytest.raises(StartError, match="2.17 does not run on this machine: ImportError: your processor has no"):
            require("2.17")


@pytest.mark.long
def test_without_a_network_it_is_one_line(
    wheels: Path, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "nothing"))
    said = refusal(forked("rehearse", "--serving-version", "2.18", folder=project))
    assert said.startswith("--serving-version 2.18: TensorFlow 2.18 is installed once, and the index does not answer: ")


def test_a_cache_that_cannot_be_written_is_named(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (wheels / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(wheels / "file"))
    with pytest.raises(StartError, match="cannot be written: Not a directory; XDG_CACHE_HOME=FOLDER names another"):
        require("2.15")


def test_who_names_a_version_selects_its_check() -> None:
    from onstage.catalogue import requested

    both = ("sagemaker", "vertex")
    added = ["sagemaker.serving-version", "vertex.serving-version"]
    chosen, asked = requested(["vertex.load"], both, {"serving_version": True})
    assert (chosen, asked) == (["vertex.load", *added], {*added})
    assert requested([], both, {"serving_version": True}) == ([], {*added})
    assert requested(["vertex.load"], both, {"serving_version": None}) == (["vertex.load"], frozenset())


def test_its_check_is_not_selected_without_a_version(project: Path) -> None:
    assert refusal(forked("rehearse", "--select", "vertex.serving-version", folder=project)) == (
        "--select vertex.serving-version: that is not checked here; see onstage rehearse --list"
    )
