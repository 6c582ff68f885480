"""What hides a library, and which calls wait: by names that are resolved, never by how they are spelt."""

from pathlib import Path

import pytest

from onstage.checks.import_checks import import_names
from onstage.checks.name_checks import check_calls, check_exits, check_names
from onstage.checks.source_checks import Image, Source

UNKNOWN = Image("an image that nobody knows", (3, 12), None)
PLOT = "import matplotlib.pyplot as p\n"


def code(folder: Path, text: str = "", name: str = "model.py") -> Source:
    (folder / "src").mkdir()
    (folder / "src" / name).write_text(text, encoding="utf-8")
    return Source(folder / "src", folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{PLOT}p.show()", [False]),
        (f"{PLOT}p.show(block=False)", []),
        (f"{PLOT}p.show(block=True)", [False]),
        (f"{PLOT}if __name__ == '__main__':\n    p.show()", [True]),
        ("def ask(input):\n    return input()", []),
        ("def ask(input):\n    return input\n\ndef other():\n    return input()", [False]),
        ("import keras\n\ndef net():\n    input = keras.Input((3,))\n    return input\n\nbreakpoint()", [False]),
        ("from .plots import show\nshow()", []),
    ],
)
def test_calls_that_wait_are_failures_and_warnings_where_only_a_program_does_them(
    tmp_path: Path, text: str, found: list[bool]
) -> None:
    assert [one.warning for one in check_calls(code(tmp_path, text))] == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\nos._exit(0)", "src/model.py, line 2: os._exit(0) ends the program where it stands"),
        ("from os import _exit as leave\n\nleave(1)", "src/model.py, line 3: leave(1) ends the program where it"),
        ("# Owned by the template: edit `model.py` instead.\nimport os\nos._exit(1)", ""),
        ("import os\nif not os.fork():\n    os._exit(0)", ""),
        ("import sys\nsys.exit(0)", ""),
        ("def _exit(code):\n    return code\n\n_exit(0)", ""),
    ],
)
def test_a_call_that_ends_the_program_where_it_stands_is_a_warning(tmp_path: Path, text: str, said: str) -> None:
    found = check_exits(code(tmp_path, text))
    assert [one.warning for one in found] == ([True] if said else [])
    assert all(one.text.startswith(said) and "the job is Completed all the same" in one.text for one in found)


@pytest.mark.parametrize(("name", "is_named"), [("tensorflow.py", True), ("json.py", True), ("yaml.py", False)])
def test_tensorflow_is_in_every_image(tmp_path: Path, name: str, is_named: bool) -> None:
    assert bool(check_names(code(tmp_path, name=name), UNKNOWN, "sagemaker")) == is_named


def test_a_setup_py_beside_the_script_is_a_mistake_in_a_project_and_a_warning_elsewhere(tmp_path: Path) -> None:
    source = code(tmp_path, name="setup.py")
    for is_project in (True, False):
        (found,) = check_names(source, UNKNOWN, "sagemaker", is_project=is_project)
        assert "and run it with python -m, not the entry file" in found.detail
        assert found.warning != is_project
        assert found.fix.startswith("move it" if is_project else "take it out of the source, unless that is meant")
    assert check_names(source, UNKNOWN, "vertex") == []


def test_distributions_are_known_by_what_they_are_imported_by() -> None:
    names = import_names({"protobuf", "pillow", "pyzmq", "tensorflow-cpu", "nobody-has-it", "scikit-learn"})
    assert {"google", "PIL", "zmq", "tensorflow", "nobody_has_it", "sklearn"} <= names
    assert not {"protobuf", "pillow", "pyzmq", "scikit_learn"} & names
