"""settings.toml as typed values; a mistake in it is one message with the line to mend."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from onstage.errors import StartError
from onstage.project import SETTINGS, Project, find, read_toml

Positive = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Section):
    """Where the tables are on this machine: each a CSV file, a folder of CSV files, or a pattern."""

    train: str
    eval: str


class Rehearsal(_Section):
    """How little work a rehearsal does: the hyperparameters that it changes, and its patience in seconds."""

    hyperparameters: dict[str, bool | int | float | str] = {}
    time_limit: Positive = 300


class Serverless(_Section):
    """A serverless endpoint: memory in MB (1024 to 6144 in steps of 1024) and requests at a time (1 to 200)."""

    memory_mb: Annotated[int, Field(ge=1024, le=6144, multiple_of=1024)] = 2048
    max_concurrency: Annotated[int, Field(ge=1, le=200)] = 5


class SageMaker(_Section):
    """Amazon SageMaker. Empty texts and lists are left out of the requests; a rehearsal needs no bucket and no role."""

    region: str
    bucket: str = ""
    role: str = ""
    instance_type: str
    instance_count: Positive = 1
    volume_gb: Positive = 30
    max_runtime: Positive = 3600
    # Spot capacity is cheaper and may be taken away; the training goes on from its checkpoint. 0: not spot.
    spot_max_wait: Annotated[int, Field(ge=0)] = 0
    input_mode: Literal["File", "FastFile"] = "File"
    training_image: str = ""
    inference_image: str = ""
    endpoint_instance_type: str
    endpoint_instance_count: Positive = 1
    # More than endpoint_instance_count: instances come and go with the requests that each gets in a minute.
    endpoint_max_instance_count: Annotated[int, Field(ge=0)] = 0
    endpoint_requests_per_minute: Positive = 1000
    serverless: Serverless | None = None
    tags: dict[str, str] = {}
    subnets: list[str] = []
    security_groups: list[str] = []
    volume_kms_key: str = ""
    output_kms_key: str = ""
    encrypt_between_hosts: bool = False

    @model_validator(mode="after")
    def _check(self) -> "SageMaker":
        if bool(self.subnets) != bool(self.security_groups):
            raise ValueError("subnets and security_groups are given together, or neither")
        if self.endpoint_max_instance_count and self.endpoint_max_instance_count < self.endpoint_instance_count:
            raise ValueError(
                f"endpoint_max_instance_count must be endpoint_instance_count ({self.endpoint_instance_count}) or more"
            )
        if self.endpoint_max_instance_count and self.serverless:
            raise ValueError("endpoint_max_instance_count is for instances: a serverless endpoint scales by itself")
        # Source: CreateTrainingJob, StoppingCondition: MaxWaitTimeInSeconds >= MaxRuntimeInSeconds.
        if self.spot_max_wait and self.spot_max_wait < self.max_runtime:
            raise ValueError(f"spot_max_wait must be max_runtime ({self.max_runtime} seconds) or more")
        return self


class Vertex(_Section):
    """Google Vertex AI. Empty texts are left out of the requests; a rehearsal needs no project and no bucket."""

    region: str
    project: str = ""
    bucket: str = ""
    # Who the jobs and the endpoint are; empty: Vertex AI's own service agent.
    service_account: str = ""
    machine_type: str
    accelerator_type: str = ""
    accelerator_count: Annotated[int, Field(ge=0)] = 0
    replica_count: Positive = 1
    boot_disk_type: Literal["pd-ssd", "pd-standard"] = "pd-ssd"
    boot_disk_gb: Annotated[int, Field(ge=100, le=64000)] = 100
    timeout: Positive = 3600
    # container: an image of Docker Hub installs and runs the package; executor: Google's prebuilt image does.
    package: Literal["container", "executor"] = "container"
    training_image: str = ""
    # container: TensorFlow Serving; prebuilt: Google's image, which wants another folder layout of the model.
    serving: Literal["container", "prebuilt"] = "container"
    serving_image: str = ""
    # The Artifact Registry repository in `region` that has Docker Hub's images; endpoints pull from nowhere else.
    repository: str = "docker-hub"
    endpoint_machine_type: str = "n1-standard-2"
    endpoint_accelerator_type: str = ""
    endpoint_accelerator_count: Annotated[int, Field(ge=0)] = 0
    min_replica_count: Positive = 1
    max_replica_count: Positive = 1
    # Requests of 10 MB, on a host name of its own; a shared endpoint takes 1.5 MB.
    dedicated_endpoint: bool = True
    network: str = ""
    kms_key: str = ""
    labels: dict[str, str] = {}

    @model_validator(mode="after")
    def _check(self) -> "Vertex":
        for kind, count in (
            (self.accelerator_type, self.accelerator_count),
            (self.endpoint_accelerator_type, self.endpoint_accelerator_count),
        ):
            if bool(kind) != bool(count):
                raise ValueError("accelerator_type and accelerator_count are given together, or neither")
        if self.max_replica_count < self.min_replica_count:
            raise ValueError(f"max_replica_count must be min_replica_count ({self.min_replica_count}) or more")
        return self


class Settings(_Section):
    """The whole of settings.toml. `name` begins the names of jobs, and is the project's folder in a bucket."""

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    data: Data
    rehearsal: Rehearsal = Rehearsal()
    sagemaker: SageMaker | None = None
    vertex: Vertex | None = None
    _project: Project = PrivateAttr(default_factory=lambda: Project(Path.cwd()))

    @property
    def project(self) -> Project:
        """Whose settings these are; those made by hand belong to the working directory."""
        return self._project


def load(project: Project | None = None) -> Settings:
    """The settings of a project, by default the one that the working directory lies in.

    Raises StartError, with every mistake, for a file that cannot be used.
    """
    project = project or find()
    content = read_toml(project.root / SETTINGS)
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        mistakes = "\n".join(f"  {_explain(dict(mistake))}" for mistake in error.errors(include_url=False))
        raise StartError(f"{SETTINGS}:\n{mistakes}") from error
    settings._project = project
    return settings


def _explain(mistake: dict) -> str:
    *section, name = [str(part) for part in mistake["loc"]] or ["settings"]
    where = f"[{'.'.join(section)}] {name}" if section else f"[{name}]"
    if mistake["type"] == "extra_forbidden":
        kind: type[BaseModel] = Settings
        for part in section:
            kind = next(iter(_models(kind.model_fields[part].annotation)), kind)
        near = get_close_matches(name, kind.model_fields, n=1)
        return f"{where} is not known; " + (
            f"did you mean {near[0]}?" if near else f"known: {', '.join(kind.model_fields)}"
        )
    if mistake["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {mistake['msg'].removeprefix('Value error, ')}, not {mistake['input']!r}"


def _models(annotation: object) -> list[type[BaseModel]]:
    choices = getattr(annotation, "__args__", (annotation,))
    return [choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)]
