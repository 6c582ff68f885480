"""Writes BENCHMARKS.md: `.venv/bin/python benchmarks/all.py [NAME...]`, about half an hour on two idle cores.

Runs the other files of this folder one after the other, each a process of its own, and keeps what they print, with the
machine and the date. With names, only those are run, and the others' sections stay, with the dates that they had.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "BENCHMARKS.md"
HEAD = """\
# Benchmarks

Written by `.venv/bin/python benchmarks/all.py`: what each file of `benchmarks/` printed, when, and where. Ratios count:
both sides of one were measured in turn, in the same run. Seconds are those of this machine. Nothing here is a test.
"""


class Benchmark(NamedTuple):
    """A file of this folder, the words that follow it, and the title of its section."""

    file: str
    title: str
    words: tuple[str, ...] = ()


BENCHMARKS = {
    "render": Benchmark("package.py", "Rendering, size and import time of the package"),
    "rehearsal": Benchmark("rehearsal.py", "A rehearsal, and the first failure, against plain training"),
    "input": Benchmark("read_and_train.py", "The input pipeline"),
    "tables": Benchmark("big_tables.py", "Big tables", ("--sizes", "75")),
    "upload": Benchmark("upload.py", "Upload"),
    "agent": Benchmark("agent.py", "What the agent adds to a script"),
    "tuning": Benchmark("tuning.py", "Local search", ("loop",)),
    "serving": Benchmark("serving.py", "Serving, against uvicorn with the same model"),
    "hosts": Benchmark("hosts.py", "Two hosts with a core each, against one"),
    "interruption": Benchmark("interruption.py", "What an interruption costs", ("--rows", "100000")),
}
# The other files of this folder, and why they are not run with these.
BY_HAND = {
    "rehearsal_of_big_tables.py": "a rehearsal of 300 MB against one of 3 MB; exit code 1 if it takes over 1.5 times",
    "release.py": "this version against an older one, whose commit has to be in the clone",
    "upload_gcs.py": "`onstage vertex upload` against `gcloud storage cp`; needs the gcloud CLI",
}


def machine() -> str:
    """What the figures hold for, in a line."""
    names = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    processor = names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()
    return (
        f"{os.cpu_count()} cores ({processor}), {platform.system()}, Python {platform.python_version()}, "
        f"TensorFlow {version('tensorflow-cpu' if platform.machine() == 'x86_64' else 'tensorflow')}, "
        f"load before it {os.getloadavg()[0]:.1f}"
    )


def section(benchmark: Benchmark) -> str:
    """Run one; its output below its title. Ends the program, with that output, where it fails."""
    command = f"benchmarks/{' '.join([benchmark.file, *benchmark.words])}"
    print(f"{command} ...", flush=True)
    about, started = machine(), time.perf_counter()
    words = [sys.executable, ROOT / "benchmarks" / benchmark.file, *benchmark.words]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    taken = f"{date.today():%Y-%m-%d}, {time.perf_counter() - started:.0f} s on {about}"
    # What rendering a project prints is none of it.
    said = re.sub(r"(?m)^Next:\n(  .*\n)+", "", done.stdout).strip()
    return f"## {benchmark.title}\n\n`{command}`: {taken}\n\n```\n{said}\n```\n"


def kept() -> dict[str, str]:
    """The sections that the page has, by their titles."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return {one.partition("\n")[0][3:]: one.strip() + "\n" for one in re.split(r"(?m)^(?=## )", text)[1:]}


def by_hand() -> str:
    """The section about what is not run here."""
    rows = [f"| `.venv/bin/python benchmarks/{file}` | {why} |" for file, why in BY_HAND.items()]
    return "\n".join(["## By hand", "", "| command | what, and why by hand |", "| --- | --- |", *rows, ""])


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def main() -> None:
    """Run what was asked for, and write the page after each, so that a stop loses only the one that ran."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all without one")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise SystemExit(f"no benchmark is called {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    sections = kept()
    for name in names or BENCHMARKS:
        sections[BENCHMARKS[name].title] = section(BENCHMARKS[name])
        known = [sections[one.title] for one in BENCHMARKS.values() if one.title in sections]
        PAGE.write_text("\n".join([HEAD, *known, by_hand()]), encoding="utf-8")


if __name__ == "__main__":
    main()
