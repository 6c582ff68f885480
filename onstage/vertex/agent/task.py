"""What a custom job's rehearsal is told: the job, and how its model is to be served."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onstage.rehearsal.operation_checks import Server
from onstage.vertex.requests import payload

# Source: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements, variables of a container
# whose model names no routes.
PREBUILT_ROUTE = "/v1/endpoints/1234/deployedModels/5678"


@dataclass(frozen=True)
class Task:
    """A job to run, and how its model is to be served.

    `metrics` are those that it should print, `objective` the one that tuning looks at. `container` is the model's
    containerSpec; of a job from elsewhere, which has none, it follows from the layout of the model. `dedicated` is the
    kind of the endpoint. `trial` is the number of a tuning job's trial. `server` is the container's version of
    TensorFlow; a job from elsewhere names none.
    """

    body: Mapping[str, Any]
    container: Mapping[str, Any]
    dedicated: bool
    metrics: Sequence[str]
    objective: str
    trial: str | None = None
    server: Server | None = None

    @property
    def health(self) -> str:
        """The container's health route."""
        return self.container.get("healthRoute", PREBUILT_ROUTE)

    @property
    def predict(self) -> str:
        """The container's predict route."""
        return self.container.get("predictRoute", f"{PREBUILT_ROUTE}:predict")

    @property
    def patterns(self) -> dict[str, str]:
        """How the metrics stand in the log."""
        return {name: rf"\b{re.escape(name)}=([0-9.eE+-]+)" for name in self.metrics}

    @property
    def limit(self) -> int:
        """The largest request and response, in bytes."""
        return payload.limit(dedicated=self.dedicated)

    @property
    def is_flat(self) -> bool:
        """Whether the container wants saved_model.pb itself in the artifact's folder: Google's does."""
        return "predictRoute" not in self.container

    @property
    def environment(self) -> dict[str, str]:
        """What the container's process is told."""
        return {
            "AIP_HEALTH_ROUTE": self.health,
            "AIP_PREDICT_ROUTE": self.predict,
            "AIP_MODE": "PREDICTION",
            "PAYLOAD_LIMIT": str(self.limit),
        }
