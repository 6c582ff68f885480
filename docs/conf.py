"""The pages as a site: `.venv/bin/python -m sphinx -W docs build/site`. The tests build it so, too."""

from pathlib import Path
from typing import Any

FIRST = Path(__file__).with_name("README.md")

project = "onstage"
html_title = "onstage"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
# README.md is the text of index.md, and search.md that of tune.md.
exclude_patterns = ["README.md", "search.md"]
# A link into the middle of a page is checked, as is a name of Python in a docstring.
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(pathlib|typing|collections)\..*|Any|Path|Iterable|Iterator|Mapping|Sequence")]
# A message is searched for as it stands on a screen.
smartquotes = False
default_role = "code"
autodoc_member_order = "bysource"
maximum_signature_line_length = 80
html_copy_source = False
html_show_sphinx = html_show_copyright = False
html_theme = "furo"
# Others underline a module as if it were a link.
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"top_of_page_buttons": []}


def of_site(app: Any, name: str, source: list[str]) -> None:
    """What differs from GitHub: the first page, and the name search, which Sphinx gives to a page of its own."""
    if name == "index":
        app.env.note_dependency(str(FIRST))
        source[0] = f"{FIRST.read_text(encoding='utf-8')}\n{source[0]}"
    source[0] = source[0].replace("](search.md", "](tune.md")


def setup(app: Any) -> None:
    """Sphinx calls it."""
    app.connect("source-read", of_site)
