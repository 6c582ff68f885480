"""Reading big tables: `.venv/bin/python benchmarks/big_tables.py [--before REVISION] [--sizes 75 150 300]`.

Every line is a process of its own: seconds of the first pass and of five epochs, without a model step, thousand rows a
second in an epoch that is not the first, and MiB of peak memory above a process with an empty table. Ratios are to the
first line of a size: this template as of `--before`, else pandas. Then whole trainings of 600 rows with 20 and with 784
columns. Nothing is asserted: a machine's speed is not a test.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parent.parent
FILES, COLUMNS, BATCH, EPOCHS = 16, 20, 256, 5
MEASURE = """
import json, os, resource, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
way, source, data, columns, batch, epochs = sys.argv[1:4] + [int(one) for one in sys.argv[4:]]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
names = [f"x{number}" for number in range(columns)]
rates = []

if way == "pandas":
    import glob
    import pandas
    before, started, rows = peak(), time.perf_counter(), 0
    kept = [pandas.read_csv(file) for file in sorted(glob.glob(f"{data}/*"))]
    rows = sum(map(len, kept))
    first = time.perf_counter() - started
    rates = [rows / first / 1000]
    total = first
else:
    sys.path.insert(0, source)
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert
    def add(total, *batch):
        return total + tf.reduce_sum(tf.cast(tf.nest.flatten(batch)[0][:1], tf.float32))

    walk = lambda dataset, count: dataset.take(count).reduce(0.0, add)

    if way == "make_csv_dataset":
        before, started, rows = peak(), time.perf_counter(), 100 * batch
        defaults = [[0.0]] * columns + [[""]]
        read = tf.data.experimental.make_csv_dataset(f"{data}/*", batch, column_defaults=defaults, num_epochs=9)
        walk(read, 5)
        first = time.perf_counter() - started
        started = time.perf_counter()
        walk(read, 100)
        total = time.perf_counter() - started
        rates = [rows / total / 1000]
    else:
        from trainer.columns import Classes, Numeric, Table
        from trainer.data import CsvReader

        settings = {"before": {}, "files": {"memory_mb": 0}}.get(way, {"memory_mb": 1024})
        table = Table([*map(Numeric, names), Classes("y", ["a", "b"])], **settings)
        def run(location, epochs):
            reader = CsvReader(table)
            started = time.perf_counter()
            reader.prepare(location, f"{data}/../empty")
            first, rows = time.perf_counter() - started, reader.train_rows
            for epoch in range(epochs):
                begun = time.perf_counter()
                walk(reader.batches(True, batch, epoch), -(-rows // batch))
                rates.append(rows / (time.perf_counter() - begun) / 1000)
            return first, time.perf_counter() - started
        run(f"{data}/../empty", 1)
        rates.clear()
        before = peak()
        first, total = run(data, epochs)
print(json.dumps({"first": first, "total": total, "rate": max(rates[1:] or rates), "memory": peak() - before}))
"""
# The rows are the same again and again: each is serialised once.
RECORDS = """
import os, sys
from pathlib import Path
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf

known = {}

def serialised(names, line):
    if line not in known:
        *numbers, label = line.split(",")
        feature = {name: tf.train.Feature(float_list=tf.train.FloatList(value=[float(number)]))
                   for name, number in zip(names, numbers)}
        feature["y"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[label.encode()]))
        known[line] = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    return known[line]

for file in sorted(Path(sys.argv[1]).iterdir()):
    header, *lines = file.read_text().splitlines()
    with tf.io.TFRecordWriter(f"{sys.argv[2]}/{file.stem}.tfrecord") as writer:
        for line in lines:
            writer.write(serialised(header.split(","), line))
"""
TRAIN = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
source, data, columns = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.path.insert(0, source)
import keras
from trainer import model
from trainer.columns import Classes, Numeric, Table
from trainer.run import Run
from trainer.training import train

def build(hyperparameters, inputs):
    joined = keras.layers.Concatenate()(list(inputs.values()))
    output = keras.layers.Dense(2, "softmax")(keras.layers.Dense(16, "relu")(joined))
    network = keras.Model(inputs, output)
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network

model.DATA = Table([*(Numeric(f"x{number}") for number in range(columns)), Classes("y", ["a", "b"])])
model.build_model = build
places = [f"{data}/{name}" for name in ("train", "train", "model/1", "checkpoints", "logs")]
train(Run(model.Hyperparameters(epochs=1), *places))
"""


def write(folder: Path, megabytes: float, files: int = FILES, columns: int = COLUMNS, rows: int = 20_000) -> Path:
    """CSV files of normal numbers and a label of two; the same rows again and again."""
    values = np.random.default_rng(0).normal(size=(rows, columns))
    lines = [",".join([*(f"{value:.4f}" for value in row), "ab"[int(row[0] > 0)]]) for row in values]
    chunk = "\n".join(lines) + "\n"
    folder.mkdir(parents=True)
    for number in range(files):
        with (folder / f"part-{number:02}.csv").open("w") as file:
            file.write(",".join([*(f"x{column}" for column in range(columns)), "y"]) + "\n" + chunk)
            while file.tell() < megabytes * 1e6 / files:
                file.write(chunk)
    return folder


def rendered(folder: Path, revision: str | None = None) -> str:
    """The `src/` of a project of this template, or of what it was at a revision."""
    template = ROOT
    if revision:
        template = folder / "template"
        subprocess.run(["git", "clone", "--quiet", ROOT, template], check=True)
        subprocess.run(["git", "checkout", "--quiet", revision], cwd=template, check=True)
    return str(Path(cookiecutter(str(template), no_input=True, default_config=True, output_dir=str(folder))) / "src")


def measure(way: str, source: str, data: Path) -> dict[str, float]:
    """One line of the table, by a process of its own."""
    words = [way, source, str(data), str(COLUMNS), str(BATCH), str(EPOCHS)]
    done = subprocess.run([sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(size: int, ways: dict[str, str], sources: dict[str, str], folder: Path) -> None:
    """All ways to read one size."""
    print(
        f"\n{size} MB in {FILES} files       first pass  and {EPOCHS} epochs  ratio  thousand rows/s  ratio  MiB above"
    )
    base: dict[str, float] = {}
    for way, data in ways.items():
        found = measure(way, sources["before" if way == "before" else "now"], folder / data)
        base = base or found
        times = f"{found['first']:>10.2f}  {found['total']:>11.2f}  {base['total'] / found['total']:>7.2f}"
        print(
            f"  {way:<24}{times}  {found['rate']:>14.0f}  {found['rate'] / base['rate']:>6.2f} {found['memory']:>9.0f}"
        )


def main() -> None:
    """Write, convert, measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", help="a revision of this repository")
    parser.add_argument("--sizes", type=int, nargs="*", default=[75, 150, 300])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sources = {"now": rendered(folder / "now")}
        if asked.before:
            sources["before"] = rendered(folder / "before", asked.before)
        write(folder / "empty", 0, files=1, rows=2)
        for size in asked.sizes:
            write(folder / str(size), size)
            ways = {"before": str(size)} if asked.before else {}
            ways |= {"pandas": str(size), "make_csv_dataset": str(size), "memory": str(size), "files": str(size)}
            (folder / f"{size}-records").mkdir()
            command = [sys.executable, "-c", RECORDS, str(folder / str(size)), str(folder / f"{size}-records")]
            subprocess.run(command, capture_output=True, check=True)
            ways["memory, of TFRecord"] = f"{size}-records"
            show(size, ways, sources, folder)
        print("\n600 rows, one epoch, export: seconds of a process")
        for columns in (20, 784):
            write(folder / f"wide-{columns}" / "train", 0, files=1, columns=columns, rows=600)
            for name, source in sources.items():
                started, used = time.perf_counter(), cpu()
                command = [sys.executable, "-c", TRAIN, source, str(folder / f"wide-{columns}"), str(columns)]
                subprocess.run(command, capture_output=True, check=True)
                shutil.rmtree(folder / f"wide-{columns}" / "checkpoints")
                taken = f"{time.perf_counter() - started:>6.1f} s, of processor {cpu() - used:>6.1f} s"
                print(f"  {columns:>4} columns, {name:<7} {taken}")


def cpu() -> float:
    """Seconds of a processor that ended child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
