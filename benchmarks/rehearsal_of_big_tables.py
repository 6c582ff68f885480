"""A rehearsal of 300 MB against one of 3 MB: `.venv/bin/python benchmarks/rehearsal_of_big_tables.py [--runs N]`."""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parent.parent
HEADER = "sepal_length,sepal_width,petal_length,petal_width,species\n"
LABELS = np.array(["setosa", "versicolor", "virginica"])
# In MB, of both channels together; a tenth is eval.
SMALL, LARGE = 3, 300
FILES = {"train": 4, "eval": 2}
# Rows that are made once and repeated with another first column, which is quick and leaves no row twice.
ROWS = 20_000
MOST = 1.5


def write(file: Path, size: float, seed: int) -> None:
    """A table of about `size` MB."""
    chance = np.random.default_rng(seed)
    kinds = chance.integers(0, len(LABELS), ROWS)
    values = chance.normal(2 * kinds[:, np.newaxis] + np.arange(3), 1, (ROWS, 3))
    rests = [f",{a:.4f},{b:.4f},{c:.4f},{LABELS[kind]}\n" for (a, b, c), kind in zip(values, kinds, strict=True)]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as lines:
        lines.write(HEADER)
        while lines.tell() < size * 1e6:
            first = chance.normal(kinds, 1)
            lines.write("".join([f"{value:.6f}{rest}" for value, rest in zip(first.tolist(), rests, strict=True)]))


def seconds(project: Path, size: int) -> float:
    """Seconds of a rehearsal of data/ made of so many MB, which must pass."""
    settings = (project / "settings.toml").read_text(encoding="utf-8")
    for channel in FILES:
        settings = settings.replace(f'{channel} = "data/{channel}"', f'{channel} = "{size}/{channel}"')
    changed = project / "settings.toml"
    before = changed.read_text(encoding="utf-8")
    changed.write_text(settings, encoding="utf-8")
    try:
        started = time.perf_counter()
        words = [sys.executable, "-m", "onstage", "rehearse"]
        done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
        taken = time.perf_counter() - started
    finally:
        changed.write_text(before, encoding="utf-8")
    print(f"{size} MB: {taken:.1f} s; {next(line for line in done.stdout.splitlines() if 'project.data' in line)}")
    return taken


def main() -> None:
    """Print the medians of interleaved runs on both platforms, and their ratio; exit code 1 if it is over MOST."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        project = Path(cookiecutter(str(ROOT), no_input=True, output_dir=folder, default_config=True))
        for size in (SMALL, LARGE):
            for (channel, count), share in zip(FILES.items(), (0.9, 0.1), strict=True):
                for number in range(count):
                    write(project / str(size) / channel / f"{number}.csv", size * share / count, number + len(channel))
        taken: dict[int, list[float]] = {SMALL: [], LARGE: []}
        for _ in range(runs):
            for size, times in taken.items():
                times.append(seconds(project, size))
    small, large = (statistics.median(taken[size]) for size in (SMALL, LARGE))
    print(f"{SMALL} MB: {small:.1f} s, {LARGE} MB: {large:.1f} s, {large / small:.2f} times; at most {MOST} is wanted")
    if large > MOST * small:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
