"""What a job left, as a model of SageMaker: what an endpoint and a batch transform both begin with."""

import json
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from onstage.cloud import NotFoundError, State
from onstage.errors import UserError
from onstage.report import Finding
from onstage.sagemaker.client.storage import S3Bucket
from onstage.sagemaker.requests import bodies, images, validate
from onstage.sagemaker_section import SageMaker
from onstage.settings import Settings

Body = dict[str, Any]


class Models:
    """The models of one settings.toml. A model has the name of what is made of it."""

    def __init__(self, settings: Settings, bucket: S3Bucket) -> None:
        self._bucket, self._slug, self._cloud = bucket, settings.name, settings.cloud(SageMaker)

    def body(self, name: str, job: State) -> Body:
        """The body of CreateModel for what `job` left."""
        return bodies.model(self._cloud, name, self._place(job))

    def example(self, job: State) -> Body | None:
        """The trainer's request and answer from the model's archive. Raises UserError where no endpoint would start."""
        from onstage.rehearsal.archives import unpack
        from onstage.serving.archive import find_models

        with tempfile.TemporaryDirectory(prefix="model-") as temporary:
            folder = Path(temporary)
            archive = folder / "model.tar.gz"
            try:
                self._bucket.read(self._place(job), archive)
            except NotFoundError as error:
                raise UserError(f"{error}\nthe job {job.name} left no model at {self._place(job)}") from error
            unpack(archive, folder / "model")
            find_models(folder / "model")
            for file in sorted((folder / "model").rglob("assets.extra/example.json"), reverse=True):
                return json.loads(file.read_text(encoding="utf-8"))
        return None

    def check_image(self) -> list[Finding]:
        """Whether the image that serves still gets patches."""
        uri = bodies.inference_image(self._cloud)
        problem = images.patch_problem(uri, datetime.now(timezone.utc).date())
        return [Finding(problem, warning=True)] if problem else []

    def findings(self, sent: Mapping[str, Body]) -> list[Finding]:
        """What SageMaker would refuse in these bodies, by their operations."""
        return [
            Finding(str(one), one.fix, one.cloud)
            for operation, body in sent.items()
            for one in validate.problems(operation, body, self._cloud.region)
        ]

    def _place(self, job: State) -> str:
        return job.model or bodies.places_of(self._cloud, self._slug).model(job.name)
