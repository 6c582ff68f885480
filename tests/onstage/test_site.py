"""docs/ as a site: it builds without a warning, loads nothing from elsewhere, and no link within it is broken."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from onstage import calls
from tests.conftest import ROOT
from tests.onstage.once import once

# What a browser loads by itself; an <a> waits for a click.
LOADED = {"src", "srcset", "data", "poster", "background", "xlink:href"}
IN_STYLES = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")


class Page(HTMLParser):
    """What an HTML or SVG file loads, the targets of its links, and the ids that a link may name."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        text = file.read_text(encoding="utf-8")
        self.feed(text)
        # Of <style> and of style="...".
        self.loads += addresses(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in LOADED or (name == "href" and tag in ("link", "image", "use", "base")):
                self.loads.append(value or "")
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name == "id":
                self.ids.add(value or "")


def addresses(style: str) -> list[str]:
    """What a stylesheet loads."""
    return [one for found in IN_STYLES.findall(style) for one in found if one]


def elsewhere(address: str) -> bool:
    """Whether another host is asked for what stands at an address, one of several in a `srcset`."""
    return any(urlsplit(one.strip()).netloc for one in address.split(","))


def loaded(site: Path) -> Iterator[tuple[str, str]]:
    """Each file of a site and what it loads."""
    for file in sorted(site.rglob("*")):
        if file.suffix in (".html", ".svg"):
            yield from ((file.name, one) for one in Page(file).loads)
        elif file.suffix == ".css":
            yield from ((file.name, one) for one in addresses(file.read_text(encoding="utf-8")))


def build(folder: Path, docs: str, site: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-d", site.parent / "doctrees", docs, site]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        done = build(ROOT, "docs", folder / "html")
        assert done.returncode == 0, done.stderr

    return once(tmp_path_factory, "site", make) / "html"


def test_every_page_is_there_under_its_own_title_and_named_on_the_first(site: Path) -> None:
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    links = {urlsplit(link).path for link in Page(site / "index.html").links}
    for file in (ROOT / "docs").glob("*.md"):
        if file.stem not in ("README", "index", "tune"):
            # Sphinx has a page of its own called search.
            page = f"{'tune' if file.stem == 'search' else file.stem}.html"
            assert f"({file.name})" in text and page in links, file.name
            title = file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            assert f"<h1>{title}<" in (site / page).read_text(encoding="utf-8")


def test_the_pages_of_python_have_what_the_package_has(site: Path) -> None:
    ids = Page(site / "python.html").ids
    public = [name for name in vars(calls.Cloud) if not name.startswith("_")]
    assert ids >= {"onstage.rehearse", "onstage.tune", "onstage.best", "onstage.settings.load"}
    assert ids >= {f"onstage.calls.Cloud.{name}" for name in public}


def test_a_browser_loads_nothing_from_elsewhere(site: Path) -> None:
    found = list(loaded(site))
    assert ("index.html", "_static/styles/furo.css") in [(file, one.partition("?")[0]) for file, one in found]
    assert not [(file, one) for file, one in found if elsewhere(one)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.html", '<script src="https://cdn.example/x.js"></script>'),
        ("page.html", '<link rel="stylesheet" href="//fonts.example/x.css">'),
        ("page.html", '<img srcset="a.png 1x, https://images.example/b.png 2x">'),
        ("page.html", "<style>@font-face { src: url(https://fonts.example/x.woff2) }</style>"),
        ("page.css", '@import "https://fonts.example/x.css";'),
        ("page.svg", '<svg><image href="https://images.example/b.png"/></svg>'),
    ],
)
def test_what_a_browser_would_load_is_found(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(f'{content}\n<a href="https://example.com">is clicked</a>', encoding="utf-8")
    assert [elsewhere(one) for _, one in loaded(tmp_path)] == [True]


def test_every_link_within_the_site_has_a_target(site: Path) -> None:
    pages = {file: Page(file) for file in site.rglob("*.html")}
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.netloc or parts.scheme:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.is_file(), f"{file.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].ids, f"{file.name}: {link}"


@pytest.mark.parametrize(("link", "code"), [("there.md#nowhere", 1), ("there.md#a-heading", 0)])
def test_a_link_to_what_is_not_there_fails_the_build(link: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "docs" / "_static").mkdir(parents=True)
    (tmp_path / "docs" / "_static" / "site.css").touch()
    (tmp_path / "docs" / "README.md").write_text(f"# Pages\n\n[a page]({link})\n", encoding="utf-8")
    (tmp_path / "docs" / "index.md").write_text("```{toctree}\nthere\n```\n", encoding="utf-8")
    (tmp_path / "docs" / "there.md").write_text("# A page\n\n## A heading\n", encoding="utf-8")
    shutil.copy(ROOT / "docs" / "conf.py", tmp_path / "docs")
    done = build(tmp_path, "docs", tmp_path / "site")
    assert done.returncode == code, done.stderr
    assert (link.rpartition("#")[2] in done.stderr) == bool(code)
