"""The pages as a site: `.venv/bin/python -m sphinx -W docs build/site`. The tests build it so, too."""

project = "onstage"
html_title = "onstage"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
# What README.md says stands in index.md.
exclude_patterns = ["README.md"]
# A link into a page's middle is checked, as is a name of Python in a docstring.
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(pathlib|typing|collections)\..*|Any|Path|Iterable|Mapping|Sequence")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 80
# None of these pages is of use as its source.
html_copy_source = False
html_show_sphinx = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
# Nothing is loaded from elsewhere: a test looks.
html_theme_options = {"top_of_page_buttons": []}
pygments_style, pygments_dark_style = "default", "github-dark"
