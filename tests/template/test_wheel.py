"""The wheel of onstage in a project's `wheels/`: the same bytes from every kind of clone, and what pip builds."""

import base64
import csv
import hashlib
import io
import os
import shutil
import stat
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import wheel_builder
from tests.conftest import ROOT, Bake, Command
from tests.template.clones import CRUFT, SLUG, UV, Shell, fingerprint, wheel_of, written


@pytest.fixture
def shell(command: Command, tmp_path: Path) -> Shell:
    return Shell(command, tmp_path / "home")


@pytest.fixture
def expected(tmp_path: Path) -> tuple[str, str]:
    """Name and sha256 of the wheel that the builder makes of this very checkout."""
    version = wheel_builder.add_wheel(tmp_path / "expected")
    (wheel,) = (tmp_path / "expected").iterdir()
    assert wheel.name == f"onstage-{version}-py3-none-any.whl"
    return fingerprint(wheel)


def test_a_relative_path_to_the_template_gives_the_same_wheel(
    repository: Path, expected: tuple[str, str], shell: Shell, tmp_path: Path
) -> None:
    assert fingerprint(wheel_of(shell.render("repository", tmp_path / "out", cwd=tmp_path))) == expected


def test_an_absolute_path_gives_the_same_wheel_and_nothing_is_written_beside_the_template(
    repository: Path, expected: tuple[str, str], shell: Shell, tmp_path: Path
) -> None:
    before = list(written(repository))
    project = shell.render(repository, tmp_path / "out")
    assert fingerprint(wheel_of(project)) == expected
    assert list(written(repository)) == before
    version = wheel_of(project).name.split("-")[1]
    assert f"\nonstage[sagemaker,vertex,tune,notebook]=={version}\n" in (project / "requirements.txt").read_text(
        encoding="utf-8"
    )


def test_a_zip_file_gives_the_same_wheel(
    repository: Path, expected: tuple[str, str], shell: Shell, tmp_path: Path
) -> None:
    archive = shutil.make_archive(str(tmp_path / "template"), "zip", tmp_path, "repository")
    shutil.rmtree(repository)
    assert fingerprint(wheel_of(shell.render(archive, tmp_path / "out"))) == expected


@pytest.mark.long
def test_a_git_url_and_cruft_give_the_same_wheel(
    repository: Path, expected: tuple[str, str], shell: Shell, tmp_path: Path
) -> None:
    shell.commit(repository)
    url = f"file://{repository}"
    assert fingerprint(wheel_of(shell.render(url, tmp_path / "out"))) == expected
    shell(*CRUFT, "create", "--no-input", "--output-dir", tmp_path / "cruft", url, cwd=tmp_path)
    assert fingerprint(wheel_of(tmp_path / "cruft" / SLUG)) == expected


@pytest.mark.long
def test_a_read_only_clone_and_another_umask_give_the_same_wheel(
    repository: Path, expected: tuple[str, str], shell: Shell, tmp_path: Path
) -> None:
    for path in [repository, *repository.rglob("*")]:
        path.chmod(stat.S_IREAD | (stat.S_IEXEC if path.is_dir() else 0))
    umask = os.umask(0o077)
    try:
        project = shell.render(repository, tmp_path / "out")
    finally:
        os.umask(umask)
        for path in [repository, *repository.rglob("*")]:
            path.chmod(stat.S_IREAD | stat.S_IWRITE | stat.S_IEXEC)
    assert fingerprint(wheel_of(project)) == expected
    assert not list(repository.rglob("wheel_builder*.pyc"))
    # cookiecutter copies modes; whoever is not root could not have written the version into a read-only file.
    assert (project / "requirements.txt").stat().st_mode & stat.S_IWUSR


def test_stray_files_bytecode_and_links_in_the_clone_give_the_same_wheel(
    repository: Path, expected: tuple[str, str], shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret.py").write_text("TOKEN = 1\n")
    for name in (
        "__pycache__/cli.cpython-312.pyc", "__pycache__/cli.py", ".ipynb_checkpoints/cli.py", "._cli.py", ".DS_Store",
        "cli.py.orig", "cli.py~", "account.yaml~", "account.sh.orig", "notes.txt", "sagemaker/report.html",
        ".idea/a.json",
    ):  # fmt: skip
        stray = repository / "onstage" / name
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("stray\n")
    (repository / "onstage" / "linked").symlink_to(tmp_path / "other")
    (repository / "onstage" / "linked.py").symlink_to(tmp_path / "other" / "secret.py")
    assert fingerprint(wheel_of(shell.render(repository, tmp_path / "out"))) == expected


@pytest.mark.long
def test_windows_line_ends_in_the_clone_give_the_same_wheel(
    repository: Path, expected: tuple[str, str], shell: Shell, tmp_path: Path
) -> None:
    for path in [repository / "LICENSE", *(repository / "packaging").iterdir(), *(repository / "onstage").rglob("*.*")]:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert b"\r\n" in (repository / "onstage" / "cli.py").read_bytes()
    assert fingerprint(wheel_of(shell.render(repository, tmp_path / "out"))) == expected


def test_rendering_over_an_older_project_leaves_one_wheel_and_others_packages(
    repository: Path, expected: tuple[str, str], shell: Shell, tmp_path: Path
) -> None:
    project = shell.render(repository, tmp_path / "out")
    (project / "wheels" / "onstage-0.1.9+0123456789ab-py3-none-any.whl").write_bytes(b"old")
    (project / "wheels" / "mine-1.0-py3-none-any.whl").write_bytes(b"mine")
    shell.render(repository, tmp_path / "out", "--overwrite-if-exists")
    assert sorted(path.name for path in (project / "wheels").iterdir()) == ["mine-1.0-py3-none-any.whl", expected[0]]


@pytest.mark.long
def test_files_that_are_kept_get_the_new_version_or_are_refused(repository: Path, shell: Shell, tmp_path: Path) -> None:
    """`-s` keeps requirements.txt as it is, while its wheel goes."""
    project = shell.render(repository, tmp_path / "out")
    requirements = project / "requirements.txt"
    text = requirements.read_text(encoding="utf-8")
    version = wheel_of(project).name.split("-")[1]
    requirements.write_text(text.replace(version, "0.1.9+0123456789ab") + "# mine\n", encoding="utf-8")
    shell.render(repository, tmp_path / "out", "-f", "-s")
    assert requirements.read_text(encoding="utf-8") == text + "# mine\n"
    requirements.write_text("numpy\n", encoding="utf-8")
    words = [sys.executable, "-m", "cookiecutter", "--no-input", "-f", "-s", "-o", tmp_path / "out", repository]
    done = shell.run(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert "ERROR: requirements.txt was kept, and has no line of onstage: render without -s" in done.stderr
    assert requirements.read_text(encoding="utf-8") == "numpy\n"


def test_one_changed_line_is_another_version(repository: Path, expected: tuple[str, str], shell: Shell) -> None:
    with (repository / "onstage" / "report.py").open("a", encoding="utf-8") as file:
        file.write("# A change.\n")
    name, _ = fingerprint(wheel_of(shell.render(repository, repository.parent / "out")))
    assert name != expected[0]
    assert Version(name.split("-")[1]).public == Version(expected[0].split("-")[1]).public


@pytest.mark.long
def test_pip_builds_the_same_wheel_also_from_the_source_distribution(
    repository: Path, expected: tuple[str, str], shell: Shell, tmp_path: Path
) -> None:
    shell(*UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "uv", repository, cwd=tmp_path)
    shell(sys.executable, "-m", "build", "--outdir", tmp_path / "build", repository, cwd=tmp_path)
    (sdist,) = (tmp_path / "build").glob("*.tar.gz")
    for folder in ("uv", "build"):
        (wheel,) = (tmp_path / folder).glob("*.whl")
        assert fingerprint(wheel) == expected
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"PKG-INFO", "pyproject.toml", "wheel_builder.py", "packaging/METADATA", "onstage/cli.py"} <= names
    assert not [name for name in names if name.startswith(("tests/", "hooks/", "{"))]
    checked = shell(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, cwd=tmp_path)
    assert checked.count("PASSED") == 2
    assert shell(sys.executable, "-m", "check_wheel_contents", wheel, cwd=tmp_path).strip().endswith(": OK")


def test_the_wheel_holds_every_source_and_records_it(tmp_path: Path) -> None:
    version = wheel_builder.add_wheel(tmp_path)
    info = f"onstage-{version}.dist-info"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        forms = {
            (entry.compress_type, entry.date_time, entry.create_system, entry.external_attr)
            for entry in archive.infolist()
        }
    assert forms == {(zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 3, 0o100644 << 16)}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "onstage").rglob("*.py")}
    assert sources <= set(contents)
    assert {"onstage/sagemaker/client/account.yaml", "onstage/vertex/client/account.sh"} <= set(contents)
    assert {"onstage/py.typed", f"{info}/licenses/LICENSE", "onstage/vertex/requests/schema.json"} <= set(contents)
    assert len([name for name in contents if name.endswith("-packages.txt")]) == 2
    rows = list(csv.reader(io.StringIO(contents[f"{info}/RECORD"].decode())))
    assert [row[0] for row in rows] == list(contents)
    for name, digest, size in rows[:-1]:
        own = base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest()).decode().rstrip("=")
        assert (digest, int(size)) == (f"sha256={own}", len(contents[name]))
        assert b"\r" not in contents[name], name
    metadata = message_from_bytes(contents[f"{info}/METADATA"])
    assert metadata["Version"] == version
    assert all(Requirement(line) for line in metadata.get_all("Requires-Dist"))
    assert set(metadata.get_all("Provides-Extra")) == {"sagemaker", "vertex", "tune", "notebook", "sdk"}


@pytest.mark.parametrize(
    ("answers", "extras"),
    [
        ({}, "sagemaker,vertex,tune,notebook"),
        ({"notebooks": "no"}, "sagemaker,vertex,tune"),
        ({"sagemaker_sdk": "yes"}, "sagemaker,vertex,sdk,tune,notebook"),
        ({"platform": "sagemaker"}, "sagemaker,tune,notebook"),
        ({"platform": "vertex", "sagemaker_sdk": "yes"}, "vertex,tune,notebook"),
    ],
    ids=str,
)
def test_a_project_requires_the_extras_of_its_answers(answers: dict[str, str], extras: str, bake: Bake) -> None:
    lines = (bake(**answers) / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("onstage")]
    assert line.startswith(f"onstage[{extras}]==")
    assert lines[lines.index(line) - 1] == "--find-links wheels"


def test_a_gitignore_above_the_project_that_names_wheels_does_not_hide_it(
    repository: Path, shell: Shell, tmp_path: Path
) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / ".gitignore").write_text("wheels/\n*.whl\nbuild/\n")
    project = shell.render(repository, outer)
    shell.commit(outer)
    tracked = shell("git", "ls-files", cwd=outer).splitlines()
    assert f"{SLUG}/wheels/{wheel_of(project).name}" in tracked
    stored = shell("git", "check-attr", "text", f"{SLUG}/wheels/{wheel_of(project).name}", cwd=outer)
    assert stored.strip().endswith("text: unset")


@pytest.mark.long
def test_without_hooks_pip_says_why_the_package_is_missing(repository: Path, shell: Shell, tmp_path: Path) -> None:
    project = shell.render(repository, tmp_path / "out", "--accept-hooks", "no")
    lines = (project / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (project / "requirements.txt").write_text("\n".join(line for line in lines if line.startswith(("--", "onstage"))))
    shell(*UV, "venv", "--quiet", "--seed", "--python", sys.executable, tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = shell.run(python, "-m", "pip", "install", "--no-index", "-r", "requirements.txt", cwd=project)
    assert done.returncode == 1
    assert "No matching distribution found for onstage" in done.stderr
    assert "==0+rendered.without.hooks" in done.stderr
    assert "Traceback" not in done.stderr
