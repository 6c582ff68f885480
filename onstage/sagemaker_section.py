"""The section [sagemaker] of settings.toml."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from onstage import identifiers
from onstage.sections import CHECKPOINT_SECONDS, Count, Positive, Section


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
