"""`onstage.kernel`, in a real kernel: frames, networks, whole trainings, and what they exported."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import Bake
from tests.onstage import commands, readers

# All of it looks at one kernel's cells, and the notebooks' tests run a kernel, too.
pytestmark = pytest.mark.long

MODEL = """
from dataclasses import dataclass

import keras

from trainer.columns import Categorical, Classes, Date, Dropped, Identity, Numeric, Table, Text
from trainer.encoding import joined
from trainer.run import Objective

DATA = Table(
    [
        Dropped("id"),
        Numeric("area (m2)", missing=50.0),
        Categorical("kind", ["flat", "house"], missing="other"),
        Identity("floor", size=9),
        Date("sold", format="%d.%m.%Y"),
        Text("title", words=10, length=3),
        Classes("is_dear", ["no", "yes"], drop_missing=True),
    ],
    missing_text="NA",
)
OBJECTIVE = Objective("val_auc", "maximize")


@dataclass(frozen=True)
class Hyperparameters:
    epochs: int = 1
    batch_size: int = 8
    units: int = 4
    seed: int = 0


def build_model(hyperparameters, inputs):
    hidden = keras.layers.Dense(hyperparameters.units, activation="relu")(joined(DATA, inputs))
    network = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    network.compile("adam", "binary_crossentropy", weighted_metrics=[keras.metrics.AUC()])
    return network
"""
ROWS = """\
id,area (m2),kind,floor,sold,title,is_dear
1,40.5,flat,2,24.12.2019,near the lake,no
2,NA,flat,0,01.01.1900,,no
3,120,house,1,05.06.2020,"old, with a garden",yes
4,90,castle,0,07.08.2021,big,yes
5,60,,8,09.09.2022,new,NA
"""
# Cells of one kernel; each test looks at what one of them shows.
CELLS = {
    "frame": """
from onstage import kernel
frame = kernel.data("train")
print(frame.dtypes.astype(str).to_dict())
print(frame.attrs)
print(frame.isna().sum()[lambda count: count > 0].to_dict())
print(list(frame["kind"].cat.categories), frame["sold"].dt.year.tolist(), frame["id"].tolist(), frame["title"][1] == "")
""",
    "few rows": "print(len(kernel.data(rows=2)), len(kernel.data('eval', rows=100)))",
    "no channel": "kernel.data('test')",
    "build": "print(kernel.build_model(units=7).get_layer('dense').units)",
    "fit": "result = kernel.fit(epochs=2)\nprint([sorted(one) for one in result.history])",
    "fit again": "again = kernel.fit(epochs=2)\nprint(sorted(again.metrics), again.metrics == result.metrics)",
    "a flag": "kernel.fit(epoch=2)",
    "rows": "model = kernel.load()\nprint(model.predict(model.request['instances']) == model.response['predictions'])",
    "a frame": """
answers = model.predict(frame)
print(answers.dtypes.astype(str).to_dict(), answers.index.equals(frame.index))
""",
    "a column": "model.predict(frame.drop(columns='floor'))",
    "by name": "print(kernel.predict(frame, again.export_dir)['is_dear'].equals(answers['is_dear']))",
    "by nobody's name": "kernel.load('20010101-000000')",
    "edit": """
from pathlib import Path
page = Path("src/trainer/model.py")
text = page.read_text()
page.write_text(text.replace("units: int = 4", "units: int = 6"))
print(kernel.build_model().get_layer("dense").units)
""",
    "a mistake": "page.write_text(text.replace('activation=\"relu\"', 'activation=\"rleu\"'))\nkernel.build_model()",
    "another": "page.write_text(text.replace('Numeric(\"area', 'Nmueric(\"area'))\nkernel.data()",
    "mended": "page.write_text(text)\nprint(kernel.build_model(units=5).get_layer('dense').units)",
    "a bad row": """
file = Path("data/train/rows.csv")
file.write_text(file.read_text() + "6,x,flat,0,01.01.2000,,no" + chr(10))
kernel.data()
""",
    "shards": """
settings = Path("settings.toml")
told = settings.read_text()
settings.write_text(told.replace('"data/train"', '"shards"'))
print(kernel.data("train")[list(frame)[1:]].equals(frame[list(frame)[1:]]))
""",
    "another reader": f"""
settings.write_text(told.replace('"data/', '"flowers/'))
page.write_text({readers.page()!r})
print(len(kernel.data('eval', rows=4)))
""",
    "its train": "kernel.data('train')",
}


def executed(folder: Path, cells: dict[str, str]) -> dict[str, str]:
    """What each cell shows in a kernel in this folder: its prints, or the traceback of its error."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells.values()])
    options = {"timeout": 300, "allow_errors": True, "resources": {"metadata": {"path": str(folder)}}}
    NotebookClient(notebook, kernel_name="python3", **options).execute()
    return {name: shown(cell) for name, cell in zip(cells, notebook.cells, strict=True)}


def shown(cell: Any) -> str:
    """Its prints, then the traceback of its error, without colours and what TensorFlow says of this machine."""
    texts = ["\n".join(one["traceback"]) if one.output_type == "error" else one.get("text", "") for one in cell.outputs]
    return re.sub(r"\x1b\[[\d;]*m", "", "".join(texts)).strip()


@pytest.fixture(scope="module")
def seen(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each of CELLS shows."""
    folder = tmp_path_factory.mktemp("kernel") / "project"
    shutil.copytree(bake(), folder, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    (folder / "data").rename(folder / "flowers")
    for channel in ("train", "eval"):
        (folder / "data" / channel).mkdir(parents=True)
        (folder / "data" / channel / "rows.csv").write_text(ROWS, encoding="utf-8")
    (folder / "src" / "trainer" / "model.py").write_text(MODEL, encoding="utf-8")
    made = commands.onstage("convert", "data/train", "--to", "shards", cwd=folder)
    assert made.code == 0, made.said
    with pytest.MonkeyPatch.context() as patch:
        # A kernel is to find the package as a project's own environment has it.
        patch.setattr(os, "environ", {name: value for name, value in os.environ.items() if name != "PYTHONPATH"})
        return executed(folder, CELLS)


def test_a_frame_has_the_columns_of_model_py_and_nothing_filled_in(seen: dict[str, str]) -> None:
    kinds, attrs, missing, values = seen["frame"].splitlines()
    assert eval(kinds) == {
        "id": "object", "area (m2)": "float64", "kind": "category", "floor": "Int64", "sold": "datetime64[s]",
        "title": "object", "is_dear": "category",
    }  # fmt: skip
    features = ["area (m2)", "kind", "floor", "sold", "title"]
    assert eval(attrs) == {"targets": ["is_dear"], "features": features}
    assert eval(missing) == {"area (m2)": 1, "kind": 1, "is_dear": 1}
    assert values == ("['flat', 'house', 'castle'] [2019, 1900, 2020, 2021, 2022] ['1', '2', '3', '4', '5'] True")
    assert seen["few rows"] == "2 5"
    assert seen["no channel"] == "error: there is no channel 'test', but train and eval"


def test_shards_give_the_same_frame(seen: dict[str, str]) -> None:
    assert seen["shards"] == "True"


def test_a_row_that_does_not_fit_is_named_with_file_and_line(seen: dict[str, str]) -> None:
    assert seen["a bad row"].startswith("error: rows.csv, row 7, column 'area (m2)': 'x' is not a number")


def test_a_second_training_in_one_kernel_is_the_first_one_again(seen: dict[str, str]) -> None:
    assert seen["build"].endswith("7")
    # Metrics of a second network are called auc_1 where Keras remembers the first.
    assert seen["fit"].endswith(str([["loss", "val_auc", "val_loss"]] * 2))
    assert "report: runs/" in seen["fit"] and "epoch=2 loss=" in seen["fit"]
    assert seen["fit again"].endswith("['loss', 'val_auc', 'val_loss'] True")
    assert re.fullmatch(r"error: unknown flag --epoch; did you mean --epochs\? Known flags: .*", seen["a flag"])


def test_what_was_exported_answers_rows_and_frames(seen: dict[str, str]) -> None:
    assert seen["rows"] == "True"
    assert seen["a frame"] == "{'is_dear': 'category'} True"
    assert seen["a column"] == "error: the frame has no column 'floor', which the model takes"
    assert seen["by name"] == "True"
    assert seen["by nobody's name"] == (
        "error: 20010101-000000 has no model: name a folder of runs/, or one that holds saved_model.pb"
    )


def test_a_changed_model_py_counts_at_the_next_call_and_a_mistake_is_one_message(seen: dict[str, str]) -> None:
    assert seen["edit"].endswith("\n6")
    said = seen["a mistake"].splitlines()[-1]
    assert re.match(r"error: model\.py, line \d+: ValueError: .*rleu", said)
    assert re.fullmatch(r"error: model\.py, line \d+: NameError: name 'Nmueric' is not defined.*", seen["another"])
    assert not [name for name, text in seen.items() if "Traceback" in text]
    assert seen["mended"].endswith("\n5")


def test_data_that_is_no_table_shows_examples_of_its_reader(seen: dict[str, str]) -> None:
    assert seen["another reader"] == "4"
    assert seen["its train"] == (
        'error: DATA is no table, and its reader has examples of eval only: kernel.data("eval")'
    )
