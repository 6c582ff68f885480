"""A job of several hosts trains as one host does: real processes, which start as SageMaker's toolkit starts them."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.template.conftest import Train
from tests.template.hosts import Job

# Before the entry point trains: in one cluster, each way to build a model is trained by all hosts and, once more, by
# the chief alone; how far apart they are goes to `found.json`. A process can be part of one cluster only.
COMPARE = """
import dataclasses
import json
import keras
import numpy as np
import tensorflow as tf
from trainer import loop, model, training
from trainer.cluster import Peers
from trainer.reporting import refuse_on_hosts

SGD = keras.optimizers.SGD


def built(optimizer, hidden=(), **compiled):
    def build_model(hyperparameters, inputs):
        x = keras.layers.Concatenate()(list(inputs.values()))
        x = keras.layers.Dense(8, activation="tanh")(x)
        for layer in hidden:
            x = layer()(x)
        network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", dtype="float32")(x))
        compiled.setdefault("loss", "sparse_categorical_crossentropy")
        metrics = ["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="entropy")]
        network.compile(optimizer(), weighted_metrics=metrics, **compiled)
        return network

    return build_model


normalised = lambda: keras.layers.BatchNormalization(synchronized=True)
regular = lambda: keras.layers.Dense(8, kernel_regularizer="l2", activity_regularizer=None)
half = lambda: keras.optimizers.LossScaleOptimizer(SGD(0.5, global_clipnorm=0.05), initial_scale=2.0**10)
CASES = {
    "all at once": (built(lambda: SGD(0.3, momentum=0.9, clipnorm=0.1, use_ema=True), [regular]), 17),
    "batch statistics": (built(lambda: SGD(0.1), [normalised]), 17),
    "plain": (built(lambda: SGD(0.5)), 16),
    "global_clipnorm": (built(lambda: SGD(0.5, global_clipnorm=0.05)), 17),
    "clipvalue": (built(lambda: SGD(0.5, clipvalue=0.01)), 17),
    "scaled loss": (built(half), 17),
    "dropout": (built(lambda: SGD(0.5), [lambda: keras.layers.Dropout(0.2)]), 16),
}


wanted = sys.argv.pop().split(",")


def trained(reader, strategy, peers, build_model, batch_size):
    told = dataclasses.replace(model.Hyperparameters(), batch_size=batch_size, epochs=1, seed=3)
    keras.utils.set_random_seed(4)
    model.build_model = build_model
    with training.scope(strategy):
        network, jit = loop.build(model, told, reader)
        if peers.count > 1:
            refuse_on_hosts(network)
        steps = loop.Loop(network, reader, strategy, told, peers, jit)
    # A hundred steps, in whole epochs.
    epochs = -(-100 // steps.steps)
    steps.hyperparameters = dataclasses.replace(told, epochs=epochs)
    seen = list(steps.epochs(0))
    return [variable.numpy() for variable in network.variables], seen[-1][1]


def compare(reader, strategy, peers):
    found = {}
    for name in wanted:
        build_model, batch_size = CASES[name]
        together, metrics = trained(reader, strategy, peers, build_model, batch_size)
        if not peers.is_chief:
            found[name] = [0, 0, [value.tobytes().hex() for value in together]]
            continue
        alone, expected = trained(reader, tf.distribute.get_strategy(), Peers(None), build_model, batch_size)
        far = max(float(np.abs(one - other).max()) for one, other in zip(together, alone))
        of_metrics = max(abs(metrics[key] - expected[key]) for key in expected)
        found[name] = [far, of_metrics, [value.tobytes().hex() for value in together]]
    write("found.json", found)


def write(name, value):
    with open(os.path.join(os.environ["SAGEMAKER_BASE_DIR"], name), "w") as file:
        json.dump(value, file)


def look(reader, hyperparameters, peers, agree=training._agree):
    agree(reader, hyperparameters, peers)
    mine = model.build_model
    compare(reader, strategies[0], peers)
    model.build_model = mine
    loop.Loop._epoch_batches = recorded
    keras.utils.set_random_seed(hyperparameters.seed + 1)


# The rows of the training that the entry point asks for.
def recorded(self, *given, batches=loop.Loop._epoch_batches):
    def both(features, target, weight):
        seen = tf.numpy_function(note, [*features.values(), weight], tf.int64)
        with tf.control_dependencies([seen]):
            return tf.nest.map_structure(tf.identity, (features, target, weight))

    return batches(self, *given).map(both)


def note(*columns):
    rows.extend(zip(*(column.reshape(-1).tolist() for column in columns)))
    write("rows.json", rows)
    return np.int64(len(rows))


rows, strategies, make = [], [], training._strategy
training._strategy = lambda *given: strategies.append(make(*given)) or strategies[-1]
training._agree = look
"""
FLAGS = ["--epochs=2", "--batch-size=16"]
METRICS = r"^epoch=(\d) loss=([\d.]+) val_loss=([\d.]+) val_accuracy=([\d.]+)$"


def compared(project: Path, folder: Path, files: Sequence[int], cases: str) -> tuple[Job, list[dict]]:
    """A job that has compared these cases, and what each host has found; of the training data each has `files`."""
    job = Job(project, folder, len(files))
    job.shard(files)
    for name in job.names:
        job.start(name, [*FLAGS, cases], before=COMPARE)
    codes = job.wait()
    assert set(codes.values()) == {0}, {name: job.log(name)[-2000:] for name in job.names}
    return job, [json.loads((folder / name / "found.json").read_text()) for name in job.names]


def rows_of_one_host(project: Path) -> list[list[float]]:
    """What two epochs of one host see, as FLAGS ask."""
    from trainer import model
    from trainer.data import CsvReader

    reader = CsvReader(model.DATA)
    reader.prepare(str(project / "data" / "train"), str(project / "data" / "eval"))
    rows: list[list[float]] = []
    for epoch in range(2):
        for features, _, weight in reader.batches(True, 16, seed=model.Hyperparameters().seed + epoch).take(8):
            rows += map(
                list,
                zip(*(column.numpy().reshape(-1).tolist() for column in [*features.values(), weight]), strict=True),
            )
    return rows


def check_whole(project: Path, job: Job, one: list[str]) -> None:
    """The training after the comparison: rows, metrics, files and what is printed; `one` are one host's epochs."""
    seen = [row for name in job.names for row in json.loads((job.folder / name / "rows.json").read_text())]
    # Of uneven parts, a row's weight is that of its part in the mean of all.
    seen, expected = ([row for *row, weight in rows if weight > 0] for rows in (seen, rows_of_one_host(project)))
    counts = zip(sorted(seen), sorted(expected), strict=True)
    assert all(row == pytest.approx(expected, rel=1e-5) for row, expected in counts)
    chief, *others = job.names
    epochs = re.findall(METRICS, job.log(chief), re.MULTILINE)
    assert [float(one) for epoch in epochs for one in epoch] == pytest.approx(one, rel=1e-4)
    left = job.files(chief)
    assert {"model/model/1/saved_model.pb", "checkpoints/checkpoint"} <= left
    assert any(name.startswith("output/data/tensorboard/") for name in left)
    for name in others:
        assert job.files(name) == {"found.json", "rows.json"}
        assert "loss" not in job.log(name)


@pytest.fixture
def one_host(train: Train) -> list[float]:
    """Epochs and metrics of one host, as FLAGS ask."""
    history = train(epochs=2, batch_size=16).history
    names = ("loss", "val_loss", "val_accuracy")
    return [number for epoch, found in enumerate(history, 1) for number in (epoch, *(found[name] for name in names))]


def test_two_hosts_train_as_one_does(project: Path, tmp_path: Path, one_host: list[float]) -> None:
    job, (chief, worker) = compared(project, tmp_path, (2, 1), "all at once")
    weights, metrics, _ = chief["all at once"]
    assert weights < 1e-5
    assert metrics < 1e-5
    # Bit for bit, averages too.
    assert {name: found[2] for name, found in chief.items()} == {name: found[2] for name, found in worker.items()}
    check_whole(project, job, one_host)


@pytest.mark.long
def test_three_hosts_train_as_one_does(project: Path, tmp_path: Path, one_host: list[float]) -> None:
    equal, near = ["plain", "global_clipnorm", "clipvalue", "scaled loss"], "batch statistics"
    job, (chief, *others) = compared(project, tmp_path, (2, 0, 1), ",".join([*equal, near, "dropout"]))
    for name in equal:
        assert max(chief[name][:2]) < 1e-5, name
    # Rounding grows where a batch is normalised by its own numbers.
    assert max(chief[near][:2]) < 1e-2
    for worker in others:
        assert {name: found[2] for name, found in chief.items()} == {name: found[2] for name, found in worker.items()}
    check_whole(project, job, one_host)


def test_parts_of_a_batch_have_each_row_once_and_its_mean_loss(project: Path) -> None:
    import tensorflow as tf

    from trainer.reader import part

    for rows in range(1, 8):
        values = tf.range(1, rows + 1, dtype=tf.float32)
        batch = ({"x": values}, {"y": values[:, tf.newaxis]}, values)
        for count in (1, 2, 3):
            parts = [part(batch, number, count) for number in range(count)]
            counted = [float(x) for features, _, weight in parts for x in features["x"][weight > 0]]
            assert sorted(counted) == values.numpy().tolist()
            # As Keras divides it: by the rows of a part, then by the number of parts.
            losses = [tf.reduce_mean(weight * target["y"][:, 0]) / count for _, target, weight in parts]
            assert float(sum(losses)) == pytest.approx(float(tf.reduce_mean(values * values)))


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("hidden[0:0] = [lambda: keras.layers.BatchNormalization()]", "BatchNormalization(synchronized=True)"),
        ("compiled['loss'] = keras.losses.SparseCategoricalCrossentropy(reduction='sum')", "reduction='sum'"),
        ("optimizer = lambda: SGD(gradient_accumulation_steps=2)", "gradient_accumulation_steps is for one host"),
    ],
)
def test_what_each_host_would_compute_for_itself_is_refused(
    project: Path, tmp_path: Path, change: str, message: str
) -> None:
    job = Job(project, tmp_path, 2)
    before = (
        COMPARE.split("CASES = ")[0]
        + f"""
def mine(hyperparameters, inputs):
    hidden, compiled, optimizer = [], {{}}, lambda: SGD()
    {change}
    return built(optimizer, hidden, **compiled)(hyperparameters, inputs)


model.build_model = mine
"""
    )
    for name in job.names:
        job.start(name, FLAGS, before=before)
    assert job.wait() == {"algo-1": 1, "algo-2": 1}
    for name in job.names:
        assert message in job.log(name)
