"""Vertex AI's REST API on this machine, as much as the commands, and google-cloud-aiplatform, need of it."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.emulators.faults import Troubles, answer

Body = dict[str, Any]
Predict = Callable[[Body], tuple[int, Body]]
TYPE = "type.googleapis.com/google.cloud.aiplatform.v1."
JOBS = ("customJobs", "hyperparameterTuningJobs", "batchPredictionJobs")
# What a job goes through, a step for each time that somebody asks.
STATES = ("JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED")


@dataclass(frozen=True)
class Request:
    """One that was received; `path` begins with /v1/projects/."""

    method: str
    path: str
    body: Body
    query: dict[str, list[str]]


class RefusedError(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, message: str, name: str) -> None:
        super().__init__(message)
        self.status, self.name = status, name


@dataclass
class _Job:
    body: Body
    asked: int = 0
    thread: threading.Thread | None = None
    error: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def seen(self) -> Body:
        """The job as a GET shows it: the next step, or what became of the thread that executes it."""
        state = STATES[min(self.asked, len(STATES) - 1)]
        self.asked += 1
        if self.thread and self.thread.is_alive():
            state = "JOB_STATE_RUNNING"
        if self.thread and not self.thread.is_alive():
            state = "JOB_STATE_FAILED" if self.error else "JOB_STATE_SUCCEEDED"
        if self.cancelled.is_set():
            state = "JOB_STATE_CANCELLED"
        said = {"code": 3, "message": self.error}
        # 2026-01-01T00:00:00Z
        times = {"createTime": "2026-01-01T00:00:00.123456789Z", "startTime": "2026-01-01T00:00:01Z"}
        ended = {"endTime": "2026-01-01T00:01:01Z"} if state not in STATES[:2] else {}
        failed = {"error": said} if state == "JOB_STATE_FAILED" else {}
        return {**self.body, "state": state, **times, **ended, **failed}


class VertexServer(ThreadingHTTPServer):
    """The API from its creation to the end of its `with`, on a free port of 127.0.0.1.

    `execute` is called with each job that is created, in a thread; the job runs as long as it does, and has
    succeeded when it returns "", failed with the text when it returns one. Without it, jobs succeed by themselves.
    `serve` is called with each model that is deployed, in a thread; it returns what answers, or raises ValueError.
    """

    daemon_threads = True

    def __init__(
        self, execute: Callable[[Body], str] | None = None, serve: Callable[[Body], Predict] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[Request] = []
        self.execute, self.serve = execute, serve
        self.jobs: dict[str, _Job] = {}
        self.resources: dict[str, Body] = {}
        self.operations: dict[str, Body] = {}
        self.predicts: dict[str, Predict] = {}
        self.troubles = Troubles()
        self.lock = threading.RLock()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def server_close(self) -> None:
        """End it, which `with` does."""
        self.shutdown()
        super().server_close()

    def created(self, collection: str) -> list[Body]:
        """The bodies that created something: "customJobs", "upload" (a model), "endpoints", "deployModel"..."""
        return [
            one.body for one in self.requests if one.method == "POST" and re.search(rf"[/:]{collection}$", one.path)
        ]

    def names(self, collection: str) -> list[str]:
        """The names of the models or endpoints that there are."""
        return [name for name in self.resources if re.fullmatch(rf".*/{collection}/[^/@]+", name)]

    def answer(self, request: Request, host: str) -> Body:
        """What the service says to a request. Raises RefusedError."""
        name = request.path.removeprefix("/v1/")
        if name.endswith(":predict"):
            return self._predict(name.removesuffix(":predict"), request.body, host)
        with self.lock:
            self.requests.append(request)
            if request.method == "GET":
                return self._get(name, request.query)
            if request.method == "DELETE":
                return self._delete(name)
            collection = name.rpartition("/")[2]
            number = str(1000 + len(self.requests))
            if collection in JOBS:
                return self._start(f"{name}/{number}", request.body)
            if collection == "models:upload":
                model = f"{name.removesuffix(':upload')}/{request.body.get('modelId', number)}"
                self._must_be_new(model)
                # Without it the SDK refuses to deploy.
                able = {"supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES"], "versionId": "1"}
                self.resources[model] = self.resources[f"{model}@1"] = {**request.body["model"], "name": model, **able}
                return self._done(
                    f"{model}/operations/1", "UploadModelResponse", {"model": model, "modelVersionId": "1"}
                )
            if collection == "endpoints":
                endpoint = f"{name}/{request.query.get('endpointId', [number])[0]}"
                self._must_be_new(endpoint)
                dns = {"dedicatedEndpointDns": f"localhost:{self.server_port}"}
                own = dns if request.body.get("dedicatedEndpointEnabled") and self.serve else {}
                self.resources[endpoint] = {**request.body, "name": endpoint, **own}
                return self._done(f"{endpoint}/operations/1", "Endpoint", self.resources[endpoint])
            target, _, verb = name.rpartition(":")
            actions = {"deployModel": self._deploy, "undeployModel": self._undeploy, "cancel": self._cancel}
            if verb in actions:
                return actions[verb](target, request.body, number)
            raise _missing(name)

    def _get(self, name: str, query: dict[str, list[str]]) -> Body:
        collection = name.rpartition("/")[2]
        if collection in (*JOBS, "endpoints", "models", "operations"):
            return self._list(name, collection, query)
        for there in (self.operations, self.resources):
            if name in there:
                return there[name]
        if name in self.jobs:
            return self.jobs[name].seen()
        raise _missing(name)

    def _list(self, name: str, collection: str, query: dict[str, list[str]]) -> Body:
        wanted = query.get("filter", [""])[0]
        found = [job.seen() for key, job in list(self.jobs.items()) if key.startswith(f"{name}/")]
        found += [self.resources[key] for key in self.resources if re.fullmatch(re.escape(name) + "/[^/@]+", key)]
        found += [one for key, one in self.operations.items() if key.startswith(f"{name}/")]
        for member, value in re.findall(r'(display_name|state)="([^"]*)"', wanted)[:1] if wanted else ():
            key = {"display_name": "displayName"}.get(member, member)
            values = re.findall(rf'{member}="([^"]*)"', wanted)
            found = [one for one in found if one.get(key) in values]
            assert value in values
        # Pages of two: a client that reads one only misses the others.
        begin = int(query.get("pageToken", ["0"])[0])
        more = {"nextPageToken": str(begin + 2)} if found[begin + 2 :] else {}
        return {collection: found[begin : begin + 2], **more}

    def _delete(self, name: str) -> Body:
        if name not in self.resources:
            raise _missing(name)
        running = [key for key, one in self.operations.items() if key.startswith(f"{name}/") and not one["done"]]
        used = [one["model"] for key, found in self.resources.items() for one in found.get("deployedModels") or ()]
        if running or self.resources[name].get("deployedModels") or name in used:
            raise RefusedError(400, f"{name} has deployed or being-deployed models.", "FAILED_PRECONDITION")
        self.resources.pop(f"{name}@1", None)
        del self.resources[name]
        return self._done(f"{name}/operations/delete", "Empty", {})

    def _deploy(self, endpoint: str, body: Body, number: str) -> Body:
        if endpoint not in self.resources:
            raise _missing(endpoint)
        deployed = {**body["deployedModel"], "id": number}
        if deployed["model"] not in self.resources:
            raise _missing(deployed["model"])
        model = self.resources[deployed["model"]]
        name = f"{endpoint}/operations/{number}"
        about = {
            "@type": f"{TYPE}DeployModelOperationMetadata",
            "genericMetadata": {"createTime": f"2026-01-01T00:00:00.{number:0>6}Z"},
        }
        self.operations[name] = {"name": name, "done": False, "metadata": about}

        def deploy() -> None:
            try:
                predict = self.serve(model) if self.serve else None
            except ValueError as error:
                self.operations[name] |= {"done": True, "error": {"code": 9, "message": str(error)}}
                return
            with self.lock:
                self.predicts[endpoint] = predict
                self.resources[endpoint] |= {"deployedModels": [deployed], "trafficSplit": {number: 100}}
                response = {"@type": f"{TYPE}DeployModelResponse", "deployedModel": deployed}
                self.operations[name] |= {"done": True, "response": response}

        if self.serve is None:
            deploy()
        else:
            threading.Thread(target=deploy, daemon=True).start()
        return dict(self.operations[name])

    def _undeploy(self, endpoint: str, body: Body, number: str) -> Body:
        there = self.resources[endpoint].get("deployedModels") or []
        if body["deployedModelId"] not in [one["id"] for one in there]:
            raise _missing(body["deployedModelId"])
        self.resources[endpoint] |= {"deployedModels": [], "trafficSplit": {}}
        return self._done(f"{endpoint}/operations/{number}", "UndeployModelResponse", {})

    def _cancel(self, job: str, body: Body, number: str) -> Body:
        self.jobs[job].cancelled.set()
        return {}

    def _predict(self, endpoint: str, body: Body, host: str) -> Body:
        found = self.resources.get(endpoint)
        if found is None or not found.get("deployedModels"):
            raise _missing(endpoint)
        if found.get("dedicatedEndpointDns", host) != host:
            text = "This endpoint is a dedicated endpoint and cannot be accessed through the shared Vertex AI domain."
            raise RefusedError(400, text, "FAILED_PRECONDITION")
        status, content = self.predicts[endpoint](body)
        if status != 200:
            raise RefusedError(status, json.dumps(content), "INVALID_ARGUMENT")
        return {**content, "deployedModelId": found["deployedModels"][0]["id"], "model": "m"}

    def _start(self, name: str, body: Body) -> Body:
        job = self.jobs[name] = _Job({**body, "name": name})

        def execute() -> None:
            try:
                job.error = self.execute(job.body)
            except Exception as error:  # noqa: BLE001 - a defect of the fake has to be seen, and nobody waits for it
                job.error = f"the fake failed: {error!r}"

        if self.execute:
            job.thread = threading.Thread(target=execute, daemon=True)
            job.thread.start()
        return {**job.body, "state": STATES[0]}

    def _must_be_new(self, name: str) -> None:
        if name in self.resources:
            raise RefusedError(409, f"{name} already exists.", "ALREADY_EXISTS")

    def _done(self, name: str, kind: str, response: Body) -> Body:
        """A long-running operation that is over."""
        return {"name": name, "done": True, "response": {"@type": f"{TYPE}{kind}", **response}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: VertexServer

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, format: str, *args: Any) -> None:
        """The tests look at `requests`."""

    def _answer(self, method: str) -> None:
        if self.server.troubles.meets(self):
            return
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(method, unquote(parts.path), json.loads(content or "{}"), parse_qs(parts.query))
        try:
            status, said = 200, self.server.answer(request, self.headers["Host"])
        except RefusedError as error:
            details = {"code": error.status, "message": str(error), "status": error.name}
            status, said = error.status, {"error": details}
        answer(self, status, said)


def _missing(name: str) -> RefusedError:
    return RefusedError(404, f"{name} not found", "NOT_FOUND")
