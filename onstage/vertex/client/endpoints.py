"""Vertex AI's endpoints: model, endpoint, deployment; and batch prediction, which needs the model only."""

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from onstage.commands import show
from onstage.errors import UserError
from onstage.platform import NotFoundError, Part, Plan, Request, State, Step, UnreachableError
from onstage.report import Finding, Report
from onstage.sections import Vertex
from onstage.settings import Settings
from onstage.vertex.client.errors import BusyError, ExistsError
from onstage.vertex.client.jobs import Jobs, address, machines, prefix
from onstage.vertex.client.session import Client
from onstage.vertex.client.storage import GoogleBucket
from onstage.vertex.requests import bodies, images, payload, validate
from onstage.vertex.requests.locations import job_name

# Source: CreateEndpointRequest, endpointId; UploadModelRequest, modelId, forbids no more.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_SLUG = 40
Body = dict[str, Any]


class Endpoints:
    """The endpoints of one settings.toml. An endpoint's id is its name, and its model's too: nothing is made twice."""

    def __init__(self, client: Client, settings: Settings, bucket: GoogleBucket, jobs: Jobs) -> None:
        self._client, self._bucket, self._jobs = client, bucket, jobs
        self._slug, self._cloud, self._key = settings.name, settings.cloud(Vertex), settings.batch.key
        # The deployments that this process began; the service has the others.
        self._begun: dict[str, Body] = {}

    def plan(self, report: Report, job: State, name: str | None) -> Plan | None:
        """The bodies for an endpoint of the model that `job` left, checked; None when a check failed."""
        name = name or self._new_name()
        sent: dict[str, Body] = {}

        def check_request() -> list[Finding]:
            sent["UploadModelRequest"] = self._model(name, job)
            sent["Endpoint"] = bodies.endpoint(self._cloud, name)
            sent["DeployModelRequest"] = bodies.deploy_model(self._cloud, name, self._resource("models", name))
            return self._findings(sent)

        report.run("vertex", "image", self._check_image)
        if not report.run("vertex", "request", check_request):
            return None
        if not report.run("vertex", "name", lambda: self._check_name(name)):
            return None
        model, endpoint, deployment = sent.values()
        create, deploy = Request(f"endpoints.create?endpointId={name}", endpoint), "endpoints.deployModel"
        steps = [
            self._upload_step(name, model, {}),
            Step(f"endpoint {name}", create, lambda: self._create(name, endpoint)),
            Step(f"deployment to {name}", Request(deploy, deployment), lambda: self._deploy(name, deployment)),
        ]
        return Plan("endpoint", name, steps, self._cost())

    def plan_batch(self, report: Report, job: State, source: Path | str) -> Plan | None:
        """The bodies for a batch prediction of local JSON lines, or of the .jsonl objects below a gs:// URI."""
        name = self._new_name()
        places = bodies.places_of(self._cloud, self._slug)
        rows = places.batch(name) if isinstance(source, Path) else _objects(source)
        uploads: dict[str, bytes | Path] = {rows: source} if isinstance(source, Path) else {}
        sent: dict[str, Body] = {}

        def check_request() -> list[Finding]:
            sent["UploadModelRequest"] = self._model(name, job)
            sent["BatchPredictionJob"] = bodies.batch_prediction_job(
                self._cloud, name, self._resource("models", name), [rows], places.predictions(name), self._key
            )
            return self._findings(sent)

        report.run("vertex", "image", self._check_image)
        if not report.run("vertex", "request", check_request):
            return None
        model, batch = sent.values()
        steps = [self._upload_step(name, model, uploads), self._jobs.create("batch", batch, {})]
        return Plan("batch", name, steps, f"{self._machines()} by the second, until all rows are answered")

    def example(self, job: State) -> Body | None:
        """The trainer's request and answer from the model. Raises UserError where no endpoint would start."""
        place = self._model_of(job)
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

    def find(self, name: str) -> State:
        """An endpoint. Raises NotFoundError."""
        resource = self._resource("endpoints", name)
        found = self._client.call("aiplatform", "GET", f"/v1/{resource}")
        deployment = self._deployment(name)
        state, detail, reason = "waiting", "no model is deployed yet", ""
        if deployment and deployment.get("error"):
            state, detail, reason = "failed", "the deployment failed", deployment["error"].get("message", "")
        elif deployment and not deployment.get("done"):
            detail = "the model is being deployed"
        elif found.get("deployedModels"):
            state, detail = "serving", "serving"
        return State(
            "endpoint", name, state, detail, reason, self._cost() if found.get("deployedModels") else "",
            address=address(resource, "endpoints"),
        )  # fmt: skip

    def running(self) -> Iterator[State]:
        """The project's endpoints."""
        path = f"/v1/{bodies.parent(self._cloud)}/endpoints"
        for found in self._client.pages(path, "endpoints"):
            # The resource's last part is the name that `delete` takes, also of endpoints that others made.
            name, serves = found["name"].rpartition("/")[2], bool(found.get("deployedModels"))
            if name.startswith(prefix(self._slug)) or found.get("displayName") == name:
                state, detail = ("serving", "serving") if serves else ("waiting", "no model is deployed")
                yield State("endpoint", name, state, detail, cost=self._cost() if serves else "")

    def parts(self, name: str) -> Iterator[Part]:
        """What exists of an endpoint: itself with what is deployed to it, and the model of its name."""
        if self._get("endpoints", name):
            yield Part(f"endpoint {name}", lambda: _until_free(lambda: self._remove_endpoint(name)))
        if self._get("models", name):
            yield Part(f"model {name}", lambda: _until_free(lambda: self._delete("models", name)))

    def predict(self, name: str, request: Mapping[str, Any]) -> Body:
        """The endpoint's answer to a request of rows."""
        resource = self._resource("endpoints", name)
        endpoint = self._client.call("aiplatform", "GET", f"/v1/{resource}")
        body = json.dumps(request).encode()
        largest = payload.limit(dedicated=bool(endpoint.get("dedicatedEndpointEnabled")))
        if len(body) > largest:
            raise UserError(
                f"the request has {show.size(len(body))}; this endpoint takes {show.size(largest)}: ask in parts, or "
                "all at once with onstage vertex batch"
            )
        host = endpoint.get("dedicatedEndpointDns")
        base = self._client.dedicated(host) if host else self._client.address("aiplatform")
        headers = {"Content-Type": "application/json"}
        answer = self._client.send("POST", f"{base}/v1/{resource}:predict", body, headers, doing=f"asking {name}")
        return {"predictions": answer.json()["predictions"]}

    def answers(self, batch: State) -> str:
        """The URIs of a batch prediction's answers, which lie beside its list of errors."""
        found = self._jobs.resource("batch", batch.name) or {}
        folder = (found.get("outputInfo") or {}).get("gcsOutputDirectory")
        folder = folder or bodies.places_of(self._cloud, self._slug).predictions(batch.name)
        return f"{folder.rstrip('/')}/prediction.results-*"

    def lost_rows(self, batch: State) -> str:
        """How many rows of a batch prediction have no answer, and where the reasons are; empty for none."""
        found = self._jobs.resource("batch", batch.name) or {}
        # Source: CompletionStats; a count that is not known is -1.
        counts = [int((found.get("completionStats") or {}).get(name, 0)) for name in ("failedCount", "incompleteCount")]
        count = sum(one for one in counts if one > 0)
        if not count:
            return ""
        reasons = self.answers(batch).replace("prediction.results-", "prediction.errors_stats-")
        return (
            f"{count} row{'s have' if count != 1 else ' has'} no answer; the reasons, not the rows: {reasons}\n"
            "-> to see which row it is, write the file as rows into [batch] of settings.toml: onstage rehearse vertex "
            "--batch"
        )

    def _upload_step(self, name: str, body: Body, uploads: Mapping[str, bytes | Path]) -> Step:
        return Step(f"model {name}", Request("models.upload", body), lambda: self._upload(name, body), uploads)

    def _upload(self, name: str, body: Body) -> None:
        doing = f"making the model {name}"
        try:
            path = f"/v1/{bodies.parent(self._cloud)}/models:upload"
            self._client.wait(self._client.call("aiplatform", "POST", path, body), doing)
        except ExistsError:
            # It was not there before: the answer to an earlier attempt was lost.
            self._until_there("models", name)

    def _create(self, name: str, body: Body) -> None:
        doing = f"making the endpoint {name}"
        try:
            path = f"/v1/{bodies.parent(self._cloud)}/endpoints"
            self._client.wait(self._client.call("aiplatform", "POST", path, body, endpointId=name), doing)
        except ExistsError:
            self._until_there("endpoints", name)

    def _deploy(self, name: str, body: Body) -> None:
        path = f"/v1/{self._resource('endpoints', name)}:deployModel"
        try:
            self._begun[name] = self._client.call("aiplatform", "POST", path, body, repeat=False)
        except UnreachableError:
            # A second deployment would cost as much again.
            if self._deployment(name) is None:
                raise

    def _deployment(self, name: str) -> Body | None:
        """The newest deployment to an endpoint, as a long-running operation; None when there was none."""
        if name in self._begun:
            if not self._begun[name].get("done"):
                self._begun[name] = self._client.call("aiplatform", "GET", f"/v1/{self._begun[name]['name']}")
            return self._begun[name]
        path = f"/v1/{self._resource('endpoints', name)}/operations"
        found = [
            one
            for one in self._client.pages(path, "operations")
            if (one.get("metadata") or {}).get("@type", "").endswith("DeployModelOperationMetadata")
            and "Undeploy" not in one["metadata"]["@type"]
        ]
        return max(found, key=lambda one: one["metadata"]["genericMetadata"]["createTime"], default=None)

    def _remove_endpoint(self, name: str) -> None:
        resource = self._resource("endpoints", name)
        deployed = [one["id"] for one in (self._get("endpoints", name) or {}).get("deployedModels") or ()]
        while deployed:
            one = deployed.pop(0)
            # Source: endpoints.undeployModel: only what gets no traffic can go, except for the last one.
            split = {other: 100 for other in deployed[:1]}
            traffic = {"trafficSplit": split} if split else {}
            body = {"deployedModelId": one, **traffic}
            doing = f"undeploying the model of {name}"
            self._client.wait(self._client.call("aiplatform", "POST", f"/v1/{resource}:undeployModel", body), doing)
        self._delete("endpoints", name)

    def _delete(self, collection: str, name: str) -> None:
        path = f"/v1/{self._resource(collection, name)}"
        try:
            self._client.wait(self._client.call("aiplatform", "DELETE", path), f"removing {collection[:-1]} {name}")
        except NotFoundError:
            # Somebody else was faster.
            return

    def _until_there(self, collection: str, name: str) -> None:
        for pause in show.pauses():
            if self._get(collection, name):
                return
            time.sleep(pause)

    def _get(self, collection: str, name: str) -> Body | None:
        try:
            return self._client.call("aiplatform", "GET", f"/v1/{self._resource(collection, name)}")
        except NotFoundError:
            return None

    def _resource(self, collection: str, name: str) -> str:
        return f"{bodies.parent(self._cloud)}/{collection}/{quote(name, safe='')}"

    def _new_name(self) -> str:
        return job_name(self._slug[:_LONGEST_SLUG].rstrip("_"), datetime.now(timezone.utc))

    def _model(self, name: str, job: State) -> Body:
        return {"modelId": name, **bodies.model(self._cloud, name, self._model_of(job))}

    def _model_of(self, job: State) -> str:
        return job.model or bodies.places_of(self._cloud, self._slug).model(job.name)

    def _check_name(self, name: str) -> list[Finding]:
        if not _NAME.fullmatch(name):
            fix = f"choose another --endpoint, such as {self._new_name()}"
            return [
                Finding(f"{name!r} cannot be the name of an endpoint: small letters, digits and -, at most 63", fix)
            ]
        there = [part.what for part in self.parts(name)]
        fix = f"choose another --endpoint, or remove it: onstage vertex delete {name}"
        return [Finding(f"there is already: {', '.join(there)}", fix)] if there else []

    def _check_image(self) -> list[Finding]:
        problem = images.patch_problem(bodies.serving_image(self._cloud), datetime.now(timezone.utc).date())
        return [Finding(problem, warning=True)] if problem else []

    def _findings(self, sent: Mapping[str, Body]) -> list[Finding]:
        return [
            Finding(f"{kind}, {one}", one.fix, one.cloud)
            for kind, body in sent.items()
            for one in validate.problems(kind, body, self._cloud.region)
        ]

    def _cost(self) -> str:
        return f"{self._machines()} by the second"

    def _machines(self) -> str:
        cloud = self._cloud
        return machines(
            cloud.min_replica_count,
            cloud.endpoint_machine_type,
            cloud.endpoint_accelerator_count,
            cloud.endpoint_accelerator_type,
        )


def _until_free(call: Callable[[], None]) -> None:
    """Call until Vertex AI does not refuse any more because something is still being deployed or undeployed."""
    with show.Waiting() as waiting:
        for pause in show.pauses():
            try:
                call()
            except BusyError as error:
                waiting.now(f"not yet: {str(error).splitlines()[0]}")
                time.sleep(pause)
            else:
                return


def _objects(uri: str) -> str:
    """The .jsonl objects of a folder, or the one object; the service takes a * at the end of a name."""
    return uri if uri.endswith(".jsonl") or "*" in uri else f"{uri.rstrip('/')}/*.jsonl"
