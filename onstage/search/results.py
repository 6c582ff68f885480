"""What local searches have found: read from their journals, while a driver may write them."""

from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from onstage.cloud import Asked, Trial
from onstage.project import Project
from onstage.search import journal

FOLDER = "tune"
_STATES = {
    TrialState.COMPLETE: "succeeded", TrialState.PRUNED: "stopped", TrialState.FAIL: "failed",
    TrialState.RUNNING: "running", TrialState.WAITING: "waiting",
}  # fmt: skip


def folder_of(project: Project, name: str) -> Path:
    """The folder of a search."""
    return project.runs / FOLDER / name


def local(project: Project) -> list[Trial]:
    """All trials of all searches in `runs/tune/`, each called SEARCH/NUMBER. Raises StartError for a broken journal."""
    # A search that only just begins has an empty one.
    files = [one for one in sorted((project.runs / FOLDER).glob(f"*/{journal.FILE}")) if one.stat().st_size]
    return [as_trial(one, file.parent) for file in files for one in journal.read(file).get_trials()]


def asked(project: Project, name: str) -> Asked:
    """What the search of that name looks for; `fixed` are the flags that it was given, as texts."""
    then = journal.definition_of(journal.read(folder_of(project, name) / journal.FILE))
    goal, _, metric = then.objective.partition(" ")
    return Asked(metric, goal, {field: then.fixed[field] for field in then.given})


def as_trial(found: FrozenTrial, folder: Path) -> Trial:
    """A trial of the search in `folder`. One that was stopped early has no value: it was not trained to the end."""
    place, noted = folder / "trials" / f"{found.number:04d}", found.user_attrs
    return Trial(
        f"{folder.name}/{found.number}",
        _STATES[found.state],
        found.value if found.state == TrialState.COMPLETE else None,
        noted.get(journal.VALUES, {}),
        noted.get(journal.SECONDS),
        str(place) if (place / "model").is_dir() else None,
        noted.get(journal.REASON, ""),
    )
