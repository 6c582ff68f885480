"""`runs/…/report.html`: what a training came to, drawn for every kind of target; `onstage report` opens it."""

import re
from pathlib import Path
from typing import Any

import pytest

from onstage import training_page
from tests.onstage.commands import onstage
from tests.template.conftest import Train, use_table


def page_of(run: Any, result: Any, objective: Any, folder: Path) -> str:
    """The page of a training; nothing in it may be loaded from elsewhere."""
    said = training_page.write(folder, run, result, objective)
    assert said.startswith("report: "), said
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|img|iframe|link)\b|@import|url\(h", text)
    return text


def test_labels_are_a_confusion_matrix_beside_the_baseline(
    train: Train, make_run: Any, model: Any, tmp_path: Path
) -> None:
    result = train(epochs=3)
    text = page_of(make_run(epochs=3), result, model.OBJECTIVE, tmp_path)
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert headings == [
        "Metrics of the exported model", "Learning curves", "species: answers to 30 rows of the evaluation data",
        "Hyperparameters", "Data", "Columns", "A request, and its answer", "Made with", "Compared with others",
    ]  # fmt: skip
    right = round(result.metrics["val_accuracy"] * 30)
    assert f"{right} of 30 are right." in text
    assert f"{result.constant['val_accuracy']:.6g} with &#x27;" in text
    assert text.count("<svg role='img' aria-label=") == 2
    assert "<td>epochs</td><td>3</td><td>40</td>" in text


def test_numbers_are_residuals_in_their_own_units(
    train: Train, make_run: Any, regression: Path, tmp_path: Path
) -> None:
    from trainer import model

    result = train(epochs=4, data=regression)
    text = page_of(make_run(epochs=4, data=regression), result, model.OBJECTIVE, tmp_path)
    assert "body_mass_g: answers to 69 rows of the evaluation data" in text
    most = float(re.search(r"nine of ten within ([\d.]+)", text)[1])
    assert result.metrics["val_mae"] < most < 3 * result.metrics["val_rmse"]


@pytest.mark.long
@pytest.mark.parametrize("units", [1, 2], ids=["one unit", "one-hot"])
def test_two_labels_by_one_unit_and_one_hot_labels_are_counted_alike(
    units: int, make_run: Any, columns: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import keras

    from trainer import model
    from trainer.training import train

    use_table([columns.Numeric("x")], monkeypatch)
    table = columns.Table([columns.Numeric("x"), columns.Classes("y", ["a", "b"], one_hot=units == 2)])
    monkeypatch.setattr(model, "DATA", table)

    def build_model(hyperparameters: Any, inputs: dict[str, Any]) -> keras.Model:
        last = keras.layers.Dense(units, activation="sigmoid" if units == 1 else "softmax")
        network = keras.Model(inputs, last(keras.layers.Concatenate()(list(inputs.values()) * 2)))
        loss = "binary_crossentropy" if units == 1 else "categorical_crossentropy"
        network.compile(keras.optimizers.Adam(0.3), loss, weighted_metrics=["accuracy"])
        return network

    monkeypatch.setattr(model, "build_model", build_model)
    for channel in ("train", "eval"):
        (tmp_path / "data" / channel).mkdir(parents=True)
        rows = "".join(f"{x},{'b' if x > 5 else 'a'}\n" for x in range(12))
        (tmp_path / "data" / channel / "rows.csv").write_text("x,y\n" + rows, encoding="utf-8")
    run = make_run(epochs=20, data=tmp_path / "data")
    result = train(run)
    text = page_of(run, result, model.OBJECTIVE, tmp_path)
    assert f"{round(result.metrics['val_accuracy'] * 12)} of 12 are right." in text


def test_many_labels_are_their_most_frequent_mistakes() -> None:
    import numpy as np

    labels = [f"label {number}" for number in range(40)]
    truth, answers = np.arange(40)[:, None], np.eye(40)
    answers[[3, 4]] = answers[[4, 3]]
    text = training_page._confusion(labels, truth, answers)
    assert "38 of 40 are right; of 40 labels, the most frequent mistakes:" in text
    assert "<td>label 3</td><td>label 4</td><td>1</td>" in text
    assert "<svg" not in text


def test_a_page_that_cannot_be_drawn_is_said_and_fails_nothing(make_run: Any, model: Any, tmp_path: Path) -> None:
    said = training_page.write(tmp_path, make_run(), None, model.OBJECTIVE)
    assert said.startswith("note: no report.html: AttributeError: ")
    assert not (tmp_path / "report.html").exists()


def test_report_opens_the_last_page_or_that_of_a_folder(bake: Any, tmp_path: Path) -> None:
    project = bake(project_name="Reported")
    for name in ("runs/1", "runs/2", "runs/tune/search"):
        (project / name).mkdir(parents=True)
    none = onstage("report", cwd=project)
    assert (none.code, none.err) == (
        2,
        "error: there is no report.html in runs: train.py writes one beside each model\n",
    )
    for name in ("runs/2", "runs/1", "runs/tune/search"):
        (project / name / "report.html").write_text(name, encoding="utf-8")
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n', encoding="utf-8")
    browser.chmod(0o755)
    for words, name in (((), "runs/1"), (("runs/tune/search",), "runs/tune/search")):
        ended = onstage("report", *words, cwd=project, environment={"BROWSER": str(browser)})
        assert (ended.code, ended.out) == (0, f"{name}/report.html\n")
        assert opened.read_text(encoding="utf-8").strip() == (project / name / "report.html").as_uri()
