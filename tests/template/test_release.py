"""A release is one command: it refuses what is not ready by name, writes the version everywhere, and pushes nothing."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Command, copy_repository
from tests.template.clones import Shell
from tests.template.releases import release_of

NEXT = "90.1.0"


@pytest.fixture
def shell(command: Command, tmp_path: Path) -> Shell:
    return Shell(command, tmp_path / "home")


@pytest.fixture
def clone(shell: Shell, tmp_path: Path) -> Path:
    """A repository of these files, whose changelog begins with the section of the next version; all committed."""
    clone = copy_repository(tmp_path / "clone")
    text = (clone / "CHANGELOG.md").read_text(encoding="utf-8")
    # What is written now counts as released.
    head, newest, rest = text.partition("\n## ")
    version = rest.splitlines()[0].partition(" ")[0]
    rest = f"{version} - 2026-12-01\n" + rest.partition("\n")[2]
    (clone / "CHANGELOG.md").write_text(f"{head}\n## {NEXT}\n\n- A change.\n{newest}{rest}", encoding="utf-8")
    shell("git", "init", "--quiet", "--initial-branch", "main", cwd=clone)
    shell.commit(clone)
    return clone


def run(clone: Path, shell: Shell, *words: str) -> subprocess.CompletedProcess:
    return shell.run(sys.executable, "packaging/release.py", *words, cwd=clone)


def test_a_release_is_one_command(clone: Path, shell: Shell) -> None:
    before = shell("git", "rev-parse", "HEAD", cwd=clone)
    tried = run(clone, shell, NEXT, "--dry-run")
    assert (tried.returncode, tried.stderr) == (0, "")
    assert tried.stdout.startswith(f"ready: would write {NEXT} into cookiecutter.json, packaging/METADATA")
    assert shell("git", "rev-parse", "HEAD", cwd=clone) == before
    assert shell("git", "tag", cwd=clone) == ""

    done = run(clone, shell, NEXT)
    assert (done.returncode, done.stderr) == (0, "")
    assert shell("git", "status", "--porcelain", cwd=clone) == ""
    assert shell("git", "rev-parse", "HEAD~1", cwd=clone) == before
    assert shell("git", "rev-parse", f"{NEXT}^{{commit}}", cwd=clone) == shell("git", "rev-parse", "HEAD", cwd=clone)
    assert json.loads((clone / "cookiecutter.json").read_text(encoding="utf-8"))["_template_version"] == NEXT
    assert f"\nVersion: {NEXT}\n" in (clone / "packaging" / "METADATA").read_text(encoding="utf-8")
    changed = shell("git", "diff", "--name-only", "HEAD~1", "HEAD", cwd=clone).split()
    assert changed == ["CHANGELOG.md", "cookiecutter.json", "docs/report.md", "packaging/METADATA"]

    wheel, digest = sorted((clone / "build" / "release").iterdir())
    assert wheel.name.startswith(f"onstage-{NEXT}+")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert digest.read_text(encoding="utf-8") == f"{sha256}  {wheel.name}\n"
    assert sha256 in done.stdout
    assert done.stdout.endswith(f"Nothing is pushed yet:\n  git push --atomic origin main {NEXT}\n")

    # What the tests of updates take for released: with its tag, and in a clone without tags.
    release = release_of(clone)
    assert release.released()[-1] == NEXT
    head = shell("git", "rev-parse", "HEAD", cwd=clone).strip()
    assert release.commit_of(NEXT) == head
    shell("git", "tag", "--delete", NEXT, cwd=clone)
    shell("git", "commit", "--quiet", "--allow-empty", "-m", "later", cwd=clone)
    assert release.commit_of(NEXT) == head

    again = run(clone, shell, NEXT)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"not ready: {NEXT} is not newer than {NEXT}, which CHANGELOG.md has as released\n"


def test_all_that_is_not_ready_is_named_at_once_and_nothing_is_written(clone: Path, shell: Shell) -> None:
    shell("git", "checkout", "--quiet", "-b", "feature", cwd=clone)
    shell("git", "tag", NEXT, cwd=clone)
    changes = (
        ("packaging/METADATA", "\nVersion: ", "\nVersion: 0.0."),
        ("docs/settings.md", "# ", "# Old "),
        ("CHANGELOG.md", "- A change.\n", ""),
    )
    for name, old, new in changes:
        text = (clone / name).read_text(encoding="utf-8")
        (clone / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    (clone / "own.txt").write_text("mine", encoding="utf-8")
    state = shell("git", "status", "--porcelain", cwd=clone)
    done = run(clone, shell, NEXT)
    assert (done.returncode, done.stdout) == (1, "")
    commit = shell("git", "rev-parse", "--short", "HEAD", cwd=clone).strip()
    now = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))["_template_version"]
    expected = f"""\
not ready: the branch is feature: a release is made from main
not ready: the working tree is not clean: commit or remove CHANGELOG.md, docs/settings.md, packaging/METADATA, ...
not ready: there is a tag {NEXT} already, of {commit}
not ready: the section '## {NEXT}' of CHANGELOG.md is empty: write what users see
not ready: places of the version differ: cookiecutter.json {now}, packaging/METADATA 0.0.{now}, docs/report.md {now}
not ready: docs/settings.md is not current: .venv/bin/python -m onstage settings --markdown > docs/settings.md
"""
    assert done.stderr == expected
    assert shell("git", "status", "--porcelain", cwd=clone) == state
    assert not (clone / "build").exists()


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("0.1.0", "0.1.0 is not newer than "),
        ("91.0.0", f"CHANGELOG.md has no section '## 91.0.0' at its top: its newest heading is '## {NEXT}'"),
    ],
)
def test_a_version_that_is_not_the_changelogs_next_is_refused(
    version: str, said: str, clone: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    release = release_of(clone)
    # What they print is compared by the test above.
    monkeypatch.setattr(release, "GENERATED", {})
    assert release.main([version]) == 1
    assert capsys.readouterr().err.startswith(f"not ready: {said}")
    assert release.main([NEXT, "--dry-run"]) == 0


@pytest.mark.parametrize("version", ["v1.0.0", "1.0", "01.0.0", "1.0.0rc1", "1.0.0 "])
def test_what_is_no_version_is_a_mistake_of_the_command_line(version: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        release_of(ROOT).main([version])
    assert ended.value.code == 2
    assert f"{version!r} is no version: three numbers, such as 0.3.0" in capsys.readouterr().err


def test_a_release_that_git_refuses_leaves_the_clone_as_it_was(
    clone: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    release = release_of(clone)
    monkeypatch.setattr(release, "GENERATED", {})
    hook = clone / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    before = shell("git", "rev-parse", "HEAD", cwd=clone)
    assert release.main([NEXT]) == 1
    assert capsys.readouterr() == ("", "not released: git commit: not today\n")
    assert shell("git", "rev-parse", "HEAD", cwd=clone) == before
    assert shell("git", "status", "--porcelain", cwd=clone) == ""
    assert shell("git", "tag", cwd=clone) == ""


def test_the_newest_heading_is_the_version_that_the_template_has() -> None:
    version = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))["_template_version"]
    release = release_of(ROOT)
    headings = release.HEADING.findall(release.read("CHANGELOG.md"))
    assert headings[0][0] == version or headings[0][1] == ""
    assert release.number(headings[0][0]) >= release.number(version)
    assert [one for one, date in headings[1:] if not date] == []
