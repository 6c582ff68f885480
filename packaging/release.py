"""Makes a release: `.venv/bin/python packaging/release.py 0.3.0`, after `python start.py test --long` has passed.

It dates the version's heading in CHANGELOG.md, writes the version into every place that has it, commits, tags, and
builds the wheel with its sha256 into `build/release/`. What is not ready is refused by name, before anything is
written, and nothing is pushed. `--dry-run` checks, and says what would be done. Exit codes: 0 released, 1 not ready,
2 no version.
"""

import argparse
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BRANCH = "main"
CHANGELOG = "CHANGELOG.md"
# Every place that has the version, and how it stands there.
PLACES = {
    "cookiecutter.json": r'(?m)^(  "_template_version": ")([^"]+)(?=")',
    "packaging/METADATA": r"(?m)^(Version: )(\S+)$",
    "docs/report.md": r'(?m)^(  "onstage": ")([^"]+)(?=",$)',
}
# Files that a command prints, and the command.
GENERATED = {
    "docs/settings.md": ["onstage", "settings", "--markdown"],
    "docs/settings.schema.json": ["onstage", "settings", "--schema"],
    "docs/report.schema.json": ["onstage", "rehearse", "--schema"],
    "docs/troubleshooting.md": ["docs.troubleshooting"],
    "docs/versions.md": ["docs.versions"],
}
# A heading with a date is a release; the newest one has none until it is released.
HEADING = re.compile(r"(?m)^## (\d+\.\d+\.\d+)(?: - (\d{4}-\d\d-\d\d))?$")
# Released before a commit had a tag or dated its heading.
UNTAGGED = {"0.1.0": "2a706e3e84f736de732931de1e7e4f9cd6fe9436"}


class ReleaseError(Exception):
    """A step that did not work; what it had written is taken back."""


def git(*words: str) -> str:
    """What git prints. Raises ReleaseError with what it says where it fails."""
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    except FileNotFoundError as error:
        raise ReleaseError("there is no git on this machine") from error
    if done.returncode:
        raise ReleaseError(f"git {words[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.rstrip("\n")


def read(name: str) -> str:
    """The text of one of the repository's files."""
    return (ROOT / name).read_text(encoding="utf-8")


def number(version: str) -> tuple[int, ...]:
    """What versions are compared by."""
    return tuple(map(int, version.split(".")))


def released() -> list[str]:
    """Every released version, the oldest first."""
    return [version for version, date in reversed(HEADING.findall(read(CHANGELOG))) if date]


def commit_of(version: str) -> str:
    """The commit of a released version: its tag, or, in a clone without tags, the one that dated its heading.

    Raises ReleaseError where the clone has neither, such as a shallow one.
    """
    try:
        return git("rev-parse", "--verify", "--quiet", f"refs/tags/{version}^{{commit}}")
    except ReleaseError:
        dated = ["log", "--format=%H", "--reverse", "-S", f"\n## {version} - ", "--", CHANGELOG]
        found = UNTAGGED.get(version) or git(*dated).partition("\n")[0]
        git("cat-file", "-e", f"{found}^{{commit}}")
        return found


def not_ready(version: str) -> Iterator[str]:
    """What is in the way of releasing this version, each in one line."""
    yield from _state(version)
    yield from _versions(version)
    yield from _stale()


def _state(version: str) -> Iterator[str]:
    """Branch, working tree and tag."""
    branch = git("rev-parse", "--abbrev-ref", "HEAD")
    if branch != BRANCH:
        yield f"the branch is {branch}: a release is made from {BRANCH}"
    if changed := git("status", "--porcelain").splitlines():
        names = ", ".join(line[3:] for line in changed[:3]) + (", ..." if len(changed) > 3 else "")
        yield f"the working tree is not clean: commit or remove {names}"
    if git("tag", "--list", version):
        yield f"there is a tag {version} already, of {git('rev-parse', '--short', f'{version}^{{commit}}')}"


def _versions(version: str) -> Iterator[str]:
    """The changelog, and the places that have the version."""
    headings = [*HEADING.finditer(read(CHANGELOG))]
    last = max(released(), key=number, default=None)
    if last and number(version) <= number(last):
        yield f"{version} is not newer than {last}, which {CHANGELOG} has as released"
    elif not headings or headings[0][1] != version:
        newest = f"its newest heading is {headings[0][0]!r}" if headings else "it has no heading of a version"
        yield f"{CHANGELOG} has no section '## {version}' at its top: {newest}"
    elif not _section(version).strip():
        yield f"the section '## {version}' of {CHANGELOG} is empty: write what users see"
    found = {name: re.findall(pattern, read(name)) for name, pattern in PLACES.items()}
    for name, places in found.items():
        if len(places) != 1:
            yield f"{name} has {len(places)} places for the version, not one"
    written = {name: places[0][1] for name, places in found.items() if len(places) == 1}
    if len({*written.values()}) > 1:
        yield "places of the version differ: " + ", ".join(f"{name} {one}" for name, one in written.items())
    elif any(number(one) > number(version) for one in written.values()):
        yield f"{version} is not as new as {next(iter(written.values()))}, which {next(iter(written))} has"


def _section(version: str) -> str:
    """What the changelog says of a version that has a heading."""
    _, _, rest = read(CHANGELOG).partition(f"\n## {version}\n")
    return HEADING.split(rest)[0]


def _stale() -> Iterator[str]:
    """Generated files that are not what their command prints."""
    for name, words in GENERATED.items():
        command = [sys.executable, "-B", "-m", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            yield f"python -m {' '.join(words)} does not work ({last}): use .venv/bin/python of `python start.py test`"
        elif done.stdout != read(name):
            yield f"{name} is not current: .venv/bin/python -m {' '.join(words)} > {name}"


def write(version: str) -> None:
    """Write the version into its places, and today's date (UTC) into its heading."""
    for name, pattern in PLACES.items():
        _replace(name, re.sub(pattern, rf"\g<1>{version}", read(name)))
    today = datetime.now(timezone.utc).date().isoformat()
    _replace(CHANGELOG, read(CHANGELOG).replace(f"\n## {version}\n", f"\n## {version} - {today}\n", 1))


def _replace(name: str, text: str) -> None:
    (ROOT / name).write_text(text, encoding="utf-8", newline="\n")


def build() -> Path:
    """The wheel in `build/release/`, alone there but for a file with its sha256, which `sha256sum -c` reads."""
    folder = ROOT / "build" / "release"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("onstage-*"):
        old.unlink()
    code = "import sys, wheel_builder; print(wheel_builder.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise ReleaseError(f"the wheel cannot be built: {done.stderr.strip().splitlines()[-1]}")
    wheel = folder / done.stdout.strip()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    wheel.with_name(f"{wheel.name}.sha256").write_text(f"{digest}  {wheel.name}\n", encoding="utf-8", newline="\n")
    return wheel


def make(version: str) -> Path:
    """Write, build, commit and tag; the wheel. Raises ReleaseError, after which the clone is as it was before."""
    before = git("rev-parse", "HEAD")
    try:
        write(version)
        wheel = build()
        git("commit", "--quiet", "--message", f"Version {version}", "--", CHANGELOG, *PLACES)
        git("tag", "--annotate", "--message", f"Version {version}", version)
    except BaseException:
        # The working tree was clean: what goes is what was written here.
        git("reset", "--quiet", "--hard", before)
        raise
    return wheel


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="release.py", description="Makes a release; pushes nothing.")
    parser.add_argument("version", help="such as 0.3.0")
    parser.add_argument("--dry-run", action="store_true", help="check, and say what would be done")
    given = parser.parse_args(arguments)
    version = given.version
    if not re.fullmatch(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}", version):
        parser.error(f"{version!r} is no version: three numbers, such as 0.3.0")
    try:
        if problems := list(not_ready(version)):
            print("\n".join(f"not ready: {one}" for one in problems), file=sys.stderr)
            return 1
        if given.dry_run:
            print(f"ready: would write {version} into {', '.join(PLACES)},")
            print(f"date its heading in {CHANGELOG}, commit, tag {version}, and build the wheel into build/release/")
            return 0
        wheel = make(version)
    except ReleaseError as error:
        print(f"not released: {error}", file=sys.stderr)
        return 1
    print(f"{version} is committed and tagged; {wheel.relative_to(ROOT)} has the sha256")
    print(wheel.with_name(f"{wheel.name}.sha256").read_text(encoding="utf-8").split()[0])
    print(f"Nothing is pushed yet:\n  git push --atomic origin {BRANCH} {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
