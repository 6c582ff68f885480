"""The journal of a search: one file that outlives its driver, and that one driver at a time writes."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from onstage.errors import StartError
from onstage.project import path_for_people

FILE, STUDY = "journal.log", "search"
# What is noted of a trial beside its value.
VALUES, REASON, UNCOUNTED, SECONDS = "hyperparameters", "reason", "uncounted", "seconds"
DIED = "driver died"
DIRECTIONS = {"maximize": StudyDirection.MAXIMIZE, "minimize": StudyDirection.MINIMIZE}
# What Optuna raises for lines that it cannot read, or cannot make sense of.
_DAMAGES = (ValueError, KeyError, TypeError, IndexError, AttributeError, AssertionError)


@dataclass(frozen=True)
class Definition:
    """What must be the same for two trials to be compared, as people read it: `fixed` is what is not searched.

    Beside it, which of that flags have said, and what stands for the code that trains: another one is said.
    """

    objective: str
    space: Mapping[str, str]
    fixed: Mapping[str, str]
    data: Mapping[str, str]
    given: Sequence[str]
    code: str

    def differences(self, then: "Definition") -> list[str]:
        """What is another now, as sentences."""
        found = [] if self.objective == then.objective else [f"OBJECTIVE was {then.objective}, is {self.objective}"]
        for was, now in ((then.space, self.space), (then.fixed, self.fixed), (then.data, self.data)):
            for name in dict.fromkeys([*was, *now]):
                if was.get(name) != now.get(name):
                    found.append(f"{name} was {was.get(name, 'not there')}, is {now.get(name, 'not there')}")
        return found


@contextlib.contextmanager
def opened(folder: Path, definition: Definition) -> Iterator[optuna.Study]:
    """The study of the journal in `folder`, made if it is new, for the one driver that has it until this ends.

    What a driver before has left undone is cleared up: a line that it did not finish, its lock, its running trials.
    Raises StartError for a journal that another driver has, or that is of another search.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    if (folder / "trials").exists() and not file.exists():
        raise StartError(
            f"{path_for_people(folder)} has trials and no journal: remove it, or --name OTHER starts a search beside it"
        )
    driver = filelock.FileLock(folder / "driver.lock", timeout=0)
    try:
        driver.acquire()
    except filelock.Timeout as error:
        raise StartError(
            f"another onstage tune works on {path_for_people(folder)}: wait for it, or --name OTHER starts a search "
            "beside it"
        ) from error
    try:
        if cut := _mend(file):
            print(f"{path_for_people(file)}: cut its last line, which was not finished ({cut} bytes)", flush=True)
        (folder / f"{FILE}.lock").unlink(missing_ok=True)
        with _damage_named(file):
            study = _study(file, definition)
            _compare(study, definition, folder)
        for trial in study.get_trials(states=[TrialState.RUNNING]):
            give_up(study, trial, DIED, uncounted=True)
        yield study
    finally:
        driver.release()


def read(file: Path) -> optuna.Study:
    """The study of a journal as it is now, whoever writes it meanwhile.

    Raises StartError for a file that is no journal.
    """
    try:
        return optuna.load_study(study_name=STUDY, storage=JournalStorage(_Content(file.read_bytes())))
    except _DAMAGES as error:
        raise StartError(f"{path_for_people(file)} is no journal of onstage tune: {error!r}") from error


class _Content(BaseJournalBackend):
    """A journal as it was at one moment."""

    def __init__(self, content: bytes) -> None:
        self._logs = [json.loads(line) for line in _whole_lines(content)]

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise TypeError("what is read here is written nowhere")


def definition_of(study: optuna.Study) -> Definition:
    """What the study was begun with. Raises StartError where its journal does not say so."""
    try:
        return Definition(**study.user_attrs["definition"])
    except (KeyError, TypeError) as error:
        raise StartError(f"a journal of onstage tune does not say what it searches: {error}") from error


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that are over, whatever became of them: those that a search need not do again."""
    return [one for one in study.get_trials() if one.state.is_finished() and not one.user_attrs.get(UNCOUNTED)]


def give_up(study: optuna.Study, trial: FrozenTrial | optuna.Trial, reason: str, *, uncounted: bool = False) -> None:
    """Note that a trial has failed; an `uncounted` one, which is not to blame, is done again."""
    storage = study._storage
    storage.set_trial_user_attr(trial._trial_id, REASON, reason)
    if uncounted:
        storage.set_trial_user_attr(trial._trial_id, UNCOUNTED, True)
    study.tell(trial.number, state=TrialState.FAIL)


def _mend(file: Path) -> int:
    """Cut a last line that does not end: Optuna would refuse the whole file; how many bytes it was."""
    if not file.exists():
        return 0
    with file.open("r+b") as journal:
        content = journal.read()
        whole = sum(map(len, _whole_lines(content)))
        if whole < len(content):
            journal.truncate(whole)
    return len(content) - whole


def _whole_lines(content: bytes) -> list[bytes]:
    return content[: content.rfind(b"\n") + 1].splitlines(keepends=True)


@contextlib.contextmanager
def _damage_named(file: Path) -> Iterator[None]:
    """Raises StartError for a journal that cannot be read, or made sense of."""
    try:
        yield
    except _DAMAGES as error:
        raise StartError(
            f"{path_for_people(file)} is damaged ({error}): --name OTHER starts a search beside it"
        ) from error


def _study(file: Path, definition: Definition) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(file), JournalFileOpenLock(str(file))))
    study = optuna.create_study(
        study_name=STUDY,
        storage=storage,
        direction=DIRECTIONS[definition.objective.partition(" ")[0]],
        load_if_exists=True,
    )
    if "definition" not in study.user_attrs:
        study.set_user_attr("definition", vars(definition))
    return study


def _compare(study: optuna.Study, now: Definition, folder: Path) -> None:
    then = definition_of(study)
    if differences := now.differences(then):
        raise StartError(
            f"{path_for_people(folder)} has a search of another kind, and trials of both cannot be compared:\n  "
            + "\n  ".join(differences)
            + "\n--name OTHER starts a search beside it"
        )
    if then.code != now.code and counted(study):
        print(f"src/ is not as it was when the search {folder.name} began: its trials may not compare", flush=True)
        study.set_user_attr("definition", vars(now))
