"""Makes what jobs and endpoints need in a Google Cloud project, when asked: what account.sh makes with gcloud."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from onstage.commands import show
from onstage.errors import UserError
from onstage.cloud import AccountFile, Plan, Request, Step
from onstage.vertex_section import Vertex
from onstage.settings import Settings
from onstage.vertex.client.errors import ExistsError
from onstage.vertex.client.session import Client
from onstage.vertex.client.storage import GoogleBucket
from onstage.vertex.requests import bodies, policies

# Seconds that a new service account may take until policies know it.
_PATIENCE = 60
SCRIPT = Path(__file__).with_name("account.sh")
Body = dict[str, Any]


def account_file(settings: Settings) -> AccountFile:
    """The script that makes with gcloud what Setup does, and how it is run for these settings."""
    notes = ["it ends with the lines for settings.toml, [vertex]; without --apply it only says what it would do"]
    if not settings.cloud(Vertex).project:
        notes.insert(0, "settings.toml names no project: write its id instead of PROJECT")
    settings = named(settings)
    cloud = settings.cloud(Vertex)
    account = policies.account_of(settings).partition("@")[0]
    given = {"--project": cloud.project, "--region": cloud.region, "--bucket": policies.bucket_of(settings)}
    given |= {"--account": account, "--repository": cloud.repository}
    command = ["bash", "{file}", *(word for pair in given.items() for word in pair), "--apply"]
    return AccountFile("vertex.sh", SCRIPT.read_text(encoding="utf-8"), command, notes)


def named(settings: Settings) -> Settings:
    """`settings` whose project is PROJECT where settings.toml names none, for names that people read."""
    cloud = settings.cloud(Vertex)
    return settings.model_copy(update={"vertex": cloud.model_copy(update={"project": cloud.project or "PROJECT"})})


class Setup:
    """The steps that make bucket, service account and repository in the project of one settings.toml."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client, self._settings, self._cloud = client, settings, settings.cloud(Vertex)
        self._bucket = GoogleBucket(client, policies.bucket_of(settings))

    def plan(self) -> Plan:
        """The steps; each leaves alone what is there already. Raises UserError if settings.toml names no project."""
        parent, repository = bodies.parent(self._cloud), self._cloud.repository
        email, project = policies.account_of(self._settings), self._cloud.project
        bucket, member = self._bucket.name, f"serviceAccount:{email}"
        apis = {"serviceIds": [f"{api}.googleapis.com" for api in policies.APIS]}
        shown, source = {"displayName": "Vertex AI jobs"}, {"publicRepository": "DOCKER_HUB"}
        account, hub = {"accountId": email.partition("@")[0], "serviceAccount": shown}, {"dockerRepository": source}
        remote = {"format": "DOCKER", "mode": "REMOTE_REPOSITORY", "remoteRepositoryConfig": hub}
        in_bucket, in_project = _bindings(policies.JOBS_IN_BUCKET, member), _bindings(policies.JOBS_IN_PROJECT, member)
        create = f"repositories.create?repositoryId={repository}"
        steps = [
            Step("the project's APIs", Request("services.batchEnable", apis), lambda: self._enable(apis)),
            Step(f"bucket {bucket}", Request("buckets.insert", self._bucket.body()), self._make_bucket),
            Step(f"service account {email}", Request("serviceAccounts.create", account), lambda: self._make(account)),
            Step(f"roles on gs://{bucket}", Request("buckets.setIamPolicy", in_bucket),
                 lambda: self._grant(in_bucket, self._bucket_policy, self._set_bucket_policy)),
            Step(f"roles on {project}", Request("projects.setIamPolicy", in_project),
                 lambda: self._grant(in_project, self._project_policy, self._set_project_policy)),
            Step(f"repository {repository}, which has Docker Hub's images", Request(create, remote),
                 lambda: self._remote(parent, remote)),
        ]  # fmt: skip
        return Plan("setup", project, steps, "nothing but the objects in the bucket, by the month")

    def result(self) -> dict[str, str]:
        """Bucket, service account and repository, as settings.toml calls them."""
        return {
            "bucket": self._bucket.name,
            "service_account": policies.account_of(self._settings),
            "repository": self._cloud.repository,
        }

    def _enable(self, body: Body) -> None:
        path = f"/v1/projects/{self._cloud.project}/services:batchEnable"
        self._client.wait(self._client.call("serviceusage", "POST", path, body), "enabling APIs", "serviceusage")

    def _make_bucket(self) -> None:
        self._bucket.create()

    def _make(self, body: Body) -> None:
        path = f"/v1/projects/{self._cloud.project}/serviceAccounts"
        # One of another project is not ours to make.
        if policies.account_of(self._settings).endswith(f"@{self._cloud.project}.iam.gserviceaccount.com"):
            _unless_there(lambda: self._client.call("iam", "POST", path, body))

    def _remote(self, parent: str, body: Body) -> None:
        def create() -> None:
            name = self._cloud.repository
            path = f"/v1/{parent}/repositories"
            made = self._client.call("artifactregistry", "POST", path, body, repositoryId=name)
            self._client.wait(made, f"making the repository {name}", "artifactregistry")

        _unless_there(create)

    def _grant(self, wanted: Body, read: Callable[[], Body], write: Callable[[Body], Any]) -> None:
        """Add bindings to a policy; its etag lets nobody else's change be lost."""
        deadline = time.monotonic() + _PATIENCE
        for pause in show.pauses():
            policy = read()
            bindings = policy.setdefault("bindings", [])
            missing = [one for one in wanted["bindings"] if not _has(bindings, one)]
            if not missing:
                return
            try:
                write({**policy, "bindings": [*bindings, *missing]})
            except ExistsError:
                # Somebody else changed it in between.
                time.sleep(pause)
            except UserError as error:
                if "does not exist" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(pause)

    def _bucket_policy(self) -> Body:
        path = f"/storage/v1/b/{self._bucket.name}/iam"
        return self._client.call("storage", "GET", path, optionsRequestedPolicyVersion=3)

    def _set_bucket_policy(self, policy: Body) -> None:
        self._client.call("storage", "PUT", f"/storage/v1/b/{self._bucket.name}/iam", policy)

    def _project_policy(self) -> Body:
        options = {"requestedPolicyVersion": 3}
        path = f"/v3/projects/{self._cloud.project}:getIamPolicy"
        return self._client.call("cloudresourcemanager", "POST", path, {"options": options})

    def _set_project_policy(self, policy: Body) -> None:
        path = f"/v3/projects/{self._cloud.project}:setIamPolicy"
        self._client.call("cloudresourcemanager", "POST", path, {"policy": policy})


def _bindings(granted: Sequence[str], member: str) -> Body:
    return {"bindings": [{"role": role, "members": [member]} for role in granted]}


def _has(bindings: Sequence[Body], wanted: Body) -> bool:
    members = [
        member
        for one in bindings
        if one["role"] == wanted["role"] and not one.get("condition")
        for member in one["members"]
    ]
    return set(wanted["members"]) <= set(members)


def _unless_there(create: Callable[[], Any]) -> None:
    try:
        create()
    except ExistsError:
        return
