"""The sections of settings.toml as typed values, each key with the sentence that `onstage settings` prints.

What both clouds check between members of a request stands in `requests/rules.py` of each; here is what one key, or the
keys of one section, can be.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from onstage import identifiers
from onstage.ignored import Ignored

# What src/trainer/run.py does by itself.
CHECKPOINT_SECONDS = 60
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


def _check_scalar(value: object) -> object:
    if isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError("should be a boolean, a number or a string")


Scalar = Annotated[bool | int | float | str, BeforeValidator(_check_scalar)]


class Section(BaseModel):
    """A table of settings.toml: no other keys, and values of just the types that they are declared with."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """Where the tables are on this machine, as paths from the project's folder; `upload` sends them to the bucket."""

    train: str = Field(description="Training data: a CSV file, a folder of CSV files, or a glob pattern.")
    eval: str = Field(
        description="Evaluation data, for the val_ metrics: a CSV file, a folder of CSV files, or a glob pattern."
    )


class Rehearsal(Section):
    """How little work a rehearsal does."""

    hyperparameters: dict[str, Scalar] = Field(
        default={},
        description="Hyperparameters that a rehearsal changes, by their names in model.py; flags win over them.",
    )
    time_limit: Positive = Field(
        default=300, description="Seconds that a rehearsed job may run before it is ended and fails."
    )
    rows: Count = Field(
        default=4000,
        description="Rows of each channel that a rehearsed job gets, from several files, every class kept; 0, or "
        "`onstage rehearse --all-rows`: all.",
    )
    ignore: Ignored = Field(
        default={},
        description="Checks whose findings do not count, by their ids (`onstage rehearse --list`), each with the "
        "reason; the cheap checks of cloud commands ignore them, too.",
    )


class Batch(Section):
    """Predictions of many rows without an endpoint, by `onstage PLATFORM batch` and `onstage rehearse --batch`."""

    rows: str = Field(
        default="",
        description="File of rows, one a line as JSON, or a URI, for `batch` without FILE; a rehearsal has the rows of "
        "the file, or of the evaluation data.",
    )
    key: Annotated[str, AfterValidator(identifiers.batch_key)] = Field(
        default="",
        description="Field of every row that the model does not see, such as an id, which its answer comes with "
        "(DataProcessing, keyField); a row is an object of it and the model's inputs then.",
    )


class Serverless(Section):
    """A serverless endpoint (ServerlessConfig): without this section the endpoint is on instances."""

    memory_mb: int = Field(
        default=2048,
        ge=1024,
        le=6144,
        multiple_of=1024,
        description="Memory of the endpoint in MB (MemorySizeInMB), from which its share of CPU follows.",
    )
    max_concurrency: int = Field(
        default=5,
        ge=1,
        le=200,
        description="Requests that are answered at a time (MaxConcurrency); others are throttled.",
    )


class SageMaker(Section):
    """Amazon SageMaker. What is empty, false or 0 is left out of requests; a rehearsal needs no bucket and no role."""

    region: str = Field(description="AWS region of jobs, endpoints and bucket, such as eu-central-1.")
    bucket: Annotated[str, AfterValidator(identifiers.s3_bucket)] = Field(
        default="",
        description="S3 bucket for data, code and models, without s3://; required for cloud jobs, in `region`.",
    )
    role: Annotated[str, AfterValidator(identifiers.role_arn)] = Field(
        default="",
        description="ARN of the IAM execution role of jobs and endpoints (RoleArn); required for cloud jobs.",
    )
    instance_type: str = Field(
        description="Instance type that trains, such as ml.m5.xlarge, or ml.g5.xlarge for a GPU (InstanceType)."
    )
    instance_count: Positive = Field(
        default=1,
        description="Instances that train; with more than one, tf.distribute synchronises them (InstanceCount).",
    )
    volume_gb: Positive = Field(
        default=30,
        description="GB of EBS storage of each training instance (VolumeSizeInGB); types with NVMe use that instead.",
    )
    max_runtime: Positive = Field(
        default=3600,
        description="Seconds of training after which the job is stopped (MaxRuntimeInSeconds), at most 28 days.",
    )
    spot_max_wait: Count = Field(
        default=0,
        description="Seconds of waiting for spot capacity and training together (MaxWaitTimeInSeconds), at least "
        "max_runtime; spot capacity may be taken away, and the training goes on from its checkpoint; 0: on demand.",
    )
    checkpoint_seconds: Count = Field(
        default=CHECKPOINT_SECONDS,
        description="Seconds between the checkpoints that a job writes within an epoch: an interruption loses no more; "
        "0: only after epochs.",
    )
    input_mode: Literal["File", "FastFile"] = Field(
        default="File",
        description="File downloads the data before the training begins, FastFile streams it as it is read.",
    )
    training_image: str = Field(
        default="",
        description="URI of the ECR image that trains; empty: AWS's newest TensorFlow image for instance_type.",
    )
    inference_image: str = Field(
        default="",
        description="URI of the ECR image that serves; empty: AWS's newest TensorFlow image for the endpoint.",
    )
    endpoint_instance_type: str = Field(
        description="Instance type of endpoints and batch transform jobs, such as ml.m5.large; serverless endpoints "
        "have none."
    )
    endpoint_instance_count: Positive = Field(
        default=1,
        description="Instances of an endpoint when it is made (InitialInstanceCount), and of batch transform jobs.",
    )
    endpoint_max_instance_count: Count = Field(
        default=0, description="Instances up to which an endpoint scales out (MaxCapacity); 0: it does not scale."
    )
    endpoint_requests_per_minute: Positive = Field(
        default=1000,
        description="Requests that one instance gets in a minute, on average, which scaling aims at "
        "(SageMakerVariantInvocationsPerInstance).",
    )
    serverless: Serverless | None = None
    tags: dict[str, str] = Field(
        default={}, description="Tags of jobs, models and endpoints, at most 50; no key begins with aws:."
    )
    subnets: list[str] = Field(
        default=[],
        description="Ids of the VPC's subnets for jobs and models, at most 16; together with security_groups.",
    )
    security_groups: list[str] = Field(
        default=[],
        description="Ids of the VPC's security groups for jobs and models, at most 5; together with subnets.",
    )
    volume_kms_key: str = Field(
        default="",
        description="KMS key, by id, ARN or alias, of the instances' EBS volumes (VolumeKmsKeyId, KmsKeyId of an "
        "endpoint); not for instance types with NVMe storage.",
    )
    output_kms_key: str = Field(
        default="",
        description="KMS key, by id, ARN or alias, of what jobs write to S3 (KmsKeyId); empty: S3's default key of the "
        "role's account.",
    )
    encrypt_between_hosts: bool = Field(
        default=False,
        description="Whether training instances encrypt what they send to each other, which takes longer "
        "(EnableInterContainerTrafficEncryption).",
    )

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


class Vertex(Section):
    """Google Vertex AI. What is empty, false or 0 is left out of requests; a rehearsal needs no project, no bucket."""

    region: str = Field(description="Google Cloud region of jobs, endpoints and bucket, such as europe-west4.")
    project: Annotated[str, AfterValidator(identifiers.project_id)] = Field(
        default="", description="Id of the Google Cloud project; required for cloud jobs."
    )
    bucket: Annotated[str, AfterValidator(identifiers.gcs_bucket)] = Field(
        default="", description="Cloud Storage bucket for data, code and models, without gs://; required, in `region`."
    )
    service_account: str = Field(
        default="",
        description="E-mail address of the service account that jobs and endpoints run as; empty: Vertex AI's own "
        "service agent.",
    )
    machine_type: str = Field(
        description="Machine type of each replica that trains, such as n1-standard-4, or g2-standard-4 for an L4 GPU."
    )
    accelerator_type: str = Field(
        default="", description="GPU of each replica that trains, such as NVIDIA_L4; together with accelerator_count."
    )
    accelerator_count: Count = Field(
        default=0,
        description="GPUs of each replica that trains; which numbers a machine type takes depends on the GPU.",
    )
    replica_count: Positive = Field(
        default=1,
        description="Machines that train, chief included; with more than one, tf.distribute synchronises them.",
    )
    boot_disk_type: Literal["pd-ssd", "pd-standard"] = Field(
        default="pd-ssd",
        description="Boot disk of each replica: a solid-state or a standard persistent disk (bootDiskType).",
    )
    boot_disk_gb: int = Field(
        default=100, ge=100, le=64000, description="Size of the boot disk of each replica in GB (bootDiskSizeGb)."
    )
    timeout: Positive = Field(
        default=3600, description="Seconds after which the job is cancelled (Scheduling.timeout)."
    )
    checkpoint_seconds: Count = Field(
        default=CHECKPOINT_SECONDS,
        description="Seconds between the checkpoints that a job writes within an epoch: an interruption loses no more; "
        "0: only after epochs.",
    )
    package: Literal["container", "executor"] = Field(
        default="container",
        description="container: TensorFlow's image of Docker Hub installs and runs the package; executor: Google's "
        "prebuilt training image does (executorImageUri).",
    )
    training_image: str = Field(
        default="", description="URI of the image that trains; empty: the newest one for `package`."
    )
    serving: Literal["container", "prebuilt"] = Field(
        default="container",
        description="container: TensorFlow Serving; prebuilt: Google's image, which wants another folder layout of "
        "the model, so train anew after a change.",
    )
    serving_image: str = Field(
        default="", description="URI of the image that serves; empty: the newest one for `serving`."
    )
    repository: str = Field(
        default="docker-hub",
        description="Artifact Registry repository in `region` that has Docker Hub's images, since endpoints pull from "
        "no other registry; not used with serving_image.",
    )
    endpoint_machine_type: str = Field(
        default="n1-standard-2",
        description="Machine type of each replica of an endpoint or a batch job (batch prediction).",
    )
    endpoint_accelerator_type: str = Field(
        default="",
        description="GPU of each replica that serves, such as NVIDIA_L4; together with endpoint_accelerator_count.",
    )
    endpoint_accelerator_count: Count = Field(default=0, description="GPUs of each replica that serves.")
    min_replica_count: Positive = Field(
        default=1, description="Replicas that an endpoint always has, and a batch job starts with."
    )
    max_replica_count: Positive = Field(
        default=1,
        description="Replicas up to which an endpoint or a batch job scales out, at least min_replica_count.",
    )
    dedicated_endpoint: bool = Field(
        default=True,
        description="Whether an endpoint has a host name of its own, which takes requests of 10 MB; a shared one takes "
        "1.5 MB.",
    )
    network: str = Field(
        default="",
        description="VPC network that training jobs are peered with: projects/PROJECT_NUMBER/global/networks/NAME; "
        "empty: none.",
    )
    kms_key: str = Field(
        default="",
        description="Customer-managed key of jobs, models and endpoints (kmsKeyName): "
        "projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY; empty: Google's own.",
    )
    labels: dict[str, str] = Field(
        default={},
        description="Labels of jobs, models and endpoints, at most 64, in lower case, each part at most 63 long.",
    )

    @model_validator(mode="after")
    def _check(self) -> "Vertex":
        for prefix in ("", "endpoint_"):
            kind, count = (f"{prefix}accelerator_{part}" for part in ("type", "count"))
            if bool(getattr(self, kind)) != bool(getattr(self, count)):
                raise ValueError(f"{kind} and {count} are given together, or neither")
        if self.max_replica_count < self.min_replica_count:
            raise ValueError(f"max_replica_count must be min_replica_count ({self.min_replica_count}) or more")
        return self
