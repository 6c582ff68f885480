"""A project folder and a Google on loopback, as the tests of `onstage vertex` need them."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from onstage.rehearsal.store import LocalStore
from onstage.serving.archive import find_versions
from onstage.serving.process import ServingProcess
from onstage.vertex.agent.agent import run_custom_job
from onstage.vertex.agent.batch_job import run_batch_prediction_job
from tests.emulators import vertex_tuning
from tests.emulators.gcs import StorageServer
from tests.emulators.google import PROJECT, SERVICES, GoogleServer
from tests.emulators.vertex import Predict, VertexServer
from tests.onstage import desk

BUCKET = "iris-of-mine"
SECRET = "ya29.a-token-that-nobody-must-see"
Body = dict[str, Any]


class FakeGoogle:
    """Cloud Storage, Vertex AI and the services around them; jobs are done by the rehearsal's agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = StorageServer(folder / "buckets")
        self.around = GoogleServer()
        self.vertex = VertexServer(self._execute, self._serve)
        # What becomes of jobs and deployments: "run", or a function instead; a text is why a deployment fails.
        self.job: Callable[[Body, Callable[[str], None]], str] | None = None
        self.refusal = ""
        self.wrong = False
        # Whether trials that run end when their search is stopped: they have what others leave of the processor then.
        self.patient = False
        # What jobs leave that are not to train.
        self.model: Path | None = None
        self._server: ServingProcess | None = None

    def close(self) -> None:
        for server in (self.storage, self.around, self.vertex):
            server.server_close()
        if self._server:
            self._server.stop()

    def mend(self) -> None:
        """No troubles any more."""
        for server in (self.storage, self.around, self.vertex):
            server.troubles.faults.clear()
            server.troubles.latency = 0.0
        self.job, self.refusal, self.wrong = None, "", False
        self.vertex.resources.clear()
        self.vertex.operations.clear()

    @property
    def environment(self) -> dict[str, str]:
        """By which the commands find it."""
        overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name.upper()}": self.around.url for name in SERVICES}
        vertex = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": self.vertex.url}
        return {**overrides, **vertex, "STORAGE_EMULATOR_HOST": self.storage.url}

    def _execute(self, job: Body) -> str:
        number = job["name"].rpartition("/")[2]

        def log(line: str) -> None:
            self.around.log(number, line)

        if self.job:
            return self.job(job, log)
        if "jobSpec" in job and self.model:
            output = job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"].removeprefix("gs://")
            shutil.copytree(self.model, self.storage.objects.root / output, dirs_exist_ok=True)
            return ""
        if "jobSpec" in job:
            body = {key: value for key, value in job.items() if key != "name"}
            done = run_custom_job(body, LocalStore(self.storage.objects.root), self.folder / number, on_line=log)
            return done.error or ""
        if "studySpec" in job:
            stopped = self.vertex.jobs[job["name"]].cancelled
            store = LocalStore(self.storage.objects.root)
            return vertex_tuning.search(job, store, self.folder / number, log, stopped, patient=self.patient)
        return self._batch(job)

    def _batch(self, job: Body) -> str:
        self._serve(self.vertex.resources[job["model"]])
        assert self._server
        done = run_batch_prediction_job(job, LocalStore(self.storage.objects.root), f"{self._server.model_url}:predict")
        job["outputInfo"] = {"gcsOutputDirectory": done.folder}
        job["completionStats"] = {"successfulCount": str(done.successful), "failedCount": str(done.failed)}
        return "no instance has an answer" if done.state == "JOB_STATE_FAILED" else ""

    def _serve(self, model: Body) -> Predict:
        if self.refusal:
            raise ValueError(self.refusal)
        container = model["containerSpec"]
        if self._server is None:
            routes = {"AIP_HEALTH_ROUTE": container["healthRoute"], "AIP_PREDICT_ROUTE": container["predictRoute"]}
            self._server = ServingProcess("vertex", environment=routes)
        place = self.storage.objects.root / model["artifactUri"].removeprefix("gs://")
        self._server.load_answering({"model": find_versions(place)})

        def predict(body: Body) -> tuple[int, Body]:
            found = httpx.post(f"{self._server.url}{container['predictRoute']}", json=body, timeout=60)
            content = found.json()
            if self.wrong:
                content["predictions"].reverse()
            return found.status_code, content

        return predict


@dataclass
class Desk(desk.Desk):
    """A project folder and the Google that its commands talk to."""

    platform = "vertex"
    secrets = (SECRET,)
    screen = 60

    google: FakeGoogle

    @property
    def environment(self) -> Mapping[str, str]:
        return self.google.environment

    def objects(self, bucket: str = BUCKET) -> dict[str, int]:
        """Name and size of what is in the bucket."""
        root = self.google.storage.objects.root / bucket
        return {file.relative_to(root).as_posix(): file.stat().st_size for file in root.rglob("*") if file.is_file()}

    def left(self) -> list[str]:
        """The models and endpoints that exist."""
        return [*self.google.vertex.names("models"), *self.google.vertex.names("endpoints")]


def make_desk(project: Path, folder: Path, google: FakeGoogle, bucket: str = BUCKET) -> Desk:
    """A copy of the project that has a project of Google's and a bucket in its settings."""
    made = Desk(Path(shutil.copytree(project, folder, ignore=shutil.ignore_patterns("__pycache__"))), google)
    made.change('project = ""\nbucket = ""', f'project = "{PROJECT}"\nbucket = "{bucket}"')
    return made
