"""The bodies of the requests that Amazon SageMaker receives. Pure functions: nothing is read, sent or changed.

Members that settings.toml leaves empty are left out. Training uses the contract of SageMaker's training toolkit, which
every tuning job has to use, so that training and tuning run one command.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from onstage import space
from onstage.errors import UserError
from onstage.sagemaker.requests import spaces, values
from onstage.sagemaker.requests.images import accelerator_of, image_uri
from onstage.sagemaker.requests.locations import Locations
from onstage.sagemaker_section import SageMaker
from onstage.sections import CHECKPOINT_SECONDS

ENTRY_POINT = "sagemaker_entry.py"
CHANNELS = ("train", "eval")
VARIANT = "AllTraffic"
# What a row's inputs stand under in a transform job with a key: no filter leaves out one field, or names many.
# Source: DataProcessing, InputFilter, at most 63 characters.
FEATURES = "features"
# Where the service joins the answer; the name is its own.
OUTPUT = "SageMakerOutput"
Body = dict[str, Any]


def training_job(
    settings: SageMaker, slug: str, name: str, hyperparameters: Mapping[str, Any], metrics: Sequence[str]
) -> Body:
    """The body of CreateTrainingJob.

    `name` is the job's (`locations.job_name`); `metrics` are names of the epoch line, such as val_accuracy.
    Raises UserError for a value that cannot be a hyperparameter, and for a bucket or role that is missing.
    """
    places = places_of(settings, slug)
    body: Body = {
        "TrainingJobName": name,
        "HyperParameters": {
            **encoded(hyperparameters),
            **_toolkit(places.source(name)),
        },
        "AlgorithmSpecification": _algorithm(settings, metrics),
        **_resources(settings, places),
    }
    if settings.spot_max_wait:
        # A job that is sent again continues; one with other hyperparameters, epochs apart, is another training.
        same = {key: value for key, value in hyperparameters.items() if key != "epochs"}
        kept = places.checkpoints(hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:12])
    else:
        # It starts anew, but its trained weights outlive it, should their export fail.
        kept = places.own_checkpoints(name)
    body["CheckpointConfig"] = {"S3Uri": kept, "LocalPath": "/opt/ml/checkpoints"}
    return {**body, **_tags(settings)}


def tuning_job(
    settings: SageMaker,
    slug: str,
    name: str,
    hyperparameters: Any,
    objective: Any,
    metrics: Sequence[str],
    *,
    fixed: Collection[str] = (),
    max_jobs: int | None = None,
    parallel: int = 2,
    strategy: str = "Bayesian",
    early_stopping: str = "Off",
) -> Body:
    """The body of CreateHyperParameterTuningJob.

    `hyperparameters` is an instance of model.py's dataclass: what `tunable` gave a search space becomes a range, the
    rest, and what `fixed` names, stays as it is. `objective` is model.py's OBJECTIVE. `max_jobs` None: 10, for Grid as
    many as there are combinations. Raises UserError if nothing is tunable, and for what the strategy cannot search.
    """
    ranges = space.of(type(hyperparameters), fixed)
    rest = {name: value for name, value in dataclasses.asdict(hyperparameters).items() if name not in ranges.names}
    places = places_of(settings, slug)
    config = spaces.strategy_config(ranges, strategy, rest)
    # No CheckpointConfig: a checkpoint belongs to one set of hyperparameters, and all trials would share the folder.
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            **_given(StrategyConfig=config),
            "HyperParameterTuningJobObjective": {"Type": objective.goal.capitalize(), "MetricName": objective.metric},
            "ResourceLimits": spaces.limits(ranges, strategy, max_jobs, parallel),
            "ParameterRanges": spaces.parameters(ranges, strategy),
            "TrainingJobEarlyStoppingType": early_stopping,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {**encoded(rest), **_toolkit(places.source(name))},
            "AlgorithmSpecification": _algorithm(settings, [objective.metric, *metrics]),
            **_resources(settings, places),
        },
        **_tags(settings),
    }


def model(settings: SageMaker, name: str, model_data: str) -> Body:
    """The body of CreateModel for the model.tar.gz at `model_data`, an s3:// URI."""
    return {
        "ModelName": name,
        "PrimaryContainer": {"Image": inference_image(settings), "ModelDataUrl": model_data},
        "ExecutionRoleArn": _needed(settings, "role"),
        **_network(settings),
        **_tags(settings),
    }


def endpoint_config(settings: SageMaker, name: str, model_name: str) -> Body:
    """The body of CreateEndpointConfig: serverless if settings.toml has [sagemaker.serverless], else instances."""
    variant: Body = {"VariantName": VARIANT, "ModelName": model_name}
    encryption: Body = {}
    if settings.serverless:
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": settings.serverless.memory_mb,
            "MaxConcurrency": settings.serverless.max_concurrency,
        }
    else:
        variant["InstanceType"] = settings.endpoint_instance_type
        variant["InitialInstanceCount"] = settings.endpoint_instance_count
        encryption = _given(KmsKeyId=settings.volume_kms_key)
    return {"EndpointConfigName": name, "ProductionVariants": [variant], **encryption, **_tags(settings)}


def endpoint(settings: SageMaker, name: str, config_name: str) -> Body:
    """The body of CreateEndpoint."""
    return {"EndpointName": name, "EndpointConfigName": config_name, **_tags(settings)}


def transform_job(settings: SageMaker, name: str, model_name: str, input_data: str, output: str, key: str = "") -> Body:
    """The body of CreateTransformJob: every line of the objects below `input_data` is a row, as JSON.

    The answers are put below `output`; both are s3:// URIs. As many rows as fit share a request and a line of the
    answers. With `key` each row is sent alone, because only a record with a line of its own can be joined: a line of
    the input is what `batch_rows.nested` makes, a line of the answers has the key and the answer.
    """
    lines = "application/jsonlines"
    source = {"S3DataType": "S3Prefix", "S3Uri": input_data}
    joined = {
        "InputFilter": f"$.{FEATURES}",
        "JoinSource": "Input",
        "OutputFilter": f"$['{key}','{OUTPUT}']",
    }
    return {
        "TransformJobName": name,
        "ModelName": model_name,
        "BatchStrategy": "SingleRecord" if key else "MultiRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": source},
            "ContentType": lines,
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": output,
            "Accept": lines,
            "AssembleWith": "Line",
            **_given(KmsKeyId=settings.output_kms_key),
        },
        "TransformResources": {
            "InstanceType": settings.endpoint_instance_type,
            "InstanceCount": settings.endpoint_instance_count,
            **_given(VolumeKmsKeyId=settings.volume_kms_key),
        },
        **({"DataProcessing": joined} if key else {}),
        **_tags(settings),
    }


def training_image(settings: SageMaker) -> str:
    """The image that trains: that of settings.toml, else the newest one for the instance type."""
    return settings.training_image or image_uri(settings.region, "training", accelerator_of(settings.instance_type))


def inference_image(settings: SageMaker) -> str:
    """The image that serves: that of settings.toml, else the newest one for the endpoint; serverless has no GPU."""
    accelerator = "cpu" if settings.serverless else accelerator_of(settings.endpoint_instance_type)
    return settings.inference_image or image_uri(settings.region, "inference", accelerator)


def places_of(settings: SageMaker, slug: str) -> Locations:
    """Where the project's objects are. Raises UserError if settings.toml names no bucket."""
    return Locations(_needed(settings, "bucket"), slug)


def encoded(hyperparameters: Mapping[str, Any]) -> dict[str, str]:
    """Each value as JSON: the toolkit decodes it to exactly the value, so that a text "8" stays a text.

    Raises UserError for NaN and infinities, which JSON does not have.
    """
    return {name: values.as_text(name, value) for name, value in hyperparameters.items()}


def metric_definitions(metrics: Sequence[str]) -> list[Body]:
    """How SageMaker reads metrics from the log, whose epoch line is `epoch=3 loss=0.41 val_loss=0.38`."""
    # The blank before the name keeps `loss` from matching in `val_loss`; one group is all that the service allows.
    return [{"Name": name, "Regex": rf"\s{re.escape(name)}=([0-9.eE+-]+)"} for name in dict.fromkeys(metrics)]


def _toolkit(source: str) -> dict[str, str]:
    # Without model_dir the toolkit adds one of its own, in tuning jobs None/<job>/model.
    return encoded(
        {"sagemaker_program": ENTRY_POINT, "sagemaker_submit_directory": source, "model_dir": "/opt/ml/model"}
    )


def _algorithm(settings: SageMaker, metrics: Sequence[str]) -> Body:
    return {
        "TrainingImage": training_image(settings),
        "TrainingInputMode": settings.input_mode,
        "MetricDefinitions": metric_definitions(metrics),
    }


def _resources(settings: SageMaker, places: Locations) -> Body:
    """What a training job and the trials of a tuning job describe alike."""
    return {
        "RoleArn": _needed(settings, "role"),
        "InputDataConfig": [_channel(name, f"{places.channel(name)}/") for name in CHANNELS],
        "OutputDataConfig": {"S3OutputPath": places.jobs, **_given(KmsKeyId=settings.output_kms_key)},
        "ResourceConfig": {
            "InstanceType": settings.instance_type,
            "InstanceCount": settings.instance_count,
            "VolumeSizeInGB": settings.volume_gb,
            **_given(VolumeKmsKeyId=settings.volume_kms_key),
        },
        "StoppingCondition": {
            "MaxRuntimeInSeconds": settings.max_runtime,
            **_given(MaxWaitTimeInSeconds=settings.spot_max_wait),
        },
        **_given(
            EnableManagedSpotTraining=bool(settings.spot_max_wait),
            EnableInterContainerTrafficEncryption=settings.encrypt_between_hosts,
        ),
        **_given(Environment=_environment(settings)),
        **_network(settings),
    }


def _environment(settings: SageMaker) -> dict[str, str]:
    """What the script is told beside its hyperparameters."""
    seconds = settings.checkpoint_seconds
    return {} if seconds == CHECKPOINT_SECONDS else {"CHECKPOINT_SECONDS": str(seconds)}


def _channel(name: str, uri: str) -> Body:
    # Of an S3Prefix without the slash, `data/train` would take `data/train_old/x.csv`, too.
    # Every host gets all objects: the trainer itself deals them out.
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    data = {"S3DataSource": source}
    return {"ChannelName": name, "DataSource": data}


def _network(settings: SageMaker) -> Body:
    network = _given(SecurityGroupIds=settings.security_groups, Subnets=settings.subnets)
    return _given(VpcConfig=network)


def _tags(settings: SageMaker) -> Body:
    return _given(Tags=[{"Key": key, "Value": value} for key, value in settings.tags.items()])


def _given(**members: Any) -> Body:
    """The members that have a value: the API refuses empty ones."""
    return {name: value for name, value in members.items() if value}


def _needed(settings: SageMaker, name: str) -> str:
    value = getattr(settings, name)
    if not value:
        raise UserError(f"settings.toml: [sagemaker] {name} is empty, and a job needs it")
    return value
