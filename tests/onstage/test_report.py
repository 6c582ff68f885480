"""What a rehearsal selects and ignores, and its report in every format."""

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from rich.console import Console

from onstage import catalogue, report_formats
from onstage.errors import StartError
from onstage.report import Check, Finding, Report
from tests.conftest import Bake
from tests.onstage.commands import stop_when
from tests.onstage.mistakes import add, change
from tests.onstage.small import Done, forked, refusal

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "report.schema.json"
UNDEFINED = add("src/trainer/extra.py", "print(undefined)")


@pytest.fixture
def copy(bake: Bake, tmp_path: Path) -> Path:
    shutil.copytree(bake(), tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


def rehearse(project: Path, *words: str) -> tuple[dict[str, Any], Done]:
    """A rehearsal with its report as JSON, and what it printed on standard error."""
    done = forked("rehearse", *words, "--format", "json", folder=project)
    report = json.loads(done.stdout)
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert report["passed"] == (done.returncode == 0)
    return report, done


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in report["checks"]}


def test_every_check_is_listed_with_a_sentence_here_and_in_the_docs(tmp_path: Path) -> None:
    done = forked("rehearse", "--list", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [tuple(line.split(maxsplit=1)) for line in done.stdout.splitlines()] == list(catalogue.CHECKS.items())
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(\w+\.[a-z-]+)` \| (.*) \|$", page)
    assert rows == [(one, sentence.replace("|", "\\|")) for one, sentence in catalogue.CHECKS.items()]


def test_the_schema_in_the_docs_is_what_the_command_prints(tmp_path: Path) -> None:
    done = forked("rehearse", "--schema", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == SCHEMA.read_text(encoding="utf-8"), "onstage rehearse --schema > docs/report.schema.json"


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


def test_what_one_check_needs_is_needed_by_none_that_is_not_listed() -> None:
    for one in catalogue.CHECKS:
        chosen = catalogue.selected([one])
        assert {one, catalogue.SETTINGS} <= chosen <= set(catalogue.CHECKS)
    assert catalogue.selected([]) == frozenset()
    everything = catalogue.selected(["project", "sagemaker", "vertex", "both"])
    assert everything == set(catalogue.CHECKS)


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


def test_a_format_that_there_is_not_ends_with_2(copy: Path) -> None:
    done = forked("rehearse", "--format", "xml", folder=copy)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'xml' is not one of 'text', 'json', 'github', 'junit'" in re.sub(r"[\s│]+", " ", done.stderr)


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


def test_standard_output_is_for_one_format_and_the_text_goes_elsewhere(copy: Path) -> None:
    UNDEFINED(copy)
    words = ("rehearse", "--select", "vertex.code")
    plain = forked(*words, folder=copy)
    assert (plain.returncode, plain.stderr) == (1, "")
    head = "project.settings             0.0 s  passed\n"
    for more in (("--format", "json"), ("--format", "junit"), ("--json", "-"), ("--json", "/dev/stdout")):
        done = forked(*words, *more, folder=copy)
        assert done.returncode == 1
        assert done.stderr.startswith(head)
        if "junit" in more:
            assert ElementTree.fromstring(done.stdout).tag == "testsuites"
        else:
            assert json.loads(done.stdout)["passed"] is False
    both = forked(*words, "--json", "report.json", "--format", "junit", folder=copy)
    assert ElementTree.fromstring(both.stdout).tag == "testsuites"
    written = json.loads((copy / "report.json").read_text(encoding="utf-8"))
    assert {one["id"] for one in written["checks"]} == {"project.settings", "vertex.images", "vertex.code"}
    both = forked(*words, "--json", "report.json", folder=copy)
    assert (both.stdout.startswith(head), both.stderr) == (True, "")
    quiet = forked(*words, "--json", "-", "--quiet", folder=copy)
    assert json.loads(quiet.stdout)["checks"]
    assert quiet.stderr.startswith("vertex.code ")
    assert len(quiet.stderr.splitlines()) == 4


def test_github_gets_a_command_for_each_failure_and_warning(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    UNDEFINED(copy)
    words = ("rehearse", "--select", "vertex.code", "--format", "github")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    said = "title=vertex.code::src/trainer/extra.py, line 1: Undefined name `undefined`%0A-> correct the line"
    done = forked(*words, folder=copy)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1] == f"::error file=src/trainer/extra.py,line=1,{said}"
    done = forked(*words, folder=copy / "src")
    assert done.stdout.splitlines()[-1] == f"::error file=trainer/extra.py,line=1,{said}"
    monkeypatch.setenv("GITHUB_WORKSPACE", str(copy.parent))
    done = forked(*words, "--json", "-", folder=copy)
    json.loads(done.stdout)
    assert done.stderr.splitlines()[-1] == f"::error file=project/src/trainer/extra.py,line=1,{said}"


@pytest.mark.parametrize(
    ("check", "line"),
    [
        (Check("a", "b", "failed", 0.0, "100%\r\n::c", fix="d"), "::error title=a.b::100%25%0D%0A::c%0A-> d"),
        (Check("a", "b", "warning", 0.0, "c", file="x,y:%.py", line=3),
         "::warning file=x%2Cy%3A%25.py,line=3,title=a.b::c"),
        (Check("a", "b", "failed", 0.0, "c", file="x,y:%.py"), "::error file=x%2Cy%3A%25.py,title=a.b::c"),
        (Check("a", "b", "failed", 0.0, "c", file="nowhere.py", line=3), "::error title=a.b::c"),
    ],
)  # fmt: skip
def test_a_workflow_command_is_escaped(
    check: Check, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x,y:%.py").touch()
    assert report_formats.github(check, tmp_path) == line


def filled() -> Report:
    """A report with a check of every kind, and with what XML cannot hold."""
    report = Report(Console(quiet=True), ignore={"vertex.gcs": "a reason"})
    report.run("project", "settings", lambda: "detail")
    findings = [Finding("one\x00\x1b[31m & <\ud800", "do", "cloud\x08"), Finding("two"), Finding("w", warning=True)]
    report.run("vertex", "code", lambda: findings)
    report.run("vertex", "names", lambda: [Finding("only\x7f", warning=True)])
    report.run("vertex", "gcs", lambda: [Finding("found")])
    report.skip("vertex", "imports", "why\uffff")
    report.not_seen.append("the rest")
    return report


def test_junit_has_a_case_for_each_check_and_is_valid_whatever_it_says() -> None:
    text = report_formats.junit(filled(), "rehearse")
    assert text.isascii()
    suite = ElementTree.fromstring(text)[0]
    assert {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped")} == {
        "name": "onstage rehearse", "tests": "5", "failures": "1", "errors": "0", "skipped": "2",
    }  # fmt: skip
    cases = {f"{one.get('classname')}.{one.get('name')}": one for one in suite.findall("testcase")}
    assert list(cases) == ["project.settings", "vertex.code", "vertex.names", "vertex.gcs", "vertex.imports"]
    assert len(cases["project.settings"]) == 0
    failure = cases["vertex.code"].find("failure")
    assert failure is not None
    assert failure.get("message") == r"one\x00\x1b[31m & <\ud800"
    assert failure.text == "one\\x00\\x1b[31m & <\\ud800\ncloud\\x08\n-> do\n\ntwo"
    assert cases["vertex.code"].findtext("system-out") == "w"
    assert cases["vertex.names"].findtext("system-out") == "only\x7f"
    skipped = {name: one.find("skipped") for name, one in cases.items()}
    assert {name: found.get("message") for name, found in skipped.items() if found is not None} == {
        "vertex.gcs": "ignored: a reason; found: found",
        "vertex.imports": r"skipped: why\uffff",
    }
    assert suite.findtext("system-out") == "not seen here:\nthe rest"


def test_the_json_has_every_kind_of_check() -> None:
    found = json.loads(json.dumps(report_formats.content(filled(), "body").model_dump()))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(found, schema)
    assert (found["report"], found["command"], found["passed"]) == (1, "body", False)
    assert {check["status"] for check in found["checks"]} == {"passed", "failed", "warning", "ignored", "skipped"}
    for change_it in ({"more": 1}, {"checks": [{}]}, {"report": 2}, {"command": "train"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**found, **change_it}, schema)


def test_an_interrupted_rehearsal_leaves_no_report_and_a_report_that_is_there(copy: Path) -> None:
    before = {file.name for file in copy.iterdir()}
    (copy / "old.json").write_text("old", encoding="utf-8")
    for name in ("new.json", "old.json"):
        temporary = copy.parent / f"tmp-{name}"
        temporary.mkdir()
        stop_when(
            lambda place=temporary: any(place.glob("rehearsal-*/job")), "rehearse", "sagemaker", "--json", name,
            how=signal.SIGINT, cwd=copy, environment={"TMPDIR": str(temporary)},
        )  # fmt: skip
    assert {file.name for file in copy.iterdir()} - before <= {"old.json", "runs"}
    assert (copy / "old.json").read_text(encoding="utf-8") == "old"


def test_a_request_from_elsewhere_has_the_same_options(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"jobSpec": {}}', encoding="utf-8")
    done = forked("body", "x.json", "--format", "json", folder=tmp_path)
    report = json.loads(done.stdout)
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
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


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_one_line(copy: Path) -> None:
    (copy / "locked").mkdir(mode=0o555)
    said = refusal(forked("rehearse", "--json", "locked/report.json", folder=copy))
    assert said == "--json locked/report.json: Permission denied"


def test_a_pipe_is_not_opened_before_there_is_a_report(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    os.mkfifo(tmp_path / "pipe")
    report_formats.Output("rehearse", "text", tmp_path / "pipe")
    with pytest.raises(StartError):
        report_formats.Output("rehearse", "text", tmp_path / "nowhere" / "pipe")


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
    with file.open("a", encoding="utf-8") as lines:
        lines.write(row)
    report, _ = rehearse(copy, "vertex", "--select", "project.data")
    assert "rows after the first 1000 of more.csv in data/train, which a training reads" in report["not_seen"]
    shutil.rmtree(copy / "data" / "eval")
    report, done = rehearse(copy, "vertex", "--select", "project.data")
    assert (statuses(report)["project.data"], "Traceback" in done.stderr) == ("failed", False)
