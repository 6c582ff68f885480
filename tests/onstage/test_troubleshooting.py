"""docs/troubleshooting.md has every message that a check can print.

`tests.onstage.mistakes.rehearse` looks there for what each planted mistake's report says.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.messages import Message, messages, words
from docs.troubleshooting import sections
from onstage.catalogue import CHECKS
from tests.conftest import ROOT
from tests.onstage.guide import PAGE, assert_has

TEXT = " ".join(PAGE.read_text(encoding="utf-8").replace(r"\|", "|").split())
FOLDERS = ("checks", "rehearsal", "sagemaker", "vertex", "serving")
RAISED = ("UserError", "StartError", "NotDoneError")
# Which argument has the message.
PLACES = {"Finding": 0, "Problem": 1, **dict.fromkeys(RAISED, 0)}


def literals(folder: str) -> Iterator[tuple[str, str]]:
    """Places and texts that stand in the messages of a folder, found another way than the page finds them."""
    for file in sorted((ROOT / "onstage" / folder).rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = getattr(call.func, "id", "") if isinstance(call, ast.Call) else ""
            if isinstance(call, ast.Call) and name in PLACES and len(call.args) > PLACES[name]:
                message = call.args[PLACES[name]]
                parts = message.values if isinstance(message, ast.JoinedStr) else [message]
                for part in parts:
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield f"{file.name}, line {call.lineno}", part.value


def test_the_page_is_what_the_source_makes() -> None:
    command = [sys.executable, "-m", "docs.troubleshooting"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == PAGE.read_text(encoding="utf-8"), "python -m docs.troubleshooting > docs/troubleshooting.md"


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_fixed_words_of_every_finding_and_refusal_are_on_the_page(folder: str) -> None:
    found = list(literals(folder))
    assert len(found) > 5
    for place, text in found:
        for line in text.splitlines():
            piece = " ".join(line.removeprefix("-> ").split())
            assert len(words(piece)) < 2 or piece in TEXT, f"{place}: {piece}"


def test_every_check_has_a_section_with_its_cause() -> None:
    headings = re.findall(r"^- (`.+`): ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(re.findall(r"`([\w.-]+)`", " ".join(headings))) == sorted(CHECKS)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (
            'return [Finding(f"{name} is no file", "name one", f"Error: {name}")]',
            [("… is no file", "name one", "Error: …")],
        ),
        ('raise UserError(f"no {x}: " + ("say it" if one else "say all"))', [("no …: say it",), ("no …: say all",)]),
        ('what = "it is new"\n    what = "it is old"\n    return Finding(what)', [("it is old",)]),
        (
            'what = "it is new"\n    if one:\n        what = "it is old"\n    return Finding(what)',
            [("it is new",), ("it is old",)],
        ),
        ('raise StartError("the file is gone\\n-> bring it back")', [("the file is gone", "bring it back")]),
        (
            'yield Problem(path, f"is {a}" + f", not {b} or more" * bool(b), fix="write more")',
            [("is …, not … or more", "write more")],
        ),
        ('raise AssertionError("it cannot be so")', []),
    ],
)
def test_a_message_is_found_in_all_its_forms(source: str, found: list[tuple[str, ...]], tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(f"def check(one, name):\n    {source}\n", encoding="utf-8")
    told = messages(file, "module.py")
    assert [(one.text, *one.fix, *one.cloud) for one in told if one.kind == "found"] == found
    assert {one.place for one in told} <= {"module.py:check"}


def test_a_text_of_another_module_stands_in_a_message_and_another_value_does_not(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    lines = "from onstage.project import CONTRACT, SETTINGS\n\n\ndef check():\n    raise UserError(%s)\n"
    file.write_text(lines % 'f"{SETTINGS} is of contract {CONTRACT}"', encoding="utf-8")
    assert [one.text for one in messages(file, "module.py")] == ["settings.toml is of contract …"]


def test_a_message_without_a_section_is_refused() -> None:
    told = {"not_said": ["b.py"], "section": [{"checks": list(CHECKS), "from": ["a.py", "b.py:said", "d"]}]}
    found = [Message(place, "found", "it is so") for place in ("a.py:x", "b.py:said", "d/e/f.py:", "b.py:help")]
    assert sections(found, told) == [(told["section"][0], found[:3])]
    with pytest.raises(SystemExit, match="not_said neither, has messages of c.py:y"):
        sections([*found, Message("c.py:y", "found", "it is so")], told)
    with pytest.raises(SystemExit, match="take out what has no message: a.py"):
        sections(found[1:], told)


def test_words_of_a_screen_are_found_and_others_are_not() -> None:
    assert_has({"id": "project.paths", "detail": "src/trainer/model.py, line 55: 'a/b.csv' is a path of this machine"})
    with pytest.raises(AssertionError, match="has no entry for: project.paths: nobody has written this"):
        assert_has({"id": "project.paths", "detail": "nobody has written this"})
