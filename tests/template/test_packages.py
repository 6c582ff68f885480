"""What a project installs: requirements for every machine, its own CI where they are all that is installed."""

import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import start
from tests.conftest import QUESTIONS, ROOT, Bake, Command
from tests.template.clones import UV, Installer, Shell
from tests.template.pairs import covering
from tests.template.test_ci import PUSH, scripts, shell
from tests.template.test_matrix import STRUCTURAL

# Any two answers meet in one of these projects. A push has one of them, and tests/template/test_start.py another.
CHOSEN = covering({name: QUESTIONS[name] for name in (*STRUCTURAL, "notebooks", "sagemaker_sdk", "ci")})
ON_PUSH = {"platform": "sagemaker", "problem": "regression", "ci": "github"}
CI = {"github": PUSH, "gitlab": ".gitlab-ci.yml"}
# The resolver needs no Python of the version that it resolves for, and would first try to download one.
COMPILE = [*UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-python-downloads"]
MACHINES = {
    "Linux x86_64": "x86_64-unknown-linux-gnu",
    "Linux arm64": "aarch64-unknown-linux-gnu",
    "macOS arm64": "aarch64-apple-darwin",
    "Windows": "x86_64-pc-windows-msvc",
}

ACCELERATORS = QUESTIONS["accelerator"]
# Each machine with the Python of the training image, each Python on one machine, and GPUs where wheels are or are not.
TARGETS = [
    *(("3.12", machine, "cpu") for machine in MACHINES),
    *((python, "Linux x86_64", "cpu") for python in ("3.10", "3.11", "3.13")),
    *(("3.12", machine, "gpu") for machine in ("Linux x86_64", "macOS arm64")),
]


@pytest.fixture(scope="module")
def resolved(bake: Bake, tmp_path_factory: pytest.TempPathFactory, command: Command) -> dict[tuple[str, ...], Any]:
    """The real resolver against the real index for every TARGET; at once, because it mostly waits."""
    folder = tmp_path_factory.mktemp("resolved")
    files = {accelerator: bake(accelerator=accelerator) / "requirements.txt" for accelerator in ACCELERATORS}

    def resolve(target: tuple[str, ...]) -> subprocess.CompletedProcess:
        python, machine, accelerator = target
        options = ["--only-binary", ":all:", "--python-version", python, "--python-platform", MACHINES[machine]]
        return command(*COMPILE, *options, files[accelerator], cwd=folder)

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(TARGETS, pool.map(resolve, TARGETS), strict=True))


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS, ids="-".join)
def test_the_requirements_have_wheels_for(target: tuple[str, ...], resolved: dict[tuple[str, ...], Any]) -> None:
    python, machine, accelerator = target
    done = resolved[target]
    assert done.returncode == 0, done.stderr
    versions = dict(line.split("==") for line in done.stdout.splitlines() if "==" in line)
    assert {versions.get("tensorflow"), versions.get("tensorflow-cpu")} == {"2.21.0", None}
    assert versions["keras"] == "3.15.1" if python != "3.10" else versions["keras"].startswith("3.12.")
    assert ("nvidia-cudnn-cu12" in versions) == (accelerator == "gpu" and machine == "Linux x86_64")


def test_the_sagemaker_sdk_has_room_beside_the_versions_of_the_training_image(
    bake: Bake, tmp_path: Path, command: Command
) -> None:
    requirements = bake(sagemaker_sdk="yes") / "requirements.txt"
    done = command(*COMPILE, "--python-version", "3.12", requirements, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "keras==3.15.1" in lines
    assert [line for line in lines if line.startswith("sagemaker==3.27.")]


def test_the_tests_run_the_versions_that_the_projects_pin(bake: Bake) -> None:
    def pins(file: Path) -> set[str]:
        lines = file.read_text(encoding="utf-8").splitlines()
        others = ("#", "-r", "--find-links", "onstage[", "pytest", "ruff")
        return {line for line in lines if line and not line.startswith(others)}

    pinned = pins(bake() / "requirements.txt")
    assert len([line for line in pinned if line.startswith(("tensorflow", "keras", "numpy", "protobuf"))]) == 7
    assert pinned <= pins(ROOT / "tests" / "requirements.txt")


def test_a_project_names_no_package_that_onstage_brings(bake: Bake) -> None:
    """What the machinery needs stands once, in packaging/METADATA; ruff checks the project as well."""
    metadata = (ROOT / "packaging" / "METADATA").read_text(encoding="utf-8")
    brought = set(re.findall(r"^Requires-Dist: ([\w.-]+)", metadata, re.MULTILINE))
    assert {"typer", "boto3", "google-cloud-storage", "ruff"} <= brought
    for answers in CHOSEN:
        requirements = (bake(**answers) / "requirements.txt").read_text(encoding="utf-8")
        named = set(re.findall(r"^([\w.-]+)", requirements, re.MULTILINE))
        assert "h5py" in named
        assert named & brought == {"ruff"}


@pytest.fixture
def render(started: Path, config_file: Path, tmp_path: Path, command: Command) -> Callable[..., Path]:
    """A project of the copy that filled the environment of `project_python`, so with the same `onstage`."""

    def run(**answers: str) -> Path:
        words = [start.python_of(started / ".venv"), "-m", "cookiecutter", "--no-input", "--config-file", config_file]
        given = [f"{question}={answer}" for question, answer in answers.items()]
        done = command(*words, "--output-dir", tmp_path, started, *given, cwd=started)
        assert done.returncode == 0, done.stderr
        return tmp_path / "iris_classifier"

    return run


def pass_own_ci(answers: dict[str, str], project: Path, told: list[str], python: Path, command: Command) -> None:
    """Train, and do as the project's service would, with the packages of an interpreter."""
    told = [one for one in told if one.split()[0] in ("ruff", "onstage", "pytest")]
    assert [one.split()[0] for one in told] == ["ruff", "onstage", "pytest"]
    said = ""
    for one in ("python train.py --epochs 2", *told):
        done = command(*shell(one), cwd=project, environment={"PATH": f"{python.parent}:/usr/bin:/bin"})
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout + done.stderr
    # The verdict counts warnings and what was skipped, too.
    assert re.search(r"^PASSED, (\d+ \w+, )*\d+ checks", said, re.MULTILINE), said
    assert re.search(r"\b4 passed", said)
    reports = ["rehearsal.xml", "tests.xml"] if answers["ci"] == "gitlab" else []
    assert [ElementTree.parse(project / name).getroot().tag for name in reports] == ["testsuites"] * len(reports)


@pytest.mark.long
def test_a_project_passes_its_own_ci(render: Callable[..., Path], project_python: Path, command: Command) -> None:
    """With the packages of the default project."""
    answers = next(one for one in CHOSEN if ON_PUSH.items() <= one.items())
    project = render(**answers)
    pass_own_ci(answers, project, scripts(project, PUSH), project_python, command)


@pytest.mark.long
@pytest.mark.parametrize("answers", CHOSEN, ids=["-".join(answers.values()) for answers in CHOSEN])
def test_a_project_of_any_two_answers_is_installed_trained_and_rehearsed(
    answers: dict[str, str], bake: Bake, tmp_path: Path, command: Command
) -> None:
    """GPU projects with CPU wheels: the CUDA packages are several GB and need a GPU to matter. conda's pip section is
    what is installed; without a service the commands are GitHub's."""
    project = Path(shutil.copytree(bake(**answers), tmp_path / "project"))
    requirements = project / "requirements.txt"
    text = requirements.read_text(encoding="utf-8")
    (project / "cpu.txt").write_text(text.replace("tensorflow[and-cuda]==", "tensorflow-cpu=="), encoding="utf-8")
    environment = Installer("uv", tmp_path / "environment", Shell(command, tmp_path / "home"))
    environment.install_all("cpu.txt", cwd=project)
    (project / "cpu.txt").unlink()
    has_sdk = answers["sagemaker_sdk"] == "yes" and answers["platform"] != "vertex"
    found = command(environment.python, "-c", "import sagemaker.core", cwd=tmp_path)
    assert (found.returncode == 0) == has_sdk, found.stderr
    served = project if answers["ci"] != "none" else bake(**answers | {"ci": "github"})
    told = scripts(served, CI.get(answers["ci"], PUSH))
    pass_own_ci(answers, project, told, environment.python, command)


@pytest.mark.long
def test_the_commands_of_the_projects_readme_work(
    render: Callable[..., Path], project_python: Path, command: Command
) -> None:
    project = render(platform="vertex", problem="regression")
    readme = (project / "README.md").read_text(encoding="utf-8")
    commands = [
        line for block in re.findall(r"```bash\n(.*?)```", readme, re.DOTALL) for line in block.splitlines()
        if line.startswith(("python train.py", "python predict.py", "onstage rehearse --json", "echo"))
    ]  # fmt: skip
    assert len(commands) == 6
    bash = shutil.which("bash")
    path = {"PATH": f"{project_python.parent}:/usr/bin:/bin"}
    for line in commands:
        done = command(bash, "-c", line, cwd=project, environment=path)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    assert (project / "report.json").is_file()


def test_the_sdist_holds_the_package_and_nothing_else(bake: Bake, tmp_path: Path, command: Command) -> None:
    project = tmp_path / "project"
    shutil.copytree(bake(platform="vertex"), project)
    assert command(sys.executable, "setup.py", "-q", "sdist", cwd=project).returncode == 0
    (archive,) = (project / "dist").iterdir()
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames() if not name.endswith("egg-info")}
    code = {path.relative_to(project).as_posix() for path in (project / "src" / "trainer").glob("*.py")}
    own = {name for name in names if ".egg-info/" not in name and (project / name).is_file()}
    assert own == code | {"setup.py", "MANIFEST.in", "README.md", "LICENSE", "pyproject.toml", "src/requirements.txt"}
    assert archive.name.startswith("iris_classifier_trainer-0.1.0")


@pytest.mark.long
def test_the_installed_sdist_trains_from_an_empty_directory(
    bake: Bake, project_python: Path, tmp_path: Path, command: Command
) -> None:
    """Installed twice, as Vertex AI's executor does, into a place that holds nothing else of the project."""
    project, place, empty = tmp_path / "project", tmp_path / "place", tmp_path / "empty"
    shutil.copytree(bake(platform="vertex", problem="regression"), project)
    for folder in (place, empty):
        folder.mkdir()
    assert command(sys.executable, "setup.py", "-q", "sdist", cwd=project).returncode == 0
    (archive,) = (project / "dist").iterdir()
    shutil.copy(archive, tmp_path)
    shutil.rmtree(project / "src")
    for options in (["--reinstall", "--no-deps"], []):
        done = command(
            *UV, "pip", "install", "--quiet", "--target", place, "--python", project_python, *options,
            tmp_path / archive.name, cwd=empty,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (place / "trainer" / "task.py").is_file()
    done = command(
        project_python, "-m", "trainer.task", "--epochs", "2", "--train-data", project / "data" / "train",
        "--eval-data", project / "data" / "eval", "--job-dir", tmp_path / "job",
        cwd=empty, environment={"PYTHONPATH": str(place)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "job" / "model" / "1" / "saved_model.pb").is_file()
    assert list(empty.iterdir()) == []


def test_a_package_in_src_requirements_is_declared_by_the_sdist(bake: Bake, tmp_path: Path, command: Command) -> None:
    project = tmp_path / "project"
    shutil.copytree(bake(platform="vertex"), project)
    with (project / "src" / "requirements.txt").open("a") as file:
        file.write("six==1.16.0\n")
    assert command(sys.executable, "setup.py", "-q", "egg_info", cwd=project).returncode == 0
    (declared,) = project.rglob("requires.txt")
    assert declared.read_text() == "six==1.16.0\n"
