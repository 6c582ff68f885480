"""A variable that the code reads and the job lacks is warned of, unless the code is prepared for that."""

from pathlib import Path

import pytest

from onstage.checks.environment_checks import check_environment, check_shell
from onstage.checks.source_checks import Source

PREPARED = {
    "a default": 'gpus = os.environ.get("SM_NUM_GPU", "0")',
    "setdefault": 'os.environ.setdefault("SM_NUM_GPU", "0")\ngpus = os.environ["SM_NUM_GPU"]',
    "written": 'os.environ["SM_NUM_GPU"] = "0"\ngpus = os.environ["SM_NUM_GPU"]',
    "in": 'gpus = os.environ["SM_NUM_GPU"] if "SM_NUM_GPU" in os.environ else "0"',
    "not in": 'gpus = "0" if "SM_NUM_GPU" not in os.environ else os.environ["SM_NUM_GPU"]',
    "KeyError": 'try:\n    gpus = os.environ["SM_NUM_GPU"]\nexcept KeyError:\n    gpus = "0"',
    "two": 'try:\n    gpus = int(os.environ["SM_NUM_GPU"])\nexcept (ValueError, KeyError) as error:\n    gpus = 0',
    "all": 'try:\n    gpus = os.environ["SM_NUM_GPU"]\nexcept:\n    gpus = "0"',
    "Exception": 'try:\n    if True:\n        gpus = os.environ["SM_NUM_GPU"]\nexcept Exception:\n    gpus = "0"',
    "suppress": 'from contextlib import suppress\nwith suppress(KeyError):\n    gpus = os.environ["SM_NUM_GPU"]',
}
NOT_PREPARED = {
    "read": ('gpus = os.environ["SM_NUM_GPU"]', 2),
    "another error": ('try:\n    gpus = os.environ["SM_NUM_GPU"]\nexcept ValueError:\n    gpus = "0"', 3),
    "in the handler": ('try:\n    gpus = 1 / 0\nexcept KeyError:\n    gpus = os.environ["SM_NUM_GPU"]', 5),
    "another's default": ('os.environ.setdefault("SM_HOSTS", "")\ngpus = os.environ["SM_NUM_GPU"]', 3),
    "elsewhere": ('try:\n    gpus = os.environ["SM_NUM_GPU"]\nexcept KeyError:\n    pass\nos.environ["SM_NUM_GPU"]', 6),
    "a lock": ('import threading\nwith threading.Lock():\n    gpus = os.environ["SM_NUM_GPU"]', 4),
}


def code(folder: Path, text: str) -> Source:
    (folder / "train.py").write_text(f"import os\n{text}\n", encoding="utf-8")
    return Source(folder, folder, "")


@pytest.mark.parametrize("case", PREPARED)
def test_code_that_is_prepared_for_a_missing_variable_is_right(case: str, tmp_path: Path) -> None:
    assert check_environment(code(tmp_path, PREPARED[case]), ()) == []


@pytest.mark.parametrize("case", NOT_PREPARED)
def test_code_that_needs_a_missing_variable_is_a_warning_with_its_line(case: str, tmp_path: Path) -> None:
    text, line = NOT_PREPARED[case]
    (found,) = check_environment(code(tmp_path, text), ())
    assert found.text == f"train.py, line {line}: os.environ['SM_NUM_GPU']: the job has no such variable"
    assert found.warning and found.cloud == "KeyError: 'SM_NUM_GPU'"
    assert check_environment(code(tmp_path, text), {"SM_NUM_GPU"}) == []


@pytest.mark.parametrize("text", ['os.getenv("UNITS")', 'os.environ.setdefault("UNITS", "16")', 'os.environ["UNITS"]'])
def test_a_variable_of_this_shell_is_named_unless_the_job_has_it_too(text: str, tmp_path: Path) -> None:
    (found,) = check_shell(code(tmp_path, text), {"UNITS": "32"})
    assert found.text == (
        "train.py, line 2: UNITS is set in this shell and not in the job: the code does something else there"
    )
    assert check_shell(code(tmp_path, text), {"UNITS": "32"}, {"UNITS"}) == []
    assert check_shell(code(tmp_path, text), {"OTHER": "32"}) == []
