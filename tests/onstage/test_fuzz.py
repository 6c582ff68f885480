"""Files that come from elsewhere, whatever they hold: one message of ours, never a traceback, nothing written outside.

Archives are in test_fuzz_archives.py, requests in serving/test_fuzz.py, answers in tests/template/test_answers.py,
bodies in the towers' test_requests.py.
"""

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from optuna.exceptions import ExperimentalWarning

from onstage import settings_page
from onstage.commands.columns import columns
from onstage.errors import UserError
from onstage.project import Project
from onstage.search import journal
from onstage.settings import Settings, load
from tests.onstage.test_settings import NEEDED

FEW = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=2000)


def examples(check: Callable[..., None], **strategies: st.SearchStrategy) -> list[Any]:
    """A check of few examples, and, as a `long` one, of many."""
    few, many = (chosen(seed(20)(given(**strategies)(check))) for chosen in (FEW, MANY))
    name = check.__name__
    return [pytest.param(few, id=name), pytest.param(many, id=f"{name}, many", marks=pytest.mark.long)]


# Places in a file, and the bytes that are there instead.
damages = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=3)


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def assert_is_a_message(error: UserError, most_lines: int = 40) -> None:
    text = str(error)
    assert text.strip()
    assert "Traceback" not in text
    assert len(text.splitlines()) <= most_lines
    text.encode()


# settings.toml

KEYS = {(table.name, key.name) for table in settings_page.tables() for key in table.keys}
scalars = st.one_of(
    st.booleans(), st.integers(), st.integers(-3, 70_000), st.floats(), st.text(max_size=20), st.dates(),
    st.datetimes(), st.times(), st.sampled_from(["", "/", "C:\\data", "..", "gs://b/x", "a" * 300, "x\ny", "%s"]),
)  # fmt: skip
toml_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
changes = st.dictionaries(
    st.sampled_from(sorted(KEYS))
    | st.tuples(st.sampled_from(["", "data", "vertex", "new", "rehearsal.ignore"]), st.text(max_size=9)),
    toml_values,
    max_size=5,
)


def toml(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml(name)} = {toml(one)}' for name, one in value.items())}}}"
    return json.dumps(value).replace("\x7f", "\\u007f")


def settings_text(changed: dict[tuple[str, str], object]) -> str:
    """A settings.toml with what is needed, and these values of sections and keys in its place."""
    keys: dict[tuple[str, str], str] = {
        (section, name): text for section, content in NEEDED.items() for name, text in content.items()
    }
    keys |= {place: toml(value) for place, value in changed.items()}
    lines = []
    for section in sorted({section for section, _ in keys}):
        lines += [f"[{section}]"] if section else []
        lines += [f"{json.dumps(name)} = {text}" for (place, name), text in keys.items() if place == section]
    return "\n".join(lines) + "\n"


def check_settings(folder: Path, content: bytes) -> bool:
    """Whether the file is taken; if not, it has to be refused in words."""
    (folder / "settings.toml").write_bytes(content)
    try:
        loaded = load(Project(folder))
    except UserError as error:
        assert_is_a_message(error)
        assert error.exit_code == 2
        assert "settings.toml" in str(error)
        return False
    assert isinstance(loaded, Settings)
    return True


def any_values(folder: Path, changed: dict[tuple[str, str], object]) -> None:
    check_settings(folder, settings_text(changed).encode())


def any_damage(folder: Path, cut: int, more: bytes) -> None:
    text = settings_text({}).encode()
    check_settings(folder, text[:cut] + more + text[cut:])


@pytest.mark.parametrize(
    "check",
    [
        *examples(any_values, changed=changes),
        *examples(
            any_damage, cut=st.integers(0, 400), more=st.binary(max_size=30) | st.text(max_size=20).map(str.encode)
        ),
    ],
)
def test_any_settings_are_taken_or_refused_in_words(check: Any, folder: Path) -> None:
    check(folder)
    assert check_settings(folder, settings_text({}).encode())


# CSV files

cells = st.one_of(
    st.integers().map(str), st.floats().map(str), st.text(max_size=6), st.dates().map(str),
    st.sampled_from(["", "NA", "a", "b", '"a', 'a"b', '"x\ny"', "1,5", "-0", "1e400", "TRUE", "\ufeff", "\0", "0x1F"]),
)  # fmt: skip
separators = st.sampled_from([",", ";", "\t", "|", " "])
ends = st.sampled_from(["\n", "\r\n", "\r"])
tables = st.builds(
    lambda rows, separator, end: end.join(separator.join(row) for row in rows).encode("utf-8", "surrogatepass"),
    st.lists(st.lists(cells, min_size=1, max_size=4), max_size=12),
    separators,
    ends,
)
regular = st.builds(
    lambda header, rows, separator: "\n".join(separator.join(row) for row in [header, *rows]).encode(),
    st.lists(st.sampled_from(["size", "price", "price", "", "1", "a b", "é", "class"]), min_size=3, max_size=3),
    st.lists(st.lists(cells.filter(lambda cell: "\n" not in cell), min_size=3, max_size=3), min_size=2, max_size=30),
    separators,
)


def any_table(folder: Path, content: bytes, name: str) -> None:
    file = emptied(folder) / name
    file.write_bytes(content)
    try:
        columns(None, [file], "", write=False)
    except UserError as error:
        assert_is_a_message(error)
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    "check",
    examples(
        any_table,
        content=tables | regular | st.binary(max_size=80),
        name=st.sampled_from(["x.csv", "x.tsv", "x.csv.gz", "x.txt"]),
    ),
)
def test_any_table_is_described_or_refused(check: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(folder)
    assert "Traceback" not in "".join(capsys.readouterr())


# The journal of a search

DEFINITION = journal.Definition("maximize accuracy", {"units": "2 to 8"}, {"epochs": "1"}, {"train": "a"}, [], "c")


@pytest.fixture(scope="module")
def search() -> Iterator[bytes]:
    """The journal of a search with two trials."""
    with tempfile.TemporaryDirectory() as name:
        with journal.opened(Path(name), DEFINITION) as study:
            for units in (2, 3):
                trial = study.ask()
                trial.suggest_int("units", 2, 8)
                study.tell(trial, units / 10)
        yield (Path(name) / journal.FILE).read_bytes()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
journal_lines = st.one_of(
    st.binary(max_size=20),
    json_values.map(json.dumps).map(str.encode),
    st.dictionaries(
        st.sampled_from(["op_code", "worker_id", "study_name", "study_id", "trial_id", "user_attr", "directions"]),
        json_values | st.integers(-1, 12),
    ).map(json.dumps).map(str.encode),
)  # fmt: skip


def any_journal(
    folder: Path, search: bytes, at: int, lines: list[bytes], dropped: int, damage: list[tuple[int, int]]
) -> None:
    whole = search.splitlines()
    content = bytearray(b"\n".join([*whole[:at], *lines, *whole[at + dropped :]]) + b"\n")
    for place, byte in damage[:1]:
        content[place % len(content)] = byte
    file = emptied(folder) / journal.FILE
    file.write_bytes(content)

    def read() -> None:
        study = journal.read(file)
        journal.definition_of(study)
        journal.counted(study)

    def go_on() -> None:
        with journal.opened(folder, DEFINITION) as study:
            journal.counted(study)

    for work in (read, go_on):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                work()
        except UserError as error:
            assert_is_a_message(error)


@pytest.mark.parametrize(
    "check",
    examples(
        any_journal,
        at=st.integers(0, 12),
        lines=st.lists(journal_lines, max_size=3),
        dropped=st.integers(0, 2),
        damage=damages,
    ),
)
def test_any_journal_is_read_or_refused(check: Any, folder: Path, search: bytes) -> None:
    check(folder, search)
