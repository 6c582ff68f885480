"""Words and dates become numbers in the graph that is exported, the same in training and at the endpoint."""

import dataclasses
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.template.conftest import Prepare

ROWS = 40
TITLES = ["Der große Ärger", "the END, of time", "A night - in Ulm!", ""]
ENGLISH = ["The cat sat; on the mat.", "A cat's life: don't!", "cats & dogs", "the end"]


def rows(number: int) -> str:
    day = date(2019, 12, 1) + timedelta(days=3 * number)
    return f"{number},{TITLES[number % 4]!r},{day},{'ab'[number % 2]}".replace("'", '"')


@pytest.fixture
def films(columns: Any) -> Any:
    return columns.Table(
        [
            columns.Numeric("n"),
            columns.Text("title", words=20, length=5),
            columns.Date("seen"),
            columns.Classes("y", ["a", "b"]),
        ]
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for part in ("train", "eval"):
        (tmp_path / part).mkdir()
        text = "n,title,seen,y\n" + "\n".join(map(rows, range(ROWS))) + "\n"
        (tmp_path / part / "films.csv").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.long
def test_a_table_of_words_and_dates_trains_with_the_examples_network_and_is_served(
    films: Any, data: Path, train: Callable[..., Any], model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    from trainer.encoding import joined
    from trainer.export import Predictor

    def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        answer = keras.layers.Dense(2, activation="softmax")(joined(films, inputs))
        network = keras.Model(inputs, answer)
        network.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
        return network

    monkeypatch.setattr(model, "DATA", films)
    monkeypatch.setattr(model, "build_model", build_model)
    result = train(data=data, epochs=1)
    assert result.request["instances"][1] == {"n": 1.0, "title": "the END, of time", "seen": "2019-12-04"}
    predictor = Predictor(result.export_dir)

    def ask(title: str, seen: str = "2019-12-04") -> Any:
        return predictor.predict({"instances": [{"n": 1.0, "title": title, "seen": seen}]})["predictions"][0]

    assert ask("THE end of TIME") == ask("the END, of time") != ask("")
    assert ask("DER GROẞE ÄRGER") == ask("der groẞe ärger")
    for title in ("", "!!!", "漢字", "of " * 5_000, "never seen"):
        assert np.isfinite(ask(title)["probabilities"]).all(), title
    for wrong in ("2019-02-29", "2019-13-01", "1.2.2019", "", "2019-1-1", "2019-01-01 "):
        with pytest.raises(Exception, match="seen must be a date of the format %Y-%m-%d, such as 1970-01-01"):
            ask("the end", wrong)


def test_words_are_those_of_keras_where_the_text_is_ascii(columns: Any, prepare: Prepare) -> None:
    import keras

    table = columns.Table([columns.Text("t", words=6, length=8), columns.Classes("y", ["a", "b"])])
    text = "t,y\n" + "".join(f'"{title}",{"ab"[n % 2]}\n' for n, title in enumerate(ENGLISH))
    [(features, _, _)] = prepare(table, text).batches(False, 10)
    vectorize = keras.layers.TextVectorization(max_tokens=1_000, output_sequence_length=8)
    vectorize.adapt(ENGLISH)
    theirs, ours = vectorize(ENGLISH).numpy(), features["t"].numpy()
    assert (ours == 0).tolist() == (theirs == 0).tolist()
    # The same word has the same id; that of the ones that are not among the six most frequent is 1.
    pairs = {(int(one), int(other)) for one, other in zip(ours.flat, theirs.flat, strict=True) if one > 1}
    assert len(pairs) == len({one for one, _ in pairs}) == 6


@pytest.mark.long
def test_of_words_as_frequent_as_each_other_the_alphabet_decides(columns: Any, prepare: Prepare) -> None:
    table = columns.Table([columns.Text("t", words=3, length=4), columns.Classes("y", ["a", "b"])])
    for text in ("t,y\nd c b a,a\nb,b\n", "t,y\nb,b\nd c b a,a\n"):
        by_row = {
            len(row[row > 0]): row.tolist()
            for [(f, _, _)] in [prepare(table, text).batches(False, 10)]
            for row in f["t"].numpy()
        }
        assert by_row[4] == [1, 4, 2, 3]


@pytest.mark.long
def test_an_empty_text_is_padding_only(columns: Any, prepare: Prepare) -> None:
    table = columns.Table([columns.Numeric("n"), columns.Text("t", length=2), columns.Classes("y", ["a", "b"])])
    [(features, _, _)] = prepare(table, "n,t,y\n1,one two three,a\n2,,b\n").batches(False, 10)
    assert features["t"].numpy().tolist() == [[2, 3], [0, 0]]


DAYS = [
    datetime(1900, 2, 28),
    datetime(1970, 1, 1),
    datetime(2000, 2, 29),
    datetime(2023, 12, 31, 23, 59, 58),
    datetime(2024, 2, 29, 12),
]


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d %H:%M:%S", "%Y年%m月", "%Y"])
def test_a_date_is_year_month_weekday_and_days(form: str, project: Path) -> None:
    import tensorflow as tf

    from trainer.columns import Date
    from trainer.values import date_numbers

    texts = [day.strftime(form) for day in DAYS]
    meant = [datetime.strptime(text, form) for text in texts]
    numbers, is_date = date_numbers(Date("d", format=form), tf.constant(texts))
    assert is_date.numpy().all()
    expected = [[d.year, d.month, d.weekday(), (d - datetime(1970, 1, 1)) / timedelta(days=1)] for d in meant]
    assert np.allclose(numbers.numpy(), expected, atol=0.01)


def test_every_day_of_nine_years_is_a_date_and_no_other(project: Path) -> None:
    import tensorflow as tf

    from trainer.columns import Date
    from trainer.values import date_numbers

    texts = [f"{year}-{month:02}-{day:02}" for year in range(1896, 1905) for month in range(14) for day in range(33)]
    column = Date("d")
    expected = [column.problem(text) is None for text in texts]
    assert date_numbers(column, tf.constant(texts))[1].numpy().tolist() == expected
    assert sum(expected) == 365 * 9 + 2


def test_a_date_that_does_not_exist_is_named_with_file_and_row(columns: Any, films: Any, prepare: Prepare) -> None:
    with pytest.raises(columns.DataError, match=r"row 3.*'2023-02-29' is not a date of the format %Y-%m-%d"):
        prepare(films, "n,title,seen,y\n1,a,2024-02-29,a\n1,a,2023-02-29,b\n")


@pytest.mark.long
def test_a_missing_date_is_what_the_column_says(columns: Any, films: Any, prepare: Prepare) -> None:
    text = "n,title,seen,y\n1,a,2024-02-29,a\n1,a,,b\n"
    with pytest.raises(columns.DataError, match="row 3.*seen"):
        prepare(films, text)
    by_name = {column.name: column for column in films.columns} | {"seen": columns.Date("seen", missing="2024-02-29")}
    table = dataclasses.replace(films, columns=list(by_name.values()))
    [(features, _, _)] = prepare(table, text).batches(False, 10)
    assert features["seen"].numpy().tolist() == [[0] * 4] * 2


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [("Text", {"words": 0}, "words of 'x' must be a whole number, 1 or more, not 0"),
     ("Text", {"length": 2.5}, "length of 'x' must be a whole number, 1 or more, not 2.5"),
     ("Text", {"missing": 3}, "missing of 'x' must be a text, not 3"),
     ("Date", {"format": "%d/%m"}, r"format of 'x' has %Y and other parts, each once, of %Y, %m, .*; not '%d/%m'"),
     ("Date", {"format": "%B %Y"}, "format of 'x' has %Y and other parts"),
     ("Date", {"missing": "1.1.2000"}, "missing of 'x': '1.1.2000' is not a date of the format %Y-%m-%d")],
)  # fmt: skip
def test_a_column_that_cannot_be_is_refused(kind: str, options: dict, said: str, columns: Any) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError, match=said):
        columns.Table([getattr(columns, kind)("x", **options), columns.Number("y")])
    columns.Table([getattr(columns, kind)("x"), columns.Number("y")])
