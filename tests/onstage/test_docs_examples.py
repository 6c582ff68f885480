"""The examples of data that is no table: their pages' own code, rendered, trained, rehearsed and asked wrongly."""

import ast
import base64
import csv
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from onstage.serving.process import ServingProcess
from tests.conftest import ROOT, Bake, Command
from tests.onstage.commands import onstage
from tests.onstage.once import once
from tests.onstage.pages import commands, write_files
from tests.oracles import scikit_learn

MODEL = Path("src", "trainer", "model.py")
PAGES = ("images.md", "time-series.md")
Wrong = tuple[str, Callable[[Path], object], str]


def png(*shape: int) -> bytes:
    import tensorflow as tf

    return tf.io.encode_png(tf.zeros(shape, tf.uint8)).numpy()


def into(name: str, content: bytes) -> Callable[[Path], object]:
    """Put a file into the training data."""

    def plant(project: Path) -> None:
        file = project / "data" / "train" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    return plant


def without_classes(project: Path) -> None:
    for file in [*project.glob("data/train/*/*.png")]:
        file.rename(file.parents[1] / file.name)


def rows(change: Callable[[list[list[str]]], list[list[str]]]) -> Callable[[Path], object]:
    """Change the evaluation's table, a list of fields for each row, of which the first are the columns."""

    def plant(project: Path) -> None:
        file = project / "data" / "eval" / "hours.csv"
        table = change([*csv.reader(file.read_text(encoding="utf-8").splitlines())])
        file.write_text("\n".join(",".join(row) for row in table), encoding="utf-8")

    return plant


WRONG: dict[str, list[Wrong]] = {
    "images.md": [
        ("another size", into("7/x.png", png(8, 9, 1)), "7/x.png has the shape (8, 9, 1), and must have (8, 8, 1)"),
        ("four channels", into("7/x.png", png(8, 8, 4)), "7/x.png has the shape (8, 8, 4), and must have (8, 8, 1)"),
        ("half a file", into("7/x.png", png(8, 8, 1)[:40]), "train/7/x.png is no PNG file that can be read"),
        ("another class", into("x/x.png", png(8, 8, 1)), "x/x.png must be in a folder of its class, one of ['0', "),
        ("no classes", without_classes, ".png must be in a folder of its class, one of ['0', "),
        ("no images", lambda project: shutil.rmtree(project / "data/train/"), "data/train is no *.png file"),
    ],
    "time-series.md": [
        ("a short series", rows(lambda table: table[:25]), "has 24 rows: a window of 24 and the next value need more"),
        ("a column less", rows(lambda table: [row[:2] for row in table]), "['heat', 'load']; it lacks ['load']"),
        ("a text", rows(lambda table: [*table, ["30", "?", "1"]]), "could not convert string to float: '?'"),
        ("a field less", rows(lambda table: [*table, ["30", "1"]]), "hours.csv must have a number in each row"),
        ("an empty file", rows(lambda table: []), "it lacks ['heat', 'load']"),
    ],
}  # fmt: skip
# A shortest series that is long enough, and a file that is none of the data.
RIGHT = {
    "images.md": into("7/notes.txt", b"1"),
    "time-series.md": rows(lambda table: table[:26]),
}


def example(page: str, bake: Bake, command: Command, folder: Path) -> Path:
    """A project as a reader of the page has it, after the commands that make its data."""
    project = Path(shutil.copytree(bake(platform="both"), folder / "project"))
    assert MODEL.as_posix() in write_files(page, project)
    shutil.rmtree(project / "data")
    ((script,),) = [words[1:] for words in typed(page) if words[0] == "python" and words[1] != "train.py"]
    needs_more = "from sklearn" in (project / script).read_text(encoding="utf-8")
    paths = scikit_learn().parents[1].glob("[Ll]ib/**/site-packages") if needs_more else ()
    done = command(sys.executable, script, cwd=project, environment={"PYTHONPATH": os.pathsep.join(map(str, paths))})
    assert done.returncode == 0, done.stderr
    return project


def typed(page: str) -> list[list[str]]:
    """The words of each command of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    block = re.search(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for line in block[1].splitlines()]


@pytest.fixture(scope="session")
def examples(bake: Bake, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def make(page: str) -> Path:
        return once(tmp_path_factory, page, lambda folder: example(page, bake, command, folder)) / "project"

    return make


@pytest.fixture(scope="module", params=PAGES)
def trained(
    request: pytest.FixtureRequest,
    examples: Callable[[str], Path],
    command: Command,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path, str]:
    project = Path(shutil.copytree(examples(request.param), tmp_path_factory.mktemp("trained") / "project"))
    done = command(sys.executable, "train.py", "--job-dir", "runs/one", cwd=project)
    assert done.returncode == 0, done.stderr
    return request.param, project / "runs" / "one" / "model", done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_reader_and_signature_take_forty_lines_at_most(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "build_model" in block]
    nodes = [node for node in ast.parse(code).body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
    own = [node for node in nodes if node.name not in ("Hyperparameters", "build_model")]
    lines = [line for node in own for line in code.splitlines()[node.lineno - 1 : node.end_lineno] if line.strip()]
    assert len(lines) <= 40, "\n".join(lines)


@pytest.mark.long
def test_it_trains_well(trained: tuple[str, Path, str]) -> None:
    page, _, said = trained
    found = re.search(r"^result: .*?val_(accuracy|mae)=([\d.]+)", said, re.MULTILINE)
    assert float(found[2]) > 0.94 if page == "images.md" else float(found[2]) < 1.6, said


@pytest.fixture
def ask(trained: tuple[str, Path, str]) -> Iterator[Callable[..., httpx.Response]]:
    with ServingProcess() as process:
        process.load(trained[1])
        yield lambda *rows: httpx.post(
            f"{process.rest_url}/v1/models/model:predict", json={"instances": rows}, timeout=60, trust_env=False
        )


@pytest.mark.long
def test_the_endpoint_refuses_another_size_with_words(
    trained: tuple[str, Path, str], ask: Callable[..., httpx.Response]
) -> None:
    page, model, _ = trained
    example = json.loads((model / "1" / "assets.extra" / "example.json").read_text(encoding="utf-8"))
    right = example["request"]["instances"][0]
    assert ask(right).status_code == 200
    if page == "images.md":
        wrong = [{"b64": base64.b64encode(one).decode()} for one in (png(9, 8, 1), png(8, 8, 4), b"", b"abc")]
        said = [f"DecodePng [{shape}] is not compatible with expected shape [8,8,1]" for shape in ("9,8,1", "8,8,4")]
        said += ["Input is empty", "Unknown image file format"]
    else:
        wrong, said = (
            [right[1:], [row[:1] for row in right]],
            ["[1,23,2] is not compatible with", "[1,24,1] is not compatible with"],
        )
    for row, words in zip(wrong, said, strict=True):
        answer = ask(row)
        assert answer.status_code == 400, answer.text
        assert words in answer.json()["error"]


@pytest.mark.long
@pytest.mark.parametrize("platform", ["sagemaker", "vertex"])
@pytest.mark.parametrize("page", ["images.md", "time-series.md"])
def test_its_rehearsal_passes(page: str, platform: str, examples: Callable[[str], Path]) -> None:
    assert ["rehearse", platform] in commands(page, "onstage rehearse")
    ended = onstage("rehearse", platform, "--json", "report.json", cwd=examples(page))
    assert ended.code == 0, ended.said
    report = json.loads((examples(page) / "report.json").read_text(encoding="utf-8"))
    other = {check["id"]: check["detail"] for check in report["checks"] if check["status"] != "passed"}
    # On a machine that is busy with something else, the second training may come too late.
    assert not {*other} - {f"{platform}.seed"}, ended.out


@pytest.fixture
def prepared(
    examples: Callable[[str], Path], project: Path, tmp_path: Path
) -> Callable[[str, Callable[[Path], object]], Any]:
    """The reader of a page's code, and what it is prepared with after something was done to the data."""

    def prepare(page: str, plant: Callable[[Path], object]) -> Any:
        from trainer.reader import prepare

        place = Path(shutil.copytree(examples(page), tmp_path / "project"))
        plant(place)
        names: dict[str, Any] = {"__name__": "page"}
        exec(compile((place / MODEL).read_text(encoding="utf-8"), page, "exec"), names)  # noqa: S102
        prepare(names["DATA"], *(str(place / "data" / part) for part in ("train", "eval")))
        return names["DATA"]

    return prepare


CASES = [(page, *wrong) for page, some in WRONG.items() for wrong in some]


@pytest.mark.long
@pytest.mark.parametrize(("page", "name", "plant", "said"), CASES, ids=[name for _, name, _, _ in CASES])
def test_bad_data_is_named_before_the_first_step(
    prepared: Callable[..., Any], page: str, name: str, plant: Callable[[Path], object], said: str
) -> None:
    from trainer.run import UserError

    with pytest.raises(UserError) as refused:
        prepared(page, plant)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES)
def test_good_data_beside_it_is_read(prepared: Callable[..., Any], page: str) -> None:
    assert prepared(page, RIGHT[page]).eval_rows in (200, 1)
