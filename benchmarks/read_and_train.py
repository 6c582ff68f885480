"""Reading and training against TensorFlow's and Keras' own ways: `.venv/bin/python benchmarks/read_and_train.py`.

Prints thousand rows a second and, as the ratio that counts, how many times the baseline that is. Nothing is asserted:
a machine's speed is not a test.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS, COLUMNS, BATCH = 200_000, 20, 1024
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"


def rate(make: Callable[[], Iterable], batches: int) -> float:
    """Thousand rows a second over `batches` batches, after a first one."""
    iterator = iter(make())
    next(iterator)
    started = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return batches * BATCH / (time.perf_counter() - started) / 1000


def show(title: str, results: dict[str, float]) -> None:
    """A table whose first row is the baseline."""
    baseline = next(iter(results.values()))
    print(f"\n{title} (thousand rows/s, ratio)")
    for name, value in results.items():
        print(f"  {name:<48} {value:>8.0f} {value / baseline:>8.2f}")


def main() -> None:
    """Render a project, write a table, measure."""
    folder = Path(tempfile.mkdtemp())
    render = [sys.executable, "-m", "cookiecutter", "--no-input", "--default-config", "--output-dir", folder, ROOT]
    subprocess.run(render, check=True, stdout=subprocess.DEVNULL)
    sys.path.insert(0, str(folder / "iris_classifier" / "src"))
    import keras
    import numpy as np
    import tensorflow as tf

    from trainer import model
    from trainer.cluster import Peers
    from trainer.columns import Classes, Numeric, Table
    from trainer.data import CsvReader
    from trainer.loop import Loop

    names = [f"x{number}" for number in range(COLUMNS)]
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype("float32")
    lines = [",".join([*map(str, row), "ab"[int(row[0] > 0)]]) for row in values]
    file = str(folder / "table.csv")
    Path(file).write_text("\n".join([",".join([*names, "y"]), *lines]) + "\n", encoding="utf-8")

    # The example's network, of other columns than the example's.
    model.DATA = Table([*map(Numeric, names), Classes("y", ["a", "b"])])
    reader = CsvReader(model.DATA)
    started = time.perf_counter()
    reader.prepare(file, file)
    print(f"check and statistics, both files: {2 * ROWS / (time.perf_counter() - started) / 1000:.0f} thousand rows/s")
    defaults = [[0.0]] * COLUMNS + [[""]]

    def make_csv_dataset(shuffle: bool) -> tf.data.Dataset:
        return tf.data.experimental.make_csv_dataset(
            file, BATCH, column_defaults=defaults, shuffle=shuffle, num_epochs=9
        )

    show(
        f"Reading {COLUMNS} columns in order",
        {
            "tf.data.experimental.make_csv_dataset": rate(lambda: make_csv_dataset(False), 20),
            "trainer.data, encoded": rate(lambda: reader.batches(False, BATCH), 150),
        },
    )
    show(
        f"Reading {COLUMNS} columns shuffled",
        {
            "tf.data.experimental.make_csv_dataset": rate(lambda: make_csv_dataset(True), 20),
            "trainer.data, encoded": rate(lambda: reader.batches(True, BATCH), 150),
        },
    )

    cached = reader.batches(False, BATCH).take(100).cache()
    for _ in cached:
        pass

    class InMemory:
        train_rows = 100 * BATCH

        # Without annotations, which AutoGraph evaluates where `tf` is not known.
        def batches(self, training, batch_size, seed=0):
            return cached.repeat() if training else cached.take(1)

    def network() -> keras.Model:
        return model.build_model(model.Hyperparameters(), reader.inputs())

    epochs = 5
    fitted = network()
    fitted.fit(cached, epochs=1, verbose=0)
    started = time.perf_counter()
    fitted.fit(cached, epochs=epochs, verbose=0)
    fit = epochs * 100 * BATCH / (time.perf_counter() - started) / 1000
    hyperparameters = model.Hyperparameters(epochs=epochs + 1, batch_size=BATCH)
    loop = Loop(network(), InMemory(), tf.distribute.get_strategy(), hyperparameters, Peers(None), jit=False)
    epoch = loop.epochs(start=0)
    next(epoch)
    started = time.perf_counter()
    for _ in epoch:
        pass
    ours = epochs * 100 * BATCH / (time.perf_counter() - started) / 1000
    show("Training from memory", {"keras.Model.fit": fit, "trainer.loop": ours})


if __name__ == "__main__":
    main()
