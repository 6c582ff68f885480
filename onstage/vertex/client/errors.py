"""What Google refuses, in words: what happened, the likely cause, what to type next. Never a token."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from onstage.cloud import NotFoundError, UnreachableError
from onstage.errors import UserError

LOGIN = "gcloud auth application-default login"
SETUP = "onstage vertex setup"
_UPLOAD = "onstage vertex upload"
_TOKEN = re.compile(r"\bya29\.[\w.-]+")
# Google's machines may refuse a request that is right: ask again after a while.
PASSING = (408, 500, 502, 503, 504)

# A part of a failure's reason or log, and what it usually means.
_CAUSES = (
    (r"No module named '([\w.]+)'", "add {0} to src/requirements.txt, or the file to src/, and rehearse again"),
    (
        r"exceed quota limits|[Qq]uota exceeded",
        f"ask for more quota, or choose another machine_type or region: {SETUP}",
    ),
    (
        r"RESOURCE_EXHAUSTED|STOCKOUT|[Ii]nsufficient resources|does not have enough resources",
        "Google has none of these machines free now: try again later, another machine_type or another region",
    ),
    (
        r"status of 137|Out ?[Oo]f ?[Mm]emory|OOM|ran out of memory",
        "the machine's memory is full: a smaller batch size, or a larger machine_type in settings.toml",
    ),
    (r"No space left on device", "raise boot_disk_gb in settings.toml"),
    (r"DEADLINE_EXCEEDED|timed out|exceeded .*timeout", "raise timeout in settings.toml, or train less"),
    (r"No such file or directory: .*/gcs/|NOT_FOUND.*gs://|No such object", "send the data: " + _UPLOAD),
    (
        r"[Mm]odel server (?:never|exited)|health check",
        "rehearse the endpoint of this model: onstage rehearse vertex",
    ),
    (
        r"[Ii]mage .*(?:not found|denied|pull)|pull.* image|ErrImagePull",
        f"look at the image and the repository in settings.toml: {SETUP}",
    ),
    (
        r"PERMISSION_DENIED|[Pp]ermission .*denied|does not have .* access",
        f"the service account lacks a permission: {SETUP}",
    ),
    (r"[Ii]nternal error", "a fault of Google's: send the job again"),
    (r"non-zero status", "run the same job here, where it can be debugged: onstage rehearse vertex"),
)


class ExistsError(UserError):
    """There is something of that name already."""


class DeniedError(UserError):
    """A permission is missing."""


class BusyError(UserError):
    """Not in this state: something else has to end first."""


def advice(reason: str) -> str:
    """What a failure's reason usually means; empty for one that is not known."""
    for pattern, cause in _CAUSES:
        if found := re.search(pattern, reason):
            return cause.format(*found.groups())
    return ""


def refused(doing: str, status: int, content: str) -> UserError:
    """The UserError for the answer of a Google service, JSON or XML, with an error status."""
    said, name, details = _read(content)
    return describe(doing, status, said or f"status {status}", name, details)


def describe(
    doing: str, status: int, said: str, name: str = "", details: Sequence[Mapping[str, Any]] = ()
) -> UserError:
    """The UserError for an HTTP status, Google's message, its name such as NOT_FOUND, and the details."""
    told = f"{doing}: {_clean(said)}"
    if status == 401:
        return UserError(f"{told}\nyour session has ended, or nobody is logged in: {LOGIN}")
    if status == 403:
        return DeniedError(f"{told}\n{_denied(said, details)}")
    if status == 404:
        return NotFoundError(told)
    if status == 409:
        return ExistsError(told)
    if status == 429 and is_rate(status, said):
        return UnreachableError(f"{told}\nGoogle is asked too often, by this project as a whole; try again in a minute")
    if status == 429:
        return UserError(f"{told}\n{_quota(said)}")
    if name == "FAILED_PRECONDITION":
        return BusyError(told)
    if status in PASSING:
        return UnreachableError(f"{told}\nGoogle has a fault; try again later")
    return UserError(told)


def of_operation(doing: str, error: Mapping[str, Any]) -> UserError:
    """The UserError for the error of an operation or a job, which has gRPC's code."""
    # Source: google.rpc.Code
    status = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 16: 401}.get(int(error.get("code", 2)), 0)
    return describe(doing, status, str(error.get("message", "")), details=error.get("details") or ())


def is_rate(status: int, said: str) -> bool:
    """Whether a refusal is for asking too often, which passes, and not for want of machines, which does not."""
    return status == 429 and re.search(r"per minute|per second|[Rr]ate|too many requests|try again", said) is not None


def explain(error: Exception, doing: str) -> UserError | None:
    """The UserError for an exception of Google's libraries or of the network; None for any other."""
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth import exceptions as auth

    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        return explain(error.cause, doing)
    if isinstance(error, GoogleAPICallError) and error.code:
        return refused(doing, int(error.code), error.response.text) if error.response is not None else describe(
            doing, int(error.code), error.message
        )  # fmt: skip
    told = f"{doing}: {_clean(str(error))}"
    if isinstance(error, auth.DefaultCredentialsError):
        return UserError(f"{doing}: nobody is logged in on this machine\nlog in: {LOGIN}\nthen: {SETUP}")
    if isinstance(error, auth.TransportError | requests.ConnectionError | requests.Timeout | ConnectionError):
        return UnreachableError(
            f"{told}\nis there a connection to the internet, and does settings.toml name the right region?"
        )
    if isinstance(error, auth.GoogleAuthError):
        return UserError(f"{told}\nyour session has ended, or the credentials are wrong: {LOGIN}")
    if isinstance(error, requests.RequestException | GoogleAPICallError):
        return UnreachableError(told)
    return None


def _read(content: str) -> tuple[str, str, Sequence[Mapping[str, Any]]]:
    """Message, name and details of an error, whichever way a service writes them."""
    try:
        read = json.loads(content)
    except ValueError:
        xml = re.search(r"<Message>(.*?)</Message>", content, re.DOTALL)
        return (xml[1] if xml else content.strip()[:500]), "", ()
    error = (read[0] if isinstance(read, list) and read else read) or {}
    error = error.get("error", error) if isinstance(error, dict) else {}
    if not isinstance(error, dict):
        # As the container of an endpoint says it.
        return str(error), "", ()
    return str(error.get("message", "")), str(error.get("status", "")), error.get("details") or ()


def _denied(said: str, details: Sequence[Mapping[str, Any]]) -> str:
    reasons = {str(one.get("reason", "")): one.get("metadata") or {} for one in details}
    if "SERVICE_DISABLED" in reasons or "has not been used in project" in said:
        service = reasons.get("SERVICE_DISABLED", {}).get("service") or "aiplatform.googleapis.com"
        return f"the project does not use this API yet: gcloud services enable {service}"
    if "BILLING_DISABLED" in reasons or "billing" in said.lower():
        return "the project has no billing account: link one in the console, Billing"
    if "USER_PROJECT_DENIED" in reasons or "quota project" in said:
        return "name the project that pays for questions: gcloud auth application-default set-quota-project PROJECT"
    found = re.search(r"\b([a-z]\w+\.\w+\.\w+)\b(?= (access|denied)|' denied)", said)
    permission = reasons.get("IAM_PERMISSION_DENIED", {}).get("permission") or (found[1] if found else "")
    missing = f"the permission {permission} is missing" if permission else "who you are to Google may not do that"
    return f"{missing}; the roles to ask for: {SETUP}"


def _quota(said: str) -> str:
    found = re.search(r"aiplatform\.googleapis\.com/\w+", said)
    what = found[0] if found else "this"
    return (
        f"the project may use no more of {what}: ask for more (console: IAM & Admin, Quotas), choose another "
        "machine_type in settings.toml, or end what runs: onstage vertex status"
    )


def _clean(text: str) -> str:
    return _TOKEN.sub("(token)", text)
