"""What the log says of a metric is compared with what the trainer reported, to the digits that were printed."""

import struct
from pathlib import Path

import pytest

from onstage.rehearsal import history
from onstage.rehearsal.metric_checks import Log, check_values
from onstage.rehearsal.terms import Terms

TERMS = Terms(60, (), "onstage rehearse sagemaker")
ELSEWHERE = Terms(60, (), "onstage body", of_project=False)
PATTERN = r"acc=([0-9.eE+-]+)"


def said(text: str, *reported: float, terms: Terms = TERMS, cut: tuple[str, ...] = ()) -> list[str]:
    log = Log(text, cut)
    found = {"acc": log.matches(PATTERN, first=True)}
    answer = check_values({"acc": PATTERN}, found, {"acc": list(reported)}, log, terms, "the service takes it so")
    return [f"{'warning' if finding.warning else 'failed'}: {finding.detail}" for finding in answer]


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("acc=0.866667", [0.8666666746139526]),
        ("acc=0.87\nacc=0.9", [0.8666, 0.93]),
        ("acc=1e-05", [1.04e-5]),
        ("acc=1", [1.0]),
        ("acc=0.5, loss=0.3", [0.5]),
        ("step acc=0.1\nstep acc=0.2\nepoch acc=0.3", [0.3]),
        ("acc=0.5,0.7", []),
        ("acc=0.5%", []),
        ("acc=12345678", [12345678.0]),
    ],
)
def test_a_value_as_it_was_reported_is_accepted(text: str, reported: list[float]) -> None:
    assert said(text, *reported) == []


@pytest.mark.parametrize(
    ("text", "reported", "words"),
    [
        ("acc=0,34", [0.34], "failed: acc is 0 in the log, and the trainer reported 0.34: acc=([0-9.eE+-]+) found it"),
        ("acc=0,34", [0.34], "in the line 'acc=0,34', of which it leaves out ',34'"),
        ("acc=0.86", [0.8666], "failed: acc is 0.86 in the log, and the trainer reported 0.8666"),
        ("acc=86.7", [0.867], "failed: acc is 86.7 in the log, and the trainer reported 0.867"),
        ("acc=0.5\nacc=0.9", [0.4, 0.9], "failed: acc is 0.5 in the log, and the trainer reported 0.4"),
        ("acc=0.9\nlate acc=0.1", [0.9], "failed: acc is 0.1 in the log, and the trainer reported 0.9"),
        ("acc=0,34", [], f"warning: acc is 0 for the service: {PATTERN} leaves out ',34', in the line 'acc=0,34'"),
    ],
)  # fmt: skip
def test_a_value_that_was_not_reported_is_named(text: str, reported: list[float], words: str) -> None:
    found = said(text, *reported)
    assert len(found) == 1 and words in found[0], found


def test_the_job_of_another_project_may_print_another_number_than_it_wrote() -> None:
    assert said("acc=86.7", 0.867, terms=ELSEWHERE)[0].startswith("warning: acc is 86.7")


def test_a_number_that_was_flushed_in_two_parts_is_named_although_nothing_was_reported() -> None:
    text = "acc=0.\n95\n"
    assert said(text) == []
    found = said(text, cut=("acc=0.",))
    assert found == [f"failed: acc is 0. for the service: {PATTERN} leaves out '95', in the line 'acc=0.'"]
    assert "flushed in parts, 'acc=0.' and '95'" in said(text, 0.45, cut=("acc=0.",))[0]


def test_scalars_are_read_as_tensorflow_writes_them_also_from_a_file_that_is_cut_off(
    tmp_path: Path,
) -> None:
    import tensorflow as tf

    with tf.summary.create_file_writer(str(tmp_path / "new")).as_default():
        for step, value in enumerate((0.5, 0.25)):
            tf.summary.scalar("loss", value, step)
        tf.summary.scalar("zero", 0.0, 1)
        tf.summary.text("words", "none", 1)
        tf.summary.histogram("many", [1.0, 2.0], 1)
    with tf.Graph().as_default():
        writer = tf.compat.v1.summary.FileWriter(str(tmp_path / "old"))
        value = tf.compat.v1.Summary.Value(tag="loss", simple_value=0.75)
        writer.add_summary(tf.compat.v1.Summary(value=[value]), 1)
        writer.close()
    assert history.read(tmp_path / "new") == {"loss": [0.5, 0.25], "zero": [0.0]}
    assert history.read(tmp_path / "old") == {"loss": [0.75]}
    file = next((tmp_path / "old").iterdir())
    file.write_bytes(file.read_bytes() + struct.pack("<Q", 99) + b"cut off")
    assert history.read(tmp_path / "old", tmp_path / "nowhere") == {"loss": [0.75]}
