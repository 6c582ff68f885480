"""A project installs its own onstage, wherever it lies and whoever installs it; changed code arrives."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import QUESTIONS, ROOT, Bake, Command
from tests.template.clones import Installer, Shell, wheel_of
from wheel_builder import prepare_metadata_for_build_editable

INSTALLERS = ("pip 23", "newest pip", "uv")
CHANGE = "# A change."
# Nothing answers there: whoever asks for a name of another machine fails.
NO_NETWORK = {name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
NO_NETWORK |= {name: "127.0.0.1,localhost" for name in ("NO_PROXY", "no_proxy")}


@pytest.fixture(scope="module")
def shell(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(command, tmp_path_factory.mktemp("home"))


@pytest.fixture
def alone(bake: Bake, tmp_path: Path) -> Path:
    """A project in a folder of its own, without its template; installed from it is onstage alone."""
    project = tmp_path / "elsewhere" / "my project"
    shutil.copytree(bake(), project)
    only_onstage(project)
    return project


def only_onstage(project: Path) -> None:
    """Leave the two lines of requirements.txt that a wheel needs; the others are as in any project."""
    file = project / "requirements.txt"
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(("--find", "onstage"))]
    assert len(lines) == 2
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(params=INSTALLERS)
def installer(request: pytest.FixtureRequest, shell: Shell, tmp_path: Path) -> Installer:
    return Installer(request.param, tmp_path / "environment", shell)


def version_of(project: Path) -> str:
    return wheel_of(project).name.split("-")[1]


@pytest.mark.few(1)
def test_a_project_alone_installs_from_its_folder(installer: Installer, alone: Path) -> None:
    installer("-r", "requirements.txt", cwd=alone)
    assert installer.installed(alone.parent)[0] == version_of(alone)


@pytest.mark.long
def test_a_project_alone_installs_from_another_folder(installer: Installer, alone: Path) -> None:
    installer("-r", f"{alone.name}/requirements.txt", cwd=alone.parent)
    assert installer.installed(alone.parent)[0] == version_of(alone)


@pytest.mark.long
def test_a_project_alone_installs_as_conda_calls_pip(installer: Installer, alone: Path, tmp_path: Path) -> None:
    """conda writes the lines of `pip:` into a file beside environment.yml."""
    assert "      - -r requirements.txt\n" in (alone / "environment.yml").read_text(encoding="utf-8")
    file = alone / "condaenv.0a1b2c3d.requirements.txt"
    file.write_text("-r requirements.txt\n", encoding="utf-8")
    installer("-U", "-r", file, cwd=tmp_path)
    assert installer.installed(alone.parent)[0] == version_of(alone)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the template and the package need, for a whole module to change."""
    copy = tmp_path_factory.mktemp("clone") / "repository"
    others = (".git", ".venv", ".hypothesis", "build", "tests", "__pycache__")
    return shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*others))


@pytest.fixture(scope="module")
def renderings(clone: Path, shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project, and the same after one changed line of onstage."""
    folder = tmp_path_factory.mktemp("renderings")
    before = shell.render(clone, folder / "before")
    with (clone / "onstage" / "report.py").open("a", encoding="utf-8") as file:
        file.write(f"{CHANGE}\n")
    after = shell.render(clone, folder / "after")
    for project in (before, after):
        only_onstage(project)
    return before, after


@pytest.mark.long
@pytest.mark.parametrize("options", [[], ["-U"]], ids=["install", "upgrade"])
def test_a_changed_line_of_onstage_arrives(
    options: list[str], installer: Installer, renderings: tuple[Path, Path], tmp_path: Path
) -> None:
    before, after = renderings
    project = tmp_path / "project"
    shutil.copytree(before, project)
    installer("-r", "requirements.txt", cwd=project)
    version, line = installer.installed(tmp_path)
    assert version == version_of(before)
    assert line != CHANGE
    shutil.rmtree(project)
    shutil.copytree(after, project)
    installer(*options, "-r", "requirements.txt", cwd=project)
    assert installer.installed(tmp_path) == (version_of(after), CHANGE)


@pytest.mark.long
def test_an_editable_install_is_this_clone_under_the_plain_version(
    installer: Installer, clone: Path, tmp_path: Path
) -> None:
    """PEP 610's note, by which onstage tells it from a project's wheel, is the installer's own."""
    installer("-e", str(clone), cwd=tmp_path)
    code = (
        "import importlib.metadata, onstage\n"
        "own = importlib.metadata.distribution('onstage')\n"
        "print(own.version, own.read_text('direct_url.json'), onstage.__file__, sep='\\n')"
    )
    version, origin, package = installer.shell(installer.python, "-c", code, cwd=tmp_path).splitlines()
    assert version == QUESTIONS["_template_version"]
    assert json.loads(origin)["dir_info"] == {"editable": True}
    assert Path(package) == clone / "onstage" / "__init__.py"
    prepared = prepare_metadata_for_build_editable(str(tmp_path))
    assert prepared == f"onstage-{version}.dist-info"
    assert (tmp_path / prepared / "METADATA").is_file()


@pytest.mark.long
def test_a_project_alone_rehearses_from_deep_inside_without_a_network(bake: Bake, tmp_path: Path, shell: Shell) -> None:
    """All of requirements.txt, installed from another folder by uv, because it takes a tenth of pip's time."""
    project = shutil.copytree(bake(), tmp_path / "elsewhere" / "my project")
    uv = Installer("uv", tmp_path / "environment", shell)
    uv.install_all(f"{project.name}/requirements.txt", cwd=project.parent)
    onstage = uv.python.with_name("onstage.exe" if os.name == "nt" else "onstage")
    assert shell(onstage, "--version", cwd=tmp_path).strip().endswith(version_of(project))
    done = shell.run(onstage, "rehearse", "--epochs", "1", cwd=project / "data" / "train", **NO_NETWORK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^PASSED, \d+ checks in", done.stdout, re.MULTILINE)
    assert f"project: {project}" in done.stderr


def test_the_readme_of_a_uv_project_installs_it_into_an_environment_without_pip(
    bake: Bake, tmp_path: Path, shell: Shell
) -> None:
    """Its own lines, with this Python in place of one that would be downloaded; a message there names uv as well."""
    project = shutil.copytree(bake(environment="uv", platform="vertex"), tmp_path / "my project")
    only_onstage(project)
    readme = (project / "README.md").read_text(encoding="utf-8")
    lines = readme.partition("```bash\n")[2].partition("```")[0].splitlines()[:3]
    assert lines == ["uv venv --python 3.12", ". .venv/bin/activate", "uv pip install -r requirements.txt"]
    this = f"{sys.version_info[0]}.{sys.version_info[1]}"
    script = "\n".join(["set -e", *lines, "onstage --version"]).replace("3.12", this)
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    said = shell(shutil.which("bash"), "-c", script, cwd=project, PATH=path)
    assert said.strip().endswith(version_of(project))
    onstage = project / ".venv" / "bin" / "onstage"
    wheel_of(project).rename(project / "wheels" / "onstage-9.9-py3-none-any.whl")
    done = shell.run(onstage, "rehearse", cwd=project)
    assert done.returncode == 2
    assert "then uv pip install -r requirements.txt" in done.stderr
