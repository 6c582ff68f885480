"""Which onstage runs: a real wheel in a folder of its own, beside the working tree that these tests have installed."""

import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import wheel_builder
from tests.onstage import small
from tests.onstage.small import OPEN, ROOT, Done, deep, refusal


class Wheel:
    """A wheel of the working tree: its version, its file, and the folder that it is installed into."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / wheel_builder.build_wheel(str(folder))
        self.version = self.file.name.split("-")[1]
        self.installed = folder / "installed"
        install(self.installed, self.file)


def install(target: Path, *words: str | Path, folder: Path = ROOT) -> None:
    """Install into a folder, without what it requires and without network."""
    command = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-cache", "--no-deps", "--target", target]
    done = subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    return Wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what onstage requires without extras, and not onstage itself."""
    folder = tmp_path_factory.mktemp("bare")
    wanted, seen = [Requirement(line) for line in metadata.requires("onstage") or ()], set()
    while wanted:
        one = wanted.pop()
        if one.name in seen or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        seen.add(one.name)
        distribution = metadata.distribution(one.name)
        wanted += [Requirement(line) for line in distribution.requires or ()]
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder


@pytest.fixture
def project(tmp_path: Path, wheel: Wheel) -> Path:
    """A project whose wheels/ and requirements.txt have the wheel."""
    folder = small.write(tmp_path / "project")
    add_wheel(folder, wheel.version)
    require(folder, f"onstage[sagemaker,vertex]=={wheel.version}")
    return folder


def add_wheel(project: Path, version: str) -> Path:
    """A file of that version's name; what is in it, only pip looks at."""
    (project / "wheels").mkdir(exist_ok=True)
    file = project / "wheels" / f"onstage-{version}-py3-none-any.whl"
    file.touch()
    return file


def require(project: Path, line: str) -> None:
    (project / "requirements.txt").write_text(f"numpy\n--find-links wheels\n{line}\npytest\n", encoding="utf-8")


def opened(wheel: Wheel, folder: Path) -> Done:
    """What every command does first, with the wheel installed."""
    return small.run("-c", OPEN, folder=folder, environment={"PYTHONPATH": str(wheel.installed)})


def accepted(wheel: Wheel, folder: Path) -> None:
    done = opened(wheel, folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_wheel_of_the_project_is_accepted_and_tells_its_version(wheel: Wheel, project: Path) -> None:
    accepted(wheel, project)
    said = small.onstage("--version", folder=project, environment={"PYTHONPATH": str(wheel.installed)})
    assert (said.returncode, said.stdout) == (0, f"onstage {wheel.version}\n")


def test_the_projects_folder_is_printed_from_elsewhere_on_standard_error(wheel: Wheel, project: Path) -> None:
    done = opened(wheel, deep(project))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"project: {project}\n")


def test_an_editable_install_is_accepted_whatever_the_project_has(tmp_path: Path) -> None:
    project = small.write(tmp_path / "project")
    assert small.run("-c", OPEN, folder=project).returncode == 0
    said = small.onstage("--version", folder=project)
    assert said.stdout == f"onstage {metadata.version('onstage')} (editable, {ROOT})\n"


def test_another_one_than_the_projects_is_one_line(wheel: Wheel, project: Path) -> None:
    add_wheel(project, "0.3.0+000000000000")
    require(project, "onstage[sagemaker]==0.3.0+000000000000")
    assert refusal(opened(wheel, deep(project))) == (
        f"onstage {wheel.version} is installed, the project's own is 0.3.0+000000000000: "
        "pip install -r ../../requirements.txt"
    )


def test_of_two_wheels_requirements_decide(wheel: Wheel, project: Path) -> None:
    add_wheel(project, "0.3.0+000000000000")
    accepted(wheel, project)
    require(project, "onstage")
    accepted(wheel, project)
    (project / "wheels" / wheel.file.name).unlink()
    assert "the project's own is 0.3.0+000000000000: pip" in refusal(opened(wheel, project))


@pytest.mark.parametrize(
    "line",
    [
        "onstage[sagemaker] == {version} ; python_version > '3'  # edited",
        "  Onstage=={version}#",
        "onstage [ vertex , sagemaker ]==={version}",
        "onstage[sagemaker]>=0.2",
        "onstage==0.*",
        "onstage @ file:///somewhere",
        "onstage-extra==9\nonstage=={version}",
        "# onstage==9",
        "numpy",
    ],
)
def test_a_requirement_that_was_edited_is_understood(wheel: Wheel, project: Path, line: str) -> None:
    require(project, line.format(version=wheel.version))
    accepted(wheel, project)


@pytest.mark.parametrize("line", ["onstage==0.3.0", "onstage[sagemaker] === 0.3.0 # edited", "ONSTAGE==0.3.0;"])
def test_a_requirement_of_another_version_is_understood(wheel: Wheel, project: Path, line: str) -> None:
    add_wheel(project, "0.3.0")
    require(project, line)
    assert "the project's own is 0.3.0: pip" in refusal(opened(wheel, project))


def test_a_project_without_requirements_is_served_by_its_wheels(wheel: Wheel, project: Path) -> None:
    (project / "requirements.txt").unlink()
    accepted(wheel, project)
    (project / "requirements.txt").write_bytes(b"\xff\xfe\n")
    accepted(wheel, project)


@pytest.mark.parametrize("name", ["onstage-{} (1).whl", "onstage-{}-py3-none-any (1).whl", "onstage.whl", "other.whl"])
def test_a_wheel_that_pip_would_not_take_is_none(wheel: Wheel, project: Path, name: str) -> None:
    (project / "wheels" / wheel.file.name).rename(project / "wheels" / name.format(wheel.version))
    assert refusal(opened(wheel, project)).startswith(f"wheels has no {wheel.file.name}: ")
    require(project, "onstage")
    assert refusal(opened(wheel, project)).startswith("wheels has no onstage-*-py3-none-any.whl: ")


def test_the_commands_for_a_missing_wheel_work_as_printed(wheel: Wheel, project: Path) -> None:
    def git(*words: str, folder: Path = project) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    git("init", "-q")
    (project / "wheels" / wheel.file.name).write_bytes(wheel.file.read_bytes())
    require(project, f"onstage=={wheel.version}")
    git("add", ".")
    git("commit", "-qm", "first")
    (project / "wheels" / wheel.file.name).unlink()
    inside = deep(project)
    said = refusal(opened(wheel, inside))
    assert said.startswith(f"../../wheels has no {wheel.file.name}: is it named in a .gitignore (git check-ignore -v ")
    asks, restores, installs = re.findall(r"(?:git|pip) [^()]*(?=\)|$)", said)

    (project / ".gitignore").write_text("wheels/\n", encoding="utf-8")
    git("rm", "-rq", "--cached", "wheels")
    assert git(*shlex.split(asks)[1:], folder=inside).startswith(".gitignore:1:wheels/")
    git("reset", "-q")
    git(*shlex.split(restores)[1:], folder=inside)
    accepted(wheel, project)

    # The line of numpy and others needs an index: here the package's own will do.
    (project / "requirements.txt").write_text(f"--find-links wheels\nonstage=={wheel.version}\n", encoding="utf-8")
    words = shlex.split(installs)
    assert words[:2] == ["pip", "install"]
    install(project / "installed", *words[2:], folder=inside)
    assert (project / "installed" / "onstage" / "cli.py").is_file()


def test_onstage_that_is_not_installed_is_one_line(wheel: Wheel, bare: Path, project: Path) -> None:
    def ran(*places: Path) -> Done:
        path = ":".join(map(str, places))
        return small.run("-S", "-c", OPEN, folder=project, environment={"PYTHONPATH": path})

    assert refusal(ran(ROOT, bare)) == f"onstage {wheel.version} is not installed: pip install -r requirements.txt"
    assert ran(wheel.installed, bare).returncode == 0


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("platform", "packages"), [("sagemaker", "boto3"), ("vertex", "cryptography, google-cloud-storage, setuptools")]
)
@pytest.mark.parametrize("words", [("{}", "status"), ("rehearse", "{}"), ("rehearse",)])
def test_an_extra_that_is_not_installed_is_one_line(
    wheel: Wheel, bare: Path, tmp_path: Path, platform: str, packages: str, words: tuple[str, ...]
) -> None:
    project = small.write(tmp_path / "project", platform)
    add_wheel(project, wheel.version)
    require(project, f"onstage[{platform}]=={wheel.version}")
    environment = {"PYTHONPATH": f"{wheel.installed}:{bare}"}
    command = [word.format(platform) for word in words]

    def said() -> str:
        return refusal(small.run("-S", "-m", "onstage", *command, folder=deep(project), environment=environment))

    begin = f"this needs onstage[{platform}]; {packages} not installed: "
    assert said() == f"{begin}pip install -r ../../requirements.txt"
    require(project, f"onstage=={wheel.version}")
    assert said() == (
        f"{begin}write {platform} into the brackets of onstage[...] in requirements.txt, then "
        "pip install -r ../../requirements.txt"
    )


def test_the_extra_of_notebooks_is_asked_for_by_its_command(wheel: Wheel, bare: Path, project: Path) -> None:
    environment = {"PYTHONPATH": f"{wheel.installed}:{bare}"}
    said = refusal(small.run("-S", "-m", "onstage", "notebook", folder=project, environment=environment))
    begin, end = "this needs onstage[notebook]; ipykernel, jupyterlab, ", "then pip install -r requirements.txt"
    assert said.startswith(begin) and said.endswith(
        f"not installed: write notebook into the brackets of onstage[...] in requirements.txt, {end}"
    )


@pytest.mark.parametrize("words", [("vertex", "status"), ("rehearse", "vertex")])
def test_that_a_project_does_not_run_on_a_platform_is_said_first(
    wheel: Wheel, bare: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    project = small.write(tmp_path / "project", "sagemaker")
    add_wheel(project, wheel.version)
    said = "this project does not run on vertex: src/ has no trainer/task.py; it was rendered for sagemaker"
    environment = {"PYTHONPATH": f"{wheel.installed}:{bare}"}
    assert refusal(small.run("-S", "-m", "onstage", *words, folder=project, environment=environment)) == said
    assert refusal(small.onstage(*words, folder=project)) == said
