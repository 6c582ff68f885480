"""Two hosts with a core each against one host with one core: `.venv/bin/python benchmarks/hosts.py [UNITS] [BATCH]`.

Each host is a process on 127.0.0.1, bound to a core, as Vertex AI starts it: steps of a dense network over random rows,
in batches of the same size. Prints rows per second, and the efficiency: the speed-up divided by 2. What two cores of
this machine can do at all is what two jobs reach at once that do not know each other, each alone with a core.
"""

import concurrent.futures
import itertools
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS, EPOCHS, RUNS = 16384, 4, 3
MODEL = """
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from trainer.reader import Rows
from trainer.run import Objective

OBJECTIVE = Objective("val_loss", "minimize")


class Noise(Rows):
    def prepare(self, train, evaluation):
        chance = np.random.default_rng(0)
        self.values = {True: chance.normal(size=(ROWS, 256)), False: chance.normal(size=(64, 256))}

    def rows(self, training):
        return self.values[training].astype("float32"), self.values[training][:, :1].astype("float32")

    def row(self, values, target):
        return {"x": values}, target

    def signatures(self, predict):
        serve = lambda x: {"y": predict({"x": x})}
        return {"serving_default": (serve, [tf.TensorSpec([None, 256], tf.float32, name="x")])}, []

    def examples(self, count=3):
        return self.rows(False)[0][:count].tolist()


DATA = Noise()


@dataclass(frozen=True)
class Hyperparameters:
    epochs: int = 4
    batch_size: int = 2048
    hidden_units: int = 1024
    seed: int = 0


def build_model(hyperparameters, inputs):
    hidden = inputs["x"]
    for _ in range(3):
        hidden = keras.layers.Dense(hyperparameters.hidden_units, activation="relu")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model.compile(keras.optimizers.SGD(1e-3), loss="mse")
    return model
"""


def rendered(folder: Path) -> Path:
    """The default project with the model above."""
    command = ["-m", "cookiecutter", "--no-input", "--default-config", "--output-dir", folder, ROOT]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    project = folder / "iris_classifier"
    (project / "src" / "trainer" / "model.py").write_text(MODEL.replace("ROWS", str(ROWS)))
    return project


def rows_per_second(project: Path, cores: list[int], units: int, batch: int) -> float:
    """The median of the epochs after the first, of a job with a host on each of these cores."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in cores]
    places = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    cluster = {"workerpool0": places[:1], "workerpool1": places[1:]}
    with tempfile.TemporaryDirectory() as place:
        running = []
        for number, core in enumerate(cores):
            task = {"type": f"workerpool{min(number, 1)}", "index": max(number - 1, 0)}
            spec = json.dumps({"cluster": cluster, "task": task})
            flags = [f"--epochs={EPOCHS}", f"--hidden-units={units}", f"--batch-size={batch}", "--job-dir", place]
            running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "trainer.task", "--train-data=none", "--eval-data=none", *flags],
                    cwd=project / "src", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    env={**os.environ, "CLUSTER_SPEC": spec, "TF_CPP_MIN_LOG_LEVEL": "3"},
                    preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}),  # noqa: PLW1509
                )
            )  # fmt: skip
        times, said = [], []
        for line in running[0].stdout or ():
            said.append(line)
            times += [time.perf_counter()] if re.match(r"epoch=\d+ ", line) else []
        if codes := [one.wait() for one in running if one.wait()]:
            raise SystemExit(f"exit codes {codes}\n{''.join(said)}")
    steps = -(-ROWS // batch)
    return statistics.median(steps * batch / (after - before) for before, after in itertools.pairwise(times))


def main(units: int, batch: int) -> None:
    """Print the medians of RUNS runs in turn, and the medians of their ratios."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("this needs two cores")
    rounds = []
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        project = rendered(Path(folder))
        alone = lambda core: rows_per_second(project, [core], units, batch)
        for _ in range(RUNS):
            rounds.append((alone(cores[0]), sum(pool.map(alone, cores)), rows_per_second(project, cores, units, batch)))
    one, strangers, two = (statistics.median(column) for column in zip(*rounds, strict=True))
    most = statistics.median(at_once / before / 2 for before, at_once, _ in rounds)
    efficiency = statistics.median(after / before / 2 for before, _, after in rounds)
    print(f"three layers of {units} units, batches of {batch} rows")
    print(f"one host: {one:.0f} rows/s; two: {two:.0f} rows/s; efficiency {efficiency:.2f}")
    print(f"two jobs that do not know each other: {strangers:.0f} rows/s together, {most:.2f} of twice one host's")


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:3]]
    main(*given, *(1024, 2048)[len(given) :])
