"""Rendered projects, each once a session."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

import onstage

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
QUESTIONS = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))

Bake = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess]


def pytest_configure() -> None:
    # As in a terminal: a shell ignores one of them for what is in the background, nohup another.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of slow cases of one kind, marked `few(n)`, n that are spread over all of them stay; the others are `long`."""
    kinds: dict[tuple[str, str], list[tuple[pytest.Item, int]]] = {}
    for item in items:
        mark = item.get_closest_marker("few")
        if mark and not item.get_closest_marker("long") and isinstance(item, pytest.Function) and item.parent:
            kinds.setdefault((item.parent.nodeid, item.originalname), []).append((item, mark.args[0]))
    for cases in kinds.values():
        kept = {number * len(cases) // count for _, count in cases[:1] for number in range(count)}
        for number, (item, _) in enumerate(cases):
            if number not in kept:
                item.add_marker("long")


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cookiecutter configuration that neither reads nor writes the home of whoever runs the tests."""
    folder = tmp_path_factory.mktemp("cookiecutter")
    file = folder / "config.yml"
    settings = {"cookiecutters_dir": str(folder / "templates"), "replay_dir": str(folder / "replay")}
    file.write_text(json.dumps(settings), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def bake(config_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Bake:
    """Render the template with these answers; the same answers give the same folder, so do not write into it."""
    baked: dict[str, Path] = {}

    def render(**answers: str) -> Path:
        key = json.dumps(answers, sort_keys=True)
        if key not in baked:
            folder = tmp_path_factory.mktemp("baked")
            project = cookiecutter(
                str(ROOT), no_input=True, extra_context=answers, output_dir=folder, config_file=str(config_file)
            )
            baked[key] = Path(project)
        return baked[key]

    return render


@pytest.fixture(scope="session")
def project(bake: Bake) -> Path:
    """The default project, importable in this process: `trainer`, `train`, `predict`."""
    folder = bake()
    sys.path[:0] = [str(folder / "src"), str(folder)]
    # As train.py, which imports onstage first.
    os.environ["ONSTAGE_ADVICE"] = onstage.ADVICE
    return folder


@pytest.fixture(scope="session")
def command() -> Command:
    """Run a command with an environment that holds nothing of this session's; the result has text output."""

    def run(
        *words: str | Path, cwd: Path, environment: Mapping[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess:
        scrubbed = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))
        }
        return subprocess.run(
            [str(word) for word in words],
            cwd=cwd,
            env={**scrubbed, "TF_CPP_MIN_LOG_LEVEL": "2", **(environment or {})},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            **options,
        )

    return run


def copy_repository(copy: Path) -> Path:
    """Copy this repository's files to a new folder, as a clone would have them, uncommitted changes included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of this repository's files for one test."""
    return copy_repository(tmp_path / "repository")


@pytest.fixture(scope="module", autouse=True)
def nothing_old_is_searched_for_garbage() -> Iterator[None]:
    """TensorFlow and what a worker has seen are millions of objects, which every collection would go through."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_bytecode_in_the_template() -> Iterator[None]:
    """Everything in the template's folder is rendered: the tests must leave nothing there."""
    before = sorted(TEMPLATE.rglob("*"))
    yield
    assert sorted(TEMPLATE.rglob("*")) == before
