"""Bodies for Vertex AI that the tests share: of plain settings, of settings with everything, one of each kind."""

from dataclasses import dataclass
from typing import Any

from onstage.settings import Vertex
from onstage.vertex.requests import bodies
from tests.onstage.trainer import run

PLAIN: dict[str, Any] = {
    "region": "us-central1", "project": "proj", "bucket": "bkt", "machine_type": "n1-standard-4", "timeout": 3600,
}  # fmt: skip
FULL: dict[str, Any] = {
    "region": "us-central1", "project": "proj", "bucket": "bkt", "machine_type": "g2-standard-24",
    "accelerator_type": "NVIDIA_L4", "accelerator_count": 2, "replica_count": 3, "boot_disk_gb": 200, "timeout": 60,
    "package": "executor", "training_image": "us-docker.pkg.dev/vertex-ai/training/tf-gpu.2-17.py310:latest",
    "serving": "prebuilt", "endpoint_machine_type": "n1-highmem-4", "min_replica_count": 2, "max_replica_count": 5,
    "dedicated_endpoint": False, "service_account": "me@proj.iam.gserviceaccount.com",
    "network": "projects/123/global/networks/default", "labels": {"team": "a-b", "größe": ""},
    "kms_key": "projects/proj/locations/us-central1/keyRings/ring/cryptoKeys/key",
}  # fmt: skip
MODEL = "projects/proj/locations/us-central1/models/7"


@dataclass(frozen=True)
class Hyperparameters:
    """A search space of each kind, and two that have none."""

    epochs: int = 2
    learning_rate: float = run.tunable(0.01, low=1e-4, high=1, scale="log")
    units: int | None = run.tunable(16, low=4.0, high=64)
    batch_size: int = run.tunable(16, values=[32, 16, 8])
    activation: str = run.tunable("relu", values=["relu", "it's"])
    rate: float = 0.5


def of_each_kind(**changes: Any) -> dict[str, dict[str, Any]]:
    """A body of each kind, of plain settings with these changes."""
    vertex, objective = Vertex(**{**PLAIN, **changes}), run.Objective("val_loss", "minimize")
    return {
        "CustomJob": bodies.custom_job(vertex, "iris", "iris-1", {"epochs": 2}),
        "HyperparameterTuningJob": bodies.tuning_job(vertex, "iris", "iris-1", Hyperparameters(), objective),
        "UploadModelRequest": bodies.model(vertex, "iris-1", "gs://bkt/iris/jobs/iris-1/model"),
        "Endpoint": bodies.endpoint(vertex, "iris"),
        "DeployModelRequest": bodies.deploy_model(vertex, "iris-1", MODEL),
        "BatchPredictionJob": bodies.batch_prediction_job(vertex, "iris-1", MODEL, ["gs://bkt/x.jsonl"], "gs://bkt/y"),
    }
