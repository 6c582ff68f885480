"""A number to be predicted is standardised for the network; answers and metrics are in its own units."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.template.conftest import Train

PRICES = [4_000_000 + 1_000 * n for n in range(60)]


@pytest.fixture
def prices(model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Sets a model of prices, with these options of its target, loss and last layer; the data's folder."""
    import keras

    from trainer.columns import Number, Numeric, Table
    from trainer.run import Objective

    def use(
        loss: Any = "mse", activation: str | None = None, scale: float = 1, values: Any = PRICES, **target: Any
    ) -> Path:
        def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
            answer = keras.layers.Dense(1, activation=activation)(inputs["n"])
            answer = keras.layers.Rescaling(scale, offset=scale - 1)(answer) if scale != 1 else answer
            network = keras.Model(inputs, answer)
            network.compile(
                keras.optimizers.Adam(hyperparameters.learning_rate), loss,
                weighted_metrics=[keras.metrics.RootMeanSquaredError(name="rmse")],
            )  # fmt: skip
            return network

        monkeypatch.setattr(model, "DATA", Table([Numeric("n"), Number("price", **target)]))
        monkeypatch.setattr(model, "OBJECTIVE", Objective("val_rmse", "minimize"))
        monkeypatch.setattr(model, "build_model", build_model)
        for part in ("train", "eval"):
            (tmp_path / part).mkdir()
            rows = [f"{n},{value}" for n, value in enumerate(values)]
            (tmp_path / part / "prices.csv").write_text("n,price\n" + "\n".join(rows) + "\n", encoding="utf-8")
        return tmp_path

    return use


@pytest.mark.long
def test_millions_are_learned_in_their_own_units_without_a_number_in_the_model(prices: Any, train: Train) -> None:
    result = train(data=prices(), epochs=30, learning_rate=0.05)
    assert result.metrics["val_rmse"] < 1_000
    assert np.allclose(result.response["predictions"], PRICES[:3], atol=3_000)
    kept = json.loads((Path(result.export_dir) / "assets.extra" / "example.json").read_text(encoding="utf-8"))
    assert kept["response"] == result.response


def test_the_loss_is_that_of_the_standardised_target(prices: Any, train: Train, capsys: Any) -> None:
    metrics = train(data=prices(), epochs=1).metrics
    assert "loss, val_loss: of price less 4.0295e+06, divided by 17318.1;" in capsys.readouterr().out
    assert metrics["val_loss"] == pytest.approx((metrics["val_rmse"] / np.std(PRICES)) ** 2, rel=1e-3)


@pytest.mark.long
def test_a_target_that_is_left_as_it_is_has_the_loss_of_its_own_units(prices: Any, train: Train) -> None:
    metrics = train(data=prices(standardise=False), epochs=1).metrics
    assert metrics["val_loss"] == pytest.approx(metrics["val_rmse"] ** 2, rel=1e-3)


@pytest.mark.long
def test_a_target_that_never_changes_is_learned(prices: Any, train: Train) -> None:
    assert train(data=prices(values=[7.5] * 20), epochs=30, learning_rate=0.05).metrics["val_rmse"] < 0.5


@pytest.mark.long
def test_the_metrics_of_a_constant_answer_stand_beside_the_result(prices: Any, train: Train) -> None:
    result = train(data=prices(), epochs=1)
    assert result.constant["val_rmse"] == pytest.approx(np.std(PRICES), rel=1e-3)
    assert result.constant["val_loss"] == pytest.approx(1, rel=1e-3)
    assert result.constant_answer == "4.0295e+06, the mean of train,"


def test_the_most_frequent_label_has_the_accuracy_of_its_share(train: Train, project: Path) -> None:
    labels = [line.rpartition(",")[2] for line in (project / "data/eval/iris.csv").read_text().split()[1:]]
    result = train(epochs=1)
    label = re.match("'(.+)', the most frequent label,", result.constant_answer)[1]
    assert result.constant["val_accuracy"] == pytest.approx(labels.count(label) / len(labels))


LEARNED_NOTHING = "the model has learned nothing from the columns"


@pytest.mark.long
@pytest.mark.parametrize(("epochs", "rate", "is_said"), [(40, 0.0, True), (2, 0.0, False), (40, 0.05, False)])
def test_a_whole_training_that_is_no_better_is_noted(
    epochs: int, rate: float, is_said: bool, prices: Any, train: Train, capsys: pytest.CaptureFixture
) -> None:
    train(data=prices(), epochs=epochs, learning_rate=rate)
    assert (LEARNED_NOTHING in capsys.readouterr().out) is is_said


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("loss", "activation", "named"),
    [("poisson", None, "poisson"), ("msle", None, "mean_squared_logarithmic_error"), ("mse", "softplus", "softplus"),
     ("mape", None, "mean_absolute_percentage_error"), ("mse", "relu", "relu")],
)  # fmt: skip
def test_what_knows_no_negative_number_asks_for_the_target_as_it_is(
    loss: str, activation: str | None, named: str, prices: Any, train: Train
) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match=rf"model.py: {named} knows no negative .*Number\(.price., standardise=False\)"):
        train(data=prices(loss, activation), epochs=1)


@pytest.mark.few(1)
@pytest.mark.parametrize(("loss", "activation"), [("poisson", "softplus"), ("mse", "relu")])
def test_and_trains_with_it(loss: str, activation: str, prices: Any, train: Train) -> None:
    data = prices(loss, activation, values=[n % 5 for n in range(60)], standardise=False)
    assert np.isfinite(train(data=data, epochs=1).metrics["val_loss"])


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("options", "is_said"), [({"scale": 800}, True), ({}, False), ({"scale": 800, "standardise": False}, False)]
)
def test_a_network_that_scales_its_answer_as_well_is_noted(
    options: dict, is_said: bool, prices: Any, train: Train, capsys: pytest.CaptureFixture
) -> None:
    train(data=prices(**options), epochs=1)
    assert ("Leave out what model.py scales it by" in capsys.readouterr().out) is is_said


@pytest.mark.long
def test_rows_that_were_kept_keep_the_units(
    prices: Any, make_run: Callable[..., Any], capsys: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    import dataclasses

    from trainer import store
    from trainer.training import train

    monkeypatch.setattr(store, "KEPT_FROM_BYTES", 0)
    data = prices()
    first, second = (
        train(dataclasses.replace(make_run(tmp_path / name, data, epochs=1), rows_dir=str(tmp_path / "rows")))
        for name in "ab"
    )
    assert "as they were read the last time" in capsys.readouterr().out
    assert first.metrics == second.metrics
