"""`onstage tune` against a shell loop of the same trials, and its strategy against random search.

`.venv/bin/python benchmarks/tuning.py [loop|quality]`: about 10 minutes for the loop, an hour for the quality.
"""

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cookiecutter.main import cookiecutter

from onstage import flags
from onstage.project import Project
from onstage.search.results import local

ROOT = Path(__file__).resolve().parent.parent
TRIALS, AT_A_TIME, EPOCHS = 12, 2, 10
SEEDS, BUDGET, LONG = 5, 15, 15
PROBLEMS = ("classification", "regression")


def tune(project: Path, *words: str) -> float:
    """Seconds that a search takes; it must end well."""
    command = [sys.executable, "-m", "onstage", "tune", "--pruner", "none", *words]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def loop(project: Path, every: Sequence[str], at_a_time: int) -> float:
    """Seconds that a shell takes for these command lines, so many at a time."""
    script = f"xargs -P {at_a_time} -I % sh -c '% > /dev/null 2>&1'"
    started = time.perf_counter()
    subprocess.run(["sh", "-c", script], cwd=project, input="\n".join(every), text=True, check=True)
    return time.perf_counter() - started


def overhead(project: Path) -> None:
    """Print what a search costs beyond its trials: alone, and against the same ones in a shell."""
    for at_a_time in (1, AT_A_TIME):
        name = f"loop{at_a_time}"
        words = ["--trials", str(TRIALS), "--parallel", str(at_a_time), "--epochs", str(EPOCHS), "--name", name]
        ours = tune(project, *words)
        trials = [one for one in local(Project(project)) if one.name.startswith(f"{name}/")]
        every = [
            shlex.join([
                sys.executable, "train.py", "--epochs", str(EPOCHS), *flags.of_values(dict(one.hyperparameters)),
                "--job-dir", f"runs/again/{one.name}",
            ])
            for one in trials
        ]  # fmt: skip
        shell = loop(project, every, at_a_time)
        print(
            f"{TRIALS} trials, {at_a_time} at a time: onstage tune {ours:.1f} s, a shell loop {shell:.1f} s, "
            f"{ours / shell:.2f} times; {(ours - shell) / TRIALS * at_a_time:.2f} s a trial",
            flush=True,
        )


def quality(project: Path, problem: str) -> None:
    """Print the best values of both strategies for the same seeds and the same budget."""
    won = []
    for seed in range(SEEDS):
        best = {}
        for strategy in ("tpe", "random"):
            name = f"{strategy}{seed}"
            tune(project, "--trials", str(BUDGET), "--epochs", str(LONG), "--strategy", strategy, "--parallel", "2",
                 "--seed", str(seed), "--name", name)  # fmt: skip
            values = [one.value for one in local(Project(project)) if one.name.startswith(f"{name}/")]
            known = [value for value in values if value is not None]
            best[strategy] = max(known) if problem == "classification" else min(known)
        won.append(best)
        print(f"{problem}, seed {seed}: tpe {best['tpe']:.6g}, random {best['random']:.6g}", flush=True)
    mean = {strategy: sum(one[strategy] for one in won) / SEEDS for strategy in ("tpe", "random")}
    print(f"{problem}: mean of the best, tpe {mean['tpe']:.6g}, random {mean['random']:.6g}")


def main() -> None:
    """Measure what the command line says; by default both."""
    what = sys.argv[1:] or ["loop", "quality"]
    with tempfile.TemporaryDirectory() as folder:
        for problem in PROBLEMS:
            answers = {"problem": problem, "project_name": f"Tuned {problem}"}
            place = cookiecutter(
                str(ROOT), no_input=True, output_dir=folder, default_config=True, extra_context=answers
            )
            if "loop" in what and problem == PROBLEMS[0]:
                overhead(Path(place))
            if "quality" in what:
                quality(Path(place), problem)


if __name__ == "__main__":
    main()
