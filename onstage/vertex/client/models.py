"""What a job left, as a model of Vertex AI: what an endpoint and a batch prediction both begin with."""

import json
import re
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from onstage.cloud import Request, State, Step
from onstage.errors import UserError
from onstage.report import Finding
from onstage.settings import Settings
from onstage.vertex.client.errors import ExistsError
from onstage.vertex.client.jobs import machines
from onstage.vertex.client.resources import Resources
from onstage.vertex.client.session import Client
from onstage.vertex.client.storage import GoogleBucket
from onstage.vertex.requests import bodies, images, validate
from onstage.vertex_section import Vertex

Body = dict[str, Any]


class Models:
    """The models of one settings.toml. A model has the name of what is made of it."""

    def __init__(self, client: Client, settings: Settings, bucket: GoogleBucket, resources: Resources) -> None:
        self._client, self._bucket, self._resources = client, bucket, resources
        self._slug, self._cloud = settings.name, settings.cloud(Vertex)

    def body(self, name: str, job: State) -> Body:
        """The UploadModelRequest for what `job` left."""
        return {"modelId": name, **bodies.model(self._cloud, name, self._place(job))}

    def example(self, job: State) -> Body | None:
        """The trainer's request and answer from the model. Raises UserError where no endpoint would start."""
        place = self._place(job)
        names = self._bucket.names(place)
        flat = self._cloud.serving == "prebuilt"
        pattern = re.escape(place) + ("" if flat else r"/(\d+)") + r"/saved_model\.pb"
        found = [match for match in (re.fullmatch(pattern, name) for name in names) if match]
        if not found:
            wanted = "saved_model.pb itself" if flat else "a numbered folder, such as 1/saved_model.pb"
            raise UserError(f"the job {job.name} left no model to serve at {place}: the container wants {wanted}")
        newest = max(found, key=lambda match: int(match[1]) if not flat else 0)[0]
        example = newest.replace("saved_model.pb", "assets.extra/example.json")
        if example not in names:
            return None
        with tempfile.TemporaryDirectory(prefix="model-") as folder:
            self._bucket.read(example, Path(folder) / "example.json")
            return json.loads((Path(folder) / "example.json").read_text(encoding="utf-8"))

    def step(self, name: str, body: Body, uploads: Mapping[str, bytes | Path]) -> Step:
        """The step that makes a model, after these uploads."""
        return Step(f"model {name}", Request("models.upload", body), lambda: self._upload(name, body), uploads)

    def check_image(self) -> list[Finding]:
        """Whether the image that serves still gets patches."""
        problem = images.patch_problem(bodies.serving_image(self._cloud), datetime.now(timezone.utc).date())
        return [Finding(problem, warning=True)] if problem else []

    def findings(self, sent: Mapping[str, Body]) -> list[Finding]:
        """What Vertex AI would refuse in these bodies, by their kinds."""
        return [
            Finding(f"{kind}, {one}", one.fix, one.cloud)
            for kind, body in sent.items()
            for one in validate.problems(kind, body, self._cloud.region)
        ]

    def machines(self) -> str:
        """What serves a model, in words."""
        cloud = self._cloud
        return machines(
            cloud.min_replica_count,
            cloud.endpoint_machine_type,
            cloud.endpoint_accelerator_count,
            cloud.endpoint_accelerator_type,
        )

    def _upload(self, name: str, body: Body) -> None:
        doing = f"making the model {name}"
        try:
            path = f"/v1/{bodies.parent(self._cloud)}/models:upload"
            self._client.wait(self._client.call("aiplatform", "POST", path, body), doing)
        except ExistsError:
            self._resources.until_there("models", name)

    def _place(self, job: State) -> str:
        return job.model or bodies.places_of(self._cloud, self._slug).model(job.name)
