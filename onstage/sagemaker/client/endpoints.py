"""SageMaker's endpoints: model, configuration, endpoint, autoscaling."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from onstage.cloud import NotFoundError, Part, Plan, Request, State, Step
from onstage.commands import show
from onstage.errors import UserError
from onstage.report import Finding, Report
from onstage.sagemaker.client.jobs import address, create
from onstage.sagemaker.client.models import Models
from onstage.sagemaker.client.session import Clients
from onstage.sagemaker.requests import bodies, payload, rules, scaling
from onstage.sagemaker.requests.locations import job_name, name_prefix
from onstage.sagemaker_section import SageMaker
from onstage.serving.answers import parse
from onstage.settings import Settings

_STATES = {
    "Creating": "waiting", "Updating": "waiting", "SystemUpdating": "waiting", "RollingBack": "waiting",
    "InService": "serving", "Failed": "failed", "OutOfService": "failed", "UpdateRollbackFailed": "failed",
    "Deleting": "removing",
}  # fmt: skip
Body = dict[str, Any]


class Endpoints:
    """The endpoints of one settings.toml. An endpoint's model and configuration have its name."""

    def __init__(self, clients: Clients, settings: Settings, models: Models) -> None:
        self._clients, self._models = clients, models
        self._slug, self._cloud = settings.name, settings.cloud(SageMaker)

    def plan(self, report: Report, job: State, name: str | None) -> Plan | None:
        """The bodies for an endpoint of the model that `job` left, checked; None when a check failed."""
        name = name or job_name(self._slug, datetime.now(timezone.utc))
        sent: dict[str, Body] = {}

        def check_request() -> list[Finding]:
            sent["CreateModel"] = self._models.body(name, job)
            sent["CreateEndpointConfig"] = bodies.endpoint_config(self._cloud, name, name)
            sent["CreateEndpoint"] = bodies.endpoint(self._cloud, name, name)
            together = rules.endpoint_problems(sent["CreateModel"], sent["CreateEndpointConfig"])
            return self._models.findings(sent) + [Finding(str(one), one.fix, one.cloud) for one in together]

        report.run("sagemaker", "image", self._models.check_image)
        if not report.run("sagemaker", "request", check_request):
            return None
        if not report.run("sagemaker", "name", lambda: self._check_name(name)):
            return None
        steps = [create(self._clients, operation, name, body) for operation, body in sent.items()]
        return Plan("endpoint", name, [*steps, *self._scaling(name)], self._cost())

    def find(self, name: str) -> State:
        """An endpoint. Raises NotFoundError."""
        found = self._clients.call("sagemaker", "describe_endpoint", EndpointName=name)
        return State(
            "endpoint",
            name,
            _STATES.get(found["EndpointStatus"], "waiting"),
            found["EndpointStatus"],
            found.get("FailureReason", ""),
            self._cost(found.get("ProductionVariants")),
            address=address(self._clients.region, f"endpoints/{name}"),
        )

    def running(self) -> Iterator[State]:
        """The project's endpoints."""
        begin = name_prefix(self._slug)
        for found in self._clients.pages("sagemaker", "list_endpoints", "Endpoints", NameContains=begin):
            status, name = found["EndpointStatus"], found["EndpointName"]
            yield State("endpoint", name, _STATES.get(status, "waiting"), status, cost=self._cost())

    def parts(self, name: str) -> Iterator[Part]:
        """What exists of an endpoint: itself, and the configuration and the model of its name."""
        for kind in ("Endpoint", "EndpointConfig", "Model"):
            members = {f"{kind}Name": name}
            snake = {"Endpoint": "endpoint", "EndpointConfig": "endpoint_config", "Model": "model"}[kind]
            try:
                found = self._clients.call("sagemaker", f"describe_{snake}", **members)
            except NotFoundError:
                continue
            if found.get("EndpointStatus") == "Deleting":
                continue

            def remove(kind: str = snake, members: dict[str, str] = members) -> None:
                if kind == "endpoint":
                    self._settle(name)
                try:
                    self._clients.call("sagemaker", f"delete_{kind}", **members)
                except NotFoundError:
                    # Somebody else was faster.
                    return

            yield Part(f"{snake.replace('_', ' ')} {name}", remove)

    def predict(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The endpoint's answer to a request of rows."""
        body = json.dumps(request).encode()
        largest = payload.limit(serverless=self._cloud.serverless is not None)
        if len(body) > largest:
            raise UserError(
                f"the request has {show.size(len(body))}; an endpoint takes {show.size(largest)}: ask in parts, or all "
                "at once with onstage sagemaker batch"
            )
        answer = self._clients.call(
            "sagemaker-runtime", "invoke_endpoint", EndpointName=name, ContentType="application/json", Body=body
        )
        return parse(answer["Body"].read().decode())

    def _settle(self, name: str) -> None:
        """Wait until an endpoint can be removed: SageMaker refuses that while it is being made."""
        for pause in show.pauses():
            found = self.find(name)
            if found.state != "waiting":
                return
            show.say(f"{name} is {found.detail}; it can be removed then")
            time.sleep(pause)

    def _scaling(self, name: str) -> Iterator[Step]:
        sent = scaling.bodies(self._cloud, name)
        if sent is None:
            return
        target, policy = sent
        for operation, body in (("RegisterScalableTarget", target), ("PutScalingPolicy", policy)):
            call = {"RegisterScalableTarget": "register_scalable_target", "PutScalingPolicy": "put_scaling_policy"}

            def send(call: str = call[operation], body: Body = body) -> None:
                self._clients.call("application-autoscaling", call, **body)

            what = "the bounds of its scaling" if operation == "RegisterScalableTarget" else "the rule of its scaling"
            yield Step(what, Request(operation, body), send, last=True)

    def _check_name(self, name: str) -> list[Finding]:
        there = [part.what for part in self.parts(name)]
        fix = f"choose another --endpoint, or remove it: onstage sagemaker delete {name}"
        return [Finding(f"there is already: {', '.join(there)}", fix)] if there else []

    def _cost(self, variants: list[Body] | None = None) -> str:
        serverless = self._cloud.serverless is not None
        count, kind = self._cloud.endpoint_instance_count, self._cloud.endpoint_instance_type
        if variants:
            serverless = bool(variants[0].get("CurrentServerlessConfig"))
            count = variants[0].get("CurrentInstanceCount") or count
        return "by the request" if serverless else f"{count} x {kind} by the second"
