"""The Google Cloud project: what jobs and endpoints need in it. setup.py makes it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from onstage.cloud import NotFoundError
from onstage.report import Finding, Report
from onstage.settings import Settings
from onstage.vertex.client.errors import DeniedError
from onstage.vertex.client.session import Client
from onstage.vertex.client.setup import named
from onstage.vertex.client.storage import GoogleBucket
from onstage.vertex.requests import bodies, images, policies
from onstage.vertex_section import Vertex

_CREATE = "onstage vertex setup --create"
# Families whose processors count for the one quota of plain training.
_PLAIN = ("n1", "n2", "e2")
Answer = list[Finding] | str


class Account:
    """The project of one settings.toml."""

    def __init__(self, client: Client, settings: Settings, bucket: GoogleBucket) -> None:
        self._client, self._settings, self._cloud, self._bucket = client, settings, settings.cloud(Vertex), bucket

    def check(self, report: Report) -> str:
        """What is missing, as findings; the roles to ask for, as a text."""
        report.run("vertex", "region", self._check_region)
        if report.run("vertex", "credentials", lambda: self._client.session and "found") and report.run(
            "vertex", "project", self._check_project
        ):
            checks: dict[str, Callable[[], Answer]] = {
                "APIs": self._check_apis,
                "permissions": self._check_permissions,
                "bucket": self._check_bucket,
                "service account": self._check_account,
                "repository": self._check_repository,
                "quotas": self._check_quotas,
            }
            for name, check in checks.items():
                report.run("vertex", name, partial(_readable, check))
        return policies.policy(named(self._settings))

    def _check_region(self) -> str:
        images.image_uri(self._cloud.region, "training", "prebuilt", "cpu")
        return f"Vertex AI trains in {self._cloud.region}"

    def _check_project(self) -> Answer:
        if not self._cloud.project:
            fix = "name it in settings.toml, [vertex]; gcloud projects list has yours"
            return [Finding("settings.toml names no project", fix)]
        try:
            found = self._client.call("cloudresourcemanager", "GET", f"/v3/projects/{self._cloud.project}")
        except NotFoundError as error:
            return [Finding(str(error), "correct project in settings.toml, [vertex]")]
        return f"{found['projectId']}, {found['name']}"

    def _check_apis(self) -> Answer:
        names = [f"projects/{self._cloud.project}/services/{api}.googleapis.com" for api in policies.APIS]
        path = f"/v1/projects/{self._cloud.project}/services:batchGet"
        found = self._client.call("serviceusage", "GET", path, names=names).get("services") or ()
        enabled = {one["name"].rpartition("/")[2] for one in found if one.get("state") == "ENABLED"}
        missing = [f"{api}.googleapis.com" for api in policies.APIS if f"{api}.googleapis.com" not in enabled]
        if not missing:
            return f"{len(enabled)} are enabled"
        return [Finding(f"not enabled: {', '.join(missing)}", f"gcloud services enable {' '.join(missing)}")]

    def _check_permissions(self) -> Answer:
        path = f"/v3/projects/{self._cloud.project}:testIamPermissions"
        body = {"permissions": list(policies.PROJECT_PERMISSIONS)}
        granted = self._client.call("cloudresourcemanager", "POST", path, body).get("permissions") or ()
        return _missing(policies.PROJECT_PERMISSIONS, granted, policies.PEOPLE_IN_PROJECT[:2])

    def _check_bucket(self) -> Answer:
        if not self._bucket.name:
            return [
                Finding(
                    "settings.toml names no bucket",
                    f"{_CREATE}, or name one and: onstage vertex upload --create-bucket",
                )
            ]
        self._bucket.require()
        found = self._bucket.found()
        path = f"/storage/v1/b/{self._bucket.name}/iam/testPermissions"
        asked = list(policies.BUCKET_PERMISSIONS)
        granted = self._client.call("storage", "GET", path, permissions=asked).get("permissions") or ()
        if isinstance(missing := _missing(asked, granted, policies.PEOPLE_IN_BUCKET), list):
            return missing
        if found.iam_configuration.public_access_prevention != "enforced":
            fix = f"gcloud storage buckets update gs://{found.name} --public-access-prevention"
            return [Finding(f"{found.name} can be made public", fix, warning=True)]
        return f"{found.name} is in {found.location.lower()}, private"

    def _check_account(self) -> Answer:
        email = self._cloud.service_account
        if not email:
            said = (
                "settings.toml names no service_account: jobs run as Vertex AI's own, which may use every bucket here"
            )
            return [Finding(said, _CREATE, warning=True)]
        path = f"/v1/projects/-/serviceAccounts/{quote(email, safe='@')}"
        try:
            found = self._client.call("iam", "GET", path)
        except NotFoundError:
            return [Finding(f"there is no service account {email}", f"{_CREATE}, or correct it in settings.toml")]
        if found.get("disabled"):
            return [Finding(f"{email} is disabled", f"gcloud iam service-accounts enable {email}")]
        asked = ["iam.serviceAccounts.actAs"]
        granted = self._client.call("iam", "POST", f"{path}:testIamPermissions", {"permissions": asked})
        return _missing(asked, granted.get("permissions") or (), policies.PEOPLE_ON_ACCOUNT) or email

    def _check_repository(self) -> Answer:
        image = bodies.serving_image(self._cloud)
        place = f"{self._cloud.region}-docker.pkg.dev/{self._cloud.project}/"
        if not image.startswith(place):
            return f"{image} is not in this project"
        name = image.removeprefix(place).partition("/")[0]
        try:
            found = self._client.call(
                "artifactregistry", "GET", f"/v1/{bodies.parent(self._cloud)}/repositories/{name}"
            )
        except NotFoundError:
            said = f"there is no repository {name} in {self._cloud.region}, from which endpoints take {image}"
            return [Finding(said, _CREATE)]
        return f"{name}: {found.get('mode', 'STANDARD_REPOSITORY')}"

    def _check_quotas(self) -> Answer:
        cloud, needed = self._cloud, {}
        for kind, machine, accelerator, each, count in (
            ("training", cloud.machine_type, cloud.accelerator_type, cloud.accelerator_count, cloud.replica_count),
            ("serving", cloud.endpoint_machine_type, cloud.endpoint_accelerator_type,
             cloud.endpoint_accelerator_count, cloud.max_replica_count),
        ):  # fmt: skip
            family, _, size = machine.partition("-")
            if family in _PLAIN and size.rpartition("-")[2].isdigit():
                needed[f"custom_model_{kind}_cpus"] = int(size.rpartition("-")[2]) * count
            if each:
                needed[f"custom_model_{kind}_{accelerator.lower()}_gpus"] = each * count
        limits = {name: self._limit(name) for name in needed}
        findings = [
            Finding(
                f"{name}: {limits[name]} in {cloud.region}, and settings.toml wants {wanted}",
                "ask for more (console: IAM & Admin, Quotas), or choose a smaller machine_type",
            )
            for name, wanted in needed.items()
            if limits[name] < wanted
        ]
        return findings or ", ".join(f"{name}: {limits[name]}" for name in limits)

    def _limit(self, metric: str) -> int:
        """The limit in the region. Source: serviceusage/docs/reference/rest/v1beta1, consumerQuotaMetrics."""
        service = "aiplatform.googleapis.com"
        name = quote(f"{service}/{metric}", safe="")
        path = f"/v1beta1/projects/{self._cloud.project}/services/{service}/consumerQuotaMetrics/{name}"
        found = self._client.call("serviceusage", "GET", path)
        buckets = [bucket for limit in found.get("consumerQuotaLimits") or () for bucket in limit["quotaBuckets"]]
        regions: dict[Any, int] = {
            (one.get("dimensions") or {}).get("region"): int(one.get("effectiveLimit", 0)) for one in buckets
        }
        return regions.get(self._cloud.region, regions.get(None, 0))


def _readable(check: Callable[[], Answer]) -> Answer:
    """The answer of a check; one that may not be asked for is no failure of the project."""
    try:
        return check()
    except (DeniedError, NotFoundError) as error:
        return [Finding(f"cannot be read: {str(error).splitlines()[0]}", "see the roles below", warning=True)]


def _missing(asked: Sequence[str], granted: Sequence[str], wanted: Sequence[str]) -> Answer:
    missing = [name for name in asked if name not in granted]
    if not missing:
        return f"{len(asked)} are granted"
    return [Finding(f"missing: {', '.join(missing)}", f"ask for {' and '.join(wanted)}")]
