"""What the service prepares on every host before the container starts: /opt/ml, relocated, and the environment.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onstage.errors import UserError
from onstage.rehearsal.archives import copy_tree
from onstage.rehearsal.store import LocalStore

_GROUP = "homogeneousCluster"
_OPT_ML = re.compile(r"(?<![\w.-])/opt/ml(?![\w.-])")


@dataclass(frozen=True)
class Host:
    """One container: its folders, and the files' contents that the service gives it. Nothing else is shared."""

    name: str
    root: Path
    job: str
    hyperparameters: dict[str, str]
    resource: dict[str, Any]
    channels: dict[str, dict[str, str]]
    environment: dict[str, str]
    checkpoints: Path | None

    @property
    def base(self) -> Path:
        """What is /opt/ml in the container."""
        return base_of(self.root)

    @property
    def code(self) -> Path:
        """Where the toolkit unpacks the source."""
        return self.base / "code"

    @property
    def model(self) -> Path:
        """What becomes model.tar.gz."""
        return self.base / "model"

    @property
    def output_data(self) -> Path:
        """What becomes output.tar.gz."""
        return self.base / "output" / "data"

    @property
    def failure(self) -> Path:
        """What DescribeTrainingJob shows as FailureReason."""
        return self.base / "output" / "failure"


def lay_out(body: Mapping[str, Any], store: LocalStore, folder: Path) -> list[Host]:
    """Create every host's folders, configuration files, channels and checkpoints below `folder/<host>`.

    Raises UserError for what a body asks that cannot be rehearsed, for missing data, and for a used `folder`.
    """
    names = [f"algo-{number}" for number in range(1, member(body, "ResourceConfig.InstanceCount", 1) + 1)]
    hosts = [describe(body, name, names, folder / name) for name in names]
    for host in hosts:
        if host.root.exists():
            raise UserError(f"{host.root} is there already: give every run a folder of its own")
        for part in (host.model, host.output_data, host.base / "input" / "config", host.base / "input" / "data"):
            part.mkdir(parents=True)
        for name in ("home", "tmp", "work"):
            (host.root / name).mkdir()
        _write_configuration(host)
        for channel in body.get("InputDataConfig") or []:
            _provide(channel, host, names, store)
        if host.checkpoints is not None:
            host.checkpoints.mkdir(parents=True, exist_ok=True)
            saved = store.path(member(body, "CheckpointConfig.S3Uri"))
            if saved.is_dir():
                copy_tree(saved, host.checkpoints)
    return hosts


def collect_checkpoints(body: Mapping[str, Any], store: LocalStore, hosts: list[Host]) -> None:
    """Copy the hosts' checkpoints to where a resubmitted job finds them; the service does so all the time."""
    for host in hosts:
        if host.checkpoints is not None and any(host.checkpoints.iterdir()):
            copy_tree(host.checkpoints, store.path(member(body, "CheckpointConfig.S3Uri")))


def base_of(root: Path) -> Path:
    """/opt/ml of the host whose folder is `root`."""
    return root / "opt" / "ml"


def relocate(text: str, root: Path) -> str:
    """`text` with the host's own folder for /opt/ml, where that is a path of its own and not the end of another."""
    return _OPT_ML.sub(lambda _: base_of(root).as_posix(), text)


def member(body: Mapping[str, Any], path: str, *default: Any) -> Any:
    """A member of a request body by its dotted path. Raises UserError when it is missing and has no default."""
    value: Any = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None and not default:
        raise UserError(f"the request has no {path}")
    return default[0] if value is None else value


def region(body: Mapping[str, Any]) -> str:
    """The job's region, which no member says: from its image, or from what the SDK adds to the hyperparameters."""
    image = re.search(
        r"\.dkr\.ecr[a-z.-]*?\.([a-z]+(?:-[a-z]+)+-\d)\.", member(body, "AlgorithmSpecification.TrainingImage", "")
    )
    told = (body.get("HyperParameters") or {}).get("sagemaker_region", "us-east-1")
    return image[1] if image else told.strip('"')


def describe(body: Mapping[str, Any], name: str, names: list[str], root: Path) -> Host:
    """One host of those in `names`, of which nothing is made yet. Raises UserError for what cannot be rehearsed."""
    if member(body, "ResourceConfig.InstanceGroups", []):
        raise UserError("ResourceConfig.InstanceGroups cannot be rehearsed: give InstanceType and InstanceCount")
    job, here = member(body, "TrainingJobName"), region(body)
    instance = member(body, "ResourceConfig.InstanceType")
    role = re.match(r"arn:(aws[a-z-]*):iam::(\d+):", body.get("RoleArn") or "")
    partition, account = role.groups() if role else ("aws", "111122223333")
    environment = {
        "TRAINING_JOB_NAME": job,
        "TRAINING_JOB_ARN": f"arn:{partition}:sagemaker:{here}:{account}:training-job/{job}",
        "AWS_REGION": here,
    }
    environment.update({key: relocate(value, root) for key, value in (body.get("Environment") or {}).items()})
    return Host(
        name,
        root,
        job,
        {key: relocate(value, root) for key, value in (body.get("HyperParameters") or {}).items()},
        {
            "current_host": name,
            "current_instance_type": instance,
            "current_group_name": _GROUP,
            "hosts": names,
            "instance_groups": [{"instance_group_name": _GROUP, "instance_type": instance, "hosts": names}],
            "network_interface_name": "eth0",
        },
        {channel["ChannelName"]: _describe(channel, body) for channel in body.get("InputDataConfig") or []},
        environment,
        _checkpoints(body, root),
    )


def _describe(channel: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, str]:
    mode = channel.get("InputMode") or member(body, "AlgorithmSpecification.TrainingInputMode", "File")
    described = {
        "TrainingInputMode": mode,
        "S3DistributionType": member(channel, "DataSource.S3DataSource.S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return {"ContentType": channel["ContentType"], **described} if channel.get("ContentType") else described


def _checkpoints(body: Mapping[str, Any], root: Path) -> Path | None:
    if not body.get("CheckpointConfig"):
        return None
    path = member(body, "CheckpointConfig.LocalPath", "/opt/ml/checkpoints")
    moved = relocate(path, root)
    if moved == path:
        raise UserError(f"CheckpointConfig.LocalPath {path} cannot be rehearsed: choose a folder below /opt/ml")
    return Path(moved)


def _write_configuration(host: Host) -> None:
    files = {
        "hyperparameters": host.hyperparameters,
        "resourceconfig": host.resource,
        "inputdataconfig": host.channels,
    }
    for name, content in files.items():
        file = host.base / "input" / "config" / f"{name}.json"
        file.write_text(json.dumps(content), encoding="utf-8")


def _provide(channel: Mapping[str, Any], host: Host, names: list[str], store: LocalStore) -> None:
    name = channel["ChannelName"]
    described = host.channels[name]
    source = member(channel, "DataSource.S3DataSource", None)
    if source is None:
        raise UserError(f"channel {name!r} cannot be rehearsed: its DataSource is not an S3DataSource")
    kind = source.get("S3DataType", "S3Prefix")
    if kind != "S3Prefix" or described["TrainingInputMode"] not in ("File", "FastFile"):
        what = f"S3DataType {kind}" if kind != "S3Prefix" else f"InputMode {described['TrainingInputMode']}"
        raise UserError(f"channel {name!r} cannot be rehearsed: {what}; use S3Prefix with File or FastFile")
    found = store.objects(source["S3Uri"])
    if not found:
        # The job would end with "ClientError: Data download failed: No S3 objects found under S3 URL ...".
        raise UserError(f"channel {name!r}: no object below {source['S3Uri']}: {store.path(source['S3Uri'])} is empty")
    if described["S3DistributionType"] == "ShardedByS3Key":
        found = found[names.index(host.name) :: len(names)]
    folder = host.base / "input" / "data" / name
    folder.mkdir(parents=True)
    for relative, file in found:
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        # FastFile does not download: a copy of big data would take what the mode is chosen to save. Windows lets only
        # administrators make links.
        if described["TrainingInputMode"] == "FastFile" and os.name != "nt":
            target.symlink_to(file.resolve())
        else:
            shutil.copyfile(file, target)
