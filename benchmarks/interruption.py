"""What an interruption costs: `.venv/bin/python benchmarks/interruption.py [--rows N] [--units N]`.

Seconds of an epoch without checkpoints in it and with one a second, those of one checkpoint, and its share of an epoch
at 60 s; then seconds from the start of a process to the end of its first steps, from nothing and after SIGKILL in the
second epoch. One process after the other, on the same data. Nothing is asserted: a machine's speed is not a test.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parent.parent
LABELS = np.array(["setosa", "versicolor", "virginica"])
EPOCHS, USUAL = 3, 60
SCRIPT = """
import os, sys, time
sys.path[:0] = ["src", "."]
from trainer import checkpoints, loop, task
save, save_within, epochs = checkpoints.Checkpoints._save, checkpoints.Checkpoints.save_within, loop.Loop.epochs
def saved(self, epoch, step, loss):
    begun = time.perf_counter()
    save(self, epoch, step, loss)
    print("saved", time.perf_counter() - begun, flush=True)
def within(self, epoch, step, loss):
    print("step", epoch, step, flush=True)
    save_within(self, epoch, step, loss)
def timed(self, *arguments):
    begun = time.perf_counter()
    for one in epochs(self, *arguments):
        print("seconds", time.perf_counter() - begun, flush=True)
        yield one
        begun = time.perf_counter()
checkpoints.Checkpoints._save, checkpoints.Checkpoints.save_within, loop.Loop.epochs = saved, within, timed
task.run(sys.argv[1:], os.environ)
"""


def write(folder: Path, rows: int) -> None:
    """A table like the example's, of so many rows."""
    chance = np.random.default_rng(0)
    for channel, count in (("train", rows), ("eval", rows // 20)):
        kinds = chance.integers(0, 3, count)
        values = chance.normal(kinds[:, np.newaxis], 1, (count, 4))
        numbers = (",".join(f"{one:.4f}" for one in row) for row in values)
        lines = [f"{text},{LABELS[kind]}" for text, kind in zip(numbers, kinds, strict=True)]
        (folder / channel).mkdir(parents=True)
        header = "sepal_length,sepal_width,petal_length,petal_width,species"
        (folder / channel / "a.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")


def start(base: Path, project: Path, job: str, units: int, seconds: float) -> subprocess.Popen[str]:
    """A training with so many seconds between checkpoints."""
    flags = [f"--{channel}-data={base / 'data' / channel}" for channel in ("train", "eval")]
    flags += [f"--epochs={EPOCHS}", f"--hidden-units={units}", "--hidden-layers=3", "--batch-size=64"]
    environment = {**os.environ, "CHECKPOINT_SECONDS": str(seconds), "TF_CPP_MIN_LOG_LEVEL": "3"}
    words = [sys.executable, "-c", SCRIPT, *flags, f"--job-dir={base / job}"]
    return subprocess.Popen(words, cwd=project, env=environment, stdout=subprocess.PIPE, text=True)


def middle(text: str, name: str) -> float:
    """The median of what the lines that begin so say."""
    found = sorted(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))
    return found[len(found) // 2]


def until(process: subprocess.Popen[str], beginning: str) -> None:
    """Read what a training says up to a line that begins so."""
    if not any(line.startswith(beginning) for line in process.stdout or ()):
        raise SystemExit(f"the training ended without the line {beginning!r}")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--units", type=int, default=512)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        project = Path(cookiecutter(str(ROOT), no_input=True, output_dir=folder, default_config=True))
        write(base / "data", chosen.rows)
        often, never = (start(base, project, f"{n}", chosen.units, n).communicate()[0] for n in (1, 0))
        with_them, without = middle(often, "seconds"), middle(never, "seconds")
        one = middle(often, "saved")
        size = sum(file.stat().st_size for file in (base / "1" / "checkpoints").glob("ckpt-*.data*")) / 2e6
        print(f"{chosen.rows} rows, 3 layers of {chosen.units} units")
        print(
            f"an epoch: {without:.1f} s, with a checkpoint a second {with_them:.1f} s: {with_them / without:.2f} times"
        )
        print(f"a checkpoint: {one:.3f} s, {size:.1f} MB; every {USUAL} s that is {one / USUAL:.2%} of an epoch")
        seconds = []
        for name in ("from nothing", "after SIGKILL"):
            begun = time.perf_counter()
            process = start(base, project, "killed", chosen.units, 1)
            until(process, "step ")
            seconds.append(time.perf_counter() - begun)
            print(f"{name}: {seconds[-1]:.1f} s from the start to the end of the first steps")
            if name == "from nothing":
                until(process, "step 2 ")
                until(process, "saved ")
            process.send_signal(signal.SIGKILL)
            process.communicate()
        print(f"that is {seconds[1] / seconds[0]:.2f} times")


if __name__ == "__main__":
    main()
