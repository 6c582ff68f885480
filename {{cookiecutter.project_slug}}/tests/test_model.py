# Yours: tests of the model, on its own data.
"""The model trains, predicts, and refuses what it cannot predict."""

import pytest

from onstage.settings import load
from train import locate
from trainer import model
from trainer.columns import Table
from trainer.export import Predictor
from trainer.run import Run, UserError
from trainer.training import Result, train


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("run")
    data = load().data
    return train(
        Run(
            model.Hyperparameters(epochs=5),
            train_data=locate(data.train),
            eval_data=locate(data.eval),
            export_dir=str(folder / "model" / "1"),
            checkpoint_dir=str(folder / "checkpoints"),
            log_dir=str(folder / "logs"),
        )
    )


def test_the_columns_of_the_data_are_the_columns_of_the_model() -> None:
    if isinstance(model.DATA, Table):
        from trainer.data import CsvReader

        reader = CsvReader(model.DATA)
        reader.prepare(*(locate(location) for _, location in load().data))
        assert reader.train_rows and reader.eval_rows


def test_five_epochs_give_the_metric_that_tuning_looks_at(result: Result) -> None:
    assert model.OBJECTIVE.metric in result.metrics


def test_the_exported_model_answers_every_row_of_a_request(result: Result) -> None:
    answer = Predictor(result.export_dir).predict(result.request)
    assert len(answer["predictions"]) == len(result.request["instances"])


def test_a_row_without_its_columns_is_refused(result: Result) -> None:
    with pytest.raises(UserError, match="takes|inputs"):
        Predictor(result.export_dir).predict({"instances": [{"no_such_column": 1}]})
