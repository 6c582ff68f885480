"""Of one platform's job, a second one has to begin alike; what could not be compared is said."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from onstage.errors import UserError
from onstage.rehearsal.twin import Twin
from onstage.report import Report
from tests.onstage.sagemaker.bench import Bench

PATTERNS = {"loss": r"\sloss=([0-9.eE+-]+)", "val_loss": r"\sval_loss=([0-9.eE+-]+)"}
LOG = "epoch=1 loss=0.5 val_loss=0.7\nepoch=2 loss=0.4 val_loss=0.6\n"
pytestmark = pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="a second training does not fit beside the first")


def compared(run: Callable[[Callable[[str], None], threading.Event], object], log: str = LOG) -> str:
    twin = Twin(PATTERNS, run)
    with Report(Console(quiet=True)) as report:
        twin.compare(report, "sagemaker", log)
    twin.stop()
    return f"{report.checks[0].id} {report.checks[0].verdict}: {report.checks[0].text}"


def saying(*lines: str) -> Callable[[Callable[[str], None], threading.Event], object]:
    return lambda line, _: [line(one) for one in lines]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["epoch=1 loss=0.5 val_loss=0.7"], "passed: a second training began alike: loss=0.5, val_loss=0.7"),
        (["epoch=1 loss=0.50001", "more val_loss=0.7"], "passed: a second training began alike"),
        (["epoch=1 loss=0.51 val_loss=0.7"], "first epochs end with loss=0.5 and 0.51\n"),
        (["epoch=1 loss=0.5", "KeyError: 'x'", " "], "alongside, and did not come as far: KeyError: 'x'"),
        ([], "did not come as far: it printed nothing"),
    ],
)  # fmt: skip
def test_the_first_epochs_are_compared(lines: list[str], said: str) -> None:
    assert said in compared(saying(*lines))


def test_a_job_without_metrics_is_not_compared() -> None:
    said = compared(saying("epoch=1 loss=0.5 val_loss=0.7"), "epoch=1\n")
    assert said == "sagemaker.seed skipped: without the metrics in the job's log there is nothing to compare"


@pytest.mark.long
def test_a_job_behind_others_ends_after_its_first_epoch_and_gets_less_of_the_processor(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    body = bench.body(
        "import os, time\nprint('nice', os.nice(0))\n"
        "print('epoch=1 loss=0.5 val_loss=0.7', flush=True)\ntime.sleep(600)\n"
    )
    ended, seen = [], []

    def run(line: Callable[[str], None], enough: threading.Event) -> None:
        try:
            bench.run(body, on_line=lambda text: (seen.append(text), line(text)), background=enough)
        except UserError as error:
            ended.append(str(error))
            raise

    assert "passed: a second training began alike" in compared(run)
    assert (ended, seen[0]) == (["stopped"], f"nice {min(19, os.nice(0) + 5)}")
