"""What is said of trials: which, why in one line, in whose line of code, and with what flags."""

from pathlib import Path
from typing import Any

import pytest

from onstage.corners import Corner
from onstage.rehearsal import trial_checks
from onstage.rehearsal.terms import Terms
from onstage.rehearsal.trial_checks import Outcome, Trial, Words
from onstage.report import Finding

WORDS = Words("val_loss", "no line has it", "print it", "nothing is learned", "it is Failed", "MODEL_DIR", "its own")
LOW, HIGH, MIDDLE = Corner("the low ends"), Corner("the high ends"), Corner("the middle")
CHOSEN = {
    "the low ends": {"units": "4", "rate": "0.1"},
    "the high ends": {"units": "64", "rate": "1"},
    "the middle": {"units": "34", "rate": "0.5"},
}
OF_PIECES = "ValueError: Dimensions must be equal"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    trainer = tmp_path / "src" / "trainer"
    trainer.mkdir(parents=True)
    code = "def build_model(one, inputs):\n    x = inputs\n    return Dense(one.units)(x), one.rate, one.units\n"
    (trainer / "model.py").write_text(code, encoding="utf-8")
    (trainer / "extra.py").write_text("def layers(one):\n    return 1 / (64 - one.units)\n", encoding="utf-8")
    (trainer / "loop.py").write_text("# Owned by the template.\nrate = 1\n", encoding="utf-8")
    return tmp_path / "src"


def outcome(corner: Corner, failure: str = "", *, log: str = "", cloud: str = "", **told: Any) -> Outcome:
    """A trial that went well, or failed so."""
    chosen = {**CHOSEN[corner.place], **corner.fixed}
    trial = Trial(1, corner, {}, chosen, f"--units {chosen['units']}")
    failed = Finding(failure, told.pop("fix", ""), cloud) if failure else None
    return Outcome(trial, log, failed, **{"values": [0.5], "has_model": True, **told})


def said(source: Path, *outcomes: Outcome) -> list[tuple[str, str]]:
    """What is found, and what to do."""
    found = trial_checks.findings(outcomes, WORDS, source)
    return [(one.text, one.fix) for one in found] if isinstance(found, list) else [(found, "")]


def test_trials_that_go_well_are_a_line_with_their_objectives(source: Path) -> None:
    outcomes = [outcome(LOW, values=[0.9, 0.25]), outcome(HIGH, values=[0.125])]
    line = "2 trials, each with a model of its own; val_loss is 0.25 at the low ends, 0.125 at the high ends"
    assert said(source, *outcomes) == [(line, "")]


@pytest.mark.parametrize(
    ("failure", "log", "text"),
    [
        ("trainer/extra.py, line 2: ZeroDivisionError: division by zero", "",
         "src/trainer/extra.py, line 2: the trial at the high ends fails: ZeroDivisionError: division by zero (the "),
        (f"model.py, line 3, in Dense.call(): {OF_PIECES}", "",
         f"src/trainer/model.py, line 3: the trial at the high ends fails: in Dense.call(): {OF_PIECES}"),
        (f"model.py, line 2: {OF_PIECES}", "",
         f"src/trainer/model.py, line 2: the trial at the high ends fails: {OF_PIECES}"),
        ("trainer/loop.py, line 2: KeyError: a", "", "the trial at the high ends fails: trainer/loop.py, line 2: "),
        ("ExecuteUserScriptError: KeyError: a",
         '  File "/x/code/trainer/extra.py", line 2, in layers\n  File "/x/code/trainer/loop.py", line 2, in run\n',
         "src/trainer/extra.py, line 2: the trial at the high ends fails: ExecuteUserScriptError: KeyError: a"),
        ("KeyError: a", '  File "/y/site-packages/keras/models.py", line 2, in x\n',
         "the trial at the high ends fails: KeyError: a"),
        ("batch_size must be whole", "", "the trial at the high ends fails: batch_size must be whole"),
    ],
)  # fmt: skip
def test_a_failure_has_the_researchers_own_file_and_line_where_they_are_known(
    failure: str, log: str, text: str, source: Path
) -> None:
    # Of its values more than one is new.
    ((found, fix),) = said(source, outcome(LOW), outcome(HIGH, failure, log=log))
    assert found.startswith(text)
    assert fix.endswith("to see it again: python train.py --units 64")


OOM = "ResourceExhaustedError: {{function_node __wrapped__Mul_device_/job:localhost}} OOM when allocating tensor"


@pytest.mark.parametrize(
    ("failure", "cloud", "reason", "fix"),
    [
        (f"{OOM} [Op:Mul] name:", "", "ResourceExhaustedError: OOM when allocating tensor", "with more memory"),
        ("terminate called", "the log ends:\nwhat():  std::bad_alloc", "terminate called", "with more memory"),
        ("loss is nan after epoch 1", "", "loss is nan after epoch 1", "a training stays finite"),
        (OF_PIECES, "", OF_PIECES, "let the code take these values"),
    ],
)
def test_what_to_do_depends_on_the_kind_of_failure(
    failure: str, cloud: str, reason: str, fix: str, source: Path
) -> None:
    ((found, advice),) = said(source, outcome(LOW), outcome(HIGH, failure, cloud=cloud))
    assert found == f"the trial at the high ends fails: {reason}"
    assert fix in advice


def test_a_particular_advice_stays(source: Path) -> None:
    ((_, fix),) = said(source, outcome(LOW), outcome(HIGH, "it did not end", fix="raise time_limit"))
    assert fix.startswith("raise time_limit; ")


def test_the_one_value_that_no_good_trial_has_is_named(source: Path) -> None:
    sgd = outcome(Corner("the middle", {"optimizer": "sgd"}), OF_PIECES)
    adam = Corner("the middle", {"optimizer": "adam"})
    ((found, _),) = said(source, outcome(LOW), outcome(adam), sgd)
    assert found == (
        f"the trial at the middle with optimizer=sgd fails: {OF_PIECES} (only optimizer=sgd is in no trial that went "
        "well)"
    )


def test_trials_that_fail_in_one_line_are_one_finding_and_others_are_their_own(source: Path) -> None:
    at = "model.py, line 2: ValueError: "
    found = said(source, outcome(LOW, f"{at}shape (4, 1)"), outcome(HIGH, "KeyError: a"), outcome(MIDDLE, f"{at}shape"))
    assert [text for text, _ in found] == [
        "src/trainer/model.py, line 2: each trial at the low ends and the middle fails: ValueError: shape (4, 1)",
        "the trial at the high ends fails: KeyError: a",
    ]


@pytest.mark.parametrize(
    ("told", "log", "text"),
    [
        ({"values": []}, "", "has no objective: no line has it"),
        ({"values": []}, "epoch=1 loss=1 val_loss=nan", "has no objective: no line has it; its log says val_loss=nan"),
        ({"values": [0.5, float("nan")]}, "", "ends with the objective val_loss=nan"),
        ({"values": [float("inf")]}, "", "ends with the objective val_loss=inf"),
        ({"has_model": False}, "", "leaves no model in MODEL_DIR"),
        ({"has_model": False, "stray": ["work/model.keras"], "written": frozenset({"gs://b/saved_model.pb"})}, "",
         "leaves no model in MODEL_DIR; it wrote gs://b/saved_model.pb, work/model.keras"),
    ],
)  # fmt: skip
def test_a_trial_that_ends_well_has_an_objective_and_a_model(
    told: dict[str, Any], log: str, text: str, source: Path
) -> None:
    ((found, fix),) = said(source, outcome(LOW, log=log, **told), outcome(HIGH, values=[float("nan"), 0.5]))
    assert found == f"the trial at the low ends {text}"
    assert fix.endswith("; its flags: --units 4")


def test_files_that_several_trials_write_are_named_the_model_first(source: Path) -> None:
    both = frozenset({"gs://b/best/a", "gs://b/best/saved_model.pb", "gs://b/best/z"})
    told = {"has_model": False, "written": both}
    found = said(source, outcome(LOW, **told), outcome(HIGH, **told), outcome(MIDDLE, written=frozenset({"gs://b/m"})))
    files = "gs://b/best/saved_model.pb, gs://b/best/a and 1 more"
    text = f"2 trials write the same files, each over those of the one before: {files}"
    assert found == [(text, "write below its own")]


def test_a_trial_that_the_kernel_ended_is_said_to_be_without_memory() -> None:
    terms = Terms(1, (), "onstage rehearse")
    answer = [Finding("a warning", warning=True), Finding("workerpool0-0: epoch=1", terms.again, "tail")]
    found = trial_checks.failure(answer, r"workerpool\d-\d: ", terms, [137])
    assert found == Finding("killed by SIGKILL, as by a machine without memory; before that: epoch=1", "", "tail")
    assert trial_checks.failure([answer[0]], "", terms, [0]) is None
    assert trial_checks.failure("fine", "", terms, [0]) is None
