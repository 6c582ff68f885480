"""The section [vertex] of settings.toml."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from onstage import identifiers
from onstage.sections import CHECKPOINT_SECONDS, Count, Positive, Section


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
