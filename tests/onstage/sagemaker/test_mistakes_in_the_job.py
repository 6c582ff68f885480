"""Each mistake of a list that only the job shows is named by its rehearsal."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.onstage.commands import onstage
from tests.onstage.mistakes import MODEL, Mistake, add, both, change, failed, rehearse, some_long
from tests.onstage.readers import reader

ENTRY = "src/sagemaker_entry.py"

REPORTING = "src/trainer/reporting.py"
PRINTED = (
    'print(f"epoch={epoch} " + " ".join(f"{name}={number(value)}" for name, value in metrics.items()), flush=True)'
)
FILES = 'len(__import__("glob").glob("data/*/*.csv"))'
UNCALLED = """\
class Uncalled(CsvReader):
    def batches(self, training, batch_size, seed=0):
        def input_function():
            return super().batches(training, batch_size, seed)

        return input_function


DATA = Uncalled(DATA)
"""


SEEN_IN_THE_JOB = [
    Mistake("an activation that does not exist", "train", change(MODEL, 'activation="softmax"', 'activation="sofmax"'),
            ["FailureReason: AlgorithmError: model.py, line 48: ValueError: Could not interpret activation"]),
    Mistake("a path that is put together", "train",
            add(MODEL, 'OPENED = open("/".join(["data", "train", "iris.csv"]))'),
            ["model.py, line 55: FileNotFoundError: [Errno 2] No such file or directory: 'data/train/iris.csv'"]),
    Mistake("an input function that nobody called", "train",
            both(change(MODEL, "from trainer.columns", "from trainer.data import CsvReader\nfrom trainer.columns"),
                 change(MODEL, "\nOBJECTIVE", f"\n\n{UNCALLED}\nOBJECTIVE")),
            ["DATA.batches must return a tf.data.Dataset; it returned a function that nobody called: add ()"]),
    Mistake("a reader whose examples do not fit its signature", "train",
            both(reader(), change(MODEL, "[:count].tolist()", "[:count, :2].tolist()")),
            ["AlgorithmError: model.py: DATA.examples must fit the signature 'serving_default', float32 of the shape",
             "size has the shape (3, 2)"]),
    Mistake("a script that never ends", "train",
            both(change("settings.toml", "time_limit = 300", "time_limit = 3"),
                 change(ENTRY, "    job = make_run", "    while True:\n        pass\n    job = make_run")),
            ["the program had not ended when the rehearsal's time_limit was over; it was at sagemaker_entry.py, line ",
             "in run", "Stopped, MaxRuntimeExceeded", "look for a loop without an end", "3600 s",
             "; no checkpoint is left in s3://rehearsal-bucket/"]),
    Mistake("a file beside the code that does not travel", "train",
            change(ENTRY, "    job = make_run", '    Path(__file__).with_name(".words").open()\n    job = make_run'),
            ["FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/code/.words'"]),
    Mistake("a thread that outlives the training", "train",
            change(ENTRY, "    train(job)",
                   "    train(job)\n    import threading\n    threading.Timer(600, print).start()"),
            ["the training was over, and the program did not end", "make threads daemons, close pools, end children"]),
    Mistake("a program that model.py ends", "train",
            change(MODEL, "    hidden = joined(", "    raise SystemExit(0)\n    hidden = joined("),
            ["ended the program, before the training was done: raise SystemExit(0)"]),
    Mistake("a network that the project's folder decides", "network",
            change(MODEL, "Dense(hyperparameters.hidden_units", f"Dense(16 + {FILES}"),
            ["the job makes another network than this machine does: dense/kernel has (4, 18) float32 here and (4, 16)",
             "Here src/trainer/model.py, line 46, looks for data/*/*.csv; src/trainer/model.py, line 46, lists data",
             "the job has neither this folder nor this shell", "make it a hyperparameter"]),
    Mistake("a metric line that no regex matches", "metrics",
            change("src/trainer/reporting.py", 'f"{name}={number(value)}"', 'f"{name}: {number(value)}"'),
            ["no line of the log has the metric val_accuracy", "val_accuracy=([0-9.eE+-]+)", "and flush them"]),
    Mistake("a decimal comma", "metrics",
            change(REPORTING, PRINTED, PRINTED.replace("metrics.items())", 'metrics.items()).replace(".", ",")')),
            ["val_accuracy is 0 in the log, and the trainer reported 0.", r"\sval_accuracy=([0-9.eE+-]+) found it in ",
             "of which it leaves out ',", "print whole lines, numbers with a point"]),
    Mistake("progress that a carriage return ends", "metrics",
            change(REPORTING, PRINTED, f'print("step=1 loss=9.5", end="\\r")\n        {PRINTED}'),
            ["loss is 9.5 in the log, and the trainer reported 1.1", r"the line 'step=1 loss=9.5\repoch=1 loss=",
             r"\r ends no line in a log: of all that it ends, the first match counts"]),
    Mistake("a line that is flushed in parts", "metrics",
            change(REPORTING, PRINTED, 'print(f"epoch={epoch} val_accuracy=", end="", flush=True)\n'
                   '        time.sleep(0.2)\n'
                   '        print(metrics["val_accuracy"], metrics["loss"], metrics["val_loss"])'),
            ["no line of the log has the metric val_accuracy: none matches",
             "a line was flushed in parts, 'epoch=1 val_accuracy=' and '0.", "and each became a line of the log",
             "no line of the log has the metric loss: none matches"]),
]  # fmt: skip


@pytest.fixture
def broken(bake: Bake, tmp_path: Path) -> Path:
    shutil.copytree(bake(platform="sagemaker"), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "mistake",
    some_long(
        SEEN_IN_THE_JOB,
        "an activation that does not exist",
        "a script that never ends",
        "a program that model.py ends",
        "a network that the project's folder decides",
        "a metric line that no regex matches",
        "a decimal comma",
    ),
)
def test_a_mistake_that_only_the_job_shows_is_named(mistake: Mistake, broken: Path) -> None:
    report, said = rehearse(mistake, broken)
    assert mistake.check in failed(report), said


@pytest.mark.long
def test_what_a_training_notes_is_shown_once(broken: Path) -> None:
    """The check of the data has looked at all rows, and the job notices the same."""
    train, evaluation = broken / "data" / "train" / "iris.csv", broken / "data" / "eval" / "iris.csv"
    header, *rows = train.read_text(encoding="utf-8").splitlines()
    some = [row for row in rows if not row.endswith("virginica")]
    train.write_text("\n".join([header, *some * 20, ""]), encoding="utf-8")
    (broken / "data" / "train" / "more.tsv").write_text(header, encoding="utf-8")
    assert "virginica" in evaluation.read_text(encoding="utf-8")
    noise = r'print(("x" * 99 + "\n") * 60_000)'
    change(MODEL, "    hidden = joined(", f"    {noise}\n    hidden = joined(")(broken)
    ended = onstage("rehearse", "sagemaker", "--json", broken / "report.json", cwd=broken)
    assert ended.code == 0, ended.said
    checks = json.loads((broken / "report.json").read_text(encoding="utf-8"))["checks"]
    warned = [(check["id"], check["detail"]) for check in checks if check["status"] == "warning"]
    assert [one for one, _ in warned] == ["project.data", "project.data", "sagemaker.train"]
    assert "more.tsv" in warned[0][1]
    assert warned[1][1].startswith("species: no train row has the label 'virginica', and ")
    assert re.fullmatch(r"the job wrote \d+ MB of log in 2 epochs: \d{3} MB in 40", warned[2][1])
