"""Finds what a request names that is no place in Cloud Storage, or lies in another region than the job."""

import re
from collections.abc import Iterator
from typing import Any

from onstage.identifiers import GCS_BUCKET
from onstage.problem import Path, Problem, dotted, texts
from onstage.vertex.requests.images import region_names, regions, unknown_region

# Members that hold a gs:// URI, and nothing else.
_URIS = ("outputUriPrefix", "artifactUri", "uris", "packageUris")
_BUCKET = re.compile(r"(?:gs://|/gcs/)([^/\s\"']+)")
_RESOURCE = re.compile(r"projects/[^/]+/locations/([^/]+)/")
_REGISTRY = re.compile(r"([a-z0-9-]+)-docker\.pkg\.dev/([^/]+)/")


def foreign(kind: str, body: dict[str, Any], region: str) -> Iterator[Problem]:
    """Yield the places that a request for `region` cannot use."""
    if region not in regions():
        yield Problem("region", unknown_region(region), "correct region in [vertex] of settings.toml")
        return
    for path, text in texts(body):
        member = next((part for part in reversed(path) if isinstance(part, str)), "")
        if member in _URIS and not text.startswith("gs://"):
            yield Problem(dotted(path), f"{text!r} is no place in Cloud Storage", "write gs://BUCKET/...")
        for found in _BUCKET.finditer(text):
            yield from _bucket(found[1], path, region)
        for found in _RESOURCE.finditer(text):
            if found[1] not in (region, "global"):
                message = f"{text} is in {found[1]}, the request goes to {region}; they must be together"
                yield Problem(dotted(path), message, f"use one in {region}")
        if member == "imageUri" and kind == "UploadModelRequest":
            yield from _serving_image(text, path, region)


def _bucket(bucket: str, path: Path, region: str) -> Iterator[Problem]:
    if not re.fullmatch(GCS_BUCKET, bucket):
        message = f"{bucket!r} cannot be the name of a bucket: small letters, digits, - and _, at least 3"
        yield Problem(dotted(path), message, "correct bucket in [vertex] of settings.toml")
        return
    named = region_names(bucket)
    if named and region not in named:
        message = f"the bucket {bucket} is in {named[0]} by its name, the job is in {region}; they must be together"
        yield Problem(dotted(path), message, f"use a bucket in {region}, or region = {named[0]!r}")


def _serving_image(uri: str, path: Path, region: str) -> Iterator[Problem]:
    # Source: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements#image-publishing
    registry = _REGISTRY.match(uri)
    if registry is None:
        message = f"{uri!r} is not in Artifact Registry, from which alone endpoints pull"
        yield Problem(dotted(path), message, f"use {region}-docker.pkg.dev/PROJECT/REPOSITORY/...")
    elif registry[2] != "vertex-ai" and registry[1] != region:
        message = f"the image is in {registry[1]}, the endpoint in {region}; they must be together"
        yield Problem(dotted(path), message, f"use {region}-docker.pkg.dev/...")
