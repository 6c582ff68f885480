"""This version against an older one, in turn: `.venv/bin/python benchmarks/release.py [GIT_REVISION]`.

Renders a project of each and times, as whole processes, what its user types: help, the first failure that needs no
TensorFlow, the rehearsal of both platforms. The default is 0.1.0, whose projects carried the machinery themselves.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Tag 0.1.0, by its commit where no tag came along with a clone.
BEFORE = "2a706e3"
RUNS = 5
REHEARSE, COMMANDS = ["-m", "onstage", "rehearse"], ["-m", "onstage"]
OLD_REHEARSE, OLD_COMMANDS = ["-m", "rehearse"], ["-m", "cloud"]


def render(template: Path, folder: Path) -> Path:
    """The default project of a template."""
    # A process of its own: an extension module of one version would be taken for the other's.
    command = ["-m", "cookiecutter", "--no-input", "--default-config", "--output-dir", folder, template]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return folder / "iris_classifier"


def seconds(command: Sequence[str], project: Path, expected: int) -> float:
    """Seconds that a command takes; it must end with `expected`."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=project, capture_output=True, text=True, check=False)
    if done.returncode != expected:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def main(revision: str) -> None:
    """Print the medians of RUNS runs in turn, and the median of their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        old_template = Path(folder, "template")
        subprocess.run(["git", "clone", "--quiet", ROOT, old_template], check=True)
        subprocess.run(["git", "checkout", "--quiet", revision], cwd=old_template, check=True)
        old, new = render(old_template, Path(folder, "old")), render(ROOT, Path(folder, "new"))
        modules = (old / "rehearse").is_dir()
        old_rehearse, old_commands = (OLD_REHEARSE, OLD_COMMANDS) if modules else (REHEARSE, COMMANDS)
        flag = "--learning-rat=1"
        for name, before, now, expected in (
            (
                "help of the cloud commands",
                [*old_commands, "sagemaker", "--help"],
                [*COMMANDS, "sagemaker", "--help"],
                0,
            ),
            ("first failure", [*old_rehearse, "sagemaker", flag], [*REHEARSE, "sagemaker", flag], 1),
            ("rehearsal of both platforms", old_rehearse, REHEARSE, 0),
        ):
            pairs = [(seconds(before, old, expected), seconds(now, new, expected)) for _ in range(RUNS + 1)][1:]
            ratio = statistics.median(after / former for former, after in pairs)
            medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
            print(f"{name}: {medians[0]:.2f} s in {revision}, {medians[1]:.2f} s now, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else BEFORE)
