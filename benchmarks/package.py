"""What the template and the package weigh, against a baseline in turn: `.venv/bin/python benchmarks/package.py`.

Rendering, against the same project rendered with an empty hook; `onstage --help`, against a Python that does nothing;
the import of all that a project's trainer imports, against TensorFlow's alone. Medians of RUNS runs in turn.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import wheel_builder

RUNS = 5


def seconds(command: Sequence[str | Path], folder: Path) -> float:
    """Seconds of a whole process, which must end well."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def compare(name: str, ours: Sequence[str | Path], baseline: str, theirs: Sequence[str | Path], folder: Path) -> None:
    """Print both medians and their ratio; the first pair warms up."""
    pairs = [(seconds(ours, folder), seconds(theirs, folder)) for _ in range(RUNS + 1)][1:]
    one, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{name}: {one:.2f} s; {baseline}: {other:.2f} s; ratio {one / other:.2f}", flush=True)


def render(template: Path, folder: Path) -> list[str | Path]:
    """The words that render the default project."""
    answers = ["--no-input", "--default-config", "--overwrite-if-exists"]
    return ["-m", "cookiecutter", *answers, "--output-dir", folder, template]


def main() -> None:
    """Print the wheel's size, and the three comparisons."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        wheel = folder / wheel_builder.build_wheel(name)
        taken = time.perf_counter() - started
        print(f"the wheel: {wheel.stat().st_size / 1e3:.0f} kB, built in {taken * 1000:.0f} ms")
        bare = folder / "bare"
        shutil.copytree(ROOT, bare, ignore=shutil.ignore_patterns(".git", ".venv", "build"))
        (bare / "hooks" / "post_gen_project.py").write_text("", encoding="utf-8")
        ours, theirs = render(ROOT, folder / "ours"), render(bare, folder / "theirs")
        compare("a project rendered", ours, "with an empty hook", theirs, folder)
        compare("onstage --help", ["-m", "onstage", "--help"], "an empty program", ["-c", ""], folder)
        source = folder / "ours" / "iris_classifier" / "src"
        trainer = ["-c", "import trainer.training"]
        compare("import of the trainer", trainer, "import of TensorFlow", ["-c", "import tensorflow"], source)


if __name__ == "__main__":
    main()
