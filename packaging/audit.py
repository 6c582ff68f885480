"""Audits what the package and a project install for known vulnerabilities: `.venv/bin/python packaging/audit.py`.

Every version that the newest resolution gives: `onstage` with all its extras on each Python, the requirements of a
project for CPU and GPU, and what the tests and tools install. pip-audit asks PyPI's advisories or, with `--service
osv`, OSV's (PIP_AUDIT_OSV_URL: those of a mirror); it comes by `uv tool run`, beside everything else. Exit codes:
0 audited and nothing known, 1 something is known, 2 not audited: a database that does not answer, and a package that
it does not know, count as not audited.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP_AUDIT = "pip-audit==2.*"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# The project's own Python, that of the training image.
PYTHON = "3.12"


class NotAuditedError(Exception):
    """Nothing can be said about a list of packages."""


def uv(*words: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run uv in the template's folder."""
    command = [sys.executable, "-m", "uv", *map(str, words)]
    return subprocess.run(command, input=given, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)


def wanted(folder: Path) -> Iterator[tuple[str, str, str]]:
    """A name, the Python and the requirements of every list of packages that somebody installs."""
    metadata = (ROOT / "packaging" / "METADATA").read_text(encoding="utf-8")
    # With every extra: an extra's own condition is taken away, others stay.
    lines = re.findall(r"(?m)^Requires-Dist: (.+)$", metadata)
    package = "\n".join(re.sub(r"( and|;) extra == \"\w+\"", "", line) for line in lines)
    for python in PYTHONS:
        yield f"onstage with all extras, Python {python}", python, package
    for accelerator in ("cpu", "gpu"):
        output = folder / accelerator
        answers = [
            "--no-input",
            "--default-config",
            "--output-dir",
            str(output),
            str(ROOT),
            f"accelerator={accelerator}",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "cookiecutter", *answers], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NotAuditedError(f"no project can be rendered: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        (project,) = output.iterdir()
        text = (project / "requirements.txt").read_text(encoding="utf-8")
        text += (project / "src" / "requirements.txt").read_text(encoding="utf-8")
        # The wheel is in no index; what it needs is audited above.
        kept = [line for line in text.splitlines() if not line.startswith(("-", "onstage["))]
        yield f"a project for {accelerator}", PYTHON, "\n".join(kept)
    tools = "".join(
        (ROOT / name).read_text(encoding="utf-8") for name in ("requirements.txt", "tests/requirements.txt")
    )
    yield "the template's tools and tests", PYTHON, tools


def resolve(name: str, python: str, requirements: str, folder: Path) -> Path:
    """A file of all packages with their versions, and how many they are. Raises NotAuditedError."""
    options = ["--quiet", "--no-header", "--no-annotate", "--python-version", python, "--no-python-downloads"]
    done = uv("pip", "compile", *options, "-", given=requirements)
    if done.returncode:
        raise NotAuditedError(f"{name}: the versions cannot be resolved: {_last(done.stderr)}")
    file = folder / f"{re.sub(r'[^a-z0-9.]+', '-', name.lower())}.txt"
    file.write_text(done.stdout, encoding="utf-8")
    return file


def audit(name: str, file: Path, service: str) -> bool:
    """Whether nothing is known of these packages; what is known is printed. Raises NotAuditedError."""
    count = len(re.findall(r"(?m)^[\w.-]+==", file.read_text(encoding="utf-8")))
    options = [
        "--strict",
        "--no-deps",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--vulnerability-service",
        service,
    ]
    done = uv("tool", "run", "--quiet", "--from", PIP_AUDIT, "pip-audit", *options, "--requirement", file)
    if done.returncode == 0 and "No known vulnerabilities found" in done.stderr:
        print(f"{name}: {count} packages, nothing is known of them")
        return True
    if "Name" in done.stdout and "ID" in done.stdout:
        print(f"{name}: {count} packages\n{done.stdout.rstrip()}")
        return False
    raise NotAuditedError(f"{name}: {count} packages: {_last(done.stderr)}")


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason is given"


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="audit.py", description="Audits dependencies for known vulnerabilities.")
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi", help="whose advisories")
    service = parser.parse_args(arguments).service
    clean, audited = True, True
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        try:
            lists = list(wanted(folder))
        except NotAuditedError as error:
            print(f"NOT AUDITED: {error}", file=sys.stderr)
            return 2
        for name, python, requirements in lists:
            try:
                clean &= audit(name, resolve(name, python, requirements, folder), service)
            except NotAuditedError as error:
                print(f"NOT AUDITED: {error}", file=sys.stderr)
                audited = False
    return 1 if not clean else 0 if audited else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
