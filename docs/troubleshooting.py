"""Prints docs/troubleshooting.md: `.venv/bin/python -m docs.troubleshooting > docs/troubleshooting.md`.

The messages come from the source, causes and what to do about them from troubleshooting.toml.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from docs.messages import HOLE, Message, fullest, messages, within
from onstage.catalogue import CHECKS
from onstage.project import read_toml

ROOT = Path(__file__).parents[1]
PACKAGE, SOURCE = ROOT / "onstage", ROOT / "{{cookiecutter.project_slug}}" / "src"
FILE = Path(__file__).with_suffix(".toml")
_HEAD = f"""\
# Troubleshooting by message

Search this page for words that you see; {HOLE} stands where a message has a name, a number or a text of your own.
Messages stand by the checks that print them, with what to do next, and what the cloud would have said.
Where a message says nothing about that, the words above its table do.
[The report](report.md) says how to read a line, and how to ignore a check.

`.venv/bin/python -m docs.troubleshooting` makes this page from the source: no message is missing."""


def collected() -> list[Message]:
    """Every message of the package and of a project's `src/`."""
    found = []
    for folder, before in ((PACKAGE, ""), (SOURCE, "src/")):
        for file in sorted(folder.rglob("*.py")):
            # Of several model.py the researcher's own is one: its messages are hers.
            if "{%" not in file.name:
                found += messages(file, before + file.relative_to(folder).as_posix())
    return found


def sections(found: Iterable[Message], told: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], list[Message]]]:
    """The sections with their messages. Raises SystemExit for a message or a check without one, and a stale place."""
    places = {place: number for number, section in enumerate(told["section"]) for place in section["from"]}
    parts: list[list[Message]] = [[] for _ in told["section"]]
    used, lost = set(), set()
    for one in found:
        chosen = [place for place in _places_of(one) if place in places or place in told["not_said"]]
        if chosen:
            used.add(chosen[0])
            if chosen[0] in places:
                parts[places[chosen[0]]].append(one)
        else:
            lost.add(one.place)
    unknown = {*CHECKS} - {check for section in told["section"] for check in section.get("checks", ())}
    stale = {*places, *told["not_said"]} - used
    no_section = "no section, and not_said neither, has messages of"
    for what, names in ((no_section, lost), ("no section has", unknown), ("take out what has no message:", stale)):
        if names:
            raise SystemExit(f"docs/troubleshooting.toml: {what} {', '.join(sorted(names))}")
    return list(zip(told["section"], parts, strict=True))


def _places_of(one: Message) -> list[str]:
    """A message's function, its file, and the folders around it."""
    file = PurePosixPath(one.place.partition(":")[0])
    return [one.place, *(str(place) for place in (file, *file.parents))]


def page() -> str:
    """The whole page."""
    blocks = [_HEAD]
    for section, found in sections(collected(), read_toml(FILE)):
        blocks += _section(section, found)
    return "\n\n".join(blocks) + "\n"


def _section(section: Mapping[str, Any], found: Sequence[Message]) -> Iterator[str]:
    checks = section.get("checks", ())
    yield f"## {section.get('name') or ', '.join(dict.fromkeys(check.partition('.')[2] for check in checks))}"
    # What several platforms' checks look for is one sentence.
    by_sentence: dict[str, list[str]] = {}
    for check in checks:
        by_sentence.setdefault(CHECKS[check], []).append(f"`{check}`")
    if by_sentence:
        yield "\n".join(f"- {', '.join(ids)}: {sentence}" for sentence, ids in by_sentence.items())
    yield f"**Cause.** {section['cause']}\n\n**What to do.** {section['fix']}"
    said = [one for one in found if one.kind == "found"]
    columns = ["text", *(name for name in ("fix", "cloud") if any(getattr(one, name) for one in said))]
    if said:
        titles = {"text": "on the screen", "fix": "what to do", "cloud": "in the cloud"}
        rows = [[titles[name] for name in columns], ["---"] * len(columns)]
        rows += dict.fromkeys(tuple(_cell(one, name) for name in columns) for one in said)
        yield "\n".join(f"| {' | '.join(row)} |" for row in rows)
    for kind, title in (
        ("skipped", "Why it is skipped:"),
        ("part", "More of its words, whole lines or parts of them:"),
    ):
        texts = [one.text for one in found if one.kind == kind]
        whole = [one.text for one in found if one.kind != kind]
        if rest := [text for text in fullest(texts) if not any(within(text, one) for one in whole)]:
            yield title
            yield "\n".join(f"- {_code(text)}" for text in rest)


def _cell(one: Message, name: str) -> str:
    texts = (one.text,) if name == "text" else getattr(one, name)
    return "<br>".join(map(_code, texts)).replace("|", r"\|")


def _code(text: str) -> str:
    """A text as it stands, whatever marks it holds."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " * (longest > 0)
    return f"{fence}{space}{text.strip()}{space}{fence}"


if __name__ == "__main__":
    sys.stdout.write(page())
