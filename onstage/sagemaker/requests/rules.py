"""What SageMaker refuses, or takes amiss, and no model says: rules between members, each with its source.

API pages are those of the SageMaker API reference.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from onstage.errors import UserError
from onstage.problem import Path, Problem, dotted, twice
from onstage.sagemaker.requests import search_rules
from onstage.sagemaker.requests.images import accelerator_of, known_image
from onstage.sagemaker.requests.regions import foreign

# Source: CreateTransformJob, MaxPayloadInMB.
DEFAULT_MB = 6
Body = dict[str, Any]


def broken(operation: str, body: Body, region: str | None) -> list[Problem]:
    """The problems of a body whose members all have the right type; `region` is the job's, if it is known."""
    found = [one for rule in _RULES.get(operation, ()) for one in rule(body)]
    return [*found, *_tags(body), *foreign(body, region)]


def doubts(job: Body) -> list[Problem]:
    """What a training or tuning job would better not do: on spot capacity, begin anew after each interruption."""
    definitions = [*(job.get("TrainingJobDefinitions") or ()), job.get("TrainingJobDefinition") or {}, job]
    bare = [one for one in definitions if one.get("EnableManagedSpotTraining") and not one.get("CheckpointConfig")]
    message = "has no checkpoints: on spot capacity a job starts from nothing after each interruption"
    return [Problem("CheckpointConfig", message, "add CheckpointConfig, or train on demand")] if bare else []


def endpoint_problems(model: Body, config: Body) -> list[Problem]:
    """What does not fit between the bodies of CreateModel and CreateEndpointConfig that belong together."""
    containers = model.get("Containers") or [model.get("PrimaryContainer") or {}]
    found: list[Problem] = []
    for number, variant in enumerate(config.get("ProductionVariants") or ()):
        path: Path = ("ProductionVariants", number)
        serverless = "ServerlessConfig" in variant
        for container in containers:
            image = container.get("Image", "")
            if not serverless:
                found += _misfit((*path, "InstanceType"), image, variant.get("InstanceType"))
            elif (known := known_image(image)) and known.accelerator == "gpu":
                # Source: developer guide, "Serverless Inference", feature exclusions.
                found.append(Problem("Image", "serverless endpoints have no GPU", "choose the CPU image"))
        if serverless and "VpcConfig" in model:
            fix = "remove subnets and security_groups, or [sagemaker.serverless]"
            found.append(Problem("VpcConfig", "serverless endpoints cannot be in a VPC", fix))
    return found


def _training_job(body: Body) -> Iterator[Problem]:
    yield from _training(body, ())
    yield from _checkpoints(body)


def _training(job: Body, path: Path) -> Iterator[Problem]:
    """What a training job and the definition of a tuning job's trials have in common."""
    if "ServerlessJobConfig" in job:
        return
    algorithm = job.get("AlgorithmSpecification")
    resources = job.get("ResourceConfig") or job.get("HyperParameterTuningResourceConfig")
    for name, given in (("AlgorithmSpecification", algorithm), ("ResourceConfig", resources)):
        if given is None:
            yield Problem(dotted((*path, name)), "is missing", f"add {name}")
    algorithm, resources = algorithm or {}, resources or {}
    if algorithm and ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        yield Problem(
            dotted((*path, "AlgorithmSpecification")),
            "needs either TrainingImage or AlgorithmName",
            "give one of them",
        )
    yield from _metrics(
        algorithm.get("MetricDefinitions") or (), (*path, "AlgorithmSpecification", "MetricDefinitions")
    )
    yield from _channels(job.get("InputDataConfig") or (), (*path, "InputDataConfig"))
    yield from _spot(job, path)
    where = (*path, "ResourceConfig")
    yield from _misfit((*where, "InstanceType"), algorithm.get("TrainingImage", ""), resources.get("InstanceType"))
    yield from _local_storage(resources.get("InstanceType", ""), resources, (*where, "VolumeKmsKeyId"))
    if resources.get("InstanceCount") == 0:
        yield Problem(dotted((*where, "InstanceCount")), "is 0; a job needs 1 or more", "write 1")


def _metrics(definitions: Sequence[Body], path: Path) -> Iterator[Problem]:
    # Source: AlgorithmSpecification and the guide "Define Training Metrics": what the one group matches is the value.
    for number, definition in enumerate(definitions):
        regex, where = definition.get("Regex", ""), dotted((*path, number, "Regex"))
        try:
            groups = re.compile(regex).groups
        except re.error as error:
            yield Problem(where, f"{regex!r} is no regular expression: {error}", "mend the regular expression")
            continue
        if groups != 1:
            fix = "put (...) around the number, and nothing else; (?:...) groups without capturing"
            yield Problem(where, f"{regex!r} has {groups} groups; the service reads the value from exactly one", fix)
    yield from twice([one.get("Name") for one in definitions], path, "metric")


def _channels(channels: Sequence[Body], path: Path) -> Iterator[Problem]:
    names = [channel.get("ChannelName", "") for channel in channels]
    yield from twice(names, path, "channel")
    for number, name in enumerate(names):
        # The API also takes dots and dashes; the start script of the SDK's ModelTrainer then dies in `export`.
        if re.fullmatch(r"[A-Za-z0-9._-]+", name) and not re.fullmatch(r"[A-Za-z0-9_]+", name):
            better = re.sub(r"[^A-Za-z0-9_]", "_", name)
            message = f"{name!r} has a character that cannot be in SM_CHANNEL_{name.upper()}, an environment variable"
            yield Problem(dotted((*path, number, "ChannelName")), message, f"write {better}")


def _spot(job: Body, path: Path) -> Iterator[Problem]:
    # Source: StoppingCondition, MaxWaitTimeInSeconds.
    stopping = job.get("StoppingCondition") or {}
    wait, run = stopping.get("MaxWaitTimeInSeconds"), stopping.get("MaxRuntimeInSeconds", 86400)
    where = dotted((*path, "StoppingCondition", "MaxWaitTimeInSeconds"))
    if not job.get("EnableManagedSpotTraining"):
        if wait is not None:
            said = "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true"
            fix = "set EnableManagedSpotTraining, or remove MaxWaitTimeInSeconds"
            yield Problem(where, "only a job on spot capacity waits", fix, f"ValidationException: {said}")
    elif wait is None:
        yield Problem(where, "is missing, and EnableManagedSpotTraining needs it", f"write {run} or more")
    elif wait < run:
        yield Problem(where, f"is {wait}, less than MaxRuntimeInSeconds ({run})", f"write {run} or more")


def _checkpoints(body: Body) -> Iterator[Problem]:
    uri, name = (body.get("CheckpointConfig") or {}).get("S3Uri", ""), body.get("TrainingJobName", "")
    if name and name in uri and body.get("EnableManagedSpotTraining"):
        message = f"{uri!r} has the job's name in it: the job that is sent again would find no checkpoint"
        yield Problem("CheckpointConfig.S3Uri", message, f"leave {name} out")


def _local_storage(instance_type: str, resources: Body, path: Path) -> Iterator[Problem]:
    # Source: ResourceConfig, VolumeKmsKeyId; the families with instance store volumes.
    family = instance_type.removeprefix("ml.").partition(".")[0]
    if resources.get(str(path[-1])) and re.fullmatch(r"g[4-9].*|p[4-9].*|p3dn|trn.*|[a-z]+\d+[a-z]*d[a-z]*", family):
        message = f"{instance_type} has storage of its own, encrypted by hardware, which takes no key"
        yield Problem(
            dotted(path), message, "remove volume_kms_key from settings.toml, or choose another instance type"
        )


def _tuning_job(body: Body) -> Iterator[Problem]:
    config = body.get("HyperParameterTuningJobConfig") or {}
    one, several = body.get("TrainingJobDefinition"), body.get("TrainingJobDefinitions")
    if (one is None) == (several is None):
        yield Problem("TrainingJobDefinition", "either it or TrainingJobDefinitions must be given", "give one of them")
    limits: Body = config.get("ResourceLimits") or {}
    most, parallel = limits.get("MaxNumberOfTrainingJobs"), limits.get("MaxParallelTrainingJobs")
    if most is not None and parallel is not None and parallel > most:
        where = "HyperParameterTuningJobConfig.ResourceLimits.MaxParallelTrainingJobs"
        yield Problem(where, f"is {parallel}, more than MaxNumberOfTrainingJobs ({most})", f"write {most} or less")
    yield from search_rules.strategy(config, one or {})
    definitions: list[tuple[Path, Body]] = [
        (("TrainingJobDefinitions", number), it) for number, it in enumerate(several or ())
    ]
    for path, definition in definitions or [(("TrainingJobDefinition",), one or {})]:
        yield from _training(definition, path)
        own = "HyperParameterRanges" in definition
        ranges = definition.get("HyperParameterRanges") if own else config.get("ParameterRanges")
        place = (*path, "HyperParameterRanges") if own else ("HyperParameterTuningJobConfig", "ParameterRanges")
        yield from search_rules.ranges(ranges or {}, place, definition, config)
        objective = definition.get("TuningObjective") or config.get("HyperParameterTuningJobObjective") or {}
        metrics = (definition.get("AlgorithmSpecification") or {}).get("MetricDefinitions") or ()
        names = [metric.get("Name") for metric in metrics]
        if "MetricName" in objective and objective["MetricName"] not in names:
            known = ", ".join(filter(None, names)) or "none"
            message = f"the objective {objective['MetricName']!r} is not among the metrics: {known}"
            yield Problem(
                dotted((*path, "AlgorithmSpecification", "MetricDefinitions")), message, "add its Name and Regex"
            )


def _endpoint_config(body: Body) -> Iterator[Problem]:
    variants = body.get("ProductionVariants") or ()
    yield from twice([variant.get("VariantName") for variant in variants], ("ProductionVariants",), "variant")
    for number, variant in enumerate(variants):
        path: Path = ("ProductionVariants", number)
        instances = [name for name in ("InstanceType", "InitialInstanceCount", "InstancePools") if name in variant]
        serverless = variant.get("ServerlessConfig")
        if serverless is None and not instances:
            yield Problem(dotted(path), "needs InstanceType, or ServerlessConfig", "give one of them")
        if serverless is not None and instances:
            message = f"a serverless variant has no instances, but {' and '.join(instances)}"
            yield Problem(dotted(path), message, f"remove {' and '.join(instances)}")
        memory = (serverless or {}).get("MemorySizeInMB", 1024)
        if memory % 1024:
            where = dotted((*path, "ServerlessConfig", "MemorySizeInMB"))
            yield Problem(where, f"is {memory}; it must be a multiple of 1024", f"write {round(memory / 1024) * 1024}")
        yield from _local_storage(variant.get("InstanceType", ""), body, ("KmsKeyId",))


def _model(body: Body) -> Iterator[Problem]:
    if ("PrimaryContainer" in body) == ("Containers" in body):
        yield Problem("PrimaryContainer", "either it or Containers must be given", "give one of them")
    uri = (body.get("PrimaryContainer") or {}).get("ModelDataUrl", ".tar.gz")
    # Source: ContainerDefinition, ModelDataUrl.
    if not uri.endswith(".tar.gz"):
        yield Problem("PrimaryContainer.ModelDataUrl", f"{uri!r} must be one .tar.gz", "give the job's model.tar.gz")


def _transform_job(body: Body) -> Iterator[Problem]:
    # Source: CreateTransformJob, BatchStrategy.
    split = (body.get("TransformInput") or {}).get("SplitType", "None")
    if body.get("BatchStrategy") == "MultiRecord" and split == "None":
        yield Problem("TransformInput.SplitType", "BatchStrategy MultiRecord needs it", "write Line")
    payload = body.get("MaxPayloadInMB", DEFAULT_MB) * (body.get("MaxConcurrentTransforms") or 1)
    if payload > 100:
        yield Problem("MaxPayloadInMB", f"times MaxConcurrentTransforms is {payload}; 100 are allowed", "lower one")


def _tags(body: Body) -> Iterator[Problem]:
    keys = [tag.get("Key", "") for tag in body.get("Tags") or ()]
    yield from twice(keys, ("Tags",), "tag")
    # Source: Tag, Key.
    for number, key in enumerate(keys):
        if key.lower().startswith("aws:"):
            yield Problem(f"Tags[{number}].Key", f"{key!r}: names that start with aws: belong to AWS", "rename it")


def _misfit(path: Path, image: str, instance_type: str | None) -> Iterator[Problem]:
    """Whether one of AWS's images is for other hardware than the instance type has; images we do not know pass."""
    known = known_image(image)
    if known is None or instance_type is None:
        return
    try:
        needed = accelerator_of(instance_type)
    except UserError as error:
        yield Problem(dotted(path), str(error))
        return
    if known.accelerator != needed:
        has = {"gpu": "has a GPU", "cpu": "has no GPU"}[needed]
        message = f"{instance_type} {has}, and {image.rpartition('/')[2]} is the {known.accelerator.upper()} image"
        yield Problem(dotted(path), message, f"choose the {needed.upper()} image, or another instance type")


_RULES: dict[str, tuple[Callable[[Body], Iterator[Problem]], ...]] = {
    "CreateTrainingJob": (_training_job,),
    "CreateHyperParameterTuningJob": (_tuning_job,),
    "CreateEndpointConfig": (_endpoint_config,),
    "CreateModel": (_model,),
    "CreateTransformJob": (_transform_job,),
}
