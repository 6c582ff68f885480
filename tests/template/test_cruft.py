"""`cruft update`: what the researcher wrote stands, what the template owns arrives, and one wheel is left."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, Command
from tests.template.clones import CRUFT, SLUG, Installer, Shell, fingerprint, wheel_of
from tests.template.releases import RELEASES, release_of

# The last version in which a project held the machinery itself.
FIRST = release_of(ROOT).UNTAGGED["0.1.0"]
# From each released version to the next; from the newest one to what is here, which "" stands for.
STEPS = list(zip(RELEASES, [*RELEASES[1:], ""], strict=True))
PAGE = (ROOT / "docs" / "updates.md").read_text(encoding="utf-8")
STORY = "src/trainer/training.py"
# What a researcher changes: file, the template's text, hers. Some stand right beside a line that 0.2.0 changes.
EDITS = (
    ("src/trainer/model.py", "epochs: int = 40", "epochs: int = 41"),
    ("settings.toml", 'name = "iris_classifier"\n', 'name = "orchids"\n'),
    ("settings.toml", "hyperparameters = { epochs = 2 }", "hyperparameters = { epochs = 3 }"),
    ("settings.toml", 'instance_type = "ml.m5.xlarge"', 'instance_type = "ml.c5.xlarge"'),
    ("tests/test_model.py", "import pytest\n", "import math\n\nimport pytest\n"),
    (
        "tests/test_model.py",
        "    assert model.OBJECTIVE.metric in result.metrics\n",
        "    assert math.isfinite(result.metrics[model.OBJECTIVE.metric])\n",
    ),
    ("data/train/iris.csv", "5.1,3.7,1.5,0.4,setosa\n", "5.1,3.7,1.5,0.4,setosa\n5.2,3.7,1.5,0.4,setosa\n"),
)
OWN_FILE = "notebooks/mine.py"


@pytest.fixture
def shell(command: Command, tmp_path: Path) -> Shell:
    return Shell(command, tmp_path / "home")


@pytest.fixture
def history(repository: Path, shell: Shell, tmp_path: Path) -> Path:
    """A clone with this repository's history, and the working tree as its newest commit."""
    if shell.run("git", "cat-file", "-e", f"{FIRST}^{{commit}}", cwd=ROOT).returncode:
        pytest.skip(
            f"this clone has no commit {FIRST[:7]} (a shallow clone, or no repository): version 0.1.0 is missing"
        )
    clone = tmp_path / "history"
    shell("git", "clone", "--quiet", "--no-checkout", ROOT, clone, cwd=tmp_path)
    shutil.move(clone / ".git", repository / ".git")
    shell.commit(repository)
    return repository


def create(template: Path, folder: Path, shell: Shell, *options: str) -> Path:
    """A project made by cruft, committed as it is."""
    shell(*CRUFT, "create", "--no-input", "--output-dir", folder, *options, template, cwd=folder)
    shell.commit(folder / SLUG)
    return folder / SLUG


def edit(project: Path) -> None:
    """Change what a researcher changes."""
    for name, before, after in EDITS:
        text = (project / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, (name, before)
        (project / name).write_text(text.replace(before, after), encoding="utf-8")
    (project / OWN_FILE).parent.mkdir(exist_ok=True)
    (project / OWN_FILE).write_text("print('mine')\n", encoding="utf-8")


def update(project: Path, shell: Shell, *options: str) -> None:
    """`cruft update`, which must leave neither a conflict nor a rejected change; then a commit."""
    said = shell(*CRUFT, "update", "--skip-apply-ask", *options, cwd=project)
    assert "Good work!" in said
    assert not list(project.rglob("*.rej"))
    states = {line[:2] for line in shell("git", "status", "--porcelain", cwd=project).splitlines()}
    assert states <= {"A ", "M ", "D ", "R ", " M", "??"}
    shell.commit(project)


def assert_edits_stand(project: Path) -> None:
    for name, _, after in EDITS:
        assert after in (project / name).read_text(encoding="utf-8"), name
    assert (project / OWN_FILE).read_text(encoding="utf-8") == "print('mine')\n"


def assert_equals_a_new_project(project: Path, template: Path, shell: Shell, checkout: str = "") -> None:
    """All files are those of a new project (of a version), but for those that the researcher changed."""
    options = ["--overwrite-if-exists", *(["--checkout", checkout] if checkout else [])]
    new = shell.render(f"git+{template.as_uri()}" if checkout else template, project.parent / "new", *options)

    def files(folder: Path) -> dict[str, bytes]:
        paths = (path for path in folder.rglob("*") if path.is_file() and not {".git", "__pycache__"} & {*path.parts})
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    changed = {OWN_FILE, ".cruft.json", *(name for name, _, _ in EDITS)}
    own, others = files(project), files(new)
    assert {name: text for name, text in own.items() if name not in changed} == {
        name: text for name, text in others.items() if name not in changed
    }


@pytest.mark.long
def test_an_update_from_the_first_version_brings_the_package_and_keeps_every_edit(
    history: Path, shell: Shell, tmp_path: Path
) -> None:
    project = create(history, tmp_path, shell, "--checkout", FIRST)
    assert (project / "cloud" / "settings.py").is_file()
    edit(project)
    shell.commit(project)
    update(project, shell)
    assert_edits_stand(project)
    for name, line in (
        ("settings.toml", "# How little work `onstage rehearse` does; time_limit is in seconds."),
        ("tests/test_model.py", "from onstage.settings import load"),
        ("pyproject.toml", "contract = 1"),
    ):
        assert line in (project / name).read_text(encoding="utf-8").splitlines()
    assert not (project / "cloud").exists()
    assert not (project / "rehearse").exists()
    assert_equals_a_new_project(project, history, shell)
    shell(*CRUFT, "check", cwd=project)

    environment = Installer("uv", tmp_path / "environment", shell)
    environment.install_all("requirements.txt", cwd=project)
    tested = shell(environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert re.search(r"^4 passed", tested, re.MULTILINE)

    # The second update: one line of the package, whose wheel takes the place of the first one.
    before = wheel_of(project)
    with (history / "onstage" / "report.py").open("a", encoding="utf-8") as file:
        file.write("# A change.\n")
    shell.commit(history)
    assert shell.run(*CRUFT, "check", cwd=project).returncode == 1
    update(project, shell)
    assert wheel_of(project).name != before.name
    assert_edits_stand(project)
    assert_equals_a_new_project(project, history, shell)


def commits_of(step: tuple[str, str]) -> list[str]:
    """The commits of two versions. Skips where this clone has not got one."""
    release = release_of(ROOT)
    try:
        return [release.commit_of(version) if version else "" for version in step]
    except release.ReleaseError as error:
        pytest.skip(f"this clone has no commit of {' or '.join(filter(None, step))} (a shallow clone?): {error}")


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, id=f"{step[0]} to {step[1] or 'here'}", marks=pytest.mark.long if step[1] else ())
        for step in STEPS
    ],
)
def test_a_project_of_each_released_version_becomes_one_of_the_next_and_keeps_every_edit(
    step: tuple[str, str], history: Path, shell: Shell, tmp_path: Path
) -> None:
    before, after = commits_of(step)
    project = create(history, tmp_path, shell, "--checkout", before)
    shell(*CRUFT, "diff", "--exit-code", cwd=project)
    edit(project)
    shell.commit(project)
    options = ["--checkout", after] if after else []
    assert shell.run(*CRUFT, "check", *options, cwd=project).returncode == 1
    update(project, shell, *options)
    assert_edits_stand(project)
    assert_equals_a_new_project(project, history, shell, after)
    shell(*CRUFT, "check", *options, cwd=project)


def change_the_same_line(repository: Path, project: Path) -> tuple[str, str]:
    """The template's owner and the researcher change the first line of one function; both lines."""
    line = "def train("
    told = []
    for file, comment in (
        (project / STORY, "# Hers."),
        (repository / "{{cookiecutter.project_slug}}" / STORY, "# The template's."),
    ):
        text = file.read_text(encoding="utf-8")
        (old,) = [one for one in text.splitlines() if one.startswith(line)]
        told.append(f"{old}  {comment}")
        file.write_text(text.replace(old, told[-1]), encoding="utf-8")
    return told[0], told[1]


def typed(shell: Shell, project: Path, words: str) -> str:
    """What a command prints that the page tells to type."""
    assert f"\n{words}\n" in PAGE
    return shell(*shlex.split(words), cwd=project)


@pytest.mark.long
@pytest.mark.parametrize("first_state", ["committed", "lost"])
def test_a_line_that_both_changed_is_shown_as_the_page_explains(
    first_state: str, repository: Path, shell: Shell, tmp_path: Path
) -> None:
    """cruft ends with exit code 0 and "Good work!" all the same: what to look at is on the page."""
    shell.commit(repository)
    project = tmp_path / SLUG
    shell(*CRUFT, "create", "--no-input", "--output-dir", tmp_path, repository, cwd=tmp_path)
    if first_state == "committed":
        shell.commit(project)
    hers, theirs = change_the_same_line(repository, project)
    shell.commit(project)
    shell.commit(repository)
    said = shell(*CRUFT, "update", "--skip-apply-ask", cwd=project)
    assert "Good work!" in said
    text = (project / STORY).read_text(encoding="utf-8")
    marked = typed(shell, project, "git diff --name-only --diff-filter=U").split()
    rejected = typed(shell, project, "git ls-files --others '*.rej'").split()
    if first_state == "committed":
        assert (marked, rejected) == ([STORY], [])
        assert f"<<<<<<< ours\n{hers}\n=======\n{theirs}\n>>>>>>> theirs\n" in text
        # Left as it is, it cannot be committed by mistake.
        assert shell.run("git", "commit", "--quiet", "--message", "update", cwd=project).returncode == 128
    else:
        assert (marked, rejected) == ([], [f"{STORY}.rej"])
        lines = (project / f"{STORY}.rej").read_text(encoding="utf-8").splitlines()
        assert f"+{theirs}" in lines
        assert hers in text.splitlines()
        assert theirs not in text


@pytest.mark.long
def test_an_update_of_a_project_edited_before_its_first_commit_loses_no_edit(
    history: Path, shell: Shell, tmp_path: Path
) -> None:
    """git cannot merge without the first state: a change beside an edit is left in a .rej file, and no edit is lost."""
    shell(*CRUFT, "create", "--no-input", "--output-dir", tmp_path, "--checkout", FIRST, history, cwd=tmp_path)
    project = tmp_path / SLUG
    edit(project)
    shell.commit(project)
    shell(*CRUFT, "update", "--skip-apply-ask", cwd=project)
    assert_edits_stand(project)
    assert {path.name for path in project.rglob("*.rej")} <= {"settings.toml.rej", "test_model.py.rej"}
    shell.commit(project)
    assert fingerprint(wheel_of(project)) == fingerprint(wheel_of(shell.render(history, tmp_path / "new")))
    assert not (project / "cloud").exists()


def test_a_project_of_this_version_merges_a_template_change_and_shows_no_difference(
    repository: Path, shell: Shell, tmp_path: Path
) -> None:
    """The template's owner changes one file, the researcher has edited model.py: both changes survive."""
    shell.commit(repository)
    project = create(repository, tmp_path, shell)
    assert shell(*CRUFT, "diff", cwd=project).count("diff --git") == 0
    shell(*CRUFT, "check", cwd=project)
    edit(project)
    shell.commit(project)
    story = repository / "{{cookiecutter.project_slug}}" / "src" / "trainer" / "training.py"
    story.write_text(story.read_text(encoding="utf-8") + "\n# A change of the template.\n", encoding="utf-8")
    shell.commit(repository)
    wheel = fingerprint(wheel_of(project))
    update(project, shell)
    assert_edits_stand(project)
    assert "# A change of the template." in (project / "src" / "trainer" / "training.py").read_text(encoding="utf-8")
    assert fingerprint(wheel_of(project)) == wheel
    shell(*CRUFT, "check", cwd=project)
    assert ".whl" not in shell(*CRUFT, "diff", cwd=project)


@pytest.mark.long
def test_a_project_of_a_file_of_ones_own_is_updated_where_that_file_is_not(
    repository: Path, shell: Shell, tmp_path: Path
) -> None:
    shell.commit(repository)
    (tmp_path / "mine.csv").write_text("size,price\n1,2\n", encoding="utf-8")
    project = create(repository, tmp_path, shell, "--extra-context", '{"data_file": "mine.csv"}')
    assert not (project / "data").exists()
    (tmp_path / "mine.csv").unlink()
    story = repository / "{{cookiecutter.project_slug}}" / "src" / "trainer" / "training.py"
    story.write_text(story.read_text(encoding="utf-8") + "\n# A change of the template.\n", encoding="utf-8")
    shell.commit(repository)
    update(project, shell)
    assert not (project / "data").exists()
    assert "# A change of the template." in (project / "src" / "trainer" / "training.py").read_text(encoding="utf-8")
