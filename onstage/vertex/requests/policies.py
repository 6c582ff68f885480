"""Who may do what: the least that the jobs and the people of this project need. client/account.sh grants the same."""

from onstage.settings import Settings
from onstage.vertex_section import Vertex

APIS = ("aiplatform", "artifactregistry", "cloudresourcemanager", "iam", "logging", "storage")
# Of the jobs: their containers write their own logs, and use nothing but the bucket.
JOBS_IN_PROJECT = ("roles/logging.logWriter",)
# storage.buckets.get is in the second one only; TensorFlow asks for the bucket.
JOBS_IN_BUCKET = ("roles/storage.objectUser", "roles/storage.legacyBucketReader")
PEOPLE_IN_PROJECT = ("roles/aiplatform.user", "roles/logging.viewer", "roles/artifactregistry.reader")
PEOPLE_IN_BUCKET = JOBS_IN_BUCKET
PEOPLE_ON_ACCOUNT = ("roles/iam.serviceAccountUser",)

# What the commands use of them, as permissions that can be asked for.
PROJECT_PERMISSIONS = (
    "aiplatform.batchPredictionJobs.create", "aiplatform.customJobs.cancel", "aiplatform.customJobs.create",
    "aiplatform.customJobs.list", "aiplatform.endpoints.create", "aiplatform.endpoints.delete",
    "aiplatform.endpoints.deploy", "aiplatform.endpoints.predict", "aiplatform.endpoints.undeploy",
    "aiplatform.hyperparameterTuningJobs.create", "aiplatform.hyperparameterTuningJobs.get",
    "aiplatform.hyperparameterTuningJobs.list", "aiplatform.models.delete", "aiplatform.models.upload",
    "logging.logEntries.list",
)  # fmt: skip
BUCKET_PERMISSIONS = (
    "storage.buckets.get", "storage.multipartUploads.create", "storage.multipartUploads.list", "storage.objects.create",
    "storage.objects.delete", "storage.objects.get", "storage.objects.list",
)  # fmt: skip


def account_id(slug: str) -> str:
    """The id of the service account that setup makes: 6 to 30 characters."""
    name = slug.replace("_", "-")
    # At the end of a word, if there is one.
    cut = name[:23] if name[23:24] in ("", "-") else name[:23].rpartition("-")[0] or name[:23]
    return f"{cut.rstrip('-')}-vertex"


def account_of(settings: Settings) -> str:
    """The jobs' service account: that of settings.toml, or the one that setup makes."""
    cloud = settings.cloud(Vertex)
    return cloud.service_account or f"{account_id(settings.name)}@{cloud.project}.iam.gserviceaccount.com"


def bucket_of(settings: Settings) -> str:
    """The bucket of settings.toml, or the one that setup makes: at most 63 characters."""
    cloud = settings.cloud(Vertex)
    return cloud.bucket or f"{cloud.project}-{settings.name.replace('_', '-')}"[:62].rstrip("-")


def policy(settings: Settings) -> str:
    """The roles to ask an administrator for, in words."""
    project, bucket = f"on the project {settings.cloud(Vertex).project}", f"on gs://{bucket_of(settings)}"
    account = account_of(settings)

    def lines(*granted: tuple[tuple[str, ...], str]) -> str:
        return "\n".join(f"  {role} {where}" for roles, where in granted for role in roles)

    return (
        f"what the jobs' service account, {account}, needs:\n"
        f"{lines((JOBS_IN_PROJECT, project), (JOBS_IN_BUCKET, bucket))}\n"
        "what you need:\n"
        f"{lines((PEOPLE_IN_PROJECT, project), (PEOPLE_IN_BUCKET, bucket), (PEOPLE_ON_ACCOUNT, f'on {account}'))}\n"
        "onstage vertex setup --create makes bucket, service account and repository; --dry-run shows what it sends,\n"
        "--write DIR writes a script for an administrator, which makes them with gcloud"
    )
