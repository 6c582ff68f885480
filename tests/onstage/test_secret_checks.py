"""Keys and passwords in `src/` are warned of, and never printed."""

from pathlib import Path

import pytest

from onstage.checks.secret_checks import LARGEST, check_secrets
from onstage.checks.source_checks import Source
from onstage.project import Project
from tests.conftest import ROOT, TEMPLATE, Bake

KEY = "sk-Zq3vT9xYb1Lk7mNp2rSd" + "4fGh6jKl8aQwErTyUiOpAsDfGhJk"
HEX = "5f4dcc3b5aa765d6" + "1d8327deb882cf99"


# What is taken for a secret in the package, and is none: words about secrets, letters to choose names from, names of
# operations. `packaging/` has a commit.
NONE = {
    "onstage": {
        "catalogue.py", "sagemaker/client/recorder.py", "serving/operations.json", "vertex/requests/names.py",
    },
    "packaging": {"release.py"},
}  # fmt: skip


def check(folder: Path, text: str, name: str = "config.py") -> list[str]:
    (folder / name).write_text(text, encoding="utf-8")
    found = check_secrets(Source(folder, folder))
    assert isinstance(found, str) or all(one.warning for one in found)
    return [] if isinstance(found, str) else [one.text for one in found]


@pytest.mark.few(1)
@pytest.mark.parametrize("problem", ["classification", "regression"])
def test_a_rendered_project_has_none(bake: Bake, problem: str) -> None:
    assert isinstance(check_secrets(Source.of(Project(bake(problem=problem)))), str)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f'KEY = "{KEY}"\n', "config.py"),
        ('password = "correct-horse-battery"\n', "config.py"),
        ("DB_PASSWORD=correct-horse-battery\n", "env.txt"),
        (f'SALT = "{HEX}"\n', "config.py"),
    ],
)
def test_what_looks_like_a_secret_is_a_warning_with_its_line_and_without_its_text(
    tmp_path: Path, text: str, name: str
) -> None:
    (said,) = check(tmp_path, f"\n{text}", name)
    assert said.startswith(f"src/{name}, line 2: this looks like a secret (")
    assert not any(one in said for one in (KEY, HEX, "correct-horse"))


@pytest.mark.parametrize(
    "text",
    [
        f'IDS = ["{HEX}"]  # pragma: allowlist secret\n',
        'password = os.environ["PASSWORD"]\n',
        'password = ""\n',
        'NAMES = ["petal_length", "setosa", "00000000000000000000"]\n',
        'URI = "https://example.com/a/b?c=d"\n',
    ],
)
def test_what_is_none_is_not_named(tmp_path: Path, text: str) -> None:
    assert check(tmp_path, text) == []


def test_a_file_of_data_is_not_searched(tmp_path: Path) -> None:
    assert check(tmp_path, f"{KEY}\n" * (LARGEST // 40), "rows.csv") == []


@pytest.mark.parametrize(
    "name",
    [
        *(TEMPLATE.name, "hooks", "templates", "packaging"),
        *(pytest.param(name, marks=pytest.mark.long) for name in ("onstage", "docs")),
    ],
)
def test_nothing_that_is_handed_on_holds_a_secret(name: str, tmp_path: Path) -> None:
    """To whoever renders a project, or installs the package."""
    found = check_secrets(Source(ROOT / name, ROOT / name))
    named = set() if isinstance(found, str) else {one.file.removeprefix("src/") for one in found}
    assert named == NONE.get(name, set())
