"""`onstage notebook`: the project's kernel, and a git that leaves outputs out of commits; real git, real filters."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.onstage import small
from tests.onstage.notebook_desk import Desk, write_notebook

DRIVERS = ("git filter nbstripout", "git diff jupyternotebook", "git merge jupyternotebook")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, monkeypatch, capsys)


@pytest.fixture
def cloned(desk: Desk) -> Desk:
    """A desk whose project is a repository of its own."""
    desk.git("init")
    return desk


def test_it_makes_a_kernel_of_the_projects_name_and_says_what_it_did(cloned: Desk) -> None:
    ended = cloned.say()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"kernel iris_demo: made: {cloned.kernel}, for all your Jupyter servers",
        "notebooks/01.ipynb: changed: it opens with iris_demo",
        "git filter nbstripout: made: commits have no outputs and no kernel of yours; your files keep them",
        "git diff jupyternotebook: made: git diff shows cells, by nbdime; git difftool --tool nbdime in a browser",
        "git merge jupyternotebook: made: git merge goes by cells, by nbdime; git mergetool --tool nbdime in a browser",
        "next: choose the kernel iris_demo in your Jupyter",
    ]
    spec = json.loads((cloned.kernel / "kernel.json").read_text())
    assert (spec["argv"][0], spec["display_name"]) == (sys.executable, "iris demo")
    assert cloned.kernel_of_notebook() == "iris_demo"


def test_the_second_time_it_changes_nothing(cloned: Desk) -> None:
    cloned.say()
    before = cloned.written()
    assert set(cloned.states().values()) == {"there already"}
    assert cloned.written() == before


def test_a_dry_run_writes_nothing_and_says_what_it_would(cloned: Desk) -> None:
    before = cloned.written()
    states = cloned.states("--dry-run")
    assert (states["kernel iris_demo"], states["notebooks/01.ipynb"]) == ("would be made", "would be changed")
    assert {states[driver] for driver in DRIVERS} == {"would be made"}
    assert cloned.say("--dry-run").out.endswith("\nnothing was written: --dry-run\n")
    assert cloned.written() == before


def test_what_it_made_it_removes_and_nothing_else(cloned: Desk) -> None:
    (cloned.project / ".git" / "info" / "attributes").write_text("*.csv -diff\n")
    before = cloned.written()
    cloned.say()
    assert {cloned.states("--dry-run", "--remove")[driver] for driver in DRIVERS} == {"would be removed"}
    states = cloned.states("--remove")
    assert {states[title] for title in ("kernel iris_demo", *DRIVERS)} == {"removed"}
    assert cloned.written() == before
    assert set(cloned.states("--remove").values()) == {"left alone"}


@pytest.mark.long
def test_commits_and_diffs_have_no_outputs_and_no_kernel_and_the_file_keeps_both(cloned: Desk) -> None:
    cloned.say()
    cloned.git("add", ".")
    cloned.git("commit", "--message", "one")
    committed = json.loads(cloned.git("show", "HEAD:notebooks/01.ipynb"))
    assert committed["metadata"] == {}
    first, code = committed["cells"]
    assert (first["id"], code["id"], code["outputs"], code["execution_count"]) == ("first", "sum", [], None)
    assert '"three"' in cloned.notebook.read_text()
    write_notebook(cloned.notebook, kernel="iris_demo")
    assert cloned.git("diff") == ""
    write_notebook(cloned.notebook, "sum([1, 3])", kernel="iris_demo")
    shown = re.sub(r"\x1b\[\d*m", "", cloned.git("diff"))
    assert "## modified /cells/1/source:\n-  sum([1, 2])\n+  sum([1, 3])\n" in shown
    assert "three" not in shown and "kernelspec" not in shown


@pytest.mark.long
def test_a_merge_goes_by_cells(cloned: Desk) -> None:
    cloned.say()
    cloned.git("add", ".")
    cloned.git("commit", "--message", "one")
    cloned.git("checkout", "-b", "other")
    write_notebook(cloned.notebook, "sum([1, 3])")
    cloned.git("commit", "--all", "--message", "code")
    cloned.git("checkout", "main")
    content = nbformat.read(cloned.notebook, as_version=4)
    content.cells[0].source = "# Two"
    nbformat.write(content, cloned.notebook)
    cloned.git("commit", "--all", "--message", "title")
    cloned.git("merge", "other", "--message", "both")
    cells = json.loads(cloned.notebook.read_text())["cells"]
    assert ["".join(cell["source"]) for cell in cells] == ["# Two", "sum([1, 3])"]


def test_without_a_repository_it_makes_the_kernel_and_says_what_is_missing(desk: Desk) -> None:
    ended = desk.say()
    assert ended.code == 0
    assert (
        f"\ngit: left out: {desk.project} is in no git repository; after git init, the same command again keeps "
        "outputs out of commits\n"
    ) in ended.out
    assert desk.kernel.is_dir()
    desk.git("init")
    states = desk.states()
    assert {states[driver] for driver in DRIVERS} == {"made"}


def test_without_git_it_makes_the_kernel_and_says_so(cloned: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    ended = cloned.say()
    assert ended.code == 0
    assert "\ngit: left out: it is not installed; with it, the same command again keeps outputs out of" in ended.out
    assert cloned.kernel.is_dir()


def test_a_repository_that_git_refuses_is_one_line(cloned: Desk) -> None:
    with (cloned.project / ".git" / "config").open("a") as file:
        file.write("[broken\n")
    ended = cloned.say()
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"error: git cannot be asked about {cloned.project}: fatal: bad config line")


def test_another_filter_is_left_alone_and_said(cloned: Desk) -> None:
    (cloned.project / ".gitattributes").write_text("*.ipynb filter=lfs\n")
    before = cloned.git("config", "--local", "--list")
    ended = cloned.say()
    assert ended.code == 0
    assert (
        "git filter nbstripout: left alone: notebooks have filter=lfs already (git check-attr -a notebooks/any.ipynb)"
    ) in ended.out
    assert "filter.nbstripout" not in cloned.git("config", "--local", "--list")
    assert cloned.git("check-attr", "filter", "diff", "--", "notebooks/01.ipynb").splitlines() == [
        "notebooks/01.ipynb: filter: lfs", "notebooks/01.ipynb: diff: jupyternotebook",
    ]  # fmt: skip
    cloned.say("--remove")
    assert cloned.git("config", "--local", "--list") == before


@pytest.mark.long
@pytest.mark.parametrize("scope", ["--local", "--global"])
def test_a_filter_that_nbstripout_itself_has_set_is_left_alone(cloned: Desk, scope: str) -> None:
    words = [] if scope == "--local" else ["--global"]
    install = [sys.executable, "-m", "nbstripout", "--install", *words]
    subprocess.run(install, cwd=cloned.project, check=True)
    before = cloned.git("config", scope, "--get-regexp", "^filter")
    states = cloned.states()
    assert states["git filter nbstripout"] == "there already"
    assert states["git diff jupyternotebook"] == "left alone"
    cloned.states("--remove")
    assert cloned.git("config", scope, "--get-regexp", "^filter") == before


def test_a_filter_of_an_environment_that_is_gone_is_set_anew(cloned: Desk) -> None:
    cloned.say()
    gone = f'"{cloned.project}/gone/bin/python" -m nbstripout --keep-id'
    cloned.git("config", "--local", "filter.nbstripout.clean", gone)
    states = cloned.states()
    assert [states[driver] for driver in DRIVERS] == ["changed", "there already", "there already"]
    here = f'"{sys.executable}" -m nbstripout --keep-id'
    assert cloned.git("config", "--get", "filter.nbstripout.clean") == f"{here}\n"
    other = f'"{sys.executable}" -B -m nbstripout --keep-id'
    cloned.git("config", "--local", "filter.nbstripout.clean", other)
    assert cloned.states()["git filter nbstripout"] == "there already"
    assert cloned.git("config", "--get", "filter.nbstripout.clean") == f"{other}\n"


@pytest.mark.parametrize("name", ["mono", 'a [new] "one"*'])
def test_in_a_wider_repository_only_the_projects_notebooks_are_filtered(desk: Desk, name: str) -> None:
    root = desk.project.parent
    desk.project = small.write(root / name / "project")
    desk.notebook = write_notebook(desk.project / "notebooks" / "01.ipynb")
    desk.git("init", folder=root)
    desk.say()
    inside = [f"{name}/project/notebooks/01.ipynb", f"{name}/project/x.ipynb"]
    outside = ["x.ipynb", f"{name}/x.ipynb", "iris demo/notebooks/01.ipynb"]
    said = desk.git("check-attr", "-z", "filter", "--", *inside, *outside, folder=root).split("\0")
    assert said[2::3] == ["nbstripout"] * 2 + ["unspecified"] * 3


def test_two_projects_of_a_repository_share_what_git_runs(desk: Desk) -> None:
    root = desk.project.parent
    desk.git("init", folder=root)
    desk.say()
    first, desk.project = desk.project, small.write(root / "second")
    desk.say()
    desk.say("--remove")
    assert desk.git("check-attr", "filter", "--", "x.ipynb", folder=first) == "x.ipynb: filter: nbstripout\n"
    assert desk.git("config", "--get", "filter.nbstripout.smudge") == "cat\n"
    desk.project = first
    desk.say("--remove")
    assert "nbstripout" not in desk.git("config", "--local", "--list")
    assert not (root / ".git" / "info" / "attributes").exists()


def test_another_kernel_of_the_name_is_left_alone_and_ends_it(cloned: Desk) -> None:
    cloned.kernel.mkdir(parents=True)
    kernel = cloned.kernel / "kernel.json"
    kernel.write_text(json.dumps({"argv": ["/bin/sh", "-c", "true"], "display_name": "iris"}))
    before = cloned.written()
    ended = cloned.say()
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"error: {cloned.kernel} is a kernel of the same name, which runs /bin/sh: it is left alone. jupyter "
        "kernelspec remove iris_demo removes it; another name for the project's folder gives another kernel\n"
    )
    assert cloned.states("--remove")["kernel iris_demo"] == "left alone"
    assert cloned.written() == before
    kernel.write_text(json.dumps({"argv": ["/nowhere/python"], "display_name": "iris"}))
    assert cloned.states()["kernel iris_demo"] == "changed"
    kernel.write_text("{")
    assert cloned.say().err.startswith(f"error: {kernel} cannot be read (")


def test_a_place_that_cannot_be_written_to_is_named(cloned: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    place = cloned.notebook.parent / "file"
    place.touch()
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(place))
    before = cloned.written()
    ended = cloned.say()
    assert (ended.code, ended.err) == (1, f"error: {place / 'kernels' / 'iris_demo'}: Not a directory\n")
    assert cloned.written() == before


def test_a_notebook_with_somebodys_kernel_or_none_that_can_be_read_is_left_alone(cloned: Desk) -> None:
    write_notebook(cloned.project / "notebooks" / "02.ipynb", kernel="julia")
    write_notebook(cloned.project / "notebooks" / "03.ipynb", kernel="python3")
    broken = cloned.project / "notebooks" / "04.ipynb"
    broken.write_text("{}")
    ended = cloned.say()
    assert ended.out.splitlines()[1:5] == [
        "notebooks/01.ipynb: changed: it opens with iris_demo",
        "notebooks/02.ipynb: left alone: it opens with julia, somebody's choice",
        "notebooks/03.ipynb: changed: it opens with iris_demo",
        "notebooks/04.ipynb: left alone: it is no notebook that can be read",
    ]
    assert broken.read_text() == "{}"


def test_by_default_the_kernel_is_the_environments(cloned: Desk, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, environment], check=True)
    site = next(environment.glob("lib/python3*/site-packages"), environment / "Lib" / "site-packages")
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "tests.pth").write_text(f"import site; site.addsitedir({packages!r})\n")
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    kernel = environment / "share" / "jupyter" / "kernels" / "iris_demo"

    def say() -> list[str]:
        words = [python, "-m", "onstage", "notebook"]
        done = subprocess.run(words, cwd=cloned.project, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    said = say()
    whose = f"{kernel}, for this environment's Jupyter; --user: for all of yours"
    assert (said[0], said[-1]) == (f"kernel iris_demo: made: {whose}", "next: jupyter lab")
    assert json.loads((kernel / "kernel.json").read_text())["argv"][0] == str(python)
    assert say()[0] == f"kernel iris_demo: there already: {whose}"
    assert not cloned.kernel.exists()
