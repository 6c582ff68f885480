"""Finds what a request names that lies in another region than the job: buckets, keys, images, roles of a partition."""

import re
from collections.abc import Iterator
from typing import Any

from onstage.problem import Problem, dotted, texts
from onstage.sagemaker.requests.images import partition, region_names

_MAPS = ("HyperParameters", "StaticHyperParameters", "Environment")
_BUCKET = re.compile(r"s3://([^/\"]+)")
_ARN = re.compile(r"arn:([a-z-]+):([a-z0-9-]+):([a-z0-9-]*):")
_REGISTRY = re.compile(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.")


def foreign(body: dict[str, Any], region: str | None) -> Iterator[Problem]:
    """Yield what names another region than `region`; without one, than that of the request's first registry."""
    said = list(texts(body, _MAPS))
    region = region or next((found[1] for _, text in said if (found := _REGISTRY.match(text))), None)
    if region is None:
        return
    for path, text in said:
        for found in _BUCKET.finditer(text):
            named = region_names(found[1])
            if named and region not in named:
                yield Problem(
                    dotted(path),
                    f"the bucket {found[1]} is in {named[0]} by its name, the job in {region}; they must be together",
                    f"use a bucket in {region}, or region = {named[0]!r}",
                    f"ValidationException: No S3 objects found under S3 URL {text!r} given in input data source. "
                    f"Please ensure that the bucket exists in the selected region ({region})",
                )
        for arn in _ARN.finditer(text):
            # IAM and S3 have no region in their ARNs.
            if arn[3] and arn[3] != region:
                message = f"{text} is in {arn[3]}, the job is in {region}; they must be together"
                yield Problem(dotted(path), message, f"use one in {region}")
            elif arn[1] != partition(region):
                message = f"{text} belongs to the partition {arn[1]}, the region {region} to {partition(region)}"
                yield Problem(dotted(path), message, f"use one that starts with arn:{partition(region)}:")
        registry = _REGISTRY.match(text)
        if registry and registry[1] != region:
            message = f"the image is in {registry[1]}, the job is in {region}; SageMaker pulls from its own region only"
            yield Problem(dotted(path), message, f"use the registry of {region}")
