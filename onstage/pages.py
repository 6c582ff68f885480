"""Pages for people: pictures and tables in one HTML file that loads nothing from anywhere, in light and in dark."""

import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
figure { margin: 1rem 0; } svg { background: #fff; max-width: 100%; height: auto; border-radius: .3rem; }
.wide { overflow-x: auto; } pre { overflow-x: auto; padding: .7rem; border: 1px solid #8886; border-radius: .3rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #8884; }
th:first-child, td:first-child, td.text { text-align: left; }
tr.best { font-weight: bold; } tr.failed { opacity: .6; }
"""
# Okabe and Ito's colours, which people who see fewer colours tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")


def write(file: Path, title: str, parts: Iterable[str]) -> None:
    """Write a page of these parts, whole or not at all."""
    head = f"<meta charset='utf-8'><title>{html.escape(title)}</title><style>{_STYLE}</style>"
    page = (
        f"<!doctype html><html lang='en'><head>{head}</head><body><h1>{html.escape(title)}</h1>{''.join(parts)}</body>"
    )
    begun = file.with_suffix(".begun")
    begun.write_text(f"{page}</html>\n", encoding="utf-8")
    begun.replace(file)


def heading(text: str) -> str:
    """A heading."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(text)}</p>"


def code(text: str) -> str:
    """Lines to copy."""
    return f"<pre>{html.escape(text)}</pre>"


def table(names: Sequence[str], rows: Iterable[Sequence[str]], kinds: Iterable[str] = ()) -> str:
    """A table of texts; `kinds` says "best" or "failed" of rows."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body, each = "", iter(kinds)
    for row in rows:
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        body += f"<tr class='{next(each, '')}'>{cells}</tr>"
    return f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>"


def picture(figure: Any, text: str) -> str:
    """A matplotlib figure, and what it shows for who does not see it."""
    import matplotlib

    drawn = io.StringIO()
    # Text stays text: it can be searched, and is as sharp as the page.
    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(drawn, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    svg = drawn.getvalue().partition("<svg")[2]
    return f"<figure><svg role='img' aria-label='{html.escape(text, quote=True)}'{svg}</figure>"
