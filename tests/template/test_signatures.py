"""What a signature cannot carry is known before the first step; a column has its own name at the endpoint."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onstage.rehearsal.endpoint_checks import check_answers
from onstage.sagemaker.agent.request_forms import right
from onstage.serving.process import ServingProcess
from tests.conftest import Command
from tests.template.conftest import Prepare, use_table
from tests.template.cpp_loader import error_of
from tests.template.test_export import FRESH, described

NAMES = ("class", "return", "self", "Age", "age", "None", "lambda", "1st", "inputs", "features", "dense", "average_1")
ROWS = 40


def trained(columns: list, rows: Callable[[int], dict], folder: Path) -> Path:
    """The folder of a training on the table of `columns` and a target y; what it printed is in said.txt beside it."""
    import contextlib
    import io

    from trainer import model
    from trainer.run import Run
    from trainer.training import train

    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        use_table(columns, patch)
        for channel in ("train", "eval"):
            made = [rows(number) | {"y": "ab"[number % 2]} for number in range(ROWS)]
            lines = [",".join(made[0]), *(",".join(map(str, row.values())) for row in made)]
            (folder / channel).mkdir()
            (folder / channel / "d.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        places = (str(folder / name) for name in ("train", "eval", "model/1", "checkpoints", "logs"))
        train(Run(model.Hyperparameters(epochs=2), *places))
    (folder / "said.txt").write_text(said.getvalue(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def names(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a table with names that Python and TensorFlow cannot take, all of its columns numbers."""
    from trainer.columns import Numeric

    columns = [Numeric(name) for name in NAMES]
    values = {name: (number * 7 + 3) % 11 for number, name in enumerate(NAMES)}
    make = lambda number: {name: (value + 1) * number % 13 for name, value in values.items()}
    return trained(columns, make, tmp_path_factory.mktemp("names"))


@pytest.fixture(scope="module")
def numbers(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a table of numbers, with ids from 90000001 on, of which a float32 holds every eighth."""
    from trainer.columns import Categorical, Numeric

    columns = [Numeric("x"), Categorical("product_id", [90000001, 90000002, 90000003])]
    make = lambda number: {"x": number, "product_id": 90000001 + number % 3}
    return trained(columns, make, tmp_path_factory.mktemp("numbers"))


def request_of(folder: Path) -> tuple[dict, dict]:
    example = json.loads((folder / "model" / "1" / "assets.extra" / "example.json").read_text(encoding="utf-8"))
    return example["request"], example["response"]


@pytest.mark.long
def test_a_column_has_its_own_name_at_the_endpoint_whatever_python_makes_of_it(names: Path) -> None:
    found = described(names / "model" / "1")
    assert found["named"][0] == {name: ("float32", [None]) for name in NAMES}
    assert found["serving_default"][0] == {"features": ("float32", [None, len(NAMES)])}


def test_each_of_these_columns_is_meant_by_its_name(names: Path, ask: Callable) -> None:
    folder = names / "model" / "1"
    row = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0, 8.0]
    for number in range(len(NAMES)):
        changed = [value + 40 * (number == place) for place, value in enumerate(row)]
        assert ask(folder, changed) != ask(folder, row)
        by_name = dict(zip(NAMES, changed, strict=True))
        assert ask(folder, by_name, signature="named") == ask(folder, changed)


@pytest.mark.long
def test_the_cpp_loader_and_a_process_without_keras_answer_by_these_names(
    names: Path, ask: Callable, tmp_path: Path, command: Command
) -> None:
    import numpy as np

    from trainer.export import Predictor

    folder, row = names / "model" / "1", list(range(len(NAMES)))
    signature = Predictor(str(folder)).signatures["serving_default"]
    feed = (signature.inputs["features"].name, np.float32([row]))
    assert error_of(str(folder), feed, signature.outputs["probabilities"].name) == ""
    values = json.dumps({name: [value] for name, value in zip(NAMES, row, strict=True)})
    done = command(sys.executable, "-I", "-c", FRESH, folder, "named", values, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (here,) = ask(folder, row)
    assert json.loads(done.stdout)["probabilities"][0] == pytest.approx(here["probabilities"], abs=1e-6)


def test_python_loads_it_too_under_the_names_in_the_graph(names: Path, iris: Path) -> None:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(names / "model" / "1")).signatures["named"]
    assert loaded(**{f"column_{number}": tf.ones([1]) for number in range(len(NAMES))})["class_id"].shape == [1]
    ordinary = tf.saved_model.load(str(iris)).signatures["named"].structured_input_signature[1]
    assert "petal_width" in ordinary
    assert (iris / "fingerprint.pb").exists()


@pytest.fixture(scope="module")
def server() -> Iterator[ServingProcess]:
    with ServingProcess() as process:
        yield process


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("model", "asked"),
    [("names", ["instances", "inputs", "application/jsonlines", "bare rows", "text/csv", "the signature named"]),
     ("numbers", ["instances", "inputs", "application/jsonlines", "bare rows"])],
)  # fmt: skip
def test_the_endpoint_answers_in_every_form_and_csv_is_not_asked_of_objects(
    model: str, asked: list[str], server: ServingProcess, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(model)
    question, answer = request_of(folder)
    forms, refused = right(question, list(NAMES) if model == "names" else ["x", "product_id"])
    assert ([form.name for form in forms], refused) == (asked, [])
    server.load(folder / "model")
    said = check_answers(f"{server.url}/invocations", forms, answer)
    assert said == f"as the trainer has it: {', '.join(asked)}"


@pytest.mark.long
def test_ids_above_2_to_the_24_are_asked_as_objects_and_told_apart(numbers: Path, ask: Callable) -> None:
    inputs = {"x": ("float32", [None]), "product_id": ("int64", [None])}
    found = described(numbers / "model" / "1")
    assert found["serving_default"][0] == found["named"][0] == inputs
    said = (numbers / "said.txt").read_text(encoding="utf-8")
    why = "whole numbers of 2^24 and above in product_id: in a request, a row is an object, not a list\n"
    assert said.index(why) < said.index("epoch=1")
    rows = [{"x": 3.0, "product_id": 90000001 + number} for number in range(4)]
    assert len({json.dumps(answer) for answer in ask(numbers / "model" / "1", *rows)}) == 4


def test_a_whole_number_that_int64_does_not_hold_is_refused(numbers: Path, ask: Callable) -> None:
    from trainer.run import UserError

    row = {"x": 3.0, "product_id": 2**63 - 1}
    assert len(ask(numbers / "model" / "1", row)) == 1
    with pytest.raises(UserError, match=r"input 'product_id' takes int64 .*9223372036854775808"):
        ask(numbers / "model" / "1", row | {"product_id": 2**63})


LARGE = {
    "a vocabulary": ('Categorical("n", [1, 2**24])', "1", True),
    "a vocabulary just below": ('Categorical("n", [1, 2**24 - 1])', "1", False),
    "a negative vocabulary": ('Categorical("n", [1, -(2**24) - 1])', "1", True),
    "what stands for an empty field": ('Categorical("n", [1, 2], missing=99999999)', "1", True),
    "a size": ('Identity("n", 2**25, encoding="index")', "1", True),
    "a size just below": ('Identity("n", 2**24, encoding="index")', "1", False),
    "the data only": ('Categorical("n", [1, 2])', "90000001", True),
    "the data only, negative": ('Categorical("n", [1, 2])', "-90000001", True),
    "the data only, just below": ('Categorical("n", [1, 2])', str(2**24 - 1), False),
    "a number that is no whole one": ('Numeric("n")', "90000001", False),
    "labels": ('Categorical("n", [1, 2])', "1", False),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("channel", ["train", "eval"])
def test_whether_rows_are_lists_is_decided_before_training(
    case: str, channel: str, prepare: Prepare, capsys: pytest.CaptureFixture
) -> None:
    import tensorflow as tf

    from trainer import columns

    spelt, value, objects = LARGE[case]
    labels = [90000001, 90000002] if case == "labels" else [0, 1]
    table = columns.Table([eval(spelt, vars(columns)), columns.Numeric("x"), columns.Classes("y", labels)])
    rows = "".join(f"1,{number},{labels[number % 2]}\n" for number in range(9))
    odd = f"n,x,y\n{rows}{value},5,{labels[1]}\n"
    plain = f"n,x,y\n{rows}"
    reader = prepare(table, *((odd, plain) if channel == "train" else (plain, odd)))
    _, (specs,) = reader.signatures(lambda features: features["x"])[0]["serving_default"]
    assert isinstance(specs, dict) is objects
    assert isinstance(specs, tf.TensorSpec) is not objects
    assert all(isinstance(row, dict if objects else list) for row in reader.examples())
    assert ("a row is an object" in capsys.readouterr().out) is objects


def test_a_table_with_texts_says_nothing_of_its_large_numbers(
    prepare: Prepare, columns: Any, capsys: pytest.CaptureFixture
) -> None:
    table = columns.Table([columns.Categorical("n", [2**30]), columns.Hashed("t", 9), columns.Classes("y", ["a", "b"])])
    reader = prepare(table, f"n,t,y\n{2**30},u,a\n{2**30},v,b\n")
    assert reader.examples() == [{"n": 2**30, "t": "u"}, {"n": 2**30, "t": "v"}]
    assert "2^24" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("vocabulary", "missing", "said"),
    [
        ([1, 2**63], None, "whole numbers of 64 bits; as texts, "),
        ([1, 2], -(2**63) - 1, "missing of 'n' must be a whole number of 64 bits"),
        ([-(2**63), 2**63 - 1], 5, ""),
        ([str(2**63), "1"], str(2**64), ""),
    ],
)
def test_whole_numbers_of_more_than_64_bits_are_texts(vocabulary: list, missing: Any, said: str, columns: Any) -> None:
    from trainer.run import UserError

    made = [columns.Categorical("n", vocabulary, missing=missing), columns.Classes("y", ["a", "b"])]
    if not said:
        assert columns.Table(made).features == made[:1]
        return
    with pytest.raises(UserError, match=said):
        columns.Table(made)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "vocabulary", [[-1, 0, 1], [0, -1, 1], [-1], ["[UNK]", "a"], ["a", "[UNK]"], ["", "a"], [0], [5, 7]]
)
def test_each_value_of_a_vocabulary_is_known_whatever_keras_calls_the_unknown(
    vocabulary: list, prepare: Prepare, columns: Any
) -> None:
    table = columns.Table([columns.Categorical("n", vocabulary), columns.Numeric("x"), columns.Classes("y", [0, 1])])
    given = [value for value in vocabulary if value != ""]
    other = "other" if isinstance(vocabulary[0], str) else 99
    rows = "".join(f"{value},{number},{number % 2}\n" for number, value in enumerate([*given, other]))
    reader = prepare(table, f"n,x,y\n{rows}")
    features, _, _ = next(iter(reader.batches(False, 16)))
    found = features["n"].numpy().argmax(axis=1).tolist()
    assert found == [*(vocabulary.index(value) + 1 for value in given), 0]


def test_an_example_is_a_row_that_the_training_uses(prepare: Prepare, columns: Any) -> None:
    """Nobody has looked at a row without a target: one of them would be the export's proof, which fails."""
    table = columns.Table([columns.Identity("n", 3), columns.Classes("y", ["a", "b"], drop_missing=True)])
    reader = prepare(table, "n,y\n1,a\n2,b\n", "n,y\n99999999,\n7,\n1,a\n9,\n2,b\n")
    assert reader.examples() == [[1], [2]]
