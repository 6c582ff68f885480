"""`setup`: what is missing in a cloud account, and on request the making of it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import typer

from onstage import progress
from onstage.commands import show
from onstage.errors import StartError
from onstage.platform import Platform
from onstage.project import path_for_people


def setup(platform: Platform, empty: Sequence[str], *, create: bool, write: Path | None, dry_run: bool) -> None:
    """Say what is missing and which permissions to ask for; first, which settings are `empty` and needed.

    With `create` make bucket and identity of the jobs; with `write`, a folder, leave there what makes them. Raises
    StartError for both, where there is such a file already, and where a file stands in the folder's place.
    """
    if write:
        if create:
            raise StartError("--create sends what --write writes: choose one")
        _write(platform, write, dry_run=dry_run)
        return
    if create:
        plan = platform.plan_setup()
        if dry_run:
            show.requests(plan)
            return
        for step in plan.steps:
            with progress.doing(f"making {step.what}"):
                step.send()
            show.say(f"made {step.what}")
        lines = "\n".join(f'{key} = "{value}"' for key, value in platform.setup_result().items())
        show.say(f"it costs {plan.cost}\nput into settings.toml, [{platform.name}]:\n{lines}")
        return
    if empty:
        names, command = " and ".join(empty), f"onstage {platform.name}"
        show.say(
            f"to fill in, in settings.toml, [{platform.name}]: {names} (onstage settings says more)\n"
            f"{command} setup --create makes what is not there yet; {command} setup --write DIR is for an administrator"
        )
    with show.report() as report:
        policy = platform.check_account(report)
        report.finish()
    show.say(policy)
    if not report.passed:
        raise typer.Exit(1)


def _write(platform: Platform, folder: Path, *, dry_run: bool) -> None:
    made = platform.account_file()
    file = folder / made.name
    shown = path_for_people(file)
    if no_folder := next((one for one in (folder, *folder.parents) if one.is_file()), None):
        raise StartError(f"{path_for_people(no_folder)} is a file, and --write takes a folder")
    if file.exists() or file.is_symlink():
        raise StartError(f"{shown} is there already, and was not changed: choose another folder, or move it away")
    if dry_run:
        show.say(f"would write {shown}")
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(made.content, encoding="utf-8", newline="\n")
        except OSError as error:
            raise StartError(f"{shown} cannot be written: {error}") from error
        if file.suffix == ".sh":
            file.chmod(0o755)
        show.say(f"wrote {shown}")
    command = " ".join(shown if word == "{file}" else shlex.quote(word) for word in made.command)
    show.say("\n".join([f"read it, change it, then: {command}", *made.notes]))
