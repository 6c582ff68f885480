"""A mistake in what people expect of Keras is one sentence before the first step; its right neighbour trains."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.template.conftest import Train
from tests.template.test_as_fit_trains import network, table, use  # noqa: F401


@pytest.fixture
def refused(train: Train, capsys: Any) -> Callable[[], str]:
    """What a training of two epochs is refused by, before its first step."""
    from trainer.run import UserError

    def run(**options: Any) -> str:
        capsys.readouterr()
        with pytest.raises(UserError) as caught:
            train(epochs=2, **options)
        assert "epoch=" not in capsys.readouterr().out
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return run


def batch_hook() -> Any:
    import keras

    class Counting(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    return Counting()


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda k: k.ModelCheckpoint("x.keras"), ("callbacks: leave out ModelCheckpoint: the training saves "
         "checkpoints by itself, and --patience exports the best epoch")),
        (lambda k: k.BackupAndRestore("x"), ("callbacks: leave out BackupAndRestore: the training saves checkpoints by "
         "itself, and a job that is started again goes on from them")),
        (lambda k: k.TerminateOnNaN(), "callbacks: leave out TerminateOnNaN: the training ends by itself where"),
        (lambda k: k.EarlyStopping("val_loss", restore_best_weights=True), ("callbacks: EarlyStopping loses the best "
         "weights when a job goes on: write patience into Hyperparameters")),
        (lambda k: k.EarlyStopping("val_acuracy"), ("callbacks: EarlyStopping monitors 'val_acuracy'; did you mean "
         "'val_accuracy'? The metrics are loss, val_loss, val_accuracy")),
        (lambda k: k.CSVLogger("log.csv"), ("callbacks: CSVLogger writes to log.csv, which is lost with the cloud's "
         "machine: write a function callbacks(log_dir) that returns [CSVLogger(...)] with a place in log_dir")),
        (lambda k: k.TensorBoard(), ("callbacks: TensorBoard needs the package tensorboard, which the training images "
         "do not hold: add the line tensorboard==2.21.* to src/requirements.txt")),
        (lambda k: batch_hook(), ("callbacks: Counting has on_train_batch_end, and this training calls train_begin, "
         "train_end, epoch_begin and epoch_end only")),
        (lambda k: k.EarlyStopping, "callbacks must list objects such as keras.callbacks.CSVLogger(...), not"),
    ],
)  # fmt: skip
def test_a_callback_that_would_not_work_here_is_refused(
    make: Any, message: str, use: Any, refused: Any  # noqa: F811
) -> None:  # fmt: skip
    import keras

    use(callbacks=[make(keras.callbacks)])
    assert message in refused()


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("one_hot", "loss", "way"),
    [
        (False, "categorical_crossentropy", "wants one-hot labels: Classes('species', ..., one_hot=True)"),
        (True, "sparse_categorical_crossentropy", "the labels of 'species' are one-hot, for categorical_crossentropy"),
    ],
)
def test_a_loss_of_other_labels_is_told_the_way(
    one_hot: bool, loss: str, way: str, use: Any, refused: Any, train: Train  # noqa: F811
) -> None:  # fmt: skip
    use(DATA=table(one_hot=one_hot), build_model=network(loss))
    assert refused().endswith(way)
    use(DATA=table(one_hot=not one_hot))
    assert train(epochs=1).metrics["val_loss"] > 0


@pytest.mark.parametrize("name", ["LearningRateScheduler", "ReduceLROnPlateau"])
def test_two_that_set_the_learning_rate_are_refused(name: str, use: Any, refused: Any) -> None:  # noqa: F811
    import keras

    made = {"LearningRateScheduler": lambda epoch, rate: rate, "ReduceLROnPlateau": "val_loss"}[name]
    schedule = lambda steps: keras.optimizers.schedules.CosineDecay(0.1, steps)
    use(build_model=network(rate=schedule), callbacks=[getattr(keras.callbacks, name)(made)])
    assert refused() == (
        f"model.py: callbacks: {name} sets the learning rate, and the optimizer has a schedule of its own: use one"
    )


def test_values_are_named_by_the_labels_of_their_own_target_and_not_of_thresholds(project: Path) -> None:
    import keras
    import tensorflow as tf

    from trainer.columns import Classes, Numeric, Table
    from trainer.values import named

    class Reader:
        table = Table([Numeric("x"), Classes("kind_sub", ["a b", "c"]), Classes("kind", ["d", "e"])])

    inputs = keras.Input((1,))
    made = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    made.compile("sgd", "mse", metrics=[keras.metrics.Precision(thresholds=[0.3, 0.6], name="precision")])
    made.evaluate(tf.zeros([2, 1]), tf.ones([2, 2]), verbose=0)
    two = tf.constant([0.25, 0.5])
    found = named({"kind_sub_f1": two, "kind_f1": two, "kind_precision": two, "loss": two[0]}, Reader(), made)
    assert list(found) == [
        "kind_sub_f1_a_b", "kind_sub_f1_c", "kind_f1_d", "kind_f1_e", "kind_precision_0", "kind_precision_1", "loss",
    ]  # fmt: skip


@pytest.mark.long
def test_callbacks_that_work_are_called(use: Any, train: Train, tmp_path: Path) -> None:  # noqa: F811
    import keras

    class Own(keras.callbacks.Callback):
        """With hooks of its own name, and one that the training calls."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.on_something(epoch, **logs)

        def on_something(self, epoch: int, loss: float, **_: float) -> None:
            seen.append((epoch, loss))

    seen: list[tuple[int, float]] = []
    use(callbacks=lambda log_dir: [Own(), keras.callbacks.CSVLogger(f"{log_dir}/epochs.csv")])
    (tmp_path / "job" / "logs").mkdir(parents=True)
    train(epochs=2)
    assert [epoch for epoch, _ in seen] == [0, 1]
    assert len((tmp_path / "job" / "logs" / "epochs.csv").read_text().splitlines()) == 3
    # Where a monitor sends to is no place on a disk.
    use(callbacks=[keras.callbacks.RemoteMonitor("http://127.0.0.1:9")])
    train(epochs=3)
    use(callbacks=[])
    train(epochs=4)


def test_a_callback_that_fails_is_named_by_its_line(use: Any, refused: Any, train: Train) -> None:  # noqa: F811
    use(callbacks=lambda nonsense: [])
    assert "callbacks may ask for hyperparameters and log_dir, and returns a list" in refused()


@pytest.mark.long
def test_an_object_of_another_training_is_refused(
    use: Any, train: Train, refused: Any, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    import keras

    use(callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)])
    train(epochs=1, folder=tmp_path / "first")
    assert refused() == (
        "model.py: the callback 'LearningRateScheduler' was used by another training and remembers it; make a new one "
        "each time, in a function callbacks()"
    )
    use(callbacks=[])
    metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    use(build_model=network(weighted_metrics=[metric]))
    train(epochs=1, folder=tmp_path / "second")
    assert refused() == (
        "model.py: the metric 'accuracy' was used by another training and remembers it; make a new one each time, in "
        "build_model"
    )


def test_weights_of_labels_are_of_labels_that_are_there(project: Path) -> None:
    from trainer.columns import Classes, Numeric, Table
    from trainer.run import UserError

    def made(weights: Any, labels: Any = ("no", "yes")) -> Any:
        return Table([Numeric("x"), Classes("y", list(labels), weights=weights)])

    for weights, message in (
        ({"Yes": 2}, r"weights of 'y' have 'Yes', which is none of the labels \['no', 'yes'\]; did you mean 'yes'\?"),
        ({"yes": -1}, "the weight of 'yes' of 'y' must be a number, 0 or more, not -1"),
        ({"yes": float("nan")}, "the weight of 'yes' of 'y' must be a number, 0 or more, not nan"),
        ([1, 2], r"weights of 'y' must be a dict from labels to numbers, not \[1, 2\]"),
    ):
        with pytest.raises(UserError, match=message):
            made(weights)
    assert made({"yes": 2}).target.weights == {"yes": 2}
    assert made({1: 0}, [0, 1]).target.weights == {1: 0}


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("outputs", "loss", "message"),
    [
        (["species", "petal_width"], {"species": "sparse_categorical_crossentropy"},
         "model.py: compile has no loss for the output 'petal_width': write 'petal_width': None if it is to have none"),
        (["species"], {"species": "sparse_categorical_crossentropy"},
         "model.py: the table has the targets ['petal_width', 'species']: end in a dict with one output for each, not"),
        (["species", "petal_width"], {"species": "sparse_categorical_crossentropy", "petal_width": None}, None),
        (["species", "petal_width"], {"species": "sparse_categorical_crossentropy", "petal_width": "poisson"},
         ("model.py: poisson knows no negative number, and half of a standardised target is below 0: write "
         "Number('petal_width', standardise=False)")),
    ],
)  # fmt: skip
def test_each_output_has_a_loss_or_none_in_writing(
    outputs: list[str], loss: Any, message: str | None, use: Any, train: Train, refused: Any  # noqa: F811
) -> None:  # fmt: skip
    import keras

    from trainer.columns import Number
    from trainer.run import Objective

    def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        hidden = keras.layers.Concatenate()(list(inputs.values()))
        made = {
            "species": keras.layers.Dense(3, activation="softmax", name="species")(hidden),
            "petal_width": keras.layers.Dense(1, name="petal_width")(hidden),
        }
        network = keras.Model(inputs, {name: made[name] for name in outputs})
        network.compile("adam", loss, weighted_metrics={"species": ["accuracy"]})
        return network

    use(
        DATA=table(Number("petal_width")),
        build_model=build_model,
        OBJECTIVE=Objective("val_species_accuracy", "maximize"),
    )
    if message is None:
        metrics = train(epochs=1).metrics
        assert "val_species_accuracy" in metrics
        assert not any("petal_width" in name for name in metrics)
    else:
        assert refused().startswith(message)


@pytest.mark.long
def test_patience_is_a_number_of_epochs(refused: Any, train: Train, make_run: Any, project: Path) -> None:
    assert refused(patience=-1) == "the hyperparameter patience must be a whole number, 0 or more, not -1"
    assert train(epochs=2, patience=1).metrics["val_loss"] > 0


def test_patience_without_eval_data_is_refused_as_any_training_is(project: Path) -> None:
    import sagemaker_entry

    from trainer.run import UserError

    told = {"SM_CHANNEL_TRAIN": str(project / "data" / "train"), "SM_HPS": '{"patience": 3}'}
    with pytest.raises(UserError, match="the job has no input channel 'eval': SM_CHANNEL_EVAL is not set"):
        sagemaker_entry.make_run([], told)
    run = sagemaker_entry.make_run([], {**told, "SM_CHANNEL_EVAL": str(project / "data" / "eval")})
    assert run.hyperparameters.patience == 3


def test_a_flag_may_be_outside_of_what_is_searched(project: Path, model: Any) -> None:
    from trainer.run import UserError, parse_flags

    flags = ["--batch-size", "256", "--dropout", "0.9", "--hidden-units", "2"]
    found, _ = parse_flags(model.Hyperparameters, flags)
    assert (found.batch_size, found.dropout, found.hidden_units) == (256, 0.9, 2)
    with pytest.raises(UserError, match="--batch_size: 'many' is not a whole number"):
        parse_flags(model.Hyperparameters, ["--batch-size", "many"])


def test_numbers_are_printed_as_people_read_them(project: Path) -> None:
    from trainer.reporting import number

    for value, text in (
        (12_345_678.9, "12345679"), (1_000_000.0, "1000000"), (999_999.4, "999999"), (0.000012345, "1.2345e-05"),
        (float("nan"), "nan"), (-45_678_901.2, "-45678901"), (1e20, "1e+20"), (0.123456789, "0.123457"),
    ):  # fmt: skip
        assert number(value) == text
    assert number(54_321.1, 4) == "54321"
