"""What only rows beyond the trainer's three examples show: an answer that is not the trained network's, or none."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import MODEL, Mistake, both, change, failed, rehearse, some_long
from tests.onstage.readers import reader, with_column

LOG = 'keras.layers.Lambda(keras.ops.log, name="log_of_size")(inputs["size"])'
LOOKUP = """\
    index = keras.layers.IntegerLookup(vocabulary=[1, 2], num_oov_indices=0, name="no_unknown")(inputs["site"])
    sites = keras.layers.Embedding(2, 2)(index)
    hidden = keras.layers.Concatenate()([value for name, value in inputs.items() if name != "site"] + [sites])
"""
FIRST_LINE = "    hidden = joined(DATA, inputs)\n"
SITE = 'Categorical("site", ["a", "b"], encoding="index")'


def zero(project: Path) -> None:
    """A row of the evaluation data, the 20th, has a size of 0."""
    file = project / "data" / "eval" / "iris.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[20] = "0.0," + lines[20].partition(",")[2]
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")


def sited(lookup: str) -> Callable[[Path], object]:
    """The flowers have a column of text, which the network looks up."""
    return both(with_column("site", lambda number: "ab"[number % 2], SITE), change(MODEL, FIRST_LINE, lookup))


MISTAKES = [
    Mistake("a reader that scales beside the graph", "replay", reader(scale="features / 10"),
            ["30 of 30 rows of the evaluation data are answered otherwise than by the trained network; val_mae is ",
             " by the checkpoint, ", " by the answers; row 1, [5.7, 2.6, 3.5]: the answer is ",
             "predict gets size [5.7, 2.6, 3.5], where batches() has [0.57, 0.26, 0.35]",
             "let the signature do to a row what batches() did"]),
    Mistake("an export without preprocessing and labels", "replay",
            both(change("src/trainer/training.py", "request, response = export(network, reader, run.export_dir)",
                        "network.export(run.export_dir); request, response = {}, {}"),
                 reader(scale="features / 10", serve="output[:, 0]", inside="size / 10")),
            ["30 of 30 rows of the evaluation data are answered otherwise", "val_mae is ", "row 1, [5.7, 2.6, 3.5]"]),
    Mistake("an export that takes no row", "replay",
            change("src/trainer/training.py", "request, response = export(network, reader, run.export_dir)",
                   "network.export(run.export_dir); request, response = {}, {}"),
            ["data/eval/iris.csv, line 2: row 1 of the evaluation data, [5.7, 2.6, 3.5, 1.0], is not answered: ",
             "the endpoint answers 400"]),
    Mistake("labels in another order", "replay", reader(kind="labels", serve="output[:, ::-1]"),
            ["in 30 of 30 rows, the answer is not the network's output; val_accuracy is ",
             "let the signature answer with the output, each value in its place"]),
    Mistake("a logarithm of a 0 that training did not see as one", "replay",
            both(reader(scale="np.maximum(features, 0.1)", layer=LOG), zero),
            ["row 20 of the evaluation data, [0.0, ", "is not answered: the output of the layer 'log_of_size' (Lambda)",
             "src/trainer/model.py, line ", "keras.ops.maximum before a logarithm"]),
    Mistake("a lookup without a place for what is unknown", "probes", sited(LOOKUP),
            ["no answer where site is unknown (and an empty text), in {\"site\": \"a text that nobody knows\"",
             "src/trainer/model.py, line ", "the layer 'no_unknown' (IntegerLookup) fails", "num_oov_indices=1"]),
]  # fmt: skip


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(bake(platform="sagemaker"), tmp_path / "project", ignore=ignored))


def checks(project: Path) -> dict[str, dict[str, Any]]:
    """Rehearse a project that passes; the last finding of each check, by its name."""
    ended = onstage("rehearse", "--json", "report.json", cwd=project)
    assert ended.code == 0, ended.said
    found = json.loads((project / "report.json").read_text(encoding="utf-8"))["checks"]
    return {check["name"]: check for check in found}


def details(project: Path) -> dict[str, str]:
    """Status and detail of each check of a project that passes."""
    return {name: f"{check['status']} {check['detail']}" for name, check in checks(project).items()}


@pytest.mark.long
@pytest.mark.parametrize(
    "mistake",
    some_long(MISTAKES, "a reader that scales beside the graph", "a lookup without a place for what is unknown"),
)
def test_a_row_that_the_endpoint_answers_otherwise_is_named(mistake: Mistake, project: Path) -> None:
    report, said = rehearse(mistake, project)
    assert mistake.check in failed(report), said


@pytest.mark.long
def test_a_value_beyond_the_data_that_is_not_answered_is_a_warning_with_the_line(project: Path) -> None:
    reader(layer=LOG)(project)
    found = checks(project)
    assert found["replay"]["detail"].startswith("30 rows: val_mae="), found
    warning = found["probes"]
    assert warning["status"] == "warning"
    # How many are looked at takes as long as it may.
    said = r"no answer where value 3 is 0( \(and less than ever\))?, in \[5.7, 2.6, 0.0\]: the output of the layer "
    assert re.search(f"{said}'log_of_size'", warning["detail"]), warning["detail"]
    page = (project / warning["file"]).read_text(encoding="utf-8").splitlines()
    assert "log_of_size" in page[warning["line"] - 1]


@pytest.mark.long
def test_a_reader_whose_examples_take_no_count_is_said_to_be_not_compared(project: Path) -> None:
    reader(examples="self")(project)
    found = details(project)
    assert found["replay"].startswith("skipped DATA.examples takes no count: write examples(self, count=3)"), found
    assert found["probes"] == found["replay"]
