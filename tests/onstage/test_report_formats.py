"""A report in every format: what is on standard output, and what a file gets."""

import json
import os
import re
import signal
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from rich.console import Console

from onstage import report_formats
from onstage.catalogue import CHECKS
from onstage.errors import StartError
from onstage.report import Check, Finding, Report
from tests.conftest import Bake
from tests.onstage.commands import stop_when
from tests.onstage.reports import SCHEMA, UNDEFINED, copied, fitting
from tests.onstage.small import forked, refusal


@pytest.fixture
def copy(bake: Bake, tmp_path: Path) -> Path:
    return copied(bake, tmp_path)


def test_the_schema_in_the_docs_is_what_the_command_prints(tmp_path: Path) -> None:
    done = forked("rehearse", "--schema", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == SCHEMA.read_text(encoding="utf-8"), "onstage rehearse --schema > docs/report.schema.json"


def test_the_example_in_the_docs_fits_the_schema() -> None:
    page = SCHEMA.with_name("report.md").read_text(encoding="utf-8")
    example = page.partition("```json\n")[2].partition("```")[0]
    assert fitting(example)["checks"][0]["id"] in CHECKS


def test_a_format_that_there_is_not_ends_with_2(copy: Path) -> None:
    done = forked("rehearse", "--format", "xml", folder=copy)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'xml' is not one of 'text', 'json', 'github', 'junit'" in re.sub(r"[\s│]+", " ", done.stderr)


@pytest.mark.long
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


@pytest.mark.long
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
