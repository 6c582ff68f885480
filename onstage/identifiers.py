"""Names that a cloud accepts in settings.toml, and what to write instead of others."""

import re

# Sources: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, cloud.google.com/storage/docs/buckets,
# cloud.google.com/resource-manager/docs/creating-managing-projects (a number is taken for an id, too).
_S3_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
GCS_BUCKET = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
# Shorter than the 6 characters of today: a display name is what is looked for.
_PROJECT = r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{1,28}[a-z0-9]|\d+"
# Within SageMaker's OutputFilter, of at most 63 characters: $['KEY','SageMakerOutput'].
_LONGEST_KEY = 40
_NO_KEYS = ("features", "SageMakerOutput")
_ROLE = r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+"


def s3_bucket(value: str) -> str:
    """`value`, a name of an S3 bucket or nothing. Raises ValueError with one that may be meant."""
    return _bucket(value, _S3_BUCKET, "-")


def gcs_bucket(value: str) -> str:
    """The same of Cloud Storage."""
    return _bucket(value, GCS_BUCKET, "_")


def role_arn(value: str) -> str:
    """`value`, the ARN of an IAM role or nothing. Raises ValueError with its form."""
    if value and not re.fullmatch(_ROLE, value):
        name = re.sub(r"[^\w+=,.@-]", "", value.rpartition("/")[2]) or "NAME"
        raise ValueError(f"should be a role's ARN, such as arn:aws:iam::111122223333:role/{name}")
    return value


def project_id(value: str) -> str:
    """`value`, the id of a Google Cloud project or nothing. Raises ValueError with one that may be meant."""
    if value and not re.fullmatch(_PROJECT, value):
        meant = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
        raise ValueError(f"should be a project's id as gcloud projects list shows it, such as {meant or 'my-project'}")
    return value


def batch_key(value: str) -> str:
    """`value`, a field of a batch job's rows or nothing. Raises ValueError for what the clouds' filters do not take."""
    if len(value) > _LONGEST_KEY or re.search(r"""['"\\\x00-\x1f]""", value):
        raise ValueError(f"should be a field of at most {_LONGEST_KEY} characters, without quotes and \\")
    if value in _NO_KEYS:
        raise ValueError(f"should be another field than {' and '.join(_NO_KEYS)}, which are SageMaker's")
    return value


def _bucket(value: str, pattern: str, joint: str) -> str:
    if value and not re.fullmatch(pattern, value):
        name = re.sub(r"^\w+://", "", value).partition("/")[0].lower().replace("_", joint)
        meant = re.sub(r"[^a-z0-9._-]+", "-", name).strip("-._")
        raise ValueError(f"should be a bucket's name, such as {meant if re.fullmatch(pattern, meant) else 'my-bucket'}")
    return value
