"""git for notebooks: their outputs stay out of commits (nbstripout), their diffs and merges go by cells (nbdime).

Only `.git/config` and `.git/info/attributes` of this clone are written: neither the user's own git nor a file that
others get. The drivers run by the path of this environment's Python, because an editor that calls git knows none;
`nbdime config-git` writes names that have to be on the path, into a file that is committed.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath

from onstage.commands.steps import Step
from onstage.errors import UserError

_MARK = "# onstage notebook made the next line; onstage notebook --remove removes it"
# What Jupyter notes of a kernel when it saves: without it, a notebook that was only run has no change.
_OWN_TO_EACH = "metadata.kernelspec metadata.language_info"
# As `drivers` writes it, and nbstripout.
_PROGRAM = re.compile(r'"([^"]+)"')


@dataclass(frozen=True)
class Driver:
    """What git does for one attribute of a file; the first of its settings makes it work."""

    attribute: str
    name: str
    purpose: str
    settings: dict[str, str]

    @property
    def title(self) -> str:
        """For people."""
        return f"git {self.attribute} {self.name}"


def drivers(python: str) -> list[Driver]:
    """The drivers, run by the interpreter `python`."""
    run = f'"{PurePath(python).as_posix()}" -m'
    return [
        Driver(
            "filter",
            "nbstripout",
            "commits have no outputs and no kernel of yours; your files keep them",
            {
                # Numbered anew, as without this, cells would have other ids after each that is put between them.
                "filter.nbstripout.clean": f"{run} nbstripout --keep-id",
                "filter.nbstripout.smudge": "cat",
                # Otherwise a filter that fails commits the outputs, without a word.
                "filter.nbstripout.required": "true",
                "filter.nbstripout.extrakeys": _OWN_TO_EACH,
            },
        ),
        Driver(
            "diff",
            "jupyternotebook",
            "git diff shows cells, by nbdime; git difftool --tool nbdime in a browser",
            {
                "diff.jupyternotebook.command": f"{run} nbdime.vcs.git.diffdriver diff --use-filter",
                "difftool.nbdime.cmd": f'{run} nbdime.vcs.git.difftool diff --use-filter "$LOCAL" "$REMOTE" "$BASE"',
            },
        ),
        Driver(
            "merge",
            "jupyternotebook",
            "git merge goes by cells, by nbdime; git mergetool --tool nbdime in a browser",
            {
                "merge.jupyternotebook.driver": f"{run} nbdime.vcs.git.mergedriver merge %O %A %B %L %P",
                "merge.jupyternotebook.name": "notebooks, cell by cell",
                "mergetool.nbdime.cmd": f'{run} nbdime.vcs.git.mergetool merge "$BASE" "$LOCAL" "$REMOTE" "$MERGED"',
            },
        ),
    ]


def steps(root: Path, python: str, *, remove: bool) -> Iterator[Step]:
    """What is to be done, and what is not, for the project in `root`. Raises UserError where git refuses."""
    if not shutil.which("git"):
        yield Step(
            "git", "left out", "it is not installed; with it, the same command again keeps outputs out of commits"
        )
        return
    found = _git(root, "rev-parse", "--show-prefix")
    if "not a git repository" in found.stderr:
        after = "" if remove else "; after git init, the same command again keeps outputs out of commits"
        yield Step("git", "left out", f"{root} is in no git repository{after}")
        return
    if found.returncode:
        raise UserError(f"git cannot be asked about {root}: {found.stderr.strip()}")
    clone = _Clone(root, found.stdout.removesuffix("\n"))
    for driver in drivers(python):
        yield _removed(clone, driver) if remove else _made(clone, driver)


class _Clone:
    """The clone that a project lies in, as far as this module writes to it; `prefix` is the way down to the project."""

    def __init__(self, root: Path, prefix: str) -> None:
        self.root = root
        self.pattern = _pattern(prefix)
        # One for all its work trees.
        self.file = root / _asked(root, "rev-parse", "--git-path", "info/attributes").removesuffix("\n")

    @property
    def own(self) -> dict[str, str]:
        """The attributes that this command has given to the project's notebooks."""
        lines, at = self._lines()
        pairs = lines[at + 1].removeprefix(self.pattern).split() if at >= 0 else []
        return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}

    def give(self, attributes: dict[str, str]) -> None:
        """Give the project's notebooks these attributes, and no other ones of this command."""
        lines, at = self._lines()
        if at >= 0:
            del lines[at : at + 2]
        if attributes:
            pairs = " ".join(f"{name}={value}" for name, value in attributes.items())
            lines += [_MARK, f"{self.pattern} {pairs}"]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if lines:
            self.file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
        else:
            self.file.unlink(missing_ok=True)

    def serves(self, driver: Driver) -> bool:
        """Whether this command has given the driver to a project of this clone, to this one or to another."""
        lines, _ = self._lines()
        pair = f"{driver.attribute}={driver.name}"
        return any(mark == _MARK and pair in line.split() for mark, line in pairwise(lines))

    def attribute(self, name: str) -> str:
        """What the attribute is for the project's notebooks, whoever has set it; empty for nothing."""
        value = _asked(self.root, "check-attr", "-z", name, "--", "notebooks/any.ipynb").split("\0")[2]
        return "" if value == "unspecified" else value

    def setting(self, key: str, *scope: str) -> str:
        """A value of git's configuration, of any scope or of this one; empty for none."""
        return _git(self.root, "config", *scope, "--get", key).stdout.removesuffix("\n")

    def set(self, settings: dict[str, str]) -> None:
        """Set them for this clone."""
        for key, value in settings.items():
            _asked(self.root, "config", "--local", "--replace-all", key, value)

    def unset(self, settings: dict[str, str]) -> None:
        """Forget this clone's own values of them, but for one that another program serves."""
        for key, value in settings.items():
            here = self.setting(key, "--local")
            if here and _without_program(here) == _without_program(value):
                _asked(self.root, "config", "--local", "--unset-all", key)

    def _lines(self) -> tuple[list[str], int]:
        """The file's lines, and where the mark above the project's own stands; -1 for nowhere."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.is_file() else []
        marks = (at for at, (mark, line) in enumerate(pairwise(lines)) if mark == _MARK)
        return lines, next((at for at in marks if lines[at + 1].startswith(f"{self.pattern} ")), -1)


def _made(clone: _Clone, driver: Driver) -> Step:
    is_own = clone.own.get(driver.attribute) == driver.name
    attribute = clone.attribute(driver.attribute)
    values = {key: clone.setting(key) for key in driver.settings}
    if attribute not in ("", driver.name):
        why = f"notebooks have {driver.attribute}={attribute} already (git check-attr -a notebooks/any.ipynb)"
        return Step(driver.title, "left alone", f"{why}; without it: {driver.purpose}")
    main = next(iter(values))
    if not is_own and attribute and values[main] and not _is_gone(values[main]):
        return Step(driver.title, "there already", f"not by this command: {main} is {values[main]}")
    wanted = {key: value for key, value in driver.settings.items() if not values[key] or _is_gone(values[key])}
    if is_own and not wanted:
        return Step(driver.title, "there already", driver.purpose)

    def do() -> None:
        clone.set(wanted)
        clone.give({**clone.own, driver.attribute: driver.name})

    return Step(driver.title, "changed" if is_own else "made", driver.purpose, do)


def _removed(clone: _Clone, driver: Driver) -> Step:
    if clone.own.get(driver.attribute) != driver.name:
        return Step(driver.title, "left alone", "this command has not made it")

    def do() -> None:
        clone.give({name: value for name, value in clone.own.items() if name != driver.attribute})
        if not clone.serves(driver):
            clone.unset(driver.settings)

    return Step(driver.title, "removed", "of this clone", do)


def _is_gone(value: str) -> bool:
    """Whether what a setting runs is the Python of an environment that is not there any more."""
    found = _PROGRAM.match(value)
    return found is not None and not Path(found[1]).exists()


def _without_program(value: str) -> str:
    return _PROGRAM.sub("", value)


def _pattern(prefix: str) -> str:
    """The project's notebooks, as a line of attributes names them from the repository's folder."""
    if not prefix:
        return "*.ipynb"
    pattern = "/" + re.sub(r"([\\*?\[])", r"\\\1", prefix) + "**/*.ipynb"
    if not re.search(r'[\s"]', pattern):
        return pattern
    return '"' + pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _asked(root: Path, *words: str) -> str:
    """What git prints. Raises UserError with its own words where it fails."""
    done = _git(root, *words)
    if done.returncode:
        raise UserError(f"git {' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def _git(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    # Its words are looked at, so they have to be English.
    environment = {**os.environ, "LC_ALL": "C"}
    command = ["git", "-C", str(root), "-c", "core.quotePath=false", *words]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
