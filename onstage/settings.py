"""settings.toml as typed values; a mistake in it is one message with the line to mend."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from onstage.errors import StartError
from onstage.project import SETTINGS, Project, find, read_toml
from onstage.sagemaker_section import SageMaker
from onstage.sections import Batch, Data, Rehearsal, Section
from onstage.vertex_section import Vertex

Cloud = TypeVar("Cloud", SageMaker, Vertex)


class Settings(Section):
    """The whole of settings.toml; these keys stand above the first section."""

    name: str = Field(
        pattern="^[a-z][a-z0-9_]*$",
        description="What the names of jobs begin with, and the project's folder in a bucket.",
    )
    data: Data
    rehearsal: Rehearsal = Rehearsal()
    batch: Batch = Batch()
    sagemaker: SageMaker | None = None
    vertex: Vertex | None = None
    _project: Project = PrivateAttr(default_factory=lambda: Project(Path.cwd()))

    @property
    def project(self) -> Project:
        """Whose settings these are; those made by hand belong to the working directory."""
        return self._project

    def cloud(self, kind: type[Cloud]) -> Cloud:
        """The section of a cloud. Raises StartError when there is none."""
        for found in (self.sagemaker, self.vertex):
            if isinstance(found, kind):
                return found
        raise StartError(f"{SETTINGS} has no section [{kind.__name__.lower()}]")

    def hosts(self, platform: str) -> int:
        """How many hosts a cloud's job has; 1 without a section of it."""
        return int(getattr(getattr(self, platform), _HOSTS[platform], 1))

    def with_hosts(self, counts: Mapping[str, int]) -> "Settings":
        """The same, with these counts of hosts, by platform."""
        sections = {one: getattr(self, one) for one in counts}
        changed = {one: {_HOSTS[one]: counts[one]} for one in counts}
        return self.model_copy(
            update={one: section.model_copy(update=changed[one]) for one, section in sections.items() if section}
        )

    def as_sent(self) -> "Settings":
        """The same for a job that is sent: as it is, without what a rehearsal changes."""
        return self.model_copy(update={"rehearsal": Rehearsal(rows=0, ignore=self.rehearsal.ignore)})

    def empty(self, platform: str) -> list[str]:
        """The keys of a cloud's section that are empty and that its jobs need."""
        section = getattr(self, platform)
        return [name for name in _NEEDED[platform] if section is not None and not getattr(section, name)]


# What says how many hosts a cloud's job has.
_HOSTS = {"sagemaker": "instance_count", "vertex": "replica_count"}
# What a cloud's jobs need, and a rehearsal does without.
_NEEDED = {"sagemaker": ("bucket", "role"), "vertex": ("project", "bucket")}


def load(project: Project | None = None) -> Settings:
    """The settings of a project, by default the one that the working directory lies in.

    Raises StartError, with every mistake, for a file that cannot be used.
    """
    project = project or find()
    content = read_toml(project.root / SETTINGS)
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        mistakes = [_explain(dict(mistake)) for mistake in error.errors(include_url=False)]
        text = f" {mistakes[0]}" if len(mistakes) == 1 else "".join(f"\n  {mistake}" for mistake in mistakes)
        raise StartError(f"{SETTINGS}:{text}") from error
    settings._project = project
    return settings


def sections(kind: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The sections of a section by their keys: the fields whose values are tables with keys of their own."""
    found = {}
    for key, field in kind.model_fields.items():
        for choice in (field.annotation, *get_args(field.annotation)):
            if isinstance(choice, type) and issubclass(choice, BaseModel):
                found[key] = choice
    return found


def _explain(mistake: Mapping[str, Any]) -> str:
    """One of pydantic's errors in the words of the file."""
    *path, name = [str(part) for part in mistake["loc"]]
    kind: type[BaseModel] | None = Settings
    for part in path:
        kind = sections(kind).get(part) if kind else None
    # A value that is missing is reported with the table that lacks it.
    table = isinstance(mistake["input"], dict) and mistake["type"] != "missing"
    section = kind is not None and (table or name in sections(kind))
    where = f"[{'.'.join([*path, name])}]" if section else f"[{'.'.join(path)}] {name}" if path else name
    if mistake["type"] == "extra_forbidden" and kind:
        near = get_close_matches(name, kind.model_fields, n=1)
        return f"{where} is not known; " + (
            f"did you mean {near[0]}?" if near else f"known: {', '.join(kind.model_fields)}"
        )
    if mistake["type"] == "missing":
        return f"{where} is missing"
    if mistake["type"] == "model_type":
        return f"{where} is a section, not {mistake['input']!r}"
    said = re.sub("^(Value error, |Input |String )", "", mistake["msg"])
    return f"{where}: {said}" if isinstance(mistake["input"], dict) else f"{where} {said}, not {mistake['input']!r}"
