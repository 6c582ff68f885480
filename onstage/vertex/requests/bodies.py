"""The bodies of the requests that Google Vertex AI receives, as its REST API has them. Pure functions: nothing is read,
sent or changed.

Members that settings.toml leaves empty are left out.
"""

import dataclasses
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from onstage import space
from onstage.errors import UserError
from onstage.sections import CHECKPOINT_SECONDS
from onstage.vertex.requests import spaces, values
from onstage.vertex.requests.images import image_uri
from onstage.vertex.requests.locations import Locations, mounted
from onstage.vertex_section import Vertex

MODULE = "trainer.task"
CHANNELS = ("train", "eval")
# The name under which TensorFlow Serving serves a project's model.
SERVED_NAME = "model"
PORT = 8080
Body = dict[str, Any]


def parent(settings: Vertex) -> str:
    """What a request belongs to, the first part of its URL. Raises UserError if settings.toml names no project."""
    return f"projects/{_needed(settings, 'project')}/locations/{settings.region}"


def custom_job(settings: Vertex, slug: str, name: str, hyperparameters: Mapping[str, Any]) -> Body:
    """The CustomJob that trains: its display name is `name` (`locations.job_name`).

    Raises UserError for a value that cannot be a hyperparameter, and for a bucket that is missing.
    """
    return {
        "displayName": name,
        "jobSpec": _job_spec(settings, slug, name, flags(hyperparameters)),
        **_labels_and_key(settings),
    }


def tuning_job(
    settings: Vertex,
    slug: str,
    name: str,
    hyperparameters: Any,
    objective: Any,
    *,
    fixed: Collection[str] = (),
    max_trials: int | None = None,
    parallel: int = 2,
    algorithm: str = "",
    early_stopping: str = "",
) -> Body:
    """The HyperparameterTuningJob. `algorithm` is GRID_SEARCH, RANDOM_SEARCH, or empty for Bayesian optimisation.

    `hyperparameters` is an instance of model.py's dataclass: what `tunable` gave a search space becomes a parameter,
    the rest, and what `fixed` names, stays as it is. `objective` is model.py's OBJECTIVE. `early_stopping` is a member
    of StudySpec such as medianAutomatedStoppingSpec. Raises UserError if nothing is tunable, and for what a grid cannot
    try.
    """
    ranges = space.of(type(hyperparameters), fixed)
    rest = {name: value for name, value in dataclasses.asdict(hyperparameters).items() if name not in ranges.names}
    return {
        "displayName": name,
        "studySpec": {
            "metrics": [{"metricId": objective.metric, "goal": objective.goal.upper()}],
            "parameters": spaces.parameters(ranges, algorithm),
            **_given(algorithm=algorithm),
            # It has members for odd cases only, and counts by being there.
            **({early_stopping: {}} if early_stopping else {}),
        },
        "maxTrialCount": max_trials or space.DEFAULT_TRIALS,
        "parallelTrialCount": parallel,
        "trialJobSpec": _job_spec(settings, slug, name, flags(rest)),
        **_labels_and_key(settings),
    }


def model(settings: Vertex, name: str, artifact: str) -> Body:
    """The UploadModelRequest for the model at `artifact`, a gs:// URI (`locations.Locations.model`)."""
    return {
        "model": {
            "displayName": name,
            "artifactUri": artifact,
            "containerSpec": _serving_container(settings),
            **_labels_and_key(settings),
        },
    }


def endpoint(settings: Vertex, name: str) -> Body:
    """The Endpoint that a model is deployed to."""
    return {
        "displayName": name,
        **_given(dedicatedEndpointEnabled=settings.dedicated_endpoint),
        **_labels_and_key(settings),
    }


def deploy_model(settings: Vertex, name: str, model_name: str) -> Body:
    """The DeployModelRequest, which gives the endpoint's traffic to the model projects/.../models/... ."""
    return {
        "deployedModel": {
            "model": model_name,
            "displayName": name,
            "dedicatedResources": {
                "machineSpec": _endpoint_machine(settings),
                "minReplicaCount": settings.min_replica_count,
                "maxReplicaCount": settings.max_replica_count,
            },
            **_given(serviceAccount=settings.service_account),
        },
        # "0" stands for the model of this request, which has no id yet.
        "trafficSplit": {"0": 100},
    }


def batch_prediction_job(
    settings: Vertex, name: str, model_name: str, input_data: Sequence[str], output: str, key: str = ""
) -> Body:
    """The BatchPredictionJob: every line of the objects `input_data`, gs:// URIs of .jsonl files, is an instance.

    The answers are put below `output`, a gs:// URI, each with its instance; with `key`, a field of every instance that
    the model is not given, with the value of this instead, as "key".
    """
    source, destination = {"uris": list(input_data)}, {"outputUriPrefix": output}
    # Source: BatchPredictionJob.InstanceConfig: of jsonl, each line is an object then.
    instances = {"instanceType": "object", "keyField": key} if key else {}
    return {
        "displayName": name,
        "model": model_name,
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": source},
        **_given(instanceConfig=instances),
        "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": destination},
        "dedicatedResources": {
            "machineSpec": _endpoint_machine(settings),
            "startingReplicaCount": settings.min_replica_count,
            "maxReplicaCount": settings.max_replica_count,
        },
        **_given(serviceAccount=settings.service_account),
        **_labels_and_key(settings),
    }


def places_of(settings: Vertex, slug: str) -> Locations:
    """Where the project's objects are. Raises UserError if settings.toml names no bucket."""
    return Locations(_needed(settings, "bucket"), slug)


def training_image(settings: Vertex) -> str:
    """The image that the training job runs in."""
    kind = "container" if settings.package == "container" else "prebuilt"
    return settings.training_image or image_uri(settings.region, "training", kind, _accelerator(settings))


def serving_image(settings: Vertex) -> str:
    """The image that answers requests. Raises UserError if it is in a project that settings.toml does not name."""
    if settings.serving_image:
        return settings.serving_image
    accelerator = "gpu" if settings.endpoint_accelerator_count else "cpu"
    if settings.serving == "prebuilt":
        return image_uri(settings.region, "serving", "prebuilt", accelerator)
    repository = f"{settings.region}-docker.pkg.dev/{_needed(settings, 'project')}/{settings.repository}"
    return image_uri(settings.region, "serving", "container", accelerator, repository)


def flags(hyperparameters: Mapping[str, Any]) -> list[str]:
    """Each hyperparameter as `--name=value`, of which `trainer.run.parse_flags` makes exactly the value again.

    An optional text can be None but not "", "null" or "None", which mean it on every platform.
    Raises UserError for NaN, infinities, and what is no bool, int, float, str or None.
    """
    return [f"--{name.replace('_', '-')}={values.as_text(name, value)}" for name, value in hyperparameters.items()]


def _job_spec(settings: Vertex, slug: str, name: str, arguments: Sequence[str]) -> Body:
    """What a training job and the trials of a tuning job have in common."""
    places = places_of(settings, slug)
    args = [f"--{channel}-data={places.channel(channel)}" for channel in CHANNELS]
    if settings.serving == "prebuilt":
        args.append("--model-layout=flat")
    pool = {
        "machineSpec": {
            "machineType": settings.machine_type,
            **_given(acceleratorType=settings.accelerator_type, acceleratorCount=settings.accelerator_count),
        },
        "diskSpec": {"bootDiskType": settings.boot_disk_type, "bootDiskSizeGb": settings.boot_disk_gb},
        **_package(settings, places.source(name), [*args, *arguments]),
    }
    # The first pool is the chief, which is always one machine; the second are the workers.
    workers = [{**pool, "replicaCount": settings.replica_count - 1}] if settings.replica_count > 1 else []
    return {
        "workerPoolSpecs": [{**pool, "replicaCount": 1}, *workers],
        "scheduling": {"timeout": f"{settings.timeout}s"},
        "baseOutputDirectory": {"outputUriPrefix": places.output(name)},
        **_given(serviceAccount=settings.service_account, network=settings.network),
    }


def _package(settings: Vertex, source: str, args: Sequence[str]) -> Body:
    """How a worker pool installs and runs the source distribution at `source`."""
    image = training_image(settings)
    if settings.package == "executor":
        spec = {"executorImageUri": image, "packageUris": [source], "pythonModule": MODULE, "args": list(args)}
        return {"pythonPackageSpec": {**spec, **_given(env=_environment(settings))}}
    # Tuning appends its flags to `args`, so they go through "$@"; the text after the script is bash's $0.
    # exec: the service's SIGTERM reaches Python and not the shell.
    script = f'pip install {shlex.quote(mounted(source))} && exec python -m {MODULE} "$@"'
    container = {"imageUri": image, "command": ["bash", "-c"], "args": [script, "trainer", *args]}
    return {"containerSpec": {**container, **_given(env=_environment(settings))}}


def _environment(settings: Vertex) -> list[dict[str, str]]:
    """What the program is told beside its flags."""
    seconds = settings.checkpoint_seconds
    return [] if seconds == CHECKPOINT_SECONDS else [{"name": "CHECKPOINT_SECONDS", "value": str(seconds)}]


def _serving_container(settings: Vertex) -> Body:
    image = serving_image(settings)
    if settings.serving == "prebuilt":
        return {"imageUri": image}
    # The service replaces $(AIP_STORAGE_URI) by the place of its own copy of the artifact.
    # Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/ModelContainerSpec
    args = [
        f"--rest_api_port={PORT}",
        "--port=8500",
        f"--model_name={SERVED_NAME}",
        "--model_base_path=$(AIP_STORAGE_URI)",
    ]
    return {
        "imageUri": image,
        "args": args,
        "ports": [{"containerPort": PORT}],
        "predictRoute": f"/v1/models/{SERVED_NAME}:predict",
        "healthRoute": f"/v1/models/{SERVED_NAME}",
    }


def _endpoint_machine(settings: Vertex) -> Body:
    return {
        "machineType": settings.endpoint_machine_type,
        **_given(
            acceleratorType=settings.endpoint_accelerator_type, acceleratorCount=settings.endpoint_accelerator_count
        ),
    }


def _accelerator(settings: Vertex) -> str:
    return "gpu" if settings.accelerator_count else "cpu"


def _labels_and_key(settings: Vertex) -> Body:
    key = _given(kmsKeyName=settings.kms_key)
    return _given(labels=dict(settings.labels), encryptionSpec=key)


def _given(**members: Any) -> Body:
    """The members that have a value: the API takes an empty one for a mistake, or for its default."""
    return {name: value for name, value in members.items() if value}


def _needed(settings: Vertex, name: str) -> str:
    value = getattr(settings, name)
    if not value:
        raise UserError(f"settings.toml: [vertex] {name} is empty, and a job needs it")
    return value
