"""Vertex AI's endpoints: model, endpoint, deployment."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from onstage.cloud import Part, Plan, Request, State, Step, UnreachableError
from onstage.commands import show
from onstage.errors import UserError
from onstage.report import Finding, Report
from onstage.settings import Settings
from onstage.vertex.client.errors import BusyError, ExistsError
from onstage.vertex.client.jobs import address, prefix
from onstage.vertex.client.models import Models
from onstage.vertex.client.resources import Resources, new_name
from onstage.vertex.client.session import Client
from onstage.vertex.requests import bodies, payload
from onstage.vertex_section import Vertex

# Source: CreateEndpointRequest, endpointId; UploadModelRequest, modelId, forbids no more.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
Body = dict[str, Any]


class Endpoints:
    """The endpoints of one settings.toml. An endpoint's id is its name, and its model's too: nothing is made twice."""

    def __init__(self, client: Client, settings: Settings, models: Models, resources: Resources) -> None:
        self._client, self._models, self._resources = client, models, resources
        self._slug, self._cloud = settings.name, settings.cloud(Vertex)
        # The deployments that this process began; the service has the others.
        self._begun: dict[str, Body] = {}

    def plan(self, report: Report, job: State, name: str | None) -> Plan | None:
        """The bodies for an endpoint of the model that `job` left, checked; None when a check failed."""
        name = name or new_name(self._slug)
        sent: dict[str, Body] = {}

        def check_request() -> list[Finding]:
            sent["UploadModelRequest"] = self._models.body(name, job)
            sent["Endpoint"] = bodies.endpoint(self._cloud, name)
            sent["DeployModelRequest"] = bodies.deploy_model(self._cloud, name, self._resources.path("models", name))
            return self._models.findings(sent)

        report.run("vertex", "image", self._models.check_image)
        if not report.run("vertex", "request", check_request):
            return None
        if not report.run("vertex", "name", lambda: self._check_name(name)):
            return None
        model, endpoint, deployment = sent.values()
        create, deploy = Request(f"endpoints.create?endpointId={name}", endpoint), "endpoints.deployModel"
        steps = [
            self._models.step(name, model, {}),
            Step(f"endpoint {name}", create, lambda: self._create(name, endpoint)),
            Step(f"deployment to {name}", Request(deploy, deployment), lambda: self._deploy(name, deployment)),
        ]
        return Plan("endpoint", name, steps, self._cost())

    def find(self, name: str) -> State:
        """An endpoint. Raises NotFoundError."""
        resource = self._resources.path("endpoints", name)
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
        if self._resources.get("endpoints", name):
            yield Part(f"endpoint {name}", lambda: _until_free(lambda: self._remove_endpoint(name)))
        if self._resources.get("models", name):
            yield Part(f"model {name}", lambda: _until_free(lambda: self._resources.delete("models", name)))

    def predict(self, name: str, request: Mapping[str, Any]) -> Body:
        """The endpoint's answer to a request of rows."""
        resource = self._resources.path("endpoints", name)
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

    def _create(self, name: str, body: Body) -> None:
        doing = f"making the endpoint {name}"
        try:
            path = f"/v1/{bodies.parent(self._cloud)}/endpoints"
            self._client.wait(self._client.call("aiplatform", "POST", path, body, endpointId=name), doing)
        except ExistsError:
            self._resources.until_there("endpoints", name)

    def _deploy(self, name: str, body: Body) -> None:
        path = f"/v1/{self._resources.path('endpoints', name)}:deployModel"
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
        path = f"/v1/{self._resources.path('endpoints', name)}/operations"
        found = [
            one
            for one in self._client.pages(path, "operations")
            if (one.get("metadata") or {}).get("@type", "").endswith("DeployModelOperationMetadata")
            and "Undeploy" not in one["metadata"]["@type"]
        ]
        return max(found, key=lambda one: one["metadata"]["genericMetadata"]["createTime"], default=None)

    def _remove_endpoint(self, name: str) -> None:
        resource = self._resources.path("endpoints", name)
        deployed = [one["id"] for one in (self._resources.get("endpoints", name) or {}).get("deployedModels") or ()]
        while deployed:
            one = deployed.pop(0)
            # Source: endpoints.undeployModel: only what gets no traffic can go, except for the last one.
            split = {other: 100 for other in deployed[:1]}
            traffic = {"trafficSplit": split} if split else {}
            body = {"deployedModelId": one, **traffic}
            doing = f"undeploying the model of {name}"
            self._client.wait(self._client.call("aiplatform", "POST", f"/v1/{resource}:undeployModel", body), doing)
        self._resources.delete("endpoints", name)

    def _check_name(self, name: str) -> list[Finding]:
        if not _NAME.fullmatch(name):
            fix = f"choose another --endpoint, such as {new_name(self._slug)}"
            return [
                Finding(f"{name!r} cannot be the name of an endpoint: small letters, digits and -, at most 63", fix)
            ]
        there = [part.what for part in self.parts(name)]
        fix = f"choose another --endpoint, or remove it: onstage vertex delete {name}"
        return [Finding(f"there is already: {', '.join(there)}", fix)] if there else []

    def _cost(self) -> str:
        return f"{self._models.machines()} by the second"


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
