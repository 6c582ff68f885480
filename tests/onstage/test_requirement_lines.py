"""Every line of a requirements.txt that pip takes is understood, every other one is named with its number."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from onstage.checks import requirement_lines
from onstage.checks.import_checks import check_imports, check_requirements
from onstage.checks.requirement_lines import Line
from onstage.checks.source_checks import Image, Source
from onstage.errors import UserError

IMAGE = Image("the image", (3, 11), frozenset({"numpy", "pandas"}), ("numpy==2.4.6", "pandas==2.3.3"))


def code(folder: Path, text: str, files: Mapping[str, str] | None = None) -> Source:
    for name, content in {"requirements.txt": text, **(files or {})}.items():
        (folder / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "src" / name).write_text(content, encoding="utf-8")
    return Source(folder / "src", folder)


def lines(folder: Path, text: str, files: Mapping[str, str] | None = None) -> list[Line]:
    return requirement_lines.read(code(folder, text, files))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("polars  # why\n\n# a comment\nscikit_learn>=1 ; python_version > '3'", ["polars", "scikit-learn"]),
        ("--extra-index-url https://example.com/simple\npolars", ["polars"]),
        ("-i https://example.com/simple\n--pre\n--only-binary=:all:\npolars", ["polars"]),
        ("polars==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\nrich", ["polars", "rich"]),
        ("-r more.txt\nrich", ["polars", "rich"]),
        ("-rmore.txt\n-c more.txt", ["polars"]),
        ("--requirement=more.txt", ["polars"]),
        ("polars @ https://example.com/polars-1.0-py3-none-any.whl", ["polars"]),
        ("https://example.com/my_lib-1.0-py3-none-any.whl", ["my-lib"]),
        ("git+https://example.com/lib.git@main#egg=my_lib", ["my-lib"]),
        ("-e git+https://example.com/lib.git", [None]),
        ("wheels/my_lib-1.0-py3-none-any.whl", ["my-lib"]),
        ("./wheels/my_lib-1.0-py3-none-any.whl ; python_version > '3'", ["my-lib"]),
        ("-e ./lib", [None]),
        ("\ufeffpolars", ["polars"]),
    ],
)
def test_what_pip_takes_is_understood(tmp_path: Path, text: str, names: list[str | None]) -> None:
    files = {"more.txt": "polars\n", "wheels/my_lib-1.0-py3-none-any.whl": "", "lib/src/mine/__init__.py": ""}
    found = lines(tmp_path, text, files)
    assert [line.name for line in found] == names
    assert found[-1].file.suffix == ".txt"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\npolars=1.0", "src/requirements.txt, line 2: "),
        ("rich\n-r other.txt", "src/requirements.txt, line 2: there is no src/other.txt"),
        ("-r ../requirements.txt", "src/requirements.txt, line 1: ../requirements.txt lies outside src/"),
        ("-e ../lib", "src/requirements.txt, line 1: ../lib lies outside src/ and does not travel"),
        ("x-1.0-py3-none-any.whl", "src/requirements.txt, line 1: there is no src/x-1.0-py3-none-any.whl"),
        ("--upgrade", "src/requirements.txt, line 1: pip knows no option --upgrade in such a file"),
        ("-r", "src/requirements.txt, line 1: -r needs a value"),
        ("-r more.txt", "src/more.txt, line 3: "),
    ],
)
def test_what_pip_does_not_take_is_named_with_its_number(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        lines(tmp_path, text, {"more.txt": "rich\n\nno name\n"})
    assert str(raised.value).startswith(said)


def test_files_that_name_each_other_are_read_once(tmp_path: Path) -> None:
    found = code(tmp_path, "-r more.txt\nrich", {"more.txt": "-r requirements.txt\npolars"})
    assert [line.name for line in requirement_lines.read(found)] == ["polars", "rich"]
    assert [file.name for file in requirement_lines.files(found)] == ["requirements.txt", "more.txt"]


def test_a_module_of_what_only_pip_knows_is_a_warning_and_of_what_travels_none(tmp_path: Path) -> None:
    files = {"lib/src/mine/__init__.py": "", "model.py": "import mine\nimport far_away"}
    found = check_imports(code(tmp_path, "-e ./lib", files), IMAGE)
    assert [(one.line, one.warning) for one in found] == [(2, False)]
    found = check_imports(code(tmp_path, "-e ./lib\ngit+https://example.com/x.git", files), IMAGE)
    assert [(one.line, one.warning) for one in found] == [(2, True)]


def test_a_package_that_only_the_image_has_is_said_as_that(tmp_path: Path) -> None:
    image = Image("the image", (3, 11), frozenset({"only-there"}), ("only-there==1.2",))
    (found,) = check_imports(code(tmp_path, "", {"model.py": "import only_there\nimport packaging"}), image)[:1]
    assert found.warning
    assert found.text == (
        "src/model.py, line 1: import only_there: the image has it, and this machine lacks it, so that the job cannot "
        "be rehearsed"
    )
    assert found.fix.startswith("pip install only-there==1.2, here only")


SETUP = """
setup(install_requires=[line.strip() for line in lines if line.strip() and not line.startswith("#")])
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rich\n-r more.txt", "src/requirements.txt, line 2: -r more.txt: setup.py makes install_requires of every"),
        ("--pre\nrich", "src/requirements.txt, line 1: --pre: setup.py makes"),
        ("rich\npolars @ https://example.com/polars-1.0-py3-none-any.whl", ""),
    ],
)
def test_a_line_that_setup_py_breaks_on_is_named(tmp_path: Path, text: str, said: str) -> None:
    found = code(tmp_path, text, {"more.txt": "polars"})
    assert check_requirements(found, IMAGE, "vertex") == []
    (tmp_path / "setup.py").write_text(SETUP, encoding="utf-8")
    assert check_requirements(found, IMAGE, "sagemaker") == []
    findings = check_requirements(found, IMAGE, "vertex")
    assert [one.text[: len(said)] for one in findings] == ([said] if said else [])
