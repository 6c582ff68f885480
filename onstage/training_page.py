"""What a training on this machine came to, as one page of pictures and tables: `report.html` beside its model.

Drawn from what the trainer returns: TensorFlow is loaded already, and nothing of it is imported here.
"""

import dataclasses
import json
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from onstage import pages
from onstage.errors import StartError
from onstage.project import path_for_people

FILE = "report.html"
# Of the evaluation data, as many rows are asked for; of labels, as many have room in a picture.
MOST_ROWS, MOST_LABELS = 20_000, 30
_MOST_METRICS = 5


def write(folder: Path, run: Any, result: Any, objective: Any) -> str:
    """Write the page of a training into `folder`; `run`, `result` and `objective` are the trainer's. The line to print.

    A page that cannot be made is said in that line: the training is done, and its model is there.
    """
    try:
        return f"report: {path_for_people(_write(folder, run, result, objective))}"
    except Exception as error:  # noqa: BLE001 - it draws what a researcher's network answers
        return f"note: no {FILE}: {type(error).__name__}: {error}"


def find(runs: Path, folder: Path | None) -> Path:
    """The page in `folder`, or the newest one of a training in `runs`. Raises StartError where there is none."""
    pages_there = [folder / FILE] if folder else sorted(runs.glob(f"*/{FILE}"), key=lambda file: file.stat().st_mtime)
    if not pages_there or not pages_there[-1].is_file():
        where = path_for_people(folder or runs)
        raise StartError(f"there is no {FILE} in {where}: train.py writes one beside each model")
    return pages_there[-1]


def _write(folder: Path, run: Any, result: Any, objective: Any) -> Path:
    file = folder / FILE
    value = result.metrics.get(objective.metric, math.nan)
    parts = [
        pages.paragraph(
            f"{objective.metric} = {value:.6g}, which was to {objective.goal}{_baseline(result, objective)}."
        ),
        *_metrics(result),
        *_curves(result),
        *_answers(result),
        *_tables(run, result),
        pages.heading("Compared with others"),
        pages.paragraph("TensorBoard shows the curves of all trainings beside each other:"),
        pages.code(f"tensorboard --logdir {path_for_people(folder.parent)}"),
    ]
    pages.write(file, f"{folder.name}: {objective.metric} {value:.4g}", parts)
    return file


def _baseline(result: Any, objective: Any) -> str:
    if objective.metric not in result.constant:
        return ""
    return f"; {result.constant[objective.metric]:.6g} with {result.constant_answer} for every row"


def _metrics(result: Any) -> Iterator[str]:
    yield pages.heading("Metrics of the exported model")
    rows = [
        [name, f"{value:.6g}", f"{result.constant[name]:.6g}" if name in result.constant else "-"]
        for name, value in result.metrics.items()
    ]
    yield pages.table(["metric", "model", "one answer for every row"], rows)


def _curves(result: Any) -> Iterator[str]:
    history: Sequence[Mapping[str, float]] = result.history
    others = [name for name in history[-1] if name not in ("loss", "val_loss")][:_MOST_METRICS]
    yield pages.heading("Learning curves")
    figure, axes = _figure(1 + len(others))
    epochs = range(1, len(history) + 1)
    # A single epoch is a point.
    mark = "o" if len(history) < 3 else ""
    for name, colour in (("loss", pages.COLOURS[1]), ("val_loss", pages.COLOURS[0])):
        axes[0].plot(epochs, [one.get(name, math.nan) for one in history], mark + "-", color=colour, label=name)
    axes[0].set_title("loss")
    axes[0].legend()
    for one, name in zip(axes[1:], others, strict=False):
        one.plot(epochs, [each.get(name, math.nan) for each in history], mark + "-", color=pages.COLOURS[0], label=name)
        if name in result.constant:
            one.axhline(result.constant[name], color="#666", linestyle="--", label="one answer for every row")
        one.set_title(name)
        one.legend()
    for one in axes:
        one.set_xlabel("epoch")
        one.xaxis.get_major_locator().set_params(integer=True)
        one.grid(alpha=0.3)
    yield pages.picture(figure, f"loss and {', '.join(others)} by epoch")


def _answers(result: Any) -> Iterator[str]:
    """A picture of each target of a table; other data has answers that only its reader knows."""
    table = getattr(result.reader, "table", None)
    if table is None:
        yield pages.heading("Answers")
        yield pages.paragraph("DATA is no table: what its answers mean, only its reader knows.")
        return
    outputs, targets, count = _asked(result)
    for target in table.targets:
        answers, truth = outputs[target.key], targets[target.key]
        rows = f"{count:,} rows of the evaluation data"
        yield pages.heading(f"{target.name}: answers to {rows}")
        labels = getattr(target, "labels", None)
        yield _residuals(target.name, truth, answers) if labels is None else _confusion(list(labels), truth, answers)


def _asked(result: Any) -> tuple[dict[str, Any], dict[str, Any], int]:
    """The network's outputs in the targets' units, and the targets, [rows, width] each, by key; and how many rows."""
    import numpy as np

    reader, keys = result.reader, [target.key for target in result.reader.table.targets]
    found: dict[str, list[Any]] = {key: [] for key in keys}
    seen: dict[str, list[Any]] = {key: [] for key in keys}
    count = 0
    for features, target, _ in reader.batches(False, 1024):
        output = reader.units.restore(result.network(features, training=False))
        for key in keys:
            one, true = (output[key], target[key]) if len(keys) > 1 else (output, target)
            found[key].append(np.asarray(one, dtype="float64").reshape(len(one), -1))
            seen[key].append(np.asarray(true, dtype="float64").reshape(len(true), -1))
        count += len(seen[keys[0]][-1])
        if count >= MOST_ROWS:
            break
    join = {key: np.concatenate(parts) for key, parts in found.items()}
    return join, {key: np.concatenate(parts) for key, parts in seen.items()}, count


def _confusion(labels: Sequence[Any], truth: Any, answers: Any) -> str:
    import numpy as np

    # One unit says how likely the second of two labels is.
    chosen = (answers[:, 0] > 0.5).astype(int) if answers.shape[1] == 1 else answers.argmax(axis=1)
    true = truth.argmax(axis=1) if truth.shape[1] > 1 else truth[:, 0].astype(int)
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (true, chosen), 1)
    right = f"{counts.trace():,} of {counts.sum():,} are right"
    if len(labels) > MOST_LABELS:
        wrong = [
            (int(counts[one, two]), one, two) for one in range(len(labels)) for two in range(len(labels)) if one != two
        ]
        rows = [[str(labels[one]), str(labels[two]), f"{number:,}"] for number, one, two in sorted(wrong)[::-1][:20]]
        return pages.paragraph(f"{right}; of {len(labels)} labels, the most frequent mistakes:") + pages.table(
            ["is", "was answered", "rows"], rows
        )
    size = max(3.0, 0.55 * len(labels) + 1.5)
    figure, (axes,) = _figure(1, (size + 1, size))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [str(label) for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), names)
    for (row, column), number in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{number}", ha="center", va="center", color=colour)
    axes.set_xlabel("answer")
    axes.set_ylabel("is")
    return pages.paragraph(f"{right}. Rows of a colour add up to 1.") + pages.picture(
        figure, f"confusion matrix: {right}"
    )


def _residuals(name: str, truth: Any, answers: Any) -> str:
    import numpy as np

    true, answer = truth[:, 0], answers[:, 0]
    errors = answer - true
    figure, axes = _figure(2)
    low, high = float(min(true.min(), answer.min())), float(max(true.max(), answer.max()))
    axes[0].plot([low, high], [low, high], color="#666", linestyle="--")
    axes[0].plot(true, answer, ".", color=pages.COLOURS[0], alpha=0.5, rasterized=len(true) > 5000)
    axes[0].set_xlabel(f"{name}, as it is")
    axes[0].set_ylabel(f"{name}, as it is answered")
    axes[1].hist(errors, bins=min(40, max(5, len(true) // 5)), color=pages.COLOURS[0])
    axes[1].axvline(0, color="#666", linestyle="--")
    axes[1].set_xlabel(f"answer less {name}, in its own units")
    axes[1].set_ylabel("rows")
    half, most = np.quantile(np.abs(errors), (0.5, 0.9))
    said = f"Half of the answers are within {half:.4g} of the truth, nine of ten within {most:.4g}."
    return pages.paragraph(said) + pages.picture(figure, f"answers and residuals of {name}")


def _tables(run: Any, result: Any) -> Iterator[str]:
    values = run.hyperparameters
    yield pages.heading("Hyperparameters")
    yield pages.table(
        ["name", "value", "default"],
        [[one.name, str(getattr(values, one.name)), str(one.default)] for one in dataclasses.fields(values)],
    )
    yield pages.heading("Data")
    reader = result.reader
    rows = [
        ["train", run.train_data, f"{int(reader.train_rows):,}"],
        ["eval", run.eval_data, f"{int(reader.eval_rows):,}"],
    ]
    yield pages.table(["channel", "place", "rows"], rows)
    if table := getattr(reader, "table", None):
        yield pages.heading("Columns")
        yield pages.table(["column", "kind", "values"], [_column(one) for one in table.columns])
    yield pages.heading("A request, and its answer")
    yield pages.code(f"{json.dumps(result.request)}\n{json.dumps(result.response)}")
    yield pages.heading("Made with")
    versions = {"Python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in ("tensorflow", "tensorflow-cpu", "keras", "numpy", "onstage"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # One of two names of TensorFlow.
    yield pages.table(["what", "version"], [[name, version] for name, version in versions.items()])


def _column(one: Any) -> list[str]:
    known = list(getattr(one, "labels", None) or getattr(one, "vocabulary", None) or ())
    more = ", ..." if len(known) > 8 else ""
    return [one.name, type(one).__name__, ", ".join(map(str, known[:8])) + more]


def _figure(count: int, size: tuple[float, float] | None = None) -> tuple[Any, list[Any]]:
    """A figure with so many pictures, in rows of three."""
    from matplotlib.figure import Figure

    columns = min(count, 3)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=size or (max(4.2 * columns, 5), 3.2 * lines), layout="constrained")
    axes = [figure.add_subplot(lines, columns, number + 1) for number in range(count)]
    return figure, axes
