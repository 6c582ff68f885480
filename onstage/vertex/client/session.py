"""Google's services as JSON, that speak in UserErrors. Credentials are google-auth's business alone."""

import functools
import json
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from onstage.cloud import UnreachableError
from onstage.commands import show
from onstage.errors import UserError
from onstage.vertex.client import errors
from onstage.vertex_section import Vertex

# Requests at a time; every one of them needs a connection.
CONNECTIONS = 16
SERVICES = ("aiplatform", "artifactregistry", "cloudresourcemanager", "iam", "logging", "serviceusage", "storage")
_ATTEMPTS = 5
# Seconds to connect, and to wait for an answer: an endpoint may take 60.
_PATIENCE = (10, 70)
_LOOPBACK = r"http://(127\.0\.0\.1|localhost)(:\d+)?"
Body = Mapping[str, Any]


class Client:
    """The services of one project and region: `client.call("aiplatform", "GET", "/v1/projects/...")`."""

    def __init__(self, settings: Vertex) -> None:
        self.region, self.project = settings.region, settings.project

    @functools.cached_property
    def session(self) -> Any:
        """Sends with the credentials of this machine. Raises UserError when there are none."""
        try:
            import google.auth
            from google.auth.credentials import AnonymousCredentials
            from google.auth.transport.requests import AuthorizedSession
            from requests.adapters import HTTPAdapter
        except ImportError as error:
            raise UserError(
                f"google-cloud-storage cannot be used: {error}; install the project's requirements.txt again"
            ) from error
        if replacements():
            credentials = AnonymousCredentials()
        else:
            with warnings.catch_warnings(), self.explained("logging in"):
                # What it has to say about quota projects, a refusal says when it matters.
                warnings.simplefilter("ignore", UserWarning)
                credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        session = AuthorizedSession(credentials)
        # A proxy is for what is outside.
        session.trust_env = not replacements()
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_connections=len(SERVICES) + 1, pool_maxsize=CONNECTIONS))
        return session

    @functools.cached_property
    def storage(self) -> Any:
        """The client of google-cloud-storage."""
        session = self.session
        from google.cloud import storage

        # The address is said, and not left to the library's own variables: nothing else may get the credentials.
        options = {"api_endpoint": self.address("storage")}
        return storage.Client(
            project=self.project or None, credentials=session.credentials, _http=session, client_options=options
        )

    def address(self, service: str) -> str:
        """The beginning of a service's URLs."""
        replaced = replacements()
        if replaced and service not in replaced:
            raise UserError(f"{variable(service)} is not set, and others of its kind are: set it, or unset them all")
        host = f"{self.region}-aiplatform" if service == "aiplatform" else service
        return replaced.get(service) or f"https://{host}.googleapis.com"

    def dedicated(self, host: str) -> str:
        """The beginning of the URLs of a dedicated endpoint. Raises UserError for a host that is not Google's."""
        if replacements():
            url = f"http://{host}"
            good = re.fullmatch(_LOOPBACK, url)
        else:
            url = f"https://{host}"
            good = re.fullmatch(r"[\w.-]+\.(prediction\.vertexai\.goog|googleapis\.com)", host)
        if not good:
            raise UserError(f"the endpoint says that it is at {host}, which is not Google's: nothing was sent there")
        return url

    def call(
        self, service: str, method: str, path: str, body: Body | None = None, *, repeat: bool = True, **query: Any
    ) -> Any:
        """The JSON that a service answers. Without `repeat`, a request whose answer is lost is not sent again.

        Raises UserError: NotFoundError, UnreachableError, or what onstage.vertex.client.errors has for the refusal.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        answer = self.send(
            method, self.address(service) + path, content, headers, doing=f"{service}: {_what(method, path)}",
            repeat=repeat, query=query,
        )  # fmt: skip
        return answer.json() if answer.content else {}

    def send(
        self,
        method: str,
        url: str,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        doing: str,
        repeat: bool = True,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """The response of `requests` to a request; passing troubles are waited for with growing pauses."""
        for attempt in range(_ATTEMPTS):
            pause = 0.3 * 3**attempt
            try:
                with self.explained(doing):
                    answer = self.session.request(
                        method, url, data=content, headers=dict(headers or {}), params=query, timeout=_PATIENCE,
                        # A redirection would carry the credentials with it.
                        allow_redirects=False,
                    )  # fmt: skip
            except UnreachableError:
                if not repeat or attempt == _ATTEMPTS - 1:
                    raise
            else:
                # 308: a part of an upload.
                if answer.status_code < 400:
                    return answer
                # What is asked too often has not been done.
                rate = errors.is_rate(answer.status_code, answer.text)
                passing = rate or (repeat and answer.status_code in errors.PASSING)
                if not passing or attempt == _ATTEMPTS - 1:
                    raise errors.refused(doing, answer.status_code, answer.text)
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def pages(self, path: str, member: str, **query: Any) -> Iterator[dict[str, Any]]:
        """The items in a member of all pages of a list of Vertex AI's."""
        token = ""
        while True:
            page = self.call("aiplatform", "GET", path, **(query | ({"pageToken": token} if token else {})))
            yield from page.get(member) or ()
            token = page.get("nextPageToken", "")
            if not token:
                return

    def wait(self, operation: Body, doing: str, service: str = "aiplatform") -> None:
        """Wait for a long-running operation. Raises UserError when it fails."""
        for pause in show.pauses():
            if operation.get("done"):
                break
            time.sleep(pause)
            operation = self.call(service, "GET", f"/v1/{operation['name']}")
        if operation.get("error"):
            raise errors.of_operation(doing, operation["error"])

    @contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Turn what Google's libraries raise into a UserError that says what to do."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            # The libraries let each other's exceptions through; whatever is none of theirs is a defect of ours.
            understood = errors.explain(error, doing)
            if understood is None:
                raise
            raise understood from error


def replacements() -> dict[str, str]:
    """Addresses of services on this machine, which the tests have, by the variables of gcloud and of Cloud Storage.

    Credentials never go there. Raises UserError for an address elsewhere.
    """
    found = {}
    for service in SERVICES:
        url = os.environ.get(variable(service), "")
        if url and not re.fullmatch(_LOOPBACK, url.rstrip("/")):
            raise UserError(
                f"{variable(service)} is {urlsplit(url).hostname}, and only a server on this machine (127.0.0.1) may "
                "stand in for Google: unset it"
            )
        if url:
            found[service] = url.rstrip("/")
    return found


def variable(service: str) -> str:
    """The environment variable that names another address of a service."""
    if service == "storage":
        return "STORAGE_EMULATOR_HOST"
    # Source: gcloud topic configurations; properties are variables called CLOUDSDK_SECTION_PROPERTY.
    return f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}"


def _what(method: str, path: str) -> str:
    """A request in words, without the names of project and region that are in all of them."""
    return f"{method} {re.sub(r'^/v1/projects/[^/]+/locations/[^/]+/', '', path)}"
