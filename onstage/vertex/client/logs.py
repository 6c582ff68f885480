"""The logs of jobs and endpoints in Cloud Logging."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from onstage.vertex.client.errors import DeniedError
from onstage.vertex.client.session import Client

# Source: logging/quotas: 60 reads a minute and project.
_PAUSE = 1.1
_PAGE = 1000
# Entries may arrive after later ones, within seconds.
_LATE_SECONDS = 30


class CloudLog:
    """The log of a resource, as it grows; `resource` is its filter, empty for what has no log.

    `replicas` is how many a job has.
    """

    def __init__(self, client: Client, resource: str, replicas: int = 1) -> None:
        self._client, self._resource = client, resource
        # Of one alone, there is nothing to tell apart.
        self._plain = ("", "service") if replicas > 1 else ("", "service", "workerpool0-0")
        self._seen: set[str] = set()
        self._since = ""
        self._asked = 0.0
        self._refused = False

    def new(self) -> list[str]:
        """The lines that have come since the last call, those of several replicas marked."""
        if self._refused or not self._resource:
            return []
        try:
            found = self._entries()
        except DeniedError as error:
            self._refused = True
            return [f"the log cannot be read: {error}"]
        fresh = [one for one in found if one["insertId"] not in self._seen]
        self._seen.update(one["insertId"] for one in fresh)
        if fresh:
            self._since = max(one["timestamp"] for one in fresh)
        return [line for one in fresh for line in _lines(one, self._plain)]

    def _entries(self) -> list[dict[str, Any]]:
        wanted, token = self._resource, ""
        found: list[dict[str, Any]] = []
        if self._since:
            wanted += f' AND timestamp >= "{_earlier(self._since)}"'
        while True:
            time.sleep(max(0.0, self._asked + _PAUSE - time.monotonic()))
            self._asked = time.monotonic()
            body = {
                "resourceNames": [f"projects/{self._client.project}"], "filter": wanted, "orderBy": "timestamp asc",
                "pageSize": _PAGE, **({"pageToken": token} if token else {}),
            }  # fmt: skip
            page = self._client.call("logging", "POST", "/v2/entries:list", body)
            found += page.get("entries") or []
            token = page.get("nextPageToken", "")
            if not token:
                return found


def job_filter(number: str) -> str:
    """The filter for the log of a job, by the number that Vertex AI gave it."""
    return f'resource.type="ml_job" AND resource.labels.job_id="{number}"'


def endpoint_filter(name: str) -> str:
    """The filter for the log of an endpoint's containers."""
    return f'resource.type="aiplatform.googleapis.com/Endpoint" AND resource.labels.endpoint_id="{name}"'


def _lines(entry: dict[str, Any], plain: Sequence[str]) -> list[str]:
    content = entry.get("jsonPayload") or {}
    text = str(content.get("message", "")) if content else entry.get("textPayload", "")
    task = ((entry.get("resource") or {}).get("labels") or {}).get("task_name", "")
    trial = (entry.get("labels") or {}).get("ml.googleapis.com/trial_id", "")
    mark = "".join([f"trial {trial}: " if trial else "", f"{task}: " if task not in plain else ""])
    return [mark + line for line in text.rstrip("\n").split("\n") if line.strip()]


def _earlier(stamp: str) -> str:
    """A time of Google's, some seconds before."""
    moment = datetime.fromisoformat(f"{stamp[:19]}+00:00") - timedelta(seconds=_LATE_SECONDS)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
