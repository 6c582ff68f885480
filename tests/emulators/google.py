"""The other services that commands ask, on loopback: project, APIs, service accounts, repositories, quotas, logs."""

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.emulators.faults import Troubles, answer

PROJECT, NUMBER = "proj", "123456789"
SERVICES = ("artifactregistry", "cloudresourcemanager", "iam", "logging", "serviceusage")
Body = dict[str, Any]


class GoogleServer(ThreadingHTTPServer):
    """All of them on one free port of 127.0.0.1, from its creation to the end of its `with`; it begins with nothing.

    `denied` are permissions that the tester lacks, `limits` the quotas by their metric.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.enabled: set[str] = set()
        self.accounts: dict[str, Body] = {}
        self.repositories: dict[str, Body] = {}
        self.policy: Body = {"etag": "e0", "bindings": [{"role": "roles/owner", "members": ["user:you@proj.com"]}]}
        self.denied: set[str] = set()
        self.limits: dict[str, int] = {}
        self.entries: list[Body] = []
        self.requests: list[str] = []
        self.troubles = Troubles()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def server_close(self) -> None:
        """End it, which `with` does."""
        self.shutdown()
        super().server_close()

    def log(self, job: str, line: str) -> None:
        """A line of the log of the job that ends in this number; of several replicas, it begins with a name."""
        number = len(self.entries)
        told = re.match(r"(workerpool\d+-\d+): ", line)
        line = line[told.end() :] if told else line
        labels = {"job_id": job, "task_name": told[1] if told else "workerpool0-0"}
        self.entries.append(
            {
                "insertId": f"entry-{number}",
                "timestamp": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}.000001Z",
                "resource": {"type": "ml_job", "labels": labels},
                "jsonPayload": {"message": line},
            }
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: GoogleServer

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def log_message(self, format: str, *args: Any) -> None:
        """The tests look at what is there afterwards."""

    def _route(self) -> None:
        if self.server.troubles.meets(self):
            return
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if parts.path == "/token":
            # What signed the request has been removed.
            answer(self, 400, {"error": "invalid_grant", "error_description": "Invalid grant: account not found"})
            return
        body = json.loads(content or "{}")
        query = parse_qs(parts.query)
        line = f"{self.command} {unquote(parts.path)}"
        self.server.requests.append(line)
        for pattern, action in _ROUTES:
            found = re.fullmatch(pattern, line)
            if found:
                status, content = action(self.server, body, query, *found.groups())
                answer(self, status, content)
                return
        answer(self, 404, _error(404, f"{line} is nothing that this server knows", "NOT_FOUND"))


def _error(status: int, message: str, name: str) -> Body:
    return {"error": {"code": status, "message": message, "status": name}}


def _project(server: GoogleServer, body: Body, query: Any, name: str) -> tuple[int, Body]:
    if name != PROJECT:
        said = f"The caller does not have permission: Project '{name}' not found or deleted."
        return 404, _error(404, said, "NOT_FOUND")
    return 200, {"name": f"projects/{NUMBER}", "projectId": name, "state": "ACTIVE"}


def _test(server: GoogleServer, body: Body, query: Any, *_: str) -> tuple[int, Body]:
    return 200, {"permissions": [one for one in body["permissions"] if one not in server.denied]}


def _get_policy(server: GoogleServer, body: Body, query: Any, *_: str) -> tuple[int, Body]:
    return 200, server.policy


def _set_policy(server: GoogleServer, body: Body, query: Any, *_: str) -> tuple[int, Body]:
    if body["policy"]["etag"] != server.policy["etag"]:
        return 409, _error(409, "There were concurrent policy changes.", "ABORTED")
    members = {member for one in body["policy"]["bindings"] for member in one["members"]}
    for member in members:
        kind, _, email = member.partition(":")
        if kind == "serviceAccount" and email not in server.accounts:
            return 400, _error(400, f"Service account {email} does not exist.", "INVALID_ARGUMENT")
    server.policy = {**body["policy"], "etag": f"e{len(server.requests)}"}
    return 200, server.policy


def _services(server: GoogleServer, body: Body, query: Any, *_: str) -> tuple[int, Body]:
    states = [
        {"name": name, "state": "ENABLED" if name.rpartition("/")[2] in server.enabled else "DISABLED"}
        for name in query["names"]
    ]
    return 200, {"services": states}


def _enable(server: GoogleServer, body: Body, query: Any, *_: str) -> tuple[int, Body]:
    server.enabled |= set(body["serviceIds"])
    return 200, {"name": "operations/acf.1"}


def _operation(server: GoogleServer, body: Body, query: Any, *_: str) -> tuple[int, Body]:
    return 200, {"name": "operations/acf.1", "done": True, "response": {}}


def _quota(server: GoogleServer, body: Body, query: Any, metric: str) -> tuple[int, Body]:
    if metric not in server.limits:
        return 403, _error(403, "Permission 'serviceusage.quotas.get' denied on resource", "PERMISSION_DENIED")
    regional = {"effectiveLimit": str(server.limits[metric]), "dimensions": {"region": "us-central1"}}
    return 200, {"consumerQuotaLimits": [{"quotaBuckets": [{"effectiveLimit": "0"}, regional]}]}


def _make_account(server: GoogleServer, body: Body, query: Any, project: str) -> tuple[int, Body]:
    email = f"{body['accountId']}@{project}.iam.gserviceaccount.com"
    if email in server.accounts:
        return 409, _error(409, f"Service account {body['accountId']} already exists within project", "ALREADY_EXISTS")
    server.accounts[email] = {"email": email, **body["serviceAccount"]}
    return 200, server.accounts[email]


def _account(server: GoogleServer, body: Body, query: Any, email: str) -> tuple[int, Body]:
    if email not in server.accounts:
        return 404, _error(404, f"Unknown service account: {email}", "NOT_FOUND")
    return 200, server.accounts[email]


def _repository(server: GoogleServer, body: Body, query: Any, name: str) -> tuple[int, Body]:
    if name not in server.repositories:
        return 404, _error(404, "Requested entity was not found.", "NOT_FOUND")
    return 200, server.repositories[name]


def _make_repository(server: GoogleServer, body: Body, query: Any, *_: str) -> tuple[int, Body]:
    name = query["repositoryId"][0]
    if name in server.repositories:
        return 409, _error(409, "the repository already exists", "ALREADY_EXISTS")
    server.repositories[name] = body
    return 200, {"name": f"projects/{PROJECT}/locations/us-central1/operations/1", "done": True}


def _entries(server: GoogleServer, body: Body, query: Any) -> tuple[int, Body]:
    job = re.search(r'job_id="(\d+)"', body["filter"])
    since = re.search(r'timestamp >= "([^"]+)"', body["filter"])
    wanted = [
        one
        for one in server.entries
        if job and one["resource"]["labels"]["job_id"] == job[1] and (not since or one["timestamp"] >= since[1])
    ]
    # Small pages: nothing may be lost between two of them.
    begin = int(body.get("pageToken") or 0)
    page = {"entries": wanted[begin : begin + 200]} if wanted[begin:] else {}
    more = {"nextPageToken": str(begin + 200)} if wanted[begin + 200 :] else {}
    return 200, {**page, **more}


_ROUTES: tuple[tuple[str, Callable[..., tuple[int, Body]]], ...] = (
    (r"GET /v3/projects/([^/:]+)", _project),
    (r"POST /v3/projects/([^/:]+):testIamPermissions", _test),
    (r"POST /v3/projects/([^/:]+):getIamPolicy", _get_policy),
    (r"POST /v3/projects/([^/:]+):setIamPolicy", _set_policy),
    (r"GET /v1/projects/[^/]+/services:batchGet", _services),
    (r"POST /v1/projects/[^/]+/services:batchEnable", _enable),
    (r"GET /v1/operations/.+", _operation),
    (r"GET /v1beta1/projects/.+/consumerQuotaMetrics/aiplatform\.googleapis\.com/(\w+)", _quota),
    (r"POST /v1/projects/([^/]+)/serviceAccounts", _make_account),
    (r"GET /v1/projects/-/serviceAccounts/([^/:]+)", _account),
    (r"POST /v1/projects/-/serviceAccounts/([^/:]+):testIamPermissions", _test),
    (r"GET /v1/projects/.+/repositories/([^/]+)", _repository),
    (r"POST /v1/projects/[^/]+/locations/[^/]+/repositories", _make_repository),
    (r"POST /v2/entries:list", _entries),
)
