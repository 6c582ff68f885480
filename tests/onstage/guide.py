"""docs/troubleshooting.md as its reader uses it: she looks for words of her screen."""

import functools
import re
from collections.abc import Iterator, Mapping

from docs.messages import HOLE, pieces, words
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
# Python's own words: whoever has written the code knows them. What `code` says of a line is ruff's.
_OWN = re.compile(r"\b\w+(Error|Exception|Interrupt|Exit)\b")


def entries(line: str) -> Iterator[str]:
    """The messages in a row of a table, or in an item of a list."""
    for _, text in re.findall(r"(`+)(.+?)\1(?!`)", line):
        yield text.strip().replace(r"\|", "|")


@functools.cache
def known() -> list["re.Pattern[str]"]:
    """What an entry finds: all of it, or a piece of some words between two values."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(("| `", "- `"))]
    texts = dict.fromkeys(text for line in lines for text in entries(line) if len(words(text)) > 1)
    whole = [".*?".join(map(re.escape, text.split(HOLE))) for text in texts]
    parts = [re.escape(piece) for text in texts for piece in pieces(text) if len(words(piece)) > 4]
    return [re.compile(one, re.DOTALL) for one in (*whole, *parts)]


def assert_has(check: Mapping[str, str]) -> None:
    """Assert that the page has an entry for what a check of a report has found."""
    detail = " ".join(check["detail"].split())
    found = any(pattern.search(detail) for pattern in known()) or _OWN.search(detail) or check["id"].endswith(".code")
    assert found, f"docs/troubleshooting.md has no entry for: {check['id']}: {detail}"
