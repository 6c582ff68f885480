"""A report for machines: JSON, JUnit's XML, GitHub's workflow commands. Where each goes, and where the text goes."""

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from onstage import installation
from onstage.errors import StartError, UserError
from onstage.report import Check, Report

Kind = Literal["text", "json", "github", "junit"]
Command = Literal["rehearse", "body"]
# Other names of standard output: opened anew, a redirected one would lose what it has.
_STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
# What XML cannot hold, not even as a character reference.
_NO_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


class Entry(BaseModel):
    """One line of the report, or of several findings of a check each one."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(description="The check's stable name: PLATFORM.NAME, as onstage rehearse --list has it.")
    platform: str = Field(description="The first part of the id: project, sagemaker, vertex or both.")
    name: str = Field(description="The second part of the id.")
    status: Literal["passed", "warning", "failed", "ignored", "skipped"] = Field(
        description="ignored: what was found does not count, for the reason in detail; skipped: it cannot be done here."
    )
    seconds: float = Field(description="How long the check took; 0 for its second and further findings.")
    detail: str = Field(description="What was found, or why it is ignored or skipped; may be empty.")
    cloud: str = Field(description="What the cloud would have said; may be empty.")
    fix: str = Field(description="What to do next; may be empty.")
    file: str = Field(description="The file that the finding is about, from the project's folder; may be empty.")
    line: int | None = Field(description="The line in file, from 1, where it is known.")


class Content(BaseModel):
    """The report of one `onstage rehearse` or `onstage body`."""

    model_config = ConfigDict(extra="forbid", title="Report of onstage")
    report: Literal[1] = Field(default=1, description="The version of this format.")
    onstage: str = Field(description="The version of onstage.")
    command: Command
    passed: bool = Field(description="Whether no check failed; warnings, ignored and skipped ones do not count.")
    seconds: float = Field(description="How long all of it took.")
    checks: list[Entry] = Field(description="In the order in which they ended.")
    not_seen: list[str] = Field(description="What this very rehearsal cannot know, a sentence each.")


class Output:
    """Where the report of a command goes, found out before the work starts. Raises StartError where it cannot.

    `kind` says what is on standard output; with JSON or XML there, the text is on standard error.
    """

    def __init__(self, command: Command, kind: Kind, file: Path | None) -> None:
        self.command: Command = command
        self._kind, self._file = kind, file
        self._is_stdout = file is not None and file.as_posix() in _STDOUT
        if self._is_stdout and kind in ("json", "junit"):
            raise StartError(f"--json {file} and --format {kind} would both be on standard output; give --json a file")
        if file is not None and not self._is_stdout:
            _check_writable(file)
        self.console = Console(stderr=self._is_stdout or kind in ("json", "junit"))

    def finish(self, report: Report, root: Path) -> None:
        """Print the verdict and write what was asked for; places in the report are below `root`.

        Raises UserError when a file cannot be written.
        """
        report.finish()
        if self._kind == "github":
            stream = sys.stderr if self._is_stdout else sys.stdout
            for check in report.checks:
                if check.status in ("failed", "warning"):
                    print(github(check, root), file=stream, flush=True)
        elif self._kind == "junit":
            print(junit(report, self.command), flush=True)
        if self._file is None and self._kind != "json":
            return
        text = json.dumps(content(report, self.command).model_dump(), indent=2)
        if self._is_stdout or self._kind == "json":
            print(text, flush=True)
        if self._file is not None and not self._is_stdout:
            try:
                self._file.write_text(f"{text}\n", encoding="utf-8")
            except OSError as error:
                raise UserError(f"the report cannot be written: {error}") from error


def content(report: Report, command: Command) -> Content:
    """The report as JSON has it."""
    return Content(
        onstage=installation.version().partition(" ")[0],
        command=command,
        passed=report.passed,
        seconds=report.seconds,
        checks=[Entry.model_validate(check, from_attributes=True) for check in report.checks],
        not_seen=report.not_seen,
    )


def schema() -> dict[str, Any]:
    """The JSON schema of the report, which is docs/report.schema.json."""
    described = Content.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


def github(check: Check, root: Path) -> str:
    """A failure or a warning as the workflow command that marks its line in a pull request."""
    # Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    properties = {"title": check.id}
    if check.file and (root / check.file).is_file():
        base = os.environ.get("GITHUB_WORKSPACE") or "."
        properties["file"] = Path(os.path.relpath((root / check.file).resolve(), Path(base).resolve())).as_posix()
        if check.line is not None:
            properties["line"] = str(check.line)
    named = ",".join(
        f"{name}={_escaped(value).replace(':', '%3A').replace(',', '%2C')}"
        for name, value in sorted(properties.items())
    )
    return f"::{'warning' if check.status == 'warning' else 'error'} {named}::{_escaped(check.text)}"


def junit(report: Report, command: str) -> str:
    """The report as JUnit's XML: a test case for each check, all its findings in one."""
    grouped: dict[str, list[Check]] = {}
    for check in report.checks:
        grouped.setdefault(check.id, []).append(check)
    suite = ElementTree.Element("testsuite", name=f"onstage {command}", tests=str(len(grouped)))
    counts = dict.fromkeys(("failures", "errors", "skipped"), 0)
    for found in grouped.values():
        seconds = sum(check.seconds for check in found)
        case = ElementTree.SubElement(
            suite, "testcase", classname=found[0].platform, name=found[0].name, time=f"{seconds:.3f}"
        )
        failures, warnings, others = (
            [check for check in found if check.status in kinds]
            for kinds in (("failed",), ("warning",), ("ignored", "skipped"))
        )
        if failures:
            counts["failures"] += 1
            failure = ElementTree.SubElement(case, "failure", type="failed", message=_xml(failures[0].detail))
            failure.text = _xml("\n\n".join(check.text for check in failures))
        elif others:
            counts["skipped"] += 1
            ElementTree.SubElement(case, "skipped", message=_xml(f"{others[0].status}: {others[0].detail}"))
        if warnings:
            ElementTree.SubElement(case, "system-out").text = _xml("\n\n".join(one.text for one in warnings))
    if report.not_seen:
        ElementTree.SubElement(suite, "system-out").text = _xml("\n".join(["not seen here:", *report.not_seen]))
    for name, count in counts.items():
        suite.set(name, str(count))
    suite.set("time", f"{report.seconds:.3f}")
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    # As ASCII: what is not is a character reference, whatever the encoding of standard output.
    return ElementTree.tostring(suites, encoding="us-ascii", xml_declaration=True).decode("ascii")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _xml(text: str) -> str:
    return _NO_XML.sub(lambda found: ascii(found[0])[1:-1], text)


def _check_writable(file: Path) -> None:
    """Raise StartError for what the report could not be written to; leaves nothing, and no file changed."""
    try:
        if file.is_dir():
            raise StartError(f"--json {file}: it is a folder")
        if file.is_file():
            with file.open("ab"):
                return
        if file.exists():
            # A pipe or a device: opening it would tell its reader something.
            if not os.access(file, os.W_OK):
                raise StartError(f"--json {file}: it cannot be written to")
            return
        # It has no name, or loses it at once: an interrupt leaves nothing.
        with tempfile.TemporaryFile(dir=file.parent):
            return
    except OSError as error:
        reason = f"there is no folder {file.parent}" if not file.parent.is_dir() else error.strerror
        raise StartError(f"--json {file}: {reason}") from error
