"""The changelog's steps for a project without `.cruft.json`, as printed: edits stand, what is ignored stays so."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.template.clones import SLUG, Shell, wheel_of
from tests.template.test_cruft import FIRST, assert_edits_stand, edit, history, shell

__all__ = ["history", "shell"]
BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.DOTALL)
(MERGE,) = [block for block in BLOCKS if "git merge template" in block]
(FROM_THE_TEMPLATE,) = [block for block in BLOCKS if "--strategy ours" in block]
EMPTIED = "git rm -rq .\n"
SECRET = "password.txt"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("bash") is None, reason="the steps are printed for bash")
@pytest.mark.parametrize("edited_first", [False, True], ids=["edited later", "edited before the first commit"])
def test_the_printed_steps_merge_a_new_version(edited_first: bool, history: Path, shell: Shell, tmp_path: Path) -> None:
    template = f"git+{history.as_uri()}"
    project = shell.render(template, tmp_path, "--checkout", FIRST)
    if not edited_first:
        shell.commit(project)
    edit(project)
    with (project / ".gitignore").open("a", encoding="utf-8") as file:
        file.write(f"{SECRET}\n")
    shell.commit(project)
    (project / SECRET).write_text("hers", encoding="utf-8")
    first = shell("git", "rev-list", "--max-parents=0", "HEAD", cwd=project).strip()

    steps = MERGE.replace(EMPTIED, EMPTIED + FROM_THE_TEMPLATE if edited_first else EMPTIED)
    merge(steps, project, template, first, shell)
    assert not (project / "cloud").exists()
    assert (project / SECRET).read_text(encoding="utf-8") == "hers"
    assert SECRET not in shell("git", "ls-files", cwd=project).splitlines()

    before = wheel_of(project)
    with (history / "onstage" / "report.py").open("a", encoding="utf-8") as file:
        file.write("# A change.\n")
    shell.commit(history)
    (again,) = re.findall(r"`(git worktree add [^`]* template)`", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    merge(again + "\n" + MERGE.split("\n", 1)[1], project, template, "", shell)
    assert wheel_of(project).name != before.name


def merge(steps: str, project: Path, template: str, first: str, shell: Shell) -> None:
    """Run the steps, but for pip's; all is merged and committed."""
    for placeholder, word in (("SLUG", SLUG), ("FIRST", first), ("TEMPLATE", template)):
        steps = re.sub(rf"\b{placeholder}\b", word, steps)
    steps = re.sub(r"(?m)^pip .*", "", steps)
    tools = f'cookiecutter() {{ "{sys.executable}" -m cookiecutter "$@"; }}; python() {{ "{sys.executable}" "$@"; }}\n'
    shell("bash", "-ec", tools + steps, cwd=project, GIT_EDITOR="true")
    assert shell("git", "status", "--porcelain", cwd=project) == ""
    assert_edits_stand(project)
    wheel_of(project)
