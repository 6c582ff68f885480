"""A rehearsal against one plain training of the same work: `.venv/bin/python benchmarks/rehearsal.py`."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parent.parent
RUNS = 3
EPOCHS = "2"


def seconds(*command: str, project: Path, expected: int) -> float:
    """Seconds that a command takes; it must end with `expected`."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=project, capture_output=True, text=True, check=False)
    if done.returncode != expected:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def main() -> None:
    """Print medians of RUNS interleaved runs, and their ratios to the plain training."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(cookiecutter(str(ROOT), no_input=True, output_dir=folder, default_config=True))
        plain, whole, static, train = [], [], [], []
        for _ in range(RUNS):
            plain.append(seconds("train.py", "--epochs", EPOCHS, project=project, expected=0))
            rehearsal = ["-m", "onstage", "rehearse", "sagemaker", "--epochs", EPOCHS, "--json", "report.json"]
            whole.append(seconds(*rehearsal, project=project, expected=0))
            checks = json.loads((project / "report.json").read_text(encoding="utf-8"))["checks"]
            train.append(next(check["seconds"] for check in checks if check["name"] == "train"))
            static.append(
                seconds("-m", "onstage", "rehearse", "sagemaker", "--epoch", EPOCHS, project=project, expected=1)
            )
    base = statistics.median(plain)
    print(f"one plain training, {EPOCHS} epochs: {base:.2f} s")
    for name, times in (("whole rehearsal", whole), ("the job in it", train), ("a static failure", static)):
        print(
            f"{name}: {statistics.median(times):.2f} s, {statistics.median(times) / base:.2f} times the plain training"
        )


if __name__ == "__main__":
    main()
