"""What a rehearsal selects and ignores, and what its report says of that."""

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from onstage import catalogue
from onstage.report import Report
from tests.conftest import Bake
from tests.onstage.mistakes import change
from tests.onstage.reports import UNDEFINED, copied, fitting, rehearse, statuses
from tests.onstage.small import ROOT, forked, refusal


@pytest.fixture
def copy(bake: Bake, tmp_path: Path) -> Path:
    return copied(bake, tmp_path)


def test_every_check_is_listed_with_a_sentence_here_and_in_the_docs(tmp_path: Path) -> None:
    done = forked("rehearse", "--list", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [tuple(line.split(maxsplit=1)) for line in done.stdout.splitlines()] == list(catalogue.CHECKS.items())
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(\w+\.[a-z-]+)` \| (.*) \|$", page)
    assert rows == [(one, sentence.replace("|", "\\|")) for one, sentence in catalogue.CHECKS.items()]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("words", "checks"),
    [
        (["project"], {one for one in catalogue.CHECKS if one.startswith("project.")}),
        (["vertex.code"], {"project.settings", "vertex.images", "vertex.code"}),
        (["sagemaker.names", "project.calls"],
         {"project.settings", "sagemaker.images", "sagemaker.names", "project.calls"}),
        (["project.data"],
         {"project.settings", "project.model", "project.hyperparameters", "project.data"}),
        (["sagemaker.request"],
         {"project.settings", "sagemaker.images", "project.model", "project.hyperparameters", "sagemaker.request"}),
    ],
)  # fmt: skip
def test_only_what_is_selected_is_done_and_what_that_needs(copy: Path, words: list[str], checks: set[str]) -> None:
    report, done = rehearse(copy, *(f"--select={word}" for word in words))
    assert statuses(report) == dict.fromkeys(checks, "passed"), done.stderr
    left = len(catalogue.of_rehearsal(["sagemaker", "vertex"])) - len(checks)
    assert report["not_seen"][-1] == f"what --select left out: {left} checks"
    # It is no rehearsal of the whole.
    assert not (copy / "runs" / "rehearsed.json").exists()


CHEAP = [
    one
    for one in catalogue.of_rehearsal(["sagemaker", "vertex"])
    if one.split(".")[1] in {*catalogue._PROJECT, *catalogue._FIRST, *catalogue._PACKAGE, *catalogue._SENT}
]


@pytest.mark.few(2)
@pytest.mark.parametrize("one", [*CHEAP, "sagemaker.flags", pytest.param("vertex.package", marks=pytest.mark.long)])
def test_a_check_that_is_selected_alone_is_done(one: str, copy: Path) -> None:
    report, done = rehearse(copy, f"--select={one}")
    assert statuses(report).get(one) == "passed", done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--select", "vertex.cod"], "there is no check vertex.cod; did you mean vertex.code?"),
        (["--select", "zzz"], "there is no check zzz; see onstage rehearse --list"),
        (["vertex", "--select", "sagemaker"],
         "--select sagemaker: that is not checked here; see onstage rehearse --list"),
        (["vertex", "--select", "both.weights"],
         "--select both.weights: that is not checked here; see onstage rehearse --list"),
        (["--select", "vertex.flags"], "--select vertex.flags: that is not checked here; see onstage rehearse --list"),
        (["--select", "vertex.workers", "--workers", "1"],
         "--select vertex.workers: that is not checked here; see onstage rehearse --list"),
        (["--ignore", "vertx.code"], "there is no check vertx.code; did you mean vertex.code?"),
        (["--ignore", "both"], "both has 2 checks: name one of them, such as both.answers"),
        (["--ignore", "vertex.train"], "the check vertex.train cannot be ignored: others need what it makes"),
        (["--json", "nowhere/report.json"], "--json nowhere/report.json: there is no folder nowhere"),
        (["--json", "src"], "--json src: it is a folder"),
        (["--json", "settings.toml/x"], "--json settings.toml/x: there is no folder settings.toml"),
        (["--json", "-", "--format", "junit"],
         "--json - and --format junit would both be on standard output; give --json a file"),
        (["--json", "/dev/stdout", "--format", "json"],
         "--json /dev/stdout and --format json would both be on standard output; give --json a file"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_before_anything_runs(copy: Path, words: list[str], said: str) -> None:
    assert refusal(forked("rehearse", *words, folder=copy)) == said


FIXED = ("--batch-size", "8", "--learning-rate", "0.1", "--hidden-units", "4", "--hidden-layers", "1", "--dropout")


@pytest.mark.few(1)
@pytest.mark.parametrize("platform", ["sagemaker", "vertex"])
def test_a_search_space_is_checked_before_anything_trains(copy: Path, platform: str) -> None:
    report, done = rehearse(copy, platform, "--select", f"{platform}.search", *FIXED[:-1])
    assert statuses(report)[f"{platform}.search"] == "passed", done.stderr
    assert f"{platform}.train" not in statuses(report)
    report, _ = rehearse(copy, platform, "--tune", *FIXED, "0.1")
    (found,) = (check for check in report["checks"] if check["status"] == "failed")
    assert found["id"] == f"{platform}.search"
    assert found["detail"].startswith("nothing to search: flags say the values of all that is tunable(): batch_size, ")
    assert f"{platform}.train" not in statuses(report)


@pytest.mark.long
def test_an_ignored_search_without_anything_to_search_leaves_no_trial_unsaid(copy: Path) -> None:
    words = ("sagemaker", "--select", "sagemaker.tuning", "--ignore", "sagemaker.search", *FIXED, "0.1")
    report, _ = rehearse(copy, *words)
    (found,) = (check for check in report["checks"] if check["status"] == "failed")
    assert found["id"] == "sagemaker.tuning"
    assert found["detail"].startswith("an ignored check found what the job cannot do without")


def test_an_ignored_check_is_printed_as_that(copy: Path) -> None:
    UNDEFINED(copy)
    report, done = rehearse(copy, "--select", "vertex.code", "--ignore", "vertex.code")
    assert done.returncode == 0
    assert statuses(report)["vertex.code"] == "ignored"
    detail = "--ignore; found: src/trainer/extra.py, line 1: Undefined name `undefined`"
    assert [check["detail"] for check in report["checks"] if check["status"] == "ignored"] == [detail]
    assert re.search(r"(?m)^PASSED, 1 ignored, 3 checks in ", done.stderr)
    report, done = rehearse(copy, "--select", "vertex.code", "--ignore", "sagemaker.code")
    assert (done.returncode, statuses(report)["vertex.code"]) == (1, "failed")


IGNORED = {
    "a table": '[rehearsal.ignore]\n"vertex.code" = "not ours"',
    "without quotes": '[rehearsal.ignore]\nvertex.code = "not ours"',
    "in a line": 'ignore = { "vertex.code" = "not ours" }',
}


@pytest.mark.long
@pytest.mark.parametrize("lines", IGNORED.values(), ids=IGNORED)
def test_settings_ignore_with_a_reason_in_cloud_commands_too(copy: Path, lines: str) -> None:
    UNDEFINED(copy)
    change("settings.toml", "time_limit = 300\n", f"time_limit = 300\n{lines}\n")(copy)
    change("settings.toml", 'project = ""\nbucket = ""', 'project = "my-project"\nbucket = "my-bucket"')(copy)
    report, _ = rehearse(copy, "--select", "vertex.code")
    assert [check["detail"] for check in report["checks"] if check["id"] == "vertex.code"] == [
        "not ours; found: src/trainer/extra.py, line 1: Undefined name `undefined`"
    ]
    sent = forked("vertex", "train", "--dry-run", folder=copy)
    assert sent.returncode == 0, sent.stderr
    assert re.search(r"(?m)^vertex\.code .* ignored\n    not ours; found: src/trainer/extra\.py", sent.stderr)
    # A flag wins, as everywhere.
    report, _ = rehearse(copy, "--select", "vertex.code", "--ignore", "vertex.code")
    assert [check["detail"].partition(";")[0] for check in report["checks"] if check["status"] == "ignored"] == [
        "--ignore"
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"vertex.cod" = "a"', "[rehearsal.ignore]: there is no check vertex.cod; did you mean vertex.code?"),
        ('"vertex.load" = "a"',
         "[rehearsal.ignore]: the check vertex.load cannot be ignored: others need what it makes"),
        ('"vertex.code" = " "', "[rehearsal.ignore] vertex.code should say why, not ' '"),
        ('"vertex.code" = true', "[rehearsal.ignore] vertex.code should be a valid string, not True"),
        ('vertex = "a"', "[rehearsal.ignore]: vertex has 22 checks: name one of them, such as vertex.limits"),
    ],
)  # fmt: skip
def test_what_settings_cannot_ignore_is_one_line(copy: Path, line: str, said: str) -> None:
    change("settings.toml", "time_limit = 300\n", f"time_limit = 300\n[rehearsal.ignore]\n{line}\n")(copy)
    said = re.sub("has 22 checks", f"has {sum(one.startswith('vertex.') for one in catalogue.CHECKS)} checks", said)
    assert refusal(forked("vertex", "status", folder=copy)) == f"settings.toml: {said}"


@pytest.mark.long
def test_an_ignored_check_without_which_nothing_can_run_does_not_pass(copy: Path) -> None:
    change("settings.toml", 'instance_type = "ml.m5.xlarge"', 'instance_type = "ml.trn1.2xlarge"')(copy)
    words = ("sagemaker", "--ignore", "sagemaker.images", "--ignore", "sagemaker.request")
    report, done = rehearse(copy, *words)
    assert done.returncode == 1
    assert statuses(report) | {"sagemaker.request": "ignored", "sagemaker.train": "failed"} == statuses(report)
    assert "there is nothing to run" in done.stderr
    ignored = '"sagemaker.images" = "a"\n"sagemaker.request" = "b"'
    change("settings.toml", "time_limit = 300\n", f"time_limit = 300\n[rehearsal.ignore]\n{ignored}\n")(copy)
    change("settings.toml", 'bucket = ""\nrole = ""',
           'bucket = "b-b-b"\nrole = "arn:aws:iam::111122223333:role/a"')(copy)  # fmt: skip
    sent = forked("sagemaker", "train", "--dry-run", folder=copy)
    assert (sent.returncode, sent.stdout) == (1, "")
    assert "error: nothing is sent: an ignored check found what the request cannot do without" in sent.stderr


def test_a_request_from_elsewhere_has_the_same_options(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"jobSpec": {}}', encoding="utf-8")
    done = forked("body", "x.json", "--format", "json", folder=tmp_path)
    report = fitting(done.stdout)
    assert (done.returncode, report["command"], report["passed"]) == (1, "body", False)
    assert statuses(report)["vertex.request"] == "failed"
    left = len(catalogue.of_body("vertex")) - len(catalogue.selected(["vertex.request"]))
    done = forked("body", "x.json", "--select", "vertex.request", "--format", "github", folder=tmp_path)
    assert f"    what --select left out: {left} checks\n" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("::error title=vertex.request::")
    said = "--select sagemaker: that is not checked here; see onstage rehearse --list"
    assert refusal(forked("body", "x.json", "--select", "sagemaker", folder=tmp_path)) == said
    said = "there is no check vertex.reqest; did you mean vertex.request?"
    assert refusal(forked("body", "x.json", "--ignore", "vertex.reqest", folder=tmp_path)) == said
    assert refusal(forked("body", "x.json", "--json", "a/b", folder=tmp_path)) == "--json a/b: there is no folder a"


@pytest.mark.long
def test_only_a_whole_rehearsal_that_passed_is_noted(copy: Path) -> None:
    report, done = rehearse(
        copy, "--epochs", "1", "--select", "project", "--select", "vertex", "--select", "sagemaker.train",
        "--ignore", "vertex.limits", "--verbose",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for platform in ("sagemaker", "vertex"):
        assert re.search(rf"(?m)^{platform}: epoch=1 loss=", done.stderr)
    found = statuses(report)
    assert {one for one in found if one.startswith("vertex.")} >= {"vertex.train", "vertex.refusals"}
    assert found["sagemaker.train"] == "passed"
    assert "sagemaker.load" not in found
    assert "both.weights" not in found
    assert found["vertex.limits"] == "ignored"
    # An ignored check is fine; of SageMaker's some are not done.
    assert list(json.loads((copy / "runs" / "rehearsed.json").read_text(encoding="utf-8"))) == ["vertex"]
    left = len(catalogue.of_rehearsal(["sagemaker", "vertex"])) - len(found)
    assert report["not_seen"][-1] == f"what --select left out: {left} checks"
    # What she asks for herself is no change of the rehearsal's.
    assert not any("instead of" in line for line in report["not_seen"])


def test_what_was_left_out_is_said(copy: Path) -> None:
    row = "5.1,3.5,1.4,0.2,setosa\n"
    file = copy / "data" / "train" / "more.csv"
    file.write_text(f"sepal_length,sepal_width,petal_length,petal_width,species\n{row * 1000}", encoding="utf-8")
    before = "vertex: quotas and permissions, and all that only its account knows"
    report, done = rehearse(copy, "vertex", "--no-such-flag", "1")
    left = len(catalogue.of_rehearsal(["vertex"])) - len({check["id"] for check in report["checks"]})
    after = f"what comes after the failed check: project.data and {left - 1} more checks"
    assert report["not_seen"] == [before, after]
    assert f"not seen here:\n    {before}\n    {after}\n1 FAILED" in done.stderr
    report, _ = rehearse(copy, "vertex", "--select", "project.data")
    assert not any("rows" in line for line in report["not_seen"])
    shutil.rmtree(copy / "data" / "eval")
    report, done = rehearse(copy, "vertex", "--select", "project.data")
    assert (statuses(report)["project.data"], "Traceback" in done.stderr) == ("failed", False)


@pytest.mark.long
def test_a_whole_training_that_learns_nothing_is_warned_of(copy: Path) -> None:
    report, done = rehearse(copy, "sagemaker", "--select=sagemaker.train", "--epochs", "40", "--learning-rate", "0")
    [found] = [check for check in report["checks"] if check["id"] == "sagemaker.train"]
    assert (done.returncode, found["status"]) == (0, "warning")
    assert "the model has learned nothing from the columns" in json.dumps(found)


def test_in_a_narrow_terminal_the_words_stand_below_the_check() -> None:
    console = Console(width=60, force_terminal=True, color_system=None, file=io.StringIO())
    report = Report(console)
    report.run("vertex", "train", lambda: "so many words that they do not fit beside the check's id " * 2)
    first, *words = console.file.getvalue().splitlines()
    assert first.rstrip().endswith("passed")
    assert len(words) > 1
    assert all(line.startswith("    ") and len(line) <= 60 for line in words)
